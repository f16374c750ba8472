// Package line is the stream between a modem's port and the command runner github.com/warthog618/modem/at.
//
// It owns the port's one reader and one writer. Between them and at it puts what at lacks (reference/modem.md, 1.2 and 9): any
// framing is cut into clean lines; unsolicited result codes are taken out of the stream into one ordered, bounded channel; every
// final result ends its command; one prompt is shown for one command that waits for one; a write that is not taken in time
// closes the port; and after a timeout the line is dirty and carries nothing until the modem has proved, by its IMEI, that it
// answers the question that was asked.
//
// It knows the forms of 27.007 and 27.005 and no meaning: what a +CMGS or a +CDS says is for package modem.
package line
