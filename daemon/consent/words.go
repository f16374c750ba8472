package consent

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// meaning is what a text that came in says about consent.
type meaning int

const (
	nothing  meaning = iota // not about consent
	stop                    // one of the stop words and nothing else
	cancel                  // CANCEL and its like: a stop word that also answers a reminder
	start                   // one of the start words and nothing else
	yes                     // YES: starts only what a STOP has just stopped
	help                    // HELP, INFO
	wrong                   // "wrong number"
	doubtful                // holds a stop word amid other words
)

// words maps a whole folded text to its meaning. The English stop words are
// those of CTIA and the carriers (STOP STOPALL UNSUBSCRIBE CANCEL END QUIT
// REVOKE OPTOUT, REMOVE, OPT-OUT), ARRET and TD those used in Canada.
var words = map[string]struct {
	meaning meaning
	lang    string
}{
	"STOP": {stop, ""}, "STOPALL": {stop, ""}, "STOP ALL": {stop, "en"}, "UNSUBSCRIBE": {stop, "en"},
	"END": {stop, "en"}, "QUIT": {stop, "en"}, "REVOKE": {stop, "en"}, "OPTOUT": {stop, "en"}, "OPT OUT": {stop, "en"},
	"OPT ME OUT": {stop, "en"}, "REMOVE": {stop, "en"}, "REMOVE ME": {stop, "en"}, "STOP IT": {stop, "en"},
	"STOP PLEASE": {stop, "en"}, "PLEASE STOP": {stop, "en"}, "STOP NOW": {stop, "en"},
	"STOP TEXTING": {stop, "en"}, "STOP TEXTING ME": {stop, "en"}, "PLEASE STOP TEXTING ME": {stop, "en"},
	"STOP TEXTS": {stop, "en"}, "STOP TEXT": {stop, "en"}, "STOP MESSAGES": {stop, "en"}, "STOP MESSAGING ME": {stop, "en"},
	"STOP SENDING": {stop, "en"}, "STOP SENDING ME TEXTS": {stop, "en"}, "STOP SENDING ME MESSAGES": {stop, "en"},
	"DONT TEXT": {stop, "en"}, "DONT TEXT ME": {stop, "en"}, "DO NOT TEXT": {stop, "en"}, "DO NOT TEXT ME": {stop, "en"},
	"NO MORE TEXTS": {stop, "en"}, "NO MORE MESSAGES": {stop, "en"}, "TAKE ME OFF": {stop, "en"},
	"TAKE ME OFF YOUR LIST": {stop, "en"}, "REMOVE ME FROM YOUR LIST": {stop, "en"},
	"CANCEL": {cancel, "en"},

	"ARRET": {stop, "fr"}, "TD": {stop, "fr"}, "ARRETER": {stop, "fr"},

	"PARAR": {stop, "es"}, "PARE": {stop, "es"}, "ALTO": {stop, "es"}, "BASTA": {stop, "es"}, "BAJA": {stop, "es"},
	"DETENER": {stop, "es"}, "FIN": {stop, "es"}, "NO MAS": {stop, "es"}, "NO MAS MENSAJES": {stop, "es"},
	"NO MAS TEXTOS": {stop, "es"}, "NO ENVIAR": {stop, "es"}, "NO ENVIAR MAS": {stop, "es"},
	"NO ENVIE MAS": {stop, "es"}, "NO ME ENVIE MAS MENSAJES": {stop, "es"}, "NO ME ENVIEN MAS MENSAJES": {stop, "es"},
	"NO ME MANDEN MENSAJES": {stop, "es"}, "NO ME MANDEN MAS MENSAJES": {stop, "es"},
	"DEJEN DE ENVIAR MENSAJES": {stop, "es"}, "DEJE DE ENVIAR MENSAJES": {stop, "es"},
	"DEJEN DE MANDAR MENSAJES": {stop, "es"}, "DEJEN DE ESCRIBIRME": {stop, "es"},
	"CANCELAR": {cancel, "es"}, "CANCELA": {cancel, "es"},

	"START": {start, "en"}, "UNSTOP": {start, "en"}, "SUBSCRIBE": {start, "en"}, "RESUME": {start, "en"},
	"OPTIN": {start, "en"}, "OPT IN": {start, "en"}, "START TEXTING ME": {start, "en"},
	"INICIAR": {start, "es"}, "INICIO": {start, "es"}, "COMENZAR": {start, "es"}, "EMPEZAR": {start, "es"},
	"REANUDAR": {start, "es"}, "ALTA": {start, "es"},

	"YES": {yes, "en"}, "SI": {yes, "es"},

	"HELP": {help, "en"}, "INFO": {help, "en"}, "HELP ME": {help, "en"},
	"AYUDA": {help, "es"}, "AIDE": {help, "fr"},
}

// Phrases that are read anywhere in a longer text.
var (
	wrongPhrases = []struct{ phrase, lang string }{
		{"WRONG NUMBER", "en"}, {"WRONG PERSON", "en"}, {"WRONG PHONE", "en"}, {"NOT MY NUMBER", "en"},
		{"NUMERO EQUIVOCADO", "es"}, {"NUMERO INCORRECTO", "es"}, {"PERSONA EQUIVOCADA", "es"},
	}
	// stopPhrases are the words that mean a stop even amid other words. CANCEL,
	// END, FIN and their like are left out: "end of the week" is no wish.
	stopPhrases = []struct{ phrase, lang string }{
		{"STOP", ""}, {"STOPALL", ""}, {"UNSUBSCRIBE", "en"}, {"OPTOUT", "en"}, {"OPT OUT", "en"}, {"OPT ME OUT", "en"},
		{"DONT TEXT", "en"}, {"DO NOT TEXT", "en"}, {"NO MORE TEXTS", "en"}, {"NO MORE MESSAGES", "en"},
		{"QUIT TEXTING", "en"}, {"QUIT SENDING", "en"}, {"TAKE ME OFF", "en"}, {"REMOVE ME", "en"}, {"REMOVE MY NUMBER", "en"},
		{"ARRET", "fr"}, {"ARRETEZ", "fr"},
		{"NO MAS MENSAJES", "es"}, {"NO MAS TEXTOS", "es"}, {"DEJEN DE", "es"}, {"DEJE DE", "es"},
		{"NO ME ENVIEN", "es"}, {"NO ME ENVIE", "es"}, {"NO ME MANDEN", "es"}, {"PAREN DE", "es"},
	}
)

// read tells what a text says about consent, and in which language ("" where
// the word belongs to none).
func read(body string) (meaning, string) {
	folded := Fold(body)
	if w, ok := words[folded]; ok {
		return w.meaning, w.lang
	}
	padded := " " + folded + " "
	for _, p := range wrongPhrases {
		if strings.Contains(padded, " "+p.phrase+" ") {
			return wrong, p.lang
		}
	}
	for _, p := range stopPhrases {
		if strings.Contains(padded, " "+p.phrase+" ") {
			return doubtful, p.lang
		}
	}
	return nothing, ""
}

// Fold brings a text into the form in which words are compared: upper case,
// no accents, apostrophes dropped, all other punctuation and runs of spaces
// one space, and single letters written apart ("S T O P") joined.
func Fold(body string) string {
	var b strings.Builder
	space := false
	for _, r := range norm.NFKD.String(body) {
		switch {
		case unicode.Is(unicode.Mn, r), r == '\'', r == '\u2019', r == '\u2018', r == '`', r == '\u200b', r == '\ufeff':
		case unicode.IsLetter(r), unicode.IsDigit(r):
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(unicode.ToUpper(r))
		default:
			space = true
		}
	}
	fields := strings.Fields(b.String())
	if len(fields) < 2 {
		return b.String()
	}
	for _, f := range fields {
		if len(f) != 1 {
			return b.String()
		}
	}
	return strings.Join(fields, "")
}
