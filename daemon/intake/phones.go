package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// readPhones reads PID-13, PID-40 and PID-14. The list is nil when they say nothing: an empty field
// leaves what is known, `""` deletes it, and a list without a usable number deletes it too, for the
// old number is not the person's any more. Fax, pager and e-mail say nothing of where a text goes.
//
// homes tells that PID-13 or PID-40 spoke; a number at work alone replaces only what is at work.
func (rd *reading) readPhones(pid hl7.Segment) (list *[]contact.Number, homes bool) {
	var numbers []contact.Number
	said := false
	for _, n := range []int{13, 40, 14} {
		field := pid.Field(n)
		if field.Presence() == hl7.Null {
			said, homes = true, homes || n != 14
			continue
		}
		rep := 0
		for r := range field.Reps() {
			rep++
			x := r.XTN()
			if x.Class() == hl7.PhoneUnusable || x.Text == "" && x.Local == "" && x.Unformatted == "" {
				continue
			}
			number, err := rd.number(x, n == 14)
			number.Business = n == 14
			if errors.Is(err, errWork) {
				continue
			}
			said, homes = true, homes || n != 14
			if err == nil && number.Equipment == "TDD" {
				rd.person.noVoice = append(rd.person.noVoice, number.Phone)
			}
			if err != nil {
				rd.why = append(rd.why, fmt.Sprintf("number refused at PID-%d[%d]: %s", n, rep, reason(err)))
				continue
			}
			if len(numbers) < maxNumbers {
				numbers = append(numbers, number)
			}
		}
	}
	if !said {
		return nil, false
	}
	// The best first, by what the sender says of them; among equals as sent.
	slices.SortStableFunc(numbers, func(a, b contact.Number) int { return classOf(a) - classOf(b) })
	return &numbers, homes
}

// maxNumbers is how many numbers of one person are kept (contact's bound).
const maxNumbers = 16

var (
	errWork   = errors.New("number at work")
	errNumber = &contact.NumberError{Reason: contact.Invalid}
)

// number makes a number of a repetition. What is at work is left out unless the site says otherwise:
// somebody else may pick it up.
func (rd *reading) number(x hl7.XTN, business bool) (contact.Number, error) {
	p, ok := x.Phone()
	class := x.Class()
	work := p.Work || class == hl7.PhoneWork ||
		business && class != hl7.PhoneCell && class != hl7.PhonePersonal
	if work && !rd.policy.WorkPhones {
		return contact.Number{}, errWork
	}
	if !ok {
		return contact.Number{}, errNumber
	}
	raw := p.Digits
	if p.Plus {
		raw = "+" + raw
	} else if p.Source == hl7.FromParts && p.Country != "" { // without an area too: +65 98765432 is nobody's in Alabama
		raw = "+" + raw
	}
	phone, err := contact.ParsePhone(raw, rd.site.Plan())
	if err != nil {
		return contact.Number{}, err
	}
	if phone.Fictitious() {
		return contact.Number{}, errNumber
	}
	n := contact.Number{Phone: phone, Source: rd.source, Extension: p.Extension}
	switch class {
	case hl7.PhoneCell:
		n.Equipment = "CP"
	case hl7.PhonePersonal:
		n.Use = "PRS"
	case hl7.PhonePrimary:
		n.Use = "PRN"
	}
	if p.NoVoice {
		n.Equipment = "TDD"
	}
	if rd.landline(x) {
		n.Type = contact.LineLandline
	}
	if work {
		n.Use = "WPN"
	}
	return n, nil
}

// landline tells whether the sender says so: in words that are in no table, or in those that the site's policy names.
func (rd *reading) landline(x hl7.XTN) bool {
	use, equipment := strings.ToUpper(strings.TrimSpace(x.Use)), strings.ToUpper(strings.TrimSpace(x.Equipment))
	for _, s := range []string{use, equipment} {
		if s == "LANDLINE" || s == "LL" {
			return true
		}
	}
	return slices.ContainsFunc(rd.policy.Landlines, func(said string) bool { return strings.EqualFold(said, use+"^"+equipment) })
}

func classOf(n contact.Number) int {
	switch {
	case n.Use == "WPN":
		return 3
	case n.Equipment == "CP":
		return 0
	case n.Use == "PRS":
		return 1
	}
	return 2
}

func reason(err error) string {
	if e, ok := errors.AsType[*contact.NumberError](err); ok {
		return string(e.Reason)
	}
	return string(contact.Invalid)
}
