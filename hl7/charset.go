package hl7

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charset is how the bytes of a message are read as text.
type charset uint8

const (
	// charsetUTF8 also stands for ASCII and for every set we do not know; what is
	// not valid UTF-8 in it is read as Windows-1252.
	charsetUTF8 charset = iota
	charset8859_1
	charset8859_2
	charset8859_3
	charset8859_4
	charset8859_5
	charset8859_6
	charset8859_7
	charset8859_8
	charset8859_9
	charset8859_15
	charset1252
)

var charmaps = [...]*charmap.Charmap{
	charset8859_1: charmap.ISO8859_1, charset8859_2: charmap.ISO8859_2, charset8859_3: charmap.ISO8859_3,
	charset8859_4: charmap.ISO8859_4, charset8859_5: charmap.ISO8859_5, charset8859_6: charmap.ISO8859_6,
	charset8859_7: charmap.ISO8859_7, charset8859_8: charmap.ISO8859_8, charset8859_9: charmap.ISO8859_9,
	charset8859_15: charmap.ISO8859_15, charset1252: charmap.Windows1252,
}

// lookupCharset finds a name of table 0211, or one that feeds write instead
// (camel#10880 "UTF-8").
func lookupCharset(name string) charset {
	if name == "" {
		return charsetUTF8
	}
	name = strings.ToUpper(strings.TrimSpace(name))
	if n, ok := strings.CutPrefix(name, "ISO"); ok {
		name = strings.TrimLeft(n, "-_ ")
	}
	switch strings.NewReplacer("-", "/", "_", "/").Replace(name) {
	case "8859/1", "LATIN1":
		return charset8859_1
	case "8859/2":
		return charset8859_2
	case "8859/3":
		return charset8859_3
	case "8859/4":
		return charset8859_4
	case "8859/5":
		return charset8859_5
	case "8859/6":
		return charset8859_6
	case "8859/7":
		return charset8859_7
	case "8859/8":
		return charset8859_8
	case "8859/9":
		return charset8859_9
	case "8859/15":
		return charset8859_15
	case "WINDOWS/1252", "CP1252", "CP/1252", "ANSI":
		return charset1252
	}
	return charsetUTF8
}

// text turns bytes of the set, held in a string, into UTF-8.
func (c charset) text(s string) string {
	if ascii(s) {
		return s
	}
	if c == charsetUTF8 {
		if utf8.ValidString(s) {
			return s
		}
		c = charset1252
	}
	table := charmaps[c]
	b := make([]byte, 0, len(s)+len(s)/2)
	for i := range len(s) {
		b = utf8.AppendRune(b, table.DecodeByte(s[i]))
	}
	return string(b)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// stripMark takes a byte order mark off a payload and tells whether one was there;
// it outweighs MSH-18. UTF-16, which some send although no framing allows for it
// (connect#6048), is turned into UTF-8.
func stripMark(payload []byte) (text string, marked bool) {
	switch {
	case bytes.HasPrefix(payload, []byte("\xef\xbb\xbf")):
		return string(payload[3:]), true
	case bytes.HasPrefix(payload, []byte("\xff\xfe")):
		return fromUTF16(payload[2:], 0), true
	case bytes.HasPrefix(payload, []byte("\xfe\xff")):
		return fromUTF16(payload[2:], 1), true
	}
	return string(payload), false
}

// fromUTF16 decodes UTF-16 whose low byte is at index low of each pair.
func fromUTF16(b []byte, low int) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+low]) | uint16(b[2*i+1-low])<<8
	}
	return string(utf16.Decode(units))
}
