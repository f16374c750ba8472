package modemsim

import "unicode/utf16"

// The GSM 7 bit default alphabet, 3GPP TS 23.038 section 6.2.1: 128 characters in
// the order of their codes. Code 0x1B is the escape to the extension table.
const gsmAlphabet = "@£$¥èéùìòÇ\nØø\rÅå" +
	"Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ" +
	" !\"#¤%&'()*+,-./" +
	"0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNO" +
	"PQRSTUVWXYZÄÖÑÜ§" +
	"¿abcdefghijklmno" +
	"pqrstuvwxyzäöñüà"

// gsmEscape leads to the extension table, 23.038 section 6.2.1.1.
const gsmEscape = 0x1b

var (
	gsmRunes     = []rune(gsmAlphabet)
	gsmExtension = map[byte]rune{
		0x0a: '\f', 0x14: '^', 0x28: '{', 0x29: '}', 0x2f: '\\',
		0x3c: '[', 0x3d: '~', 0x3e: ']', 0x40: '|', 0x65: '€',
	}
	gsmCodes = gsmReverse()
)

// gsmReverse maps each character to its septets: one, or escape and one.
func gsmReverse() map[rune][]byte {
	m := make(map[rune][]byte, len(gsmRunes)+len(gsmExtension))
	for code, r := range gsmRunes {
		if code != gsmEscape {
			m[r] = []byte{byte(code)}
		}
	}
	for code, r := range gsmExtension {
		m[r] = []byte{gsmEscape, code}
	}
	return m
}

// gsmText reads septets as text. As 23.038 asks, an unknown extension shows the
// character of the default table, and a lone escape a space.
func gsmText(septets []byte) string {
	out := make([]rune, 0, len(septets))
	for i := 0; i < len(septets); i++ {
		c := septets[i] & 0x7f
		if c != gsmEscape {
			out = append(out, gsmRunes[c])
			continue
		}
		i++
		if i == len(septets) {
			out = append(out, ' ')
			break
		}
		c = septets[i] & 0x7f
		switch r, known := gsmExtension[c]; {
		case known:
			out = append(out, r)
		case c == gsmEscape:
			out = append(out, ' ')
		default:
			out = append(out, gsmRunes[c])
		}
	}
	return string(out)
}

// gsmSeptets writes text as septets, or says that the alphabet cannot.
func gsmSeptets(text string) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		code, ok := gsmCodes[r]
		if !ok {
			return nil, false
		}
		out = append(out, code...)
	}
	return out, true
}

// unpack takes n septets out of packed octets, skipping fill bits (23.038
// section 6.1.2.1). The octets must hold them; septetOctets tells how many that are.
func unpack(octets []byte, fill, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		bit := fill + 7*i
		v := uint16(octets[bit/8])
		if bit/8+1 < len(octets) {
			v |= uint16(octets[bit/8+1]) << 8
		}
		out[i] = byte(v>>(bit%8)) & 0x7f
	}
	return out
}

// pack is the reverse of unpack.
func pack(septets []byte, fill int) []byte {
	out := make([]byte, septetOctets(len(septets), fill))
	for i, s := range septets {
		bit := fill + 7*i
		v := uint16(s&0x7f) << (bit % 8)
		out[bit/8] |= byte(v)
		if v>>8 != 0 {
			out[bit/8+1] |= byte(v >> 8)
		}
	}
	return out
}

// septetOctets is how many octets hold n septets behind fill bits.
func septetOctets(n, fill int) int { return (fill + 7*n + 7) / 8 }

// ucs2Text reads big-endian UCS-2, surrogate pairs as handsets do. An odd last
// octet is dropped.
func ucs2Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return string(utf16.Decode(units))
}

// ucs2Octets is the reverse of ucs2Text.
func ucs2Octets(text string) []byte {
	units := utf16.Encode([]rune(text))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = append(b, byte(u>>8), byte(u))
	}
	return b
}
