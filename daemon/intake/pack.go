package intake

import (
	"pinward/hl7"
	"pinward/store"
)

// The packed form of an outcome. A number that once stood for a field is never given to another.

func packOutcome(p *store.Packer, o *outcome) {
	p.Time(1, o.At)
	p.Text(2, o.Type)
	p.Text(3, string(o.Ack))
	if e := o.Wrong; e != nil {
		p.Part(4, func(p *store.Packer) {
			p.Int(1, int64(e.Code))
			p.Text(2, e.Segment)
			p.Int(3, int64(e.Seq))
			p.Int(4, int64(e.Field))
			p.Int(5, int64(e.Rep))
			p.Int(6, int64(e.Comp))
			p.Text(7, e.Reason)
		})
	}
	p.Text(5, o.Rule)
	p.Text(6, o.Did)
	p.Text(7, o.Why)
	p.Text(8, o.AckID)
}

func unpackOutcome(o *outcome, f store.Field) {
	switch f.N {
	case 1:
		o.At = f.Time()
	case 2:
		o.Type = f.Text()
	case 3:
		o.Ack = hl7.AckCode(f.Text())
	case 4:
		o.Wrong = &hl7.Error{}
		f.Each(func(f store.Field) { unpackWrong(o.Wrong, f) })
	case 5:
		o.Rule = f.Text()
	case 6:
		o.Did = f.Text()
	case 7:
		o.Why = f.Text()
	case 8:
		o.AckID = f.Text()
	}
}

func unpackWrong(e *hl7.Error, f store.Field) {
	switch f.N {
	case 1:
		e.Code = hl7.Code(f.Int())
	case 2:
		e.Segment = f.Text()
	case 3:
		e.Seq = int(f.Int())
	case 4:
		e.Field = int(f.Int())
	case 5:
		e.Rep = int(f.Int())
	case 6:
		e.Comp = int(f.Int())
	case 7:
		e.Reason = f.Text()
	}
}
