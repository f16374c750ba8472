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
// small, immutable, refers to the message's memory, and may be used from several
// goroutines at once.
//
// It is a place and not a text, so that %v shows nothing even where fmt cannot ask
// it to format itself (in an unexported field of another struct).
type Value struct {
	redact
	m          *Message // nil when absent
	start, end uint32   // in m.data
	literal    bool     // MSH-1 or MSH-2: the delimiters themselves, which split nothing
}

// Raw is the element as received: delimiters and escapes in place, in the
// message's own character set. It allocates nothing.
func (v Value) Raw() string {
	if v.m == nil {
		return ""
	}
	return v.m.data[v.start:v.end]
}

// encoding is how the value is written.
func (v Value) encoding() *encoding {
	if v.literal {
		return literal
	}
	return &v.m.enc
}

// String is the element decoded: escapes replaced, character set turned into
// UTF-8. Delimiters of lower levels stay as they are. The null `""` reads as "";
// ask Presence where the difference matters. It allocates only where something
// had to be replaced.
func (v Value) String() string {
	if raw := v.Raw(); raw != "" && raw != null {
		return v.encoding().decode(raw)
	}
	return ""
}

// Presence tells whether the element is absent, empty, null or valued.
func (v Value) Presence() Presence {
	switch {
	case v.m == nil:
		return Absent
	case v.start == v.end:
		return Empty
	case v.Raw() == null:
		return Null
	}
	return Valued
}

// Valued tells whether the element holds a value, and not nothing or the null.
func (v Value) Valued() bool { return v.Presence() == Valued }

// null is the value that deletes what is stored.
const null = `""`

// part gives the nth piece of the value between separators.
func (v Value) part(sep func(*encoding) byte, n int) Value {
	if v.m == nil {
		return Value{}
	}
	start, end, ok := piece(v.Raw(), sep(v.encoding()), n)
	if !ok {
		return Value{}
	}
	return v.sub(start, end)
}

// sub is the part of the value between two offsets in it.
func (v Value) sub(start, end int) Value {
	return Value{m: v.m, start: v.start + uint32(start), end: v.start + uint32(end), literal: v.literal}
}

// cut fills parts with the first pieces of the value, and leaves absent what is not there.
func (v Value) cut(sep func(*encoding) byte, parts []Value) {
	if v.m == nil {
		return
	}
	raw, c, at := v.Raw(), sep(v.encoding()), 0
	for i := range parts {
		end := len(raw)
		if c != 0 {
			if n := strings.IndexByte(raw[at:], c); n >= 0 {
				end = at + n
			}
		}
		parts[i] = v.sub(at, end)
		if end == len(raw) {
			return
		}
		at = end + 1
	}
}

func compSep(e *encoding) byte { return e.comp }
func subSep(e *encoding) byte  { return e.sub }
func repSep(e *encoding) byte  { return e.rep }

// Segment is one segment of a message. The zero value has no name and no fields.
type Segment struct {
	redact
	m *Message // nil for the zero value
	span
}

// Exists tells whether the message has this segment.
func (s Segment) Exists() bool { return s.m != nil }

// Name is the segment's three-letter ID, or "" for the zero value.
func (s Segment) Name() string {
	if s.m == nil {
		return ""
	}
	return s.m.data[s.start : s.start+3]
}

// Raw is the whole segment as received, without its terminator.
func (s Segment) Raw() string {
	if s.m == nil {
		return ""
	}
	return s.m.data[s.start:s.end]
}

// Field gives the nth field as the standard counts: MSH-1 is the field separator
// itself and MSH-2 the encoding characters. A field that is not there is absent.
func (s Segment) Field(n int) Field {
	if s.m == nil || n < 1 {
		return Field{}
	}
	v := Value{m: s.m, start: s.start, end: s.end}
	if s.header() {
		if n == 1 {
			v = v.sub(3, 4)
			v.literal = true
			return Field{v}
		}
		v.literal = n == 2
		n--
	}
	if s.mark < s.upTo {
		return s.indexed(v, n)
	}
	start, end, ok := piece(s.Raw(), s.m.enc.field, n+1)
	if !ok {
		return Field{}
	}
	return Field{v.sub(start, end)}
}

// indexed is what stands behind the nth separator, where v is the whole segment.
func (s Segment) indexed(v Value, n int) Field {
	marks := s.m.marks[s.mark:s.upTo]
	if n > len(marks) {
		return Field{}
	}
	end := int(s.end - s.start)
	if n < len(marks) {
		end = int(marks[n])
	}
	return Field{v.sub(int(marks[n-1])+1, end)}
}

// header tells whether this is MSH, whose first field is the separator after its name.
func (s Segment) header() bool {
	return s.start == 0 && s.end > 3 && s.Name() == "MSH"
}

// Field is one field with all its repetitions.
type Field struct{ Value }

// Reps ranges over the field's repetitions, empty ones between separators
// included; an absent or empty field has none.
func (f Field) Reps() iter.Seq[Repetition] {
	return func(yield func(Repetition) bool) {
		rest := f.Value
		if rest.start == rest.end {
			return
		}
		sep := f.encoding().rep
		for sep != 0 {
			i := strings.IndexByte(rest.Raw(), sep)
			if i < 0 {
				break
			}
			if !yield(Repetition{rest.sub(0, i)}) {
				return
			}
			rest.start += uint32(i) + 1
		}
		yield(Repetition{rest})
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
