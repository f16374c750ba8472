package text

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Problem is one thing wrong with a template. A template is policy and no PHI, so it may show words.
type Problem struct {
	Field  string // "body", "name", "replies", or a slot's name
	Detail string
}

func (p Problem) String() string { return p.Field + ": " + p.Detail }

// InvalidError says why a template was not saved.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	var list []string
	for _, p := range e.Problems {
		list = append(list, p.String())
	}
	return "template refused: " + strings.Join(list, "; ")
}

var (
	nameShape = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*$`)
	langShape = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
	linkShape = regexp.MustCompile(`(?i)://|www\.|[a-z0-9]\.(com|org|net|io|ly|co|health)\b`)
)

// stopWords are the answers that end texts in any of the languages served; a template that offers
// one as an answer would opt people out by mistake. The consent room reads them and more.
var stopWords = []string{"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT",
	"REMOVE", "ARRET", "TD", "ALTO", "PARAR", "PARE", "BAJA", "CANCELAR", "CANCELA", "FIN",
	"BASTA", "DETENER", "ARRETER"}

// Lint lists what is wrong with a template; nothing means that it may be saved. It is filled with
// the greatest values that its slots allow and has to fit one part then.
func Lint(t Template) []Problem {
	var list []Problem
	bad := func(field, format string, args ...any) {
		list = append(list, Problem{field, fmt.Sprintf(format, args...)})
	}
	if !nameShape.MatchString(t.Name) || len(t.Name) > 48 {
		bad("name", "is not of small letters, digits, dots and hyphens")
	}
	if !langShape.MatchString(t.Lang) {
		bad("lang", "is not a language tag")
	}
	if !slices.Contains([]Class{Code, Care, Marketing, System}, t.Class) {
		bad("class", "is none of code, care, marketing, system")
	}
	for _, r := range t.Replies {
		if slices.Contains(stopWords, strings.ToUpper(strings.TrimSpace(r))) {
			bad("replies", "%s ends texts and cannot be an answer", strings.ToUpper(strings.TrimSpace(r)))
		}
	}
	if t.Spoken && (t.Class != Care || len(t.Replies) > 0) {
		bad("spoken", "a call stands in only for a care text that asks for no answer")
	}
	pieces, err := parse(t.Body)
	if err != nil {
		bad("body", "%v", err)
		return list
	}
	has := func(typ Type) bool {
		return slices.ContainsFunc(pieces, func(p piece) bool { return p.slot.Type == typ })
	}
	if len(pieces) == 0 || pieces[0].slot.Type != Brand {
		bad("body", "does not begin with {brand}")
	}
	foreign := wordsFor(t.Lang).stop == neutral.stop
	for i, p := range pieces {
		lintPiece(p, i > 0 && pieces[i-1].slot.Name != "" && p.slot.Name != "", t.Class == Code, bad)
		if foreign && (p.slot.Type == Purpose || p.slot.Type == Warning) {
			bad(p.slot.Name, "has no words in this language")
		}
	}
	switch {
	case (t.Class == Code) != has(CodeNum):
		bad("class", "code and a slot {code} go together")
	case (t.Class == Care || t.Class == Marketing) && !has(Stop):
		bad("body", "does not say how to opt out: {stop}")
	case t.Class == Code && has(Stop):
		bad("body", "a code is asked for and is not opted out of")
	}
	if len(list) == 0 {
		if _, err := Render(t, largest(pieces, t.Lang), time.UTC); err != nil {
			bad("body", "does not make one part with the largest values: %v", err)
		}
	}
	return list
}

// lintPiece holds one piece of a body to what the guard forbids. touching says that two slots stand
// side by side; only the words that bring their own space may.
func lintPiece(p piece, touching, code bool, bad func(field, format string, args ...any)) {
	if p.slot.Name != "" {
		if touching && p.slot.Type != Purpose && p.slot.Type != Warning {
			bad(p.slot.Name, "touches the slot before it")
		}
		return
	}
	if w := forbiddenWord(p.fixed); w != "" {
		bad("body", "%q tells why somebody is a patient", w)
	}
	if linkShape.MatchString(p.fixed) {
		bad("body", "a link belongs into a slot {link}")
	}
	if code && hasLongDigits(p.fixed) {
		bad("body", "a group of digits could be read as the code")
	}
	if strings.ContainsFunc(p.fixed, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
		bad("body", "has a control character")
	}
}

// largest fills slots with the widest values of their types: September and a two-digit day and hour,
// wide labels, the longest words of the language.
func largest(pieces []piece, lang string) Values {
	v := Values{}
	wide := time.Date(2026, time.September, 30, 22, 58, 0, 0, time.UTC)
	for _, p := range pieces {
		switch p.slot.Type {
		case Brand, Payee:
			v[p.slot.Name] = strings.Repeat("W", MaxBrand)
		case Site:
			v[p.slot.Name] = strings.Repeat("W", MaxSite)
		case Time, Date:
			v.SetInstant(p.slot.Name, wide)
		case Phone:
			v[p.slot.Name] = "+1 (617) 5551234"
		case Link:
			v[p.slot.Name] = "https://portal.example.org/" + strings.Repeat("w", MaxLink-len("https://portal.example.org/"))
		case CodeNum:
			v[p.slot.Name] = "4829175306"
		case Minutes:
			v[p.slot.Name] = "10"
		case Amount:
			v[p.slot.Name] = "$999,999.99"
		case Purpose:
			v[p.slot.Name] = longest(wordsFor(lang).purposes)
		case Warning:
			v[p.slot.Name] = longest(wordsFor(lang).warnings)
		}
	}
	return v
}

// longest returns the key of the longest text.
func longest(m map[string]string) (key string) {
	for k, text := range m {
		if len(text) > len(m[key]) {
			key = k
		}
	}
	return key
}
