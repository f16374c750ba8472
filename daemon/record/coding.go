package record

import "pinward/store"

// Code is a coded value of DICOM PS3.15 A.5.1. System is "DCM" for those of PS3.16.
type Code struct{ Value, System, Text string }

// Coding is how an entry is told to others in any form: as an audit repository gets it.
type Coding struct {
	ID     Code         // the family of the event
	Type   Code         // zero if it has none but our own action
	Action string       // EventActionCode: C, R, U, D or E
	Object string       // what the entry is about, masked
	Attrs  []store.Attr // those that may leave the box, masked
}

// Coded codes an entry. One that a repository does not get, as it is a step or upkeep, is an Application
// Activity.
func Coded(e store.Entry) Coding {
	ev := eventOf(e)
	if ev.Skip != "" {
		ev = auditEvent{ID: applicationActivity, Do: "E"}
	}
	return Coding{ID: Code(ev.ID), Type: Code(ev.Type), Action: ev.Do, Object: outwardObject(e), Attrs: outwardAttrs(e)}
}

// Masked is a string with every phone number in it masked: +1617*****34.
func Masked(s string) string { return outward(s) }
