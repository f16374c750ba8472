package hl7

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"
)

// AckCode is an acknowledgment code of table 0008.
type AckCode string

// AA, AE and AR answer in original mode and as application acknowledgments: taken,
// error in the content, refused. CA, CE and CR only say whether it was stored.
const (
	AA AckCode = "AA"
	AE AckCode = "AE"
	AR AckCode = "AR"
	CA AckCode = "CA"
	CE AckCode = "CE"
	CR AckCode = "CR"
)

// Accepted tells whether the code says yes.
func (c AckCode) Accepted() bool { return c == AA || c == CA }

// How long what we give back of a message may be: MSH-10 in any version (199 since
// v2.7), a name in MSH-3 to 6, and MSA-3 (v2.5.1 section 2.15.8.3).
const (
	maxControlID = 199
	maxName      = 180
	maxText      = 80
)

// AckOptions say what an acknowledgment says.
type AckOptions struct {
	// Code is MSA-1. Empty means AA, or Err's own code where Err is given.
	Code AckCode
	// Err is what is wrong, and where; it becomes MSA-3 and, with a negative code,
	// an ERR segment.
	Err *Error
	// Text replaces Err's text in MSA-3, the only text that the operator of many an
	// engine sees. It must hold no value of the message.
	Text string
	// App and Facility are who answers (MSH-3, MSH-4); empty means whom the message
	// was sent to (component 1 of its MSH-5, MSH-6).
	App, Facility string
	// Type is MSH-9 in place of ACK, for a response of its own that holds no more than an acknowledgment
	// does, such as "ORG^O20^ORG_O20".
	Type string
	// ControlID is MSH-10 of the acknowledgment, at most 20 characters; empty means
	// a random one.
	ControlID string
	// Now is MSH-7. The zero value leaves it empty.
	Now time.Time
}

// Ack writes the acknowledgment of m, without a frame, shorter than 4096 bytes
// (python-hl7#44: a client reads once). It is nil where m is itself an
// acknowledgment, so that two ends never answer each other for ever.
//
// It uses the message's own delimiters and gives MSH-10 back byte for byte, as
// many senders compare it that way. Of the message's content it repeats only
// MSH-3 to 6 (component 1, swapped), the event, MSH-10, MSH-11, MSH-12 and MSH-18.
// m may be what Parse returned beside an error; what is missing there stays empty.
func Ack(m *Message, o AckOptions) []byte {
	if m.IsAck() {
		return nil
	}
	code := o.Code
	switch {
	case code != "":
	case o.Err != nil:
		code = o.Err.AckCode()
	default:
		code = AA
	}
	if o.ControlID == "" {
		o.ControlID = rand.Text()[:20]
	}
	if o.Text == "" && o.Err != nil {
		o.Text = o.Err.Code.Text()
		if at := o.Err.Location(); at != "" {
			o.Text += " at " + at
		}
		if o.Err.Reason != "" {
			o.Text += ": " + o.Err.Reason
		}
	}
	version := echo(m.MSH(12).Comp(1).Value, maxName)
	if version == "" {
		version = "2.4"
	}
	w := writer{enc: m.enc, b: make([]byte, 0, 512)}
	w.header(m, o, version)
	w.segment("MSA")
	w.raw(string(code))
	w.raw(echo(m.MSH(10).Value, maxControlID))
	if o.Text != "" {
		w.text(clipWords(o.Text, maxText))
	}
	w.end()
	if o.Err != nil && !code.Accepted() {
		w.err(o.Err, version)
	}
	return w.b
}

// Acknowledgment reads MSA: its code, and the control ID it answers. It is false
// where there is no MSA or no code in it.
func (m *Message) Acknowledgment() (code AckCode, controlID string, ok bool) {
	msa := m.Segment("MSA", 1)
	code = AckCode(msa.Field(1).String())
	return code, msa.Field(2).String(), code != ""
}

// AckError is the condition (table 0357) of a negative acknowledgment, as v2.5 (ERR-3) or an earlier
// version (ERR-1, fourth component) has it; 0 where it names none.
func (m *Message) AckError() Code {
	err := m.Segment("ERR", 1)
	for _, v := range []Value{err.Field(3).Comp(1).Value, err.Field(1).Comp(4).Sub(1).Value} {
		if n, err := strconv.ParseUint(v.String(), 10, 16); err == nil {
			return Code(n)
		}
	}
	return 0
}

// writer writes segments under one encoding.
type writer struct {
	enc encoding
	b   []byte
}

func (w *writer) segment(name string) { w.b = append(w.b, name...) }
func (w *writer) end()                { w.b = append(w.b, '\r') }

// raw writes one field whose delimiters are its own.
func (w *writer) raw(s string) {
	w.b = append(w.b, w.enc.field)
	w.b = append(w.b, s...)
}

// text writes one field, escaped.
func (w *writer) text(s string) {
	w.b = append(w.b, w.enc.field)
	w.b = w.enc.appendEscaped(w.b, s)
}

// join writes parts of one field, each escaped, without the empty ones at its end.
func (w *writer) join(sep byte, parts ...string) {
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	for i, p := range parts {
		if i > 0 {
			w.b = append(w.b, sep)
		}
		w.b = w.enc.appendEscaped(w.b, p)
	}
}

func (w *writer) header(m *Message, o AckOptions, version string) {
	w.segment("MSH")
	w.raw(w.enc.msh2())
	from := func(given string, f Field) {
		if given != "" {
			w.text(clip(given, maxName))
		} else {
			w.raw(echo(f.Comp(1).Value, maxName))
		}
	}
	from(o.App, m.MSH(5))
	from(o.Facility, m.MSH(6))
	w.raw(echo(m.MSH(3).Comp(1).Value, maxName))
	w.raw(echo(m.MSH(4).Comp(1).Value, maxName))
	stamp := ""
	if !o.Now.IsZero() {
		stamp = o.Now.Format("20060102150405.000-0700")
	}
	w.raw(stamp)
	w.raw("")
	w.b = append(w.b, w.enc.field)
	event := echo(m.MSH(9).Comp(2).Value, 20)
	switch {
	case o.Type != "" && hasStructure(version):
		w.join(w.enc.comp, strings.Split(o.Type, "^")...)
	case event != "" && hasStructure(version):
		w.b = append(append(append(w.b, "ACK"...), w.enc.comp), event...)
		w.b = append(append(w.b, w.enc.comp), "ACK"...)
	default:
		w.b = append(w.b, "ACK"...)
	}
	w.text(clip(o.ControlID, 20))
	mode := echo(m.MSH(11).Value, 20)
	if mode == "" {
		mode = "P"
	}
	w.raw(mode)
	w.raw(version)
	if set := echo(m.MSH(18).Rep(1).Value, 40); set != "" {
		for range 5 {
			w.raw("")
		}
		w.raw(set)
	}
	w.end()
}

// hasStructure tells whether MSH-9 of this version has three components.
func hasStructure(version string) bool { return version > "2.3" }

// err writes ERR as the version has it: ELD in ERR-1 before v2.5, ERR-2 to 4 since.
func (w *writer) err(e *Error, version string) {
	const table = "HL70357"
	code, seq, field := strconv.Itoa(int(e.Code)), count(e.Seq), count(e.Field)
	w.segment("ERR")
	w.b = append(w.b, w.enc.field)
	if version < "2.5" {
		w.join(w.enc.comp, e.Segment, seq, field, code)
		if w.enc.sub != 0 {
			w.b = append(w.b, w.enc.sub)
			w.join(w.enc.sub, e.Code.Text(), table)
		}
		w.end()
		return
	}
	w.b = append(w.b, w.enc.field)
	w.join(w.enc.comp, e.Segment, seq, field, count(e.Rep), count(e.Comp))
	w.b = append(w.b, w.enc.field)
	w.join(w.enc.comp, code, e.Code.Text(), table)
	w.raw("E")
	w.end()
}

// count writes a number that counts from 1; 0 is not given.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// echo gives a value back as it was sent, without control characters: a 0x1C at the
// end of a field, and the CR behind it, would end our own frame. A value that is too
// long is left out and not cut, as half an identifier is another one.
func echo(v Value, limit int) string {
	s := v.Raw()
	if len(s) > limit || s == null {
		return ""
	}
	for i := range len(s) {
		if control(s[i]) {
			b := make([]byte, 0, len(s))
			for j := range len(s) {
				if !control(s[j]) {
					b = append(b, s[j])
				}
			}
			return string(b)
		}
	}
	return s
}

func control(c byte) bool { return c < ' ' || c == 0x7f }

// clip cuts a text of ours, which is ASCII, to a length.
func clip(s string, limit int) string { return s[:min(len(s), limit)] }

// clipWords cuts a text of ours to a length, at the end of a word where it has words.
func clipWords(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if i := strings.LastIndexByte(s[:limit+1], ' '); i > 0 {
		return strings.TrimRight(s[:i], " ,:;")
	}
	return clip(s, limit)
}
