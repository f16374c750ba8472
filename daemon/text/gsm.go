package text

import "unicode/utf8"

// Room in one part (3GPP TS 23.040 section 9.2.3.16; 23.038 for the alphabets).
const (
	OnePartSeptets = 160 // GSM 7-bit default alphabet
	OnePartUCS2    = 70  // UTF-16 code units, when any character is outside of it
	AndroidBytes   = 140 // a text that Android's SMS Retriever hands to an app
)

// The GSM 7-bit default alphabet and its extension (3GPP TS 23.038 sections 6.2.1 and 6.2.1.1). An
// extended character costs two septets. Of the small accented letters only à è é ì ò ù are in it,
// with ä ö ü å ñ ø æ; á í ó ú and ç are not, and one of them turns the whole text into UCS-2.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

var gsmCost = func() map[rune]int {
	cost := map[rune]int{}
	for _, r := range gsmBasic {
		cost[r] = 1
	}
	for _, r := range gsmExtended {
		cost[r] = 2
	}
	return cost
}()

// Septets counts what s costs on air: septets where the GSM alphabet holds all of it, else UTF-16
// code units and gsm false.
func Septets(s string) (n int, gsm bool) {
	for _, r := range s {
		c, ok := gsmCost[r]
		if !ok {
			return codeUnits(s), false
		}
		n += c
	}
	return n, true
}

func codeUnits(s string) (n int) {
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// onePart reports whether s fits one part, and a part of that size for Android where asked.
func onePart(s string, android bool) bool {
	n, gsm := Septets(s)
	switch {
	case !utf8.ValidString(s):
		return false
	case android && len(s) > AndroidBytes:
		return false
	case gsm:
		return n <= OnePartSeptets
	}
	return n <= OnePartUCS2
}
