package hl7

import (
	"iter"
	"strings"
)

// Presence tells apart what HL7 tells apart (v2.5.1 section 2.5.3): a field that
// was not sent or is empty leaves what is stored as it is, the null `""` deletes it.
type Presence uint8

// The ways in which an element can be there.
const (
	Absent Presence = iota // the segment ends before it, or there is no such segment
	Empty                  // sent, with nothing in it
	Null                   // sent as two double quotes: delete what you have
	Valued                 // sent with a value
)

// Value is an element of a message at any depth. The zero value is absent. It is
// small, immutable, shares the message's memory, and may be used from several
// goroutines at once.
type Value struct {
	redact
	enc *encoding // nil when absent
	raw string
}

// Raw is the element as received: delimiters and escapes in place, in the
// message's own character set. It allocates nothing.
func (v Value) Raw() string { return v.raw }

// String is the element decoded: escapes replaced, character set turned into
// UTF-8. Delimiters of lower levels stay as they are. The null `""` reads as "";
// ask Presence where the difference matters. It allocates only where something
// had to be replaced.
func (v Value) String() string {
	if v.enc == nil || v.raw == `""` {
		return ""
	}
	return v.enc.decode(v.raw)
}

// Presence tells whether the element is absent, empty, null or valued.
func (v Value) Presence() Presence {
	switch {
	case v.enc == nil:
		return Absent
	case v.raw == "":
		return Empty
	case v.raw == `""`:
		return Null
	}
	return Valued
}

// Valued tells whether the element holds a value, and not nothing or the null.
func (v Value) Valued() bool { return v.Presence() == Valued }

func (v Value) part(sep func(*encoding) byte, n int) Value {
	if v.enc == nil {
		return Value{}
	}
	s, ok := piece(v.raw, sep(v.enc), n)
	if !ok {
		return Value{}
	}
	return Value{enc: v.enc, raw: s}
}

func compSep(e *encoding) byte { return e.comp }
func subSep(e *encoding) byte  { return e.sub }
func repSep(e *encoding) byte  { return e.rep }

// Segment is one segment of a message. The zero value has no name and no fields.
type Segment struct {
	redact
	enc *encoding
	raw string
}

// Exists tells whether the message has this segment.
func (s Segment) Exists() bool { return s.enc != nil }

// Name is the segment's three-letter ID, or "" for the zero value.
func (s Segment) Name() string {
	if len(s.raw) < 3 {
		return ""
	}
	return s.raw[:3]
}

// Raw is the whole segment as received, without its terminator.
func (s Segment) Raw() string { return s.raw }

// Field gives the nth field as the standard counts: MSH-1 is the field separator
// itself and MSH-2 the encoding characters. A field that is not there is absent.
func (s Segment) Field(n int) Field {
	if s.enc == nil || n < 1 {
		return Field{}
	}
	if s.header() {
		switch n {
		case 1:
			return Field{Value{enc: literal, raw: s.raw[3:4]}}
		case 2:
			v, _ := piece(s.raw[4:], s.enc.field, 1)
			return Field{Value{enc: literal, raw: v}}
		}
		n--
	}
	v, ok := piece(s.raw, s.enc.field, n+1)
	if !ok {
		return Field{}
	}
	return Field{Value{enc: s.enc, raw: v}}
}

// header tells whether field 1 of this segment is the separator after its name.
func (s Segment) header() bool {
	if len(s.raw) < 4 {
		return false
	}
	switch s.raw[:3] {
	case "MSH", "FHS", "BHS":
		return true
	}
	return false
}

// Field is one field with all its repetitions.
type Field struct{ Value }

// Reps ranges over the field's repetitions, empty ones between separators
// included; an absent or empty field has none.
func (f Field) Reps() iter.Seq[Repetition] {
	return func(yield func(Repetition) bool) {
		if f.enc == nil || f.raw == "" {
			return
		}
		rest, sep := f.raw, f.enc.rep
		for sep != 0 {
			i := strings.IndexByte(rest, sep)
			if i < 0 {
				break
			}
			if !yield(Repetition{Value{enc: f.enc, raw: rest[:i]}}) {
				return
			}
			rest = rest[i+1:]
		}
		yield(Repetition{Value{enc: f.enc, raw: rest}})
	}
}

// Rep gives the nth repetition, counted from 1.
func (f Field) Rep(n int) Repetition { return Repetition{f.part(repSep, n)} }

// Comp gives the nth component of the first repetition.
func (f Field) Comp(n int) Component { return f.Rep(1).Comp(n) }

// Repetition is one repetition of a field.
type Repetition struct{ Value }

// Comp gives the nth component, counted from 1.
func (r Repetition) Comp(n int) Component { return Component{r.part(compSep, n)} }

// Component is one component of a repetition.
type Component struct{ Value }

// Sub gives the nth subcomponent, counted from 1.
func (c Component) Sub(n int) Subcomponent { return Subcomponent{c.part(subSep, n)} }

// Subcomponent is the lowest level of a message.
type Subcomponent struct{ Value }
