package contact

import (
	"time"

	"pinward/store"
)

// The packed forms of what this room keeps. A number that once stood for a field is never given to another.

// PhoneField is a number in a record that has one.
func PhoneField(f *store.Fields, n int, p *Phone) {
	e164 := p.E164()
	store.TextField(f, n, &e164)
	if f.Reading() && e164 != "" && p.UnmarshalText([]byte(e164)) != nil {
		f.Refuse()
	}
}

// SubjectIDField is whom a record is about.
func SubjectIDField(f *store.Fields, n int, id *SubjectID) {
	store.PartField(f, n, id, subjectIDFields)
}

func subjectIDFields(f *store.Fields, id *SubjectID) {
	store.TextField(f, 1, &id.Authority)
	store.TextField(f, 2, &id.MRN)
}

func subjectFields(f *store.Fields, s *Subject) {
	SubjectIDField(f, 1, &s.ID)
	store.ListField(f, 2, &s.Phones, numberFields)
	store.TextField(f, 3, &s.Language)
	store.IntField(f, 4, &s.BornYear)
	store.PointerField(f, 5, &s.Dead, momentFields)
	store.BoolField(f, 6, &s.NoTexts)
	store.BoolField(f, 7, &s.NoVoice)
	store.BoolField(f, 8, &s.VIP)
	store.BoolField(f, 9, &s.Confidential)
	store.TimeField(f, 10, &s.AsOf)
	store.TimeField(f, 11, &s.DeadAsOf)
	store.PointerField(f, 12, &s.Removed, momentFields)
	store.PointerField(f, 13, &s.MergedInto, subjectIDFields)
	store.TimeField(f, 14, &s.MergedAsOf)
	store.TextField(f, 15, &s.Ward)
	store.TextField(f, 16, &s.Class)
	store.ListField(f, 17, &s.Earlier, earlierFields)
	store.BoolField(f, 18, &s.Unwanted)
	store.BoolField(f, 19, &s.Protected)
	store.ListField(f, 20, &s.Feeds, feedFields)
}

func feedFields(f *store.Fields, source *string) { store.TextField(f, 1, source) }

func earlierFields(f *store.Fields, e *earlier) {
	store.IntField(f, 1, &e.What)
	store.TimeField(f, 2, &e.At)
}

func numberFields(f *store.Fields, n *Number) {
	PhoneField(f, 1, &n.Phone)
	store.TextField(f, 2, &n.Use)
	store.TextField(f, 3, &n.Equipment)
	store.IntField(f, 4, &n.Rank)
	store.TextField(f, 5, &n.Type)
	store.TextField(f, 6, &n.Source)
	store.TimeField(f, 7, &n.Since)
	store.TimeField(f, 8, &n.Verified)
	store.TextField(f, 9, &n.Extension)
	store.TextField(f, 10, &n.Proxy)
	store.BoolField(f, 11, &n.Business)
}

func momentFields(f *store.Fields, at *time.Time) { store.TimeField(f, 1, at) }

func appointmentIDFields(f *store.Fields, id *AppointmentID) {
	store.TextField(f, 1, &id.Authority)
	store.TextField(f, 2, &id.Number)
}

func appointmentFields(f *store.Fields, a *Appointment) {
	store.PartField(f, 1, &a.ID, appointmentIDFields)
	SubjectIDField(f, 2, &a.Subject)
	store.TimeField(f, 3, &a.Start)
	store.IntField(f, 4, &a.Minutes)
	store.TextField(f, 5, &a.SiteName)
	store.TextField(f, 6, &a.Status)
	store.TimeField(f, 7, &a.AsOf)
	store.IntField(f, 8, &a.Version)
	store.TextField(f, 9, &a.Key)
	store.BoolField(f, 10, &a.Video)
}
