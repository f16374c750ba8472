// Package voice is the audio of a call, and what is said in it.
//
// The audio is as a modem's serial PCM port carries it: 8,000 samples a second, 16 bit, little endian, one channel
// (reference/modem.md, 6.3). Pacer gives it to the modem in time, Detector hears the key that a person presses, PCM is both on one
// port. Script is the order in which prompts and a code are said: no digit before a key was pressed. A Pack is what can be said in a
// language: the shipped recordings (packs, made by packaging/speech/build) under those of the site.
//
// It knows nothing of call control or AT commands.
package voice

import "time"

// The form of the audio.
const (
	SampleRate = 8000                  // samples a second
	FrameTime  = 20 * time.Millisecond // one frame
	FrameSize  = 320                   // bytes in a frame: 160 samples of two bytes
)
