package modem

import (
	"errors"
	"fmt"
)

// The outcomes of Send that a caller branches on. Every other error of Send means that the outcome is unknown: the text may
// have left and may still arrive.
var (
	// ErrNotSent says it is proved that no PDU left: the message may be tried elsewhere or again at once.
	ErrNotSent = errors.New("not sent")
	// ErrRefused says that the network refuses this recipient: never again for it.
	ErrRefused = errors.New("refused for this recipient")
)

// Class sorts the +CMS and +CME codes by what is to be done about them.
type Class string

// The classes of reference 5.2.
const (
	ClassTransient Class = "transient" // the network or the modem is busy: again, with back-off
	ClassAmbiguous Class = "ambiguous" // may have been sent
	ClassRecipient Class = "recipient" // permanent for this recipient
	ClassFault     Class = "fault"     // our own fault: a bad PDU, a missing SMSC; alarm
	ClassSIM       Class = "sim"       // SIM or subscription: take the modem out
	ClassStorage   Class = "storage"   // purge the storage
)

// CMSError is a +CMS ERROR or +CME ERROR that the modem gave as the answer to a send. Kind is "CMS" or "CME"; Code is -1 for
// words instead of a number.
type CMSError struct {
	Kind  string
	Code  int
	Class Class
}

func (e *CMSError) Error() string {
	if e.Code < 0 {
		return fmt.Sprintf("+%s ERROR in words (%s)", e.Kind, e.Class)
	}
	return fmt.Sprintf("+%s ERROR %d (%s)", e.Kind, e.Code, e.Class)
}

// Doubtful says that a refusal of the recipient may as well be one of the SIM: 10 is also a service that its contract bars, 21 also an
// empty balance. Another SIM may be asked once.
func (e *CMSError) Doubtful() bool { return e.Kind == "CMS" && (e.Code == 10 || e.Code == 21) }

// cmsClasses is the table of reference 5.2 (27.005, 3.2.5; 24.011; 23.040): the field's experience, code by code. A code that is
// not in it is ambiguous: a wrong guess there would send a text twice, or never.
var cmsClasses = map[Class][]int{
	ClassTransient: {22, 38, 41, 42, 47, 192, 194, 211, 301, 314, 331, 514, 515},
	ClassAmbiguous: {300, 332, 500, 512, 513},
	ClassRecipient: {1, 10, 21, 27, 28, 30, 111, 127, 195, 196, 197},
	ClassFault: {69, 81, 95, 96, 97, 98, 99, 128, 129, 130, 143, 144, 145, 159, 160, 161, 175, 176, 198, 199,
		302, 303, 304, 305, 321, 330, 340},
	ClassSIM:     {8, 29, 50, 193, 310, 311, 312, 313, 315, 316, 317, 318},
	ClassStorage: {208, 209, 320, 322},
}

// cmeClasses are the +CME codes (27.007, 9.2) that a send is answered with in the field.
var cmeClasses = map[Class][]int{
	ClassTransient: {14, 30, 515},
	ClassSIM:       {10, 11, 12, 13, 15, 16, 17, 18},
}

// classOf looks a code up; kind is "CMS" or "CME".
func classOf(kind string, code int) Class {
	table := cmsClasses
	if kind == "CME" {
		table = cmeClasses
	}
	for class, codes := range table {
		for _, c := range codes {
			if c == code {
				return class
			}
		}
	}
	return ClassAmbiguous
}

// outcome turns the class of an answer that came after the PDU into the error of Send.
func (e *CMSError) outcome() error {
	switch e.Class {
	case ClassAmbiguous:
		return fmt.Errorf("outcome unknown: %w", e)
	case ClassRecipient:
		return fmt.Errorf("%w: %w", ErrRefused, e)
	}
	return fmt.Errorf("%w: %w", ErrNotSent, e)
}
