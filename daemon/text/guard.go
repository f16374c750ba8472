package text

import (
	_ "embed"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

//go:embed forbidden.txt
var forbiddenList string

// lexicon is the forbidden list, ready to look up.
type lexicon struct {
	words   map[string]bool
	stems   []string
	endings []string
}

var forbidden = readLexicon(forbiddenList)

func readLexicon(list string) lexicon {
	lex := lexicon{words: map[string]bool{}}
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasSuffix(line, "*"):
			lex.stems = append(lex.stems, line[:len(line)-1])
		case line[0] == '*':
			lex.endings = append(lex.endings, line[1:])
		default:
			lex.words[line] = true
		}
	}
	return lex
}

func (lex lexicon) has(word string) bool {
	return lex.words[word] ||
		slices.ContainsFunc(lex.stems, func(s string) bool { return strings.HasPrefix(word, s) }) ||
		slices.ContainsFunc(lex.endings, func(e string) bool { return len(word) > len(e)+1 && strings.HasSuffix(word, e) })
}

// forbiddenWord returns the first word of s that may not stand in a text, "" if there is none. Only
// for a template, which is policy, may an error show it.
func forbiddenWord(s string) string {
	for _, w := range tokens(s) {
		if forbidden.has(w) {
			return w
		}
	}
	return ""
}

// tokens cuts s into folded words of letters and digits.
func tokens(s string) []string {
	return strings.FieldsFunc(fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// fold makes words comparable: small letters, no accents.
func fold(s string) string {
	s = strings.ToLower(s)
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

// Guard holds the values against the message that triggered the text while that is in hand: no slot
// may carry one of its words (PID, DG1, OBX-5, RXE, RXD, AL1, provider specialty), compared whole,
// without case and accents, nor one of its phone numbers. The error is a *SlotError.
//
// Instants, lengths and our own words are not looked at, nor is the brand, which is the same for
// everybody. The caller leaves out what a place name shares with every neighbour: the city of PID-11.
func Guard(v Values, against []string) error {
	bad := map[string]bool{}
	numbers := map[string]bool{}
	for _, s := range against {
		d := onlyDigits(s)
		if len(d) >= 7 {
			numbers[d[max(len(d)-10, 0):]] = true
			if d != s && phoneShape.MatchString(s) {
				continue // its area code stands in every number of the town
			}
		}
		for _, w := range tokens(s) {
			// A letter, or a number like that of a house, says nothing about anybody.
			if len(w) > 1 && (onlyDigits(w) != w || len(w) > 3) {
				bad[w] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		val := v[name]
		switch Type(name) {
		case Brand, Purpose, Warning, Minutes, CodeNum, autofillSlot, androidSlot:
			continue
		}
		if isInstant(val) {
			continue
		}
		if u, err := url.PathUnescape(val); err == nil {
			val = u
		}
		d := onlyDigits(val)
		if len(d) >= 7 && numbers[d[max(len(d)-10, 0):]] {
			return &SlotError{name, FromEHR}
		}
		if slices.ContainsFunc(tokens(val), func(w string) bool { return bad[w] }) {
			return &SlotError{name, FromEHR}
		}
	}
	return nil
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
