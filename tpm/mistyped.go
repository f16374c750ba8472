package tpm

import "fmt"

// groupSize is how many characters stand together on a printed share.
const groupSize = 4

// locate says where a share, of about the right length but with a wrong checksum, was most likely mistyped: it tries each
// single mistake that people make. What the character should be it does not say: the paper does.
func locate(boxID string, number int, text string) string {
	ok := func(candidate string) bool {
		_, ok := decodeShare(boxID, number, candidate)
		return ok
	}
	group := func(i int) int { return i/groupSize + 1 }
	for n := 1; n <= kitShares; n++ {
		if _, ok := decodeShare(boxID, n, text); ok {
			return fmt.Sprintf("the number before the groups is wrong, it is not %d/%d", number, kitShares)
		}
	}
	for i := range text {
		for _, c := range base32Alphabet {
			if ok(text[:i] + string(c) + text[i+1:]) {
				return fmt.Sprintf("one character of group %d is wrong", group(i))
			}
		}
		if i+1 < len(text) && ok(text[:i]+text[i+1:i+2]+text[i:i+1]+text[i+2:]) {
			return fmt.Sprintf("two characters in group %d changed places", group(i))
		}
		if len(text) > shareChars && ok(text[:i]+text[i+1:]) {
			return fmt.Sprintf("there is a character too many in group %d", group(i))
		}
	}
	if len(text) < shareChars {
		for i := range len(text) + 1 {
			for _, c := range base32Alphabet {
				if ok(text[:i] + string(c) + text[i:]) {
					return fmt.Sprintf("a character is missing in group %d", group(i))
				}
			}
		}
	}
	return "more than one character, or the name of the box, is mistyped"
}
