package hl7

import (
	"errors"
	"strconv"
)

// errPath has no detail: paths come from a rule that a person wrote, and whoever
// reads rules knows the place better.
var errPath = errors.New("parse path: want SEG[n]-field[repetition].component.subcomponent, counted from 1")

// Path is a place in a message, compiled: "PV1-3.1.2", "PID-13[2].12", "OBX[3]-5".
// All numbers count from 1 as the standard does. Without [n] the first segment is
// meant. Without component the path means the whole field, all repetitions, or
// with [repetition] that whole repetition; with a component and without
// [repetition] the first repetition. The zero value finds nothing.
type Path struct {
	seg                        [3]byte
	nth, field, rep, comp, sub uint16
}

// ParsePath compiles a path.
func ParsePath(s string) (Path, error) {
	p, ok := parsePath(s)
	if !ok {
		return Path{}, errPath
	}
	return p, nil
}

// MustPath compiles a path that is part of the program, and panics if it is wrong.
func MustPath(s string) Path {
	p, err := ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

func parsePath(s string) (p Path, ok bool) {
	if len(s) < 5 || !named(s[:3], 0) {
		return p, false
	}
	copy(p.seg[:], s)
	p.nth = 1
	s = s[3:]
	if s[0] == '[' {
		if p.nth, s, ok = index(s); !ok {
			return p, false
		}
	}
	if len(s) < 2 || s[0] != '-' {
		return p, false
	}
	if p.field, s, ok = number(s[1:]); !ok {
		return p, false
	}
	if s != "" && s[0] == '[' {
		if p.rep, s, ok = index(s); !ok {
			return p, false
		}
	}
	for _, n := range [...]*uint16{&p.comp, &p.sub} {
		if s == "" {
			return p, true
		}
		if s[0] != '.' {
			return p, false
		}
		if *n, s, ok = number(s[1:]); !ok {
			return p, false
		}
	}
	return p, s == ""
}

// index reads "[n]" off the front of s.
func index(s string) (n uint16, rest string, ok bool) {
	n, s, ok = number(s[1:])
	if !ok || s == "" || s[0] != ']' {
		return 0, "", false
	}
	return n, s[1:], true
}

// number reads a count of at least 1 off the front of s.
func number(s string) (n uint16, rest string, ok bool) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	v, err := strconv.ParseUint(s[:i], 10, 16)
	if err != nil || v == 0 {
		return 0, "", false
	}
	return uint16(v), s[i:], true
}

// String writes the path in its shortest form.
func (p Path) String() string {
	if p.field == 0 {
		return ""
	}
	b := append([]byte(nil), p.seg[:]...)
	bracket := func(n uint16) {
		b = append(b, '[')
		b = strconv.AppendUint(b, uint64(n), 10)
		b = append(b, ']')
	}
	if p.nth > 1 {
		bracket(p.nth)
	}
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(p.field), 10)
	if p.rep > 0 {
		bracket(p.rep)
	}
	for _, n := range [...]uint16{p.comp, p.sub} {
		if n > 0 {
			b = append(b, '.')
			b = strconv.AppendUint(b, uint64(n), 10)
		}
	}
	return string(b)
}

// MarshalText is String.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePath.
func (p *Path) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePath(string(b))
	return err
}

// Value finds the path's place in a message.
func (p Path) Value(m *Message) Value {
	if p.field == 0 {
		return Value{}
	}
	f := m.Segment(string(p.seg[:]), int(p.nth)).Field(int(p.field))
	if p.rep == 0 && p.comp == 0 {
		return f.Value
	}
	r := f.Rep(max(int(p.rep), 1))
	if p.comp == 0 {
		return r.Value
	}
	c := r.Comp(int(p.comp))
	if p.sub == 0 {
		return c.Value
	}
	return c.Sub(int(p.sub)).Value
}

// Get is the decoded value at a path; a path that is not well-formed reads as
// empty. Where a path is read for each message, compile it once with ParsePath.
func (m *Message) Get(path string) string {
	p, ok := parsePath(path)
	if !ok {
		return ""
	}
	return p.Value(m).String()
}
