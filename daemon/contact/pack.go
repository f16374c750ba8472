package contact

import (
	"time"

	"pinward/store"
)

// The packed forms of what this room keeps. A number that once stood for a field is never given to another.

// PackPhone writes a number for a record that has one.
func PackPhone(p *store.Packer, n uint64, phone Phone) { p.Text(n, phone.E164()) }

// UnpackPhone reads what PackPhone wrote.
func UnpackPhone(f store.Field) (p Phone) {
	if err := p.UnmarshalText([]byte(f.Text())); err != nil {
		f.Refuse()
	}
	return p
}

// PackSubjectID writes whom a record is about.
func PackSubjectID(p *store.Packer, n uint64, id SubjectID) {
	if !id.IsZero() {
		p.Part(n, func(p *store.Packer) { packSubjectID(p, &id) })
	}
}

// UnpackSubjectID reads what PackSubjectID wrote.
func UnpackSubjectID(f store.Field) (id SubjectID) {
	f.Each(func(f store.Field) { unpackSubjectID(&id, f) })
	return id
}

func packSubjectID(p *store.Packer, id *SubjectID) {
	p.Text(1, id.Authority)
	p.Text(2, id.MRN)
}

func unpackSubjectID(id *SubjectID, f store.Field) {
	switch f.N {
	case 1:
		id.Authority = f.Text()
	case 2:
		id.MRN = f.Text()
	}
}

func packSubject(p *store.Packer, s *Subject) {
	PackSubjectID(p, 1, s.ID)
	for i := range s.Phones {
		p.Part(2, func(p *store.Packer) { packNumber(p, &s.Phones[i]) })
	}
	p.Text(3, s.Language)
	p.Int(4, int64(s.BornYear))
	packMoment(p, 5, s.Dead)
	p.Bool(6, s.NoTexts)
	p.Bool(7, s.NoVoice)
	p.Bool(8, s.VIP)
	p.Bool(9, s.Confidential)
	p.Time(10, s.AsOf)
	p.Time(11, s.DeadAsOf)
	packMoment(p, 12, s.Removed)
	if s.MergedInto != nil {
		p.Part(13, func(p *store.Packer) { packSubjectID(p, s.MergedInto) })
	}
	p.Time(14, s.MergedAsOf)
	p.Text(15, s.Ward)
	p.Text(16, s.Class)
}

func unpackSubject(s *Subject, f store.Field) {
	switch f.N {
	case 1:
		s.ID = UnpackSubjectID(f)
	case 2:
		var n Number
		f.Each(func(f store.Field) { unpackNumber(&n, f) })
		s.Phones = append(s.Phones, n)
	case 3:
		s.Language = f.Text()
	case 4:
		s.BornYear = int(f.Int())
	case 5:
		s.Dead = unpackMoment(f)
	case 6:
		s.NoTexts = f.Bool()
	case 7:
		s.NoVoice = f.Bool()
	case 8:
		s.VIP = f.Bool()
	case 9:
		s.Confidential = f.Bool()
	case 10:
		s.AsOf = f.Time()
	case 11:
		s.DeadAsOf = f.Time()
	case 12:
		s.Removed = unpackMoment(f)
	case 13:
		id := UnpackSubjectID(f)
		s.MergedInto = &id
	case 14:
		s.MergedAsOf = f.Time()
	case 15:
		s.Ward = f.Text()
	case 16:
		s.Class = f.Text()
	}
}

func packNumber(p *store.Packer, n *Number) {
	PackPhone(p, 1, n.Phone)
	p.Text(2, n.Use)
	p.Text(3, n.Equipment)
	p.Int(4, int64(n.Rank))
	p.Text(5, string(n.Type))
	p.Text(6, n.Source)
	p.Time(7, n.Since)
	p.Time(8, n.Verified)
	p.Text(9, n.Extension)
	p.Text(10, n.Proxy)
}

func unpackNumber(n *Number, f store.Field) {
	switch f.N {
	case 1:
		n.Phone = UnpackPhone(f)
	case 2:
		n.Use = f.Text()
	case 3:
		n.Equipment = f.Text()
	case 4:
		n.Rank = int(f.Int())
	case 5:
		n.Type = LineType(f.Text())
	case 6:
		n.Source = f.Text()
	case 7:
		n.Since = f.Time()
	case 8:
		n.Verified = f.Time()
	case 9:
		n.Extension = f.Text()
	case 10:
		n.Proxy = f.Text()
	}
}

// packMoment writes an instant that may not be known; one that is known is written even if it is zero.
func packMoment(p *store.Packer, n uint64, at *time.Time) {
	if at != nil {
		p.Part(n, func(p *store.Packer) { p.Time(1, *at) })
	}
}

func unpackMoment(f store.Field) *time.Time {
	at := new(time.Time)
	f.Each(func(f store.Field) {
		if f.N == 1 {
			*at = f.Time()
		}
	})
	return at
}

func packAppointmentID(p *store.Packer, id *AppointmentID) {
	p.Text(1, id.Authority)
	p.Text(2, id.Number)
}

func unpackAppointmentID(id *AppointmentID, f store.Field) {
	switch f.N {
	case 1:
		id.Authority = f.Text()
	case 2:
		id.Number = f.Text()
	}
}

func packAppointment(p *store.Packer, a *Appointment) {
	p.Part(1, func(p *store.Packer) { packAppointmentID(p, &a.ID) })
	PackSubjectID(p, 2, a.Subject)
	p.Time(3, a.Start)
	p.Int(4, int64(a.Minutes))
	p.Text(5, a.SiteName)
	p.Text(6, string(a.Status))
	p.Time(7, a.AsOf)
	p.Int(8, int64(a.Version))
	p.Text(9, a.Key)
	p.Bool(10, a.Video)
}

func unpackAppointment(a *Appointment, f store.Field) {
	switch f.N {
	case 1:
		f.Each(func(f store.Field) { unpackAppointmentID(&a.ID, f) })
	case 2:
		a.Subject = UnpackSubjectID(f)
	case 3:
		a.Start = f.Time()
	case 4:
		a.Minutes = int(f.Int())
	case 5:
		a.SiteName = f.Text()
	case 6:
		a.Status = AppointmentStatus(f.Text())
	case 7:
		a.AsOf = f.Time()
	case 8:
		a.Version = int(f.Int())
	case 9:
		a.Key = f.Text()
	case 10:
		a.Video = f.Bool()
	}
}
