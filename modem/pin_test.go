package modem

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// blocked waits until the modem waits for a person.
func (w *world) blocked() Status {
	w.t.Helper()
	return w.until("blocked", time.Minute, func(s Status) bool { return s.Phase == PhaseBlocked })
}

func (w *world) enterPIN(pin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return w.m.EnterPIN(ctx, pin)
}

func TestEnterPIN(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile, PIN: "4711"}}, func(w *world) {
				w.blocked()
				time.Sleep(10 * time.Minute) // far into the back-off
				start := time.Now()
				if err := w.enterPIN("4711"); err != nil {
					w.t.Fatal(err)
				}
				if d := time.Since(start); d > 5*time.Second {
					w.t.Fatalf("the modem was not woken: %v", d)
				}
				w.ready()
				if err := w.enterPIN("4711"); !errors.Is(err, ErrNoPINWanted) {
					w.t.Fatalf("PIN for a SIM that asks for none: %v", err)
				}
				w.sim.Reboot() // it is not kept
				w.until("blocked again", time.Minute, func(s Status) bool { return s.Phase == PhaseBlocked })
				w.quietAbout("4711")
			})
		})
	}
}

func TestEnterPINRefusedTellsTheTriesLeft(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25", PIN: "4711"}}, func(w *world) {
		w.blocked()
		var e *PINError
		if err := w.enterPIN("0000"); !errors.As(err, &e) || !e.Refused || e.Left != 2 || !strings.Contains(err.Error(), "2 tries left") {
			w.t.Fatalf("%v", err)
		}
		w.blocked()
		if err := w.enterPIN("1111"); !errors.As(err, &e) || !e.Refused || e.Left != 1 {
			w.t.Fatalf("%v", err)
		}
		// One try is left: neither a wrong nor the right PIN is given now.
		if err := w.enterPIN("4711"); !errors.As(err, &e) || e.Refused || e.Left != 1 {
			w.t.Fatalf("%v", err)
		}
		if st := w.blocked(); !strings.Contains(st.Cause, "1 try left") || st.Alarm != AlarmLocked {
			w.t.Fatalf("%v", st)
		}
		if strings.Contains(e.Error(), "4711") {
			w.t.Fatal("the error shows the PIN")
		}
		w.quietAbout("0000", "1111", "4711")
	})
}

// Whoever mistypes types again at once: the second PIN is used by the next session, not answered by the end of the one that
// refused the first.
func TestEnterPINRightAfterARefusal(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile, PIN: "4711"}}, func(w *world) {
				w.blocked()
				var e *PINError
				if err := w.enterPIN("0000"); !errors.As(err, &e) || !e.Refused {
					w.t.Fatalf("the wrong one: %v", err)
				}
				if err := w.enterPIN("4711"); err != nil {
					w.t.Fatalf("the right one, right after it: %v", err)
				}
				w.ready()
			})
		})
	}
}

// What is kept beyond the process is told of each PIN that is given, and can hold a kept one back.
func TestPINLog(t *testing.T) {
	var told []string
	log := PINLog{
		Begin: func(_ context.Context, sim, pin string, left int) (bool, error) {
			told = append(told, fmt.Sprintf("%s %s with %d left", sim, pin, left))
			return false, nil
		},
		End: func(_ context.Context, sim, pin string, taken bool) error {
			told = append(told, fmt.Sprintf("%s %s %v", sim, pin, taken))
			return nil
		},
	}
	sim := modemsim.ModemOptions{Profile: "ec25", PIN: "4711", ICCID: "8900101000000000011"}
	inWorld(t, setup{sim: sim, options: Options{PIN: pin("4711"), PINs: log}}, func(w *world) {
		if st := w.blocked(); st.Alarm != AlarmPIN {
			w.t.Fatalf("%v", st)
		}
		if err := w.enterPIN("0000"); err == nil {
			w.t.Fatal("a wrong one was taken")
		}
		if err := w.enterPIN("4711"); err != nil {
			w.t.Fatal(err)
		}
		for _, want := range []string{sim.ICCID + " 4711 with 3 left", sim.ICCID + " 0000 false", sim.ICCID + " 4711 true"} {
			if !slices.Contains(told, want) {
				w.t.Errorf("it was not told %q, but %q", want, told)
			}
		}
	})
}

// A PIN that cannot be kept on record is not given: the next start could not know of it.
func TestPINNotGivenWithoutARecord(t *testing.T) {
	log := PINLog{Begin: func(context.Context, string, string, int) (bool, error) { return true, errors.New("disk full") }}
	inWorld(t, setup{sim: modemsim.ModemOptions{PIN: "4711"}, options: Options{PIN: pin("4711"), PINs: log}}, func(w *world) {
		time.Sleep(time.Minute)
		if n := w.traced("AT+CPIN="); n != 0 || w.m.Status().Ready {
			w.t.Errorf("the PIN was given %d times", n)
		}
	})
}

// A PIN that was typed wins over the kept one, and is not given a second time.
func TestEnterPINBesideAWrongOneThatIsKept(t *testing.T) {
	s := setup{sim: modemsim.ModemOptions{PIN: "4711"}, options: Options{PIN: pin("0000")}}
	inWorld(t, s, func(w *world) {
		w.blocked()
		if err := w.enterPIN("4711"); err != nil {
			w.t.Fatal(err)
		}
		w.ready()
	})
}

// Two wrong ones, the kept and the typed: each is given once, and neither again when the modem is looked at later.
func TestEnterPINDoesNotReviveTheKeptOne(t *testing.T) {
	s := setup{sim: modemsim.ModemOptions{Profile: "ec25", PIN: "4711"}, options: Options{PIN: pin("0000")}}
	inWorld(t, s, func(w *world) {
		w.blocked()
		var e *PINError
		if err := w.enterPIN("1111"); !errors.As(err, &e) || !e.Refused || e.Left != 1 {
			w.t.Fatalf("%v", err)
		}
		time.Sleep(6 * time.Hour)
		if st := w.blocked(); strings.Contains(st.Cause, "PUK") {
			w.t.Fatalf("the last try is used up: %v", st)
		}
	})
}

// Modems that do not tell the tries left have nothing else to hold them back.
func TestRefusedPINsAreAllRemembered(t *testing.T) {
	m := New(nil, Options{})
	m.badPIN[usedPIN{"", sha256.Sum256([]byte("0000"))}] = true
	m.badPIN[usedPIN{"", sha256.Sum256([]byte("1111"))}] = true
	if !m.refusedPIN("0000") || !m.refusedPIN("1111") || m.refusedPIN("4711") {
		t.Fatal("a refused PIN is forgotten, or another one refused")
	}
}

func TestEnterPINIsCheckedFirst(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{PIN: "4711"}}, func(w *world) {
		w.blocked()
		for _, bad := range []string{"", "123", "123456789", "12a4", "1234\";+CFUN=0"} {
			if err := w.enterPIN(bad); err == nil {
				w.t.Errorf("%q was given to the SIM", bad)
			}
		}
		if err := w.enterPIN("4711"); err != nil { // no try was used up
			w.t.Fatal(err)
		}
	})
}

func TestEnterPINNeedsNoPUK(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{PIN: "4711", PINTries: -1}}, func(w *world) {
		w.blocked()
		if err := w.enterPIN("4711"); !errors.Is(err, ErrNotUp) || !strings.Contains(err.Error(), "PUK") {
			w.t.Fatalf("%v", err)
		}
	})
}

func TestEnterPINWithoutAModem(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{Unplugged: true}}, func(w *world) {
		w.until("unplugged", time.Minute, func(s Status) bool { return s.Alarm == AlarmUnplugged })
		if err := w.enterPIN("4711"); !errors.Is(err, ErrNotUp) {
			w.t.Fatalf("%v", err)
		}
	})
	m := New(nil, Options{}) // Run does not run
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := m.EnterPIN(ctx, "4711"); !errors.Is(err, context.DeadlineExceeded) || m.hasPIN() {
		t.Fatalf("%v; kept %v", err, m.hasPIN())
	}
}
