// Package modem drives one GSM or LTE modem: it opens the port, brings the modem up, watches it, resets it, sends SMS-SUBMIT
// TPDUs and hands on what comes in.
//
// It knows 3GPP 27.005, 27.007 and 23.040, the ways of the modules in profiles/, and nothing of verifications, patients or
// queues. It keeps nothing: a text stays in the SIM until its event is done, a send is one call with one outcome. Several modems
// share nothing.
//
// The stream is package line's, the serial port package port's; this package gives commands and reads answers.
package modem
