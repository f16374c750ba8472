package consent

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReadsWhatPeopleWrite(t *testing.T) {
	for body, want := range map[string]meaning{
		// the carriers' words, in the shapes that phones make of them
		"STOP": stop, "stop": stop, "Stop.": stop, " stop \n": stop, "\"STOP\"": stop, "S T O P": stop, "S.T.O.P.": stop,
		"stop!!!": stop, "STOPALL": stop, "Unsubscribe": stop, "end": stop, "Quit": stop, "revoke": stop, "OPT-OUT": stop,
		"opt out": stop, "OptOut": stop, "remove": stop, "stop\u00a0texting me": stop, "Please stop texting me.": stop,
		"don't text me": stop, "don\u2019t text me": stop, "cancel": cancel, "Cancelar": cancel,
		// other languages, with and without accents
		"ARRET": stop, "arr\u00eat": stop, "arre\u0302t": stop, "TD": stop, "alto": stop, "PARAR": stop, "no m\u00e1s": stop,
		"No m\u00e1s mensajes": stop, "baja": stop, "Dejen de enviar mensajes": stop,
		"START": start, "unstop": start, "iniciar": start, "HELP": help, "info": help, "ayuda": help, "Yes": yes, "s\u00ed": yes,
		// amid other words
		"please stop these": doubtful, "Stop texting my mother": doubtful, "it does not stop bleeding": doubtful,
		"unsubscribe me from this list please": doubtful, "por favor no me env\u00eden nada": doubtful,
		"Wrong number": wrong, "You have the wrong number, stop": wrong, "n\u00famero equivocado": wrong,
		// not about consent
		"": nothing, "   ": nothing, "thanks": nothing, "I will come at the end of the week": nothing, "bus stopped": nothing,
		"nonstop": nothing, "fin de semana": nothing, "I need to cancel my visit": nothing, "yes please": nothing, "482917": nothing,
		"\xff\xfe\x00": nothing,
	} {
		if got, _ := read(body); got != want {
			t.Errorf("%q is read as %d, not %d", body, got, want)
		}
	}
}

// Templates may not ask for an answer that would stop texts.
func TestYesAndNoStopNothing(t *testing.T) {
	for _, body := range []string{"YES", "NO", "SI", "S\u00cd", "1", "2", "C"} {
		if m, _ := read(body); m == stop || m == cancel || m == doubtful {
			t.Errorf("%q stops texts", body)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"STOP", "s t o p", "a\u0301", "\xff", "\u200b\ufeff", strings.Repeat("\u0301", 300), "don't", "\U0001F6D1 stop"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Fold(s)
		if utf8.ValidString(s) && Fold(got) != got {
			t.Errorf("folding twice: %q, then %q", got, Fold(got))
		}
		if strings.HasPrefix(got, " ") || strings.HasSuffix(got, " ") || strings.Contains(got, "  ") {
			t.Errorf("spaces are left: %q", got)
		}
		read(s)
	})
}
