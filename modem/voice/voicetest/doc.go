// Package voicetest hears what was said in a call, for tests alone: it tells from the sound which prompts and which digits of a pack
// were spoken. It knows the sound of the pack's clips and nothing of how they were played.
//
// It cuts a recording at its pauses and finds for each piece the nearest of the pack's, by mel cepstra (as ETSI ES 201 108, 4.2, makes
// them, coarser) and dynamic time warping, so that the speaker, the speed and the line may differ.
package voicetest
