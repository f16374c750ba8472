package hl7

import (
	"strings"
	"unicode/utf8"
)

// decode replaces the escapes of v2.5.1 section 2.7 once, left to right, and
// turns the rest into UTF-8.
//
//	\F\ \S\ \R\ \T\ \E\ \P\   the delimiters
//	\Xhh..\                   bytes; zero bytes are dropped, so \X000D\ is a CR
//	\.br\                     a line break
//	\H\ \N\                   highlighting on and off: nothing
//
// What is unknown or does not end stays literally as it is, so decoding never
// fails and never loses text (HL7-dotnetcore#77, python-hl7#84).
func (e *encoding) decode(s string) string {
	if e.escape == 0 || strings.IndexByte(s, e.escape) < 0 {
		return e.charset.text(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, e.escape)
		if i < 0 {
			b.WriteString(e.charset.text(s))
			return b.String()
		}
		b.WriteString(e.charset.text(s[:i]))
		s = s[i:]
		n := e.sequence(&b, s)
		if n == 0 {
			b.WriteByte(e.escape)
			n = 1
		}
		s = s[n:]
	}
}

// sequence writes what the escape sequence at the start of s stands for and gives
// its length; 0 when there is none and the escape character is plain text.
func (e *encoding) sequence(b *strings.Builder, s string) int {
	end := strings.IndexByte(s[1:], e.escape)
	if end < 1 {
		return 0
	}
	body := s[1 : 1+end]
	n := end + 2
	switch body {
	case "F":
		return literalByte(b, e.field, n)
	case "S":
		return literalByte(b, e.comp, n)
	case "R":
		return literalByte(b, e.rep, n)
	case "T":
		return literalByte(b, e.sub, n)
	case "E":
		return literalByte(b, e.escape, n)
	case "P":
		return literalByte(b, e.trunc, n)
	case "H", "N":
		return n
	case ".br", ".BR":
		b.WriteByte('\n')
		return n
	}
	switch body[0] {
	case 'X':
		return e.hex(b, s)
	case 'C', 'M', 'Z', '.':
		// Known to exist, not to us: kept whole, so that its closing escape
		// character does not open another sequence.
		if !sequenceBody(body) {
			return 0
		}
		b.WriteString(s[:n])
		return n
	}
	return 0
}

// literalByte writes a delimiter; one that does not exist leaves the sequence be.
func literalByte(b *strings.Builder, c byte, n int) int {
	if c == 0 {
		return 0
	}
	b.WriteByte(c)
	return n
}

// sequenceBody tells whether what stands between two escape characters can be a
// sequence and is not the text between two lone ones.
func sequenceBody(body string) bool {
	if len(body) > 64 {
		return false
	}
	for i := range len(body) {
		c := body[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte("+-.", c) >= 0) {
			return false
		}
	}
	return true
}

// hex decodes a run of adjacent \X..\ sequences together, as one character may be
// spread over several.
func (e *encoding) hex(b *strings.Builder, s string) int {
	var buf []byte
	n := 0
	for {
		bytes, l := hexSequence(s[n:], e.escape)
		if l == 0 {
			break
		}
		for _, c := range bytes {
			if c != 0 {
				buf = append(buf, c)
			}
		}
		n += l
	}
	if n == 0 {
		return 0
	}
	if e.charset == charsetUTF8 || utf8.Valid(buf) {
		b.WriteString(charsetUTF8.text(string(buf)))
	} else {
		b.WriteString(e.charset.text(string(buf)))
	}
	return n
}

// hexSequence reads one \Xhh..\ at the start of s and gives its length, or 0.
func hexSequence(s string, escape byte) ([]byte, int) {
	if len(s) < 5 || s[0] != escape || s[1] != 'X' {
		return nil, 0
	}
	end := strings.IndexByte(s[2:], escape)
	if end < 2 || end%2 != 0 {
		return nil, 0
	}
	out := make([]byte, 0, end/2)
	for i := 2; i < 2+end; i += 2 {
		hi, lo := nibble(s[i]), nibble(s[i+1])
		if hi > 15 || lo > 15 {
			return nil, 0
		}
		out = append(out, hi<<4|lo)
	}
	return out, end + 3
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// appendEscaped appends s with the delimiters in it escaped and control characters
// as \Xhh\. Where the encoding has no escape character they are left out.
func (e *encoding) appendEscaped(dst []byte, s string) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		var name byte
		switch {
		case control(c):
			if e.escape != 0 {
				dst = append(dst, e.escape, 'X', hexDigits[c>>4], hexDigits[c&15], e.escape)
			}
			continue
		case c == e.field:
			name = 'F'
		case c == e.comp:
			name = 'S'
		case c == e.rep:
			name = 'R'
		case c == e.sub:
			name = 'T'
		case c == e.escape:
			name = 'E'
		default:
			dst = append(dst, c)
			continue
		}
		if e.escape != 0 {
			dst = append(dst, e.escape, name, e.escape)
		}
	}
	return dst
}
