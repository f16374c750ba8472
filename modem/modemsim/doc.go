// Package modemsim is a mobile network made of software: modems that speak AT
// commands, carriers that take, hold and report short messages, and handsets
// that show them.
//
// It exists so that drivers, the daemon and whole appliances can be judged
// without hardware, by the same bytes that hardware would exchange: an
// interpreter of 3GPP TS 27.005 and 27.007 (with V.250 underneath), a codec of
// its own for the TPDUs of 3GPP TS 23.040, and faults as they were seen in the
// field. It shares no code with the driver that it judges: a common codec would
// hide the defects of both.
//
// A [Network] owns everything: one lock, one agenda of what happens next, and
// the goroutines of the open sessions; Close ends them all. A [Modem] is reached
// in process ([Modem.Pipe], which works inside a testing/synctest bubble) or as
// a terminal ([Modem.PTY]). A [Handset] exists as soon as somebody names it.
//
// It knows nothing of patients, codes or consent, and no radio: what it holds of
// texts and numbers is sealed when it is kept on disk, and never logged.
package modemsim
