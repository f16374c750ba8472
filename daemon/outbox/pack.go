package outbox

import (
	"pinward/daemon/contact"
	"pinward/store"
)

// The packed form of a message's record. A number that once stood for a field is never given to another.

func recordFields(f *store.Fields, r *record) {
	store.TextField(f, 1, &r.ID)
	store.TextField(f, 2, &r.Kind)
	store.TextField(f, 3, &r.Ref)
	store.IntField(f, 4, &r.Lane)
	contact.PhoneField(f, 5, &r.To)
	store.TextField(f, 6, &r.Client)
	store.BoolField(f, 7, &r.Staff)
	store.ListField(f, 8, &r.Route, stepFields)
	store.TimeField(f, 9, &r.Due)
	store.TimeField(f, 10, &r.Expires)
	store.IntField(f, 11, &r.Replace)
	store.BoolField(f, 12, &r.Repeat)
	store.IntField(f, 13, &r.Mode)
	store.BoolField(f, 14, &r.Essential)
	store.TextField(f, 15, &r.SIM)
	store.TimeField(f, 16, &r.Created)
	store.IntField(f, 17, &r.Step)
	store.TextField(f, 18, &r.State)
	store.ListField(f, 19, &r.Attempts, attemptFields)
	store.BoolField(f, 20, &r.Forced)
	store.BoolField(f, 21, &r.Stopped)
	store.TextField(f, 22, &r.Cause)
	store.TimeField(f, 23, &r.Born)
	store.IntField(f, 24, &r.Turn)
	store.IntField(f, 25, &r.Failures)
	store.IntField(f, 26, &r.Parts)
	store.TextField(f, 27, &r.Order)
	store.TimeField(f, 28, &r.Ended)
	store.IntField(f, 29, &r.Redials)
	store.IntField(f, 30, &r.RedialAfter)
	store.TextField(f, 31, &r.Place)
	store.TextField(f, 32, &r.From)
}

func stepFields(f *store.Fields, s *Step) {
	store.TextField(f, 1, &s.Channel)
	store.IntField(f, 2, &s.Wait)
	store.BoolField(f, 3, &s.OtherCarrier)
}

func attemptFields(f *store.Fields, a *Attempt) {
	store.TimeField(f, 1, &a.At)
	store.TimeField(f, 2, &a.Settled)
	store.IntField(f, 3, &a.Step)
	store.TextField(f, 4, &a.Sender)
	store.TextField(f, 5, &a.SIM)
	store.TextField(f, 6, &a.Carrier)
	store.BoolField(f, 7, &a.Report)
	store.IntField(f, 8, &a.Planned)
	store.ListField(f, 9, &a.Parts, partFields)
	store.BoolField(f, 10, &a.Late)
	store.TextField(f, 11, &a.Outcome)
	store.IntField(f, 12, &a.Code)
	store.TextField(f, 13, &a.Cause)
}

func partFields(f *store.Fields, p *Part) {
	store.IntField(f, 1, &p.Ref)
	store.TextField(f, 2, &p.State)
	store.IntField(f, 3, &p.Code)
	store.TimeField(f, 4, &p.At)
}
