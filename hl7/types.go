package hl7

import (
	"errors"
	"time"
)

// HD names an application, facility or assigning authority (v2.5.1 section 2.A.33):
// a local name, a universal identifier with its type, or both.
type HD struct{ NamespaceID, UniversalID, UniversalIDType string }

// Name is the namespace, or where only a universal identifier was sent, that.
func (h HD) Name() string {
	if h.NamespaceID != "" {
		return h.NamespaceID
	}
	return h.UniversalID
}

// HD reads the repetition as an HD field such as MSH-4.
func (r Repetition) HD() HD {
	return HD{r.Comp(1).String(), r.Comp(2).String(), r.Comp(3).String()}
}

// HD reads the component as an HD such as CX.4.
func (c Component) HD() HD {
	return HD{c.Sub(1).String(), c.Sub(2).String(), c.Sub(3).String()}
}

// CX is an identifier with its assigning authority (v2.5.1 section 2.A.14).
type CX struct {
	redact
	ID          string // CX.1
	CheckDigit  string // CX.2
	CheckScheme string // CX.3, table 0061
	Authority   HD     // CX.4
	Type        string // CX.5, table 0203, such as MR, PI, VN
	Facility    HD     // CX.6
}

// CX reads the repetition as an identifier, such as one of PID-3.
func (r Repetition) CX() CX {
	var parts [6]Value
	r.cut(compSep, parts[:])
	return CX{
		ID:          Component{parts[0]}.Sub(1).String(),
		CheckDigit:  parts[1].String(),
		CheckScheme: parts[2].String(),
		Authority:   Component{parts[3]}.HD(),
		Type:        parts[4].String(),
		Facility:    Component{parts[5]}.HD(),
	}
}

// Precision is how much of a time was sent.
type Precision uint8

// The precisions of a time, from the coarsest on.
const (
	PrecisionYear Precision = iota + 1
	PrecisionMonth
	PrecisionDay
	PrecisionHour
	PrecisionMinute
	PrecisionSecond
	PrecisionFraction
)

var (
	// ErrNoTime means that a time is absent, empty or null.
	ErrNoTime = errors.New("parse time: no value")
	// ErrTime means that a time is not of the form of v2.5.1 section 2.A.22, or is
	// not on the calendar.
	ErrTime = errors.New("parse time: not YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]")
)

// TS is a point in time as sent (TS, DTM, DT).
type TS struct {
	redact
	text string
}

// TS reads the first component of the field as a time.
func (f Field) TS() TS { return f.Rep(1).TS() }

// TS reads the first component of the repetition as a time.
func (r Repetition) TS() TS { return r.Comp(1).TS() }

// TS reads the first subcomponent of the component as a time, such as SCH-11.4.
func (c Component) TS() TS { return c.Sub(1).TS() }

// TS reads the value as a time.
func (v Value) TS() TS { return TS{text: v.String()} }

// IsZero tells whether nothing was sent.
func (t TS) IsZero() bool { return t.text == "" }

// HasZone tells whether the time says how far it is from UTC. If not, it is local
// to whoever sent it.
func (t TS) HasZone() bool {
	n := len(t.text)
	return n > 5 && (t.text[n-5] == '+' || t.text[n-5] == '-')
}

// Time reads the time and how precise it was; what was not sent is the first
// instant of its period. A time without a zone is taken in defaultZone (nil means
// UTC), where time.Date decides what an hour means that the clocks skip or repeat.
// The error is ErrNoTime or ErrTime.
func (t TS) Time(defaultZone *time.Location) (time.Time, Precision, error) {
	s := t.text
	if s == "" {
		return time.Time{}, 0, ErrNoTime
	}
	zone := defaultZone
	if zone == nil {
		zone = time.UTC
	}
	if t.HasZone() {
		n := len(s) - 5
		h, okH := digits(s[n+1 : n+3])
		m, okM := digits(s[n+3:])
		if !okH || !okM || h > 14 || m > 59 {
			return time.Time{}, 0, ErrTime
		}
		offset := h*3600 + m*60
		if s[n] == '-' {
			offset = -offset
		}
		zone = time.FixedZone("", offset)
		s = s[:n]
	}
	whole, nanos, fraction := s, 0, false
	for i := range len(s) {
		if s[i] == '.' {
			var ok bool
			if nanos, ok = fractionNanos(s[i+1:]); !ok || i != 14 {
				return time.Time{}, 0, ErrTime
			}
			whole, fraction = s[:i], true
			break
		}
	}
	part := [6]int{0, 1, 1, 0, 0, 0}
	var p Precision
	switch len(whole) {
	case 4, 6, 8, 10, 12, 14:
		p = Precision((len(whole) - 2) / 2)
	default:
		return time.Time{}, 0, ErrTime
	}
	for i, pos := 0, 0; pos < len(whole); i++ {
		width := 2
		if i == 0 {
			width = 4
		}
		var ok bool
		if part[i], ok = digits(whole[pos : pos+width]); !ok {
			return time.Time{}, 0, ErrTime
		}
		pos += width
	}
	if part[3] > 23 || part[4] > 59 || part[5] > 59 {
		return time.Time{}, 0, ErrTime
	}
	if d := time.Date(part[0], time.Month(part[1]), part[2], 0, 0, 0, 0, time.UTC); part[0] == 0 || d.Month() != time.Month(part[1]) || d.Day() != part[2] {
		return time.Time{}, 0, ErrTime
	}
	if fraction {
		p = PrecisionFraction
	}
	return time.Date(part[0], time.Month(part[1]), part[2], part[3], part[4], part[5], nanos, zone), p, nil
}

// digits reads a number of nothing but digits.
func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

// fractionNanos reads up to nine digits after the point; the standard has four.
func fractionNanos(s string) (int, bool) {
	n, ok := digits(s)
	if !ok || len(s) > 9 {
		return 0, false
	}
	for range 9 - len(s) {
		n *= 10
	}
	return n, true
}
