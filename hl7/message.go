package hl7

import (
	"fmt"
	"iter"
	"math"
	"strings"
)

// What one message may cost us. A payload beyond them is refused with AR 207.
const (
	// DefaultMaxBytes is the size of a payload; reports with embedded documents
	// need more and a listener may be set up to MaxBytes for them.
	DefaultMaxBytes = 1 << 20
	// MaxBytes bounds what Options.MaxBytes may ask for.
	MaxBytes = 16 << 20
	// MaxSegments is how many segments a message may have.
	MaxSegments = 16384
	// MaxFields is how many fields a segment may have (OBX has 25, PID 40).
	MaxFields = 1024
	// MaxRepetitions is how many repetitions the fields of one segment may have
	// together; long texts in OBX-5 use one a line.
	MaxRepetitions = 16384
)

// Message is one parsed message. It holds its own copy of the payload, does not
// change, and may be read from several goroutines at once.
type Message struct {
	redact
	data  string // MSH is at its start, if there is one
	segs  []span
	enc   encoding
	kind  [3]string        // MSH-9 decoded: asked for by everybody
	marks [maxMarks]uint16 // offsets of field separators, each in its segment
}

// span is where a segment stands in data; payloads are at most MaxBytes long.
type span struct {
	start, end uint32
	mark, upTo uint16 // its separators in the message's marks; none if it is not indexed
}

// maxMarks is how many field separators are indexed: all of the segments out of which most is read, and by
// several readers. In the others fields are looked for.
const maxMarks = 128

// many tells whether many fields are read out of the segments of a name.
func many(name string) bool { return name == "MSH" || name == "PID" || name == "PV1" }

// Options are what a listener knows about its peer's messages before it has read
// one. The zero value is right for a peer of which nothing is known.
type Options struct {
	// Charset is the character set of a message without a byte order mark and
	// without MSH-18, by its name in table 0211; empty or unknown means UTF-8.
	// Whatever is not valid UTF-8 is read as Windows-1252.
	Charset string
	// MaxBytes is the largest payload; 0 means DefaultMaxBytes.
	MaxBytes int
}

// Parse reads a payload, without its frame, under the zero Options.
func Parse(payload []byte) (*Message, error) { return Options{}.Parse(payload) }

// Parse finds the segments of a payload and the delimiters in its MSH; fields are
// looked up when asked for. The payload may be reused when Parse has returned.
//
// The message is never nil. On an error, which is always an *Error, it still has
// what could be read, so that Ack can answer it.
func (o Options) Parse(payload []byte) (*Message, error) {
	m := &Message{enc: standardEncoding}
	m.enc.charset = lookupCharset(o.Charset)
	limit := o.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	limit = min(limit, MaxBytes)
	if len(payload) > limit {
		// Enough to know whom to refuse.
		head, _ := stripMark(payload[:min(limit, 4096)])
		_ = m.split(head)
		m.segs = m.segs[:min(len(m.segs), 1)]
		return m, &Error{Code: CodeInternal, Reason: fmt.Sprintf("message is larger than %d bytes", limit)}
	}
	text, marked := stripMark(payload)
	if err := m.split(text); err != nil {
		return m, err
	}
	if marked {
		m.enc.charset = charsetUTF8
		m.readKind()
	}
	return m, nil
}

// split indexes the segments of text and reads the header.
func (m *Message) split(text string) error {
	text = strings.TrimLeft(text, "\r\n \t\x00")
	m.data = text
	if len(text) < 4 || text[:3] != "MSH" || !delimiter(text[3]) {
		if len(text) >= 3 && (text[:3] == "FHS" || text[:3] == "BHS") {
			return &Error{Code: CodeMessageType, Segment: text[:3], Seq: 1, Reason: "batches are not taken over MLLP"}
		}
		return &Error{Code: CodeSegmentSequence, Segment: "MSH", Seq: 1, Reason: "message does not begin with MSH and a field separator"}
	}
	// One CR anywhere means CR ends segments and an LF is text, but for one right
	// after a CR (deoxxa/hl7#3, panates/hl7v2#27). Without any CR, LF ends them
	// (connect#53, python-hl7#24).
	term := byte('\r')
	if strings.IndexByte(text, '\r') < 0 {
		term = '\n'
	}
	m.segs = make([]span, 0, min(strings.Count(text, string(term))+1, MaxSegments))
	marked := uint16(0) // separators that are indexed
	for pos, n := 0, 0; pos < len(text); {
		end := strings.IndexByte(text[pos:], term)
		next := len(text)
		if end < 0 {
			end = len(text)
		} else {
			end += pos
			next = end + 1
			if term == '\r' && next < len(text) && text[next] == '\n' {
				next++
			}
		}
		seg := text[pos:end]
		start := pos
		pos = next
		if blank(seg) {
			continue
		}
		n++
		if len(m.segs) == 0 {
			m.header(seg)
		}
		if err := m.check(seg, n); err != nil {
			return err
		}
		s := span{start: uint32(start), end: uint32(end)}
		if many(seg[:3]) && marked < maxMarks {
			s.mark, s.upTo = m.index(seg, marked)
			marked = max(marked, s.upTo)
		}
		m.segs = append(m.segs, s)
		if len(m.segs) == 1 {
			m.readKind()
		}
	}
	return nil
}

func (m *Message) readKind() {
	f := m.MSH(9)
	m.kind = [3]string{f.Comp(1).String(), f.Comp(2).String(), f.Comp(3).String()}
}

// index notes where the field separators of a segment stand, from a place on; nothing is noted where there is no
// room for all of them.
func (m *Message) index(seg string, from uint16) (begin, end uint16) {
	if len(seg) > math.MaxUint16 {
		return 0, 0
	}
	n := from
	for i := range len(seg) {
		if seg[i] != m.enc.field {
			continue
		}
		if n == maxMarks {
			return 0, 0
		}
		m.marks[n] = uint16(i)
		n++
	}
	return from, n
}

// header reads delimiters and character set from MSH, which is at the start of data.
func (m *Message) header(seg string) {
	_, end, _ := piece(seg[4:], seg[3], 1)
	fallback := m.enc.charset
	m.enc = parseEncoding(seg[3], seg[4:4+end])
	m.enc.charset = fallback
	msh := Segment{m: m, span: span{end: uint32(len(seg))}}
	if set := msh.Field(18).Rep(1); set.Valued() {
		m.enc.charset = lookupCharset(set.Raw())
	}
}

// check refuses what cannot be a segment, or costs too much; n is its number.
func (m *Message) check(seg string, n int) error {
	switch {
	case len(m.segs) == MaxSegments:
		return &Error{Code: CodeInternal, Reason: fmt.Sprintf("message has more than %d segments", MaxSegments)}
	case !named(seg, m.enc.field):
		// A raw CR inside a field looks like this (connect#1275).
		return &Error{Code: CodeSegmentSequence, Seq: n, Reason: "segment has no name; is there a line break inside a field before it?"}
	case n > 1 && seg[:3] == "MSH":
		return &Error{Code: CodeMessageType, Segment: "MSH", Seq: 2, Reason: "more than one message in a frame"}
	case strings.Count(seg, string(m.enc.field)) > MaxFields:
		return &Error{Code: CodeInternal, Seq: n, Reason: fmt.Sprintf("segment has more than %d fields", MaxFields)}
	case m.enc.rep != 0 && strings.Count(seg, string(m.enc.rep)) > MaxRepetitions:
		return &Error{Code: CodeInternal, Seq: n, Reason: fmt.Sprintf("segment has more than %d repetitions", MaxRepetitions)}
	}
	return nil
}

// named tells whether seg begins with a segment ID: a capital letter and two
// capital letters or digits, and then a field or nothing.
func named(seg string, field byte) bool {
	if len(seg) < 3 || len(seg) > 3 && seg[3] != field {
		return false
	}
	for i := range 3 {
		c := seg[i]
		if !('A' <= c && c <= 'Z' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return true
}

// blank tells whether a line holds nothing but padding.
func blank(seg string) bool {
	for i := range len(seg) {
		switch seg[i] {
		case ' ', '\t', '\n', 0:
		default:
			return false
		}
	}
	return true
}

func (m *Message) at(i int) Segment {
	return Segment{m: m, span: m.segs[i]}
}

// Segments ranges over all segments in order.
func (m *Message) Segments() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for i := range m.segs {
			if !yield(m.at(i)) {
				return
			}
		}
	}
}

// All ranges over the segments of one name in order.
func (m *Message) All(name string) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for i, s := range m.segs {
			if m.data[s.start:s.start+3] == name && !yield(m.at(i)) {
				return
			}
		}
	}
}

// Segment gives the nth segment of a name, counted from 1.
func (m *Message) Segment(name string, n int) Segment {
	for i, s := range m.segs {
		if m.data[s.start:s.start+3] == name {
			if n--; n == 0 {
				return m.at(i)
			}
		}
	}
	return Segment{}
}

// Len is the number of segments.
func (m *Message) Len() int { return len(m.segs) }
