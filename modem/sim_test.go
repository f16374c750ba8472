package modem

import (
	"context"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

func pin(p string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return p, nil }
}

func TestPIN(t *testing.T) {
	for _, profile := range []string{"generic", "ec25", "sim7600", "e173", "le910"} {
		t.Run(profile, func(t *testing.T) {
			s := setup{sim: modemsim.ModemOptions{Profile: profile, PIN: "4711"}, options: Options{PIN: pin("4711")}}
			inWorld(t, s, func(w *world) {
				w.ready()
				w.quietAbout("4711")
			})
		})
	}
}

func TestWrongPINIsTriedOnce(t *testing.T) {
	asked := 0
	s := setup{sim: modemsim.ModemOptions{PIN: "4711"}, options: Options{PIN: func(context.Context) (string, error) {
		asked++
		return "0000", nil
	}}}
	inWorld(t, s, func(w *world) {
		st := w.until("blocked", time.Minute, func(s Status) bool { return s.Phase == PhaseBlocked })
		if !strings.Contains(st.Cause, "PIN") {
			w.t.Fatalf("cause %q", st.Cause)
		}
		time.Sleep(time.Hour)
		if st := w.m.Status(); st.Phase == PhaseReady {
			w.t.Fatal("ready with a wrong PIN")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for i, e := range w.traces {
			// "AT+CPIN" is both the question and the PIN; the one that enters it follows the question about the tries.
			if e == "AT+CPIN" && i > 0 && w.traces[i-1] == "AT+CPINR" {
				n++
			}
		}
		if n != 1 {
			w.t.Fatalf("the wrong PIN was given %d times", n)
		}
		if asked < 2 {
			w.t.Fatal("the PIN was not asked for again: a person may have mended it")
		}
		w.quietAbout("0000")
	})
}

func TestNoPINKept(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{PIN: "4711"}}, func(w *world) {
		st := w.until("blocked", time.Minute, func(s Status) bool { return s.Phase == PhaseBlocked })
		if !strings.Contains(st.Cause, "PIN") {
			w.t.Fatalf("cause %q", st.Cause)
		}
	})
}

func TestSIMRemovedAndBack(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SIMRemoved: true}}, func(w *world) {
		st := w.until("blocked", 2*time.Minute, func(s Status) bool { return s.Phase == PhaseBlocked })
		if !strings.Contains(st.Cause, "no SIM") {
			w.t.Fatalf("cause %q", st.Cause)
		}
		w.faults(modemsim.Faults{})
		w.ready()
	})
}

// Real answers, as the reference and the vendors' manuals have them.
func TestPINTriesMuseum(t *testing.T) {
	for line, want := range map[string]int{
		"+CPINR: SIM PIN,3,3": 3, `+QPINC: "SC",2,10`: 2, "+SPIC: 1,10,3,10": 1, "^CPIN: READY,,10,3,10,3": 3, "^CPIN: SIM PIN,3,10,3,10,3": 3,
	} {
		if got, ok := triesIn(line); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", line, got, ok, want)
		}
	}
	for _, line := range []string{"+CPINR: SIM PUK,10,10", `+QPINC: "P2",3,10`, "+SPIC:", "OK", "", "^CPIN: READY"} {
		if n, ok := triesIn(line); ok {
			t.Errorf("%q read as %d tries", line, n)
		}
	}
}
