// Package hl7 reads HL7 v2 messages in their vertical-bar form (v2.5.1 chapter 2)
// and writes the acknowledgment each of them earns.
//
// It knows positions, delimiters, escapes, character sets and the data types HD,
// CX, XTN and TS. It does not know what an event means here, who a patient is,
// whether a number can be dialled, or how a frame travels (that is hl7/mllp).
//
// It is lenient in what it takes, by rules and not by guesses: each rule is named
// at the place where it stands, and the ones that came from a real feed have a
// test with the number of the report. Nothing of a message is validated that is
// not needed to find its parts.
//
// A Message holds PHI. None of the types below shows its content to fmt, log/slog
// or in an error: a value leaves only by the methods Raw and String, which a
// caller must name. Formatting with %s or %v gives a placeholder, on purpose.
package hl7
