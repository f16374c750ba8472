package outbox

import (
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// The packed form of a message's record. A number that once stood for a field is never given to another.

func packRecord(p *store.Packer, r *record) {
	p.Text(1, r.ID)
	p.Text(2, string(r.Kind))
	p.Text(3, r.Ref)
	p.Int(4, int64(r.Lane))
	contact.PackPhone(p, 5, r.To)
	p.Text(6, r.Client)
	p.Bool(7, r.Staff)
	for i := range r.Route {
		p.Part(8, func(p *store.Packer) {
			p.Text(1, string(r.Route[i].Channel))
			p.Int(2, int64(r.Route[i].Wait))
			p.Bool(3, r.Route[i].OtherCarrier)
		})
	}
	p.Time(9, r.Due)
	p.Time(10, r.Expires)
	p.Int(11, int64(r.Replace))
	p.Bool(12, r.Repeat)
	p.Int(13, int64(r.Mode))
	p.Bool(14, r.Essential)
	p.Text(15, r.SIM)
	p.Time(16, r.Created)
	p.Int(17, int64(r.Step))
	p.Text(18, string(r.State))
	for i := range r.Attempts {
		p.Part(19, func(p *store.Packer) { packAttempt(p, &r.Attempts[i]) })
	}
	p.Bool(20, r.Forced)
	p.Bool(21, r.Stopped)
	p.Text(22, r.Cause)
	p.Time(23, r.Born)
	p.Int(24, int64(r.Turn))
	p.Int(25, int64(r.Failures))
	p.Int(26, int64(r.Parts))
	p.Text(27, r.Order)
}

func unpackRecord(r *record, f store.Field) {
	switch f.N {
	case 1:
		r.ID = f.Text()
	case 2:
		r.Kind = Kind(f.Text())
	case 3:
		r.Ref = f.Text()
	case 4:
		r.Lane = Lane(f.Int())
	case 5:
		r.To = contact.UnpackPhone(f)
	case 6:
		r.Client = f.Text()
	case 7:
		r.Staff = f.Bool()
	case 8:
		var s Step
		f.Each(func(f store.Field) { unpackStep(&s, f) })
		r.Route = append(r.Route, s)
	case 9:
		r.Due = f.Time()
	case 10:
		r.Expires = f.Time()
	case 11:
		r.Replace = uint8(f.Int())
	case 12:
		r.Repeat = f.Bool()
	case 13:
		r.Mode = contact.Mode(f.Int())
	case 14:
		r.Essential = f.Bool()
	case 15:
		r.SIM = f.Text()
	case 16:
		r.Created = f.Time()
	case 17:
		r.Step = int(f.Int())
	case 18:
		r.State = State(f.Text())
	case 19:
		var a Attempt
		f.Each(func(f store.Field) { unpackAttempt(&a, f) })
		r.Attempts = append(r.Attempts, a)
	case 20:
		r.Forced = f.Bool()
	case 21:
		r.Stopped = f.Bool()
	case 22:
		r.Cause = f.Text()
	case 23:
		r.Born = f.Time()
	case 24:
		r.Turn = uint64(f.Int())
	case 25:
		r.Failures = int(f.Int())
	case 26:
		r.Parts = int(f.Int())
	case 27:
		r.Order = f.Text()
	}
}

func unpackStep(s *Step, f store.Field) {
	switch f.N {
	case 1:
		s.Channel = Channel(f.Text())
	case 2:
		s.Wait = time.Duration(f.Int())
	case 3:
		s.OtherCarrier = f.Bool()
	}
}

func packAttempt(p *store.Packer, a *Attempt) {
	p.Time(1, a.At)
	p.Time(2, a.Settled)
	p.Int(3, int64(a.Step))
	p.Text(4, a.Sender)
	p.Text(5, a.SIM)
	p.Text(6, a.Carrier)
	p.Bool(7, a.Report)
	p.Int(8, int64(a.Planned))
	for _, part := range a.Parts {
		p.Part(9, func(p *store.Packer) {
			p.Int(1, int64(part.Ref))
			p.Text(2, string(part.State))
			p.Int(3, int64(part.Code))
			p.Time(4, part.At)
		})
	}
	p.Bool(10, a.Late)
	p.Text(11, string(a.Outcome))
	p.Int(12, int64(a.Code))
	p.Text(13, a.Cause)
}

func unpackAttempt(a *Attempt, f store.Field) {
	switch f.N {
	case 1:
		a.At = f.Time()
	case 2:
		a.Settled = f.Time()
	case 3:
		a.Step = int(f.Int())
	case 4:
		a.Sender = f.Text()
	case 5:
		a.SIM = f.Text()
	case 6:
		a.Carrier = f.Text()
	case 7:
		a.Report = f.Bool()
	case 8:
		a.Planned = int(f.Int())
	case 9:
		var part Part
		f.Each(func(f store.Field) { unpackPart(&part, f) })
		a.Parts = append(a.Parts, part)
	case 10:
		a.Late = f.Bool()
	case 11:
		a.Outcome = State(f.Text())
	case 12:
		a.Code = int(f.Int())
	case 13:
		a.Cause = f.Text()
	}
}

func unpackPart(part *Part, f store.Field) {
	switch f.N {
	case 1:
		part.Ref = byte(f.Int())
	case 2:
		part.State = State(f.Text())
	case 3:
		part.Code = int(f.Int())
	case 4:
		part.At = f.Time()
	}
}
