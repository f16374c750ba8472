package text

import (
	"fmt"
	"strings"
	"time"
)

// words are what a language brings for the slots that are ours to fill.
type words struct {
	stop     string
	warnings map[string]string // by key; each begins with a space, or is empty
	purposes map[string]string // likewise; none says why somebody is a patient
	time     func(time.Time) string
	date     func(time.Time) string
}

var english = words{
	stop: "Reply STOP to opt out.",
	warnings: map[string]string{
		NoWarning:  "",
		DoNotShare: " Do not share it.",
		DeskOnly:   " Tell only desk staff.",
	},
	purposes: map[string]string{
		"":             "",
		"signup":       " to sign up",
		"login":        " to sign in",
		"booking":      " to book your visit",
		"telemedicine": " to join your visit",
		"prescription": " for pickup",
		"lab":          " to open your document",
		"billing":      " to approve a payment",
		"consent":      " to sign a document",
		"staff":        " for staff sign-in",
	},
	time: func(t time.Time) string { return t.Format("3:04 PM") },
	date: func(t time.Time) string { return t.Format("Mon Jan 2") },
}

// The Spanish words keep to letters of the GSM alphabet, as the Spanish bodies do: "clave" and not a
// word with an accented o, months in full because the short form of Saturday has an accented a.
var spanish = words{
	stop: "Responda STOP para salir.",
	warnings: map[string]string{
		NoWarning:  "",
		DoNotShare: " No la comparta.",
		DeskOnly:   " Solo al personal.",
	},
	purposes: map[string]string{
		"":             "",
		"signup":       " para registrarse",
		"login":        " para entrar",
		"booking":      " para reservar su cita",
		"telemedicine": " para su cita",
		"prescription": " para recoger",
		"lab":          " para ver su documento",
		"billing":      " para aprobar un pago",
		"consent":      " para firmar",
		"staff":        " de personal",
	},
	time: func(t time.Time) string {
		half := " a.m."
		if t.Hour() >= 12 {
			half = " p.m."
		}
		return t.Format("3:04") + half
	},
	date: func(t time.Time) string {
		return fmt.Sprintf("%d de %s", t.Day(), spanishMonths[t.Month()-1])
	},
}

var spanishMonths = [...]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio",
	"agosto", "septiembre", "octubre", "noviembre", "diciembre"}

// neutral serves every other language: digits only, for a site may save templates in any language.
// What a code is for and what to beware of, such a template has to say itself (Lint).
var neutral = words{
	stop:     "STOP",
	warnings: map[string]string{NoWarning: ""},
	purposes: map[string]string{"": ""},
	time:     func(t time.Time) string { return t.Format("15:04") },
	date:     func(t time.Time) string { return t.Format(time.DateOnly) },
}

func wordsFor(lang string) words {
	switch base(lang) {
	case "en":
		return english
	case "es":
		return spanish
	}
	return neutral
}

// base is the primary subtag of a BCP 47 tag: "es" of "es-US".
func base(lang string) string {
	lang, _, _ = strings.Cut(strings.ToLower(lang), "-")
	return lang
}
