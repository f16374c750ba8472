package intake

import (
	"cmp"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// placer is the id that a sender gave to what it asked for, with its namespace (EI).
type placer struct{ id, namespace string }

// order is what the sender is told of a text by, "" where it is told of none: who it is, and of the
// message only its own ids.
func (w *work) order(p placer, about contact.SubjectID) string {
	if len(w.sender.Back) == 0 {
		return ""
	}
	o := hl7.Order{
		Peer: w.sender.Name, Placer: cmp.Or(p.id, w.control), PlacerNS: p.namespace,
		App: w.m.SendingApp().Name(), Facility: w.m.SendingFacility().Name(),
		OurApp: w.m.MSH(5).Comp(1).String(), OurFacility: w.m.MSH(6).Comp(1).String(), Processing: w.m.ProcessingID(),
		Patient: w.person.cx,
	}
	if about != w.person.id {
		o.Patient = hl7.CX{ID: about.MRN, Authority: hl7.HD{NamespaceID: about.Authority}}
	}
	return o.Encode()
}

// placer is the order that a result or a prescription answers.
func (w *work) placer() placer {
	for _, f := range []hl7.Field{w.m.Segment("ORC", 1).Field(2), w.m.Segment("OBR", 1).Field(2)} {
		if p := (placer{f.Comp(1).String(), f.Comp(2).String()}); p.id != "" {
			return p
		}
	}
	return placer{}
}

func (r request) placer() placer { return placer{r.id, r.namespace} }

func appointmentPlacer(a contact.Appointment) placer { return placer{a.ID.Number, a.ID.Authority} }
