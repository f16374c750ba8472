package notice

import (
	"encoding/json"
	"maps"
	"slices"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// The packed form of a notice. A number that once stood for a field is never given to another.

func packNotice(p *store.Packer, n *Notice) {
	p.Text(1, n.ID)
	p.Text(2, n.Template)
	p.Text(3, n.Lang)
	p.Text(4, string(n.Class))
	contact.PackPhone(p, 5, n.To)
	p.Bool(6, n.Follow)
	contact.PackSubjectID(p, 7, n.Subject)
	for _, name := range slices.Sorted(maps.Keys(n.Slots)) {
		p.Part(8, func(p *store.Packer) {
			p.Text(1, name)
			p.Text(2, n.Slots[name])
		})
	}
	p.Time(9, n.At)
	p.Time(10, n.Expires)
	p.Bool(11, n.Urgent)
	p.Text(12, n.Group)
	p.Text(13, n.Key)
	p.Int(14, int64(n.Lane))
	p.Text(15, n.Client)
	p.Text(16, n.OnBehalfOf)
	p.Bool(17, n.Staff)
	p.Bool(18, n.Requested)
	p.Int(19, int64(n.Mode))
	p.Time(20, n.Created)
	p.Text(21, n.Message)
	p.Time(22, n.Canceled)
	p.Text(23, n.Cause)
	p.Text(24, n.Answer)
	p.Time(25, n.Answered)
	p.Text(26, n.Order)
	p.Bool(27, n.Dropped)
	p.Bool(28, n.Once)
	p.Text(29, string(n.Door))
	p.Bool(30, n.Voice)
}

func unpackNotice(n *Notice, f store.Field) {
	switch f.N {
	case 1:
		n.ID = f.Text()
	case 2:
		n.Template = f.Text()
	case 3:
		n.Lang = f.Text()
	case 4:
		n.Class = text.Class(f.Text())
	case 5:
		n.To = contact.UnpackPhone(f)
	case 6:
		n.Follow = f.Bool()
	case 7:
		n.Subject = contact.UnpackSubjectID(f)
	case 8:
		n.unpackSlot(f)
	case 9:
		n.At = f.Time()
	case 10:
		n.Expires = f.Time()
	case 11:
		n.Urgent = f.Bool()
	case 12:
		n.Group = f.Text()
	case 13:
		n.Key = f.Text()
	case 14:
		n.Lane = outbox.Lane(f.Int())
	case 15:
		n.Client = f.Text()
	case 16:
		n.OnBehalfOf = f.Text()
	case 17:
		n.Staff = f.Bool()
	case 18:
		n.Requested = f.Bool()
	case 19:
		n.Mode = contact.Mode(f.Int())
	case 20:
		n.Created = f.Time()
	case 21:
		n.Message = f.Text()
	case 22:
		n.Canceled = f.Time()
	case 23:
		n.Cause = f.Text()
	case 24:
		n.Answer = f.Text()
	case 25:
		n.Answered = f.Time()
	case 26:
		n.Order = f.Text()
	case 27:
		n.Dropped = f.Bool()
	case 28:
		n.Once = f.Bool()
	case 29:
		n.Door = json.RawMessage(f.Text())
	case 30:
		n.Voice = f.Bool()
	}
}

func (n *Notice) unpackSlot(f store.Field) {
	var name, value string
	f.Each(func(f store.Field) {
		switch f.N {
		case 1:
			name = f.Text()
		case 2:
			value = f.Text()
		}
	})
	if n.Slots == nil {
		n.Slots = text.Slots{}
	}
	n.Slots[name] = value
}
