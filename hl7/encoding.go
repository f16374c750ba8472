package hl7

import "strings"

// encoding is how one message is written: MSH-1, MSH-2 and its character set.
// A delimiter that is 0 does not exist and splits nothing.
type encoding struct {
	field, comp, rep, escape, sub, trunc byte
	charset                              charset
}

// literal is the encoding of MSH-1 and MSH-2, which hold the delimiters themselves.
var literal = &encoding{}

// standardEncoding is what v2.5.1 section 2.5.4 suggests.
var standardEncoding = encoding{field: '|', comp: '^', rep: '~', escape: '\\', sub: '&'}

// delimiter tells whether b can separate anything: a graphic ASCII character that
// is not a letter or a digit.
func delimiter(b byte) bool {
	if b <= ' ' || b >= 0x7f {
		return false
	}
	return !('0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z')
}

// parseEncoding reads the delimiters out of MSH-1 and MSH-2 (table 0398).
//
// What is not declared, or declared twice, falls back to the usual character when
// that is still free: a sender with a short MSH-2 was careless, it did not choose
// to have no escapes. Where a short MSH-2 holds only usual characters each keeps
// its usual meaning, so that "^~&" (MIRTH-1544) is the escape left out and not an
// escape "&". A doubled escape ("^~\\&", written by a program that escaped its
// source) counts once. A fifth character is the truncation of v2.7.
func parseEncoding(fieldSep byte, msh2 string) encoding {
	e := encoding{field: fieldSep}
	slots := [...]*byte{&e.comp, &e.rep, &e.escape, &e.sub, &e.trunc}
	const usual = `^~\&`
	if len(msh2) < 4 && strings.Trim(msh2, usual) == "" {
		for i := range len(usual) {
			if strings.IndexByte(msh2, usual[i]) >= 0 {
				*slots[i] = usual[i]
			}
		}
	} else {
		if len(msh2) >= 5 && msh2[2] == msh2[3] {
			msh2 = msh2[:3] + msh2[4:]
		}
		for i := range min(len(msh2), len(slots)) {
			if delimiter(msh2[i]) && e.free(msh2[i]) {
				*slots[i] = msh2[i]
			}
		}
	}
	for i := range len(usual) {
		if *slots[i] == 0 && e.free(usual[i]) {
			*slots[i] = usual[i]
		}
	}
	return e
}

// free tells whether b delimits nothing yet.
func (e *encoding) free(b byte) bool {
	return b != e.field && b != e.comp && b != e.rep && b != e.escape && b != e.sub && b != e.trunc
}

// msh2 writes the delimiters as a well-formed MSH-2.
func (e *encoding) msh2() string {
	b := make([]byte, 0, 4)
	for _, c := range [...]byte{e.comp, e.rep, e.escape, e.sub} {
		if c != 0 {
			b = append(b, c)
		}
	}
	return string(b)
}

// piece finds the nth part of s, counted from 1, between separators.
func piece(s string, sep byte, n int) (start, end int, ok bool) {
	if n < 1 {
		return 0, 0, false
	}
	if sep == 0 {
		return 0, len(s), n == 1
	}
	for ; n > 1; n-- {
		i := strings.IndexByte(s[start:], sep)
		if i < 0 {
			return 0, 0, false
		}
		start += i + 1
	}
	if i := strings.IndexByte(s[start:], sep); i >= 0 {
		return start, start + i, true
	}
	return start, len(s), true
}
