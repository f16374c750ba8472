package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// long are the parts of a text that needs three.
func (w *world) long() []TPDU {
	w.t.Helper()
	parts, err := w.m.Encode(SMS{To: patient, Text: strings.Repeat("0123456789", 40), Validity: 5 * time.Minute, ConcatRef: 7})
	if err != nil || len(parts) != 3 {
		w.t.Fatalf("%d parts, %v", len(parts), err)
	}
	return parts
}

// slow is a network that needs 20 s for a part: there is time for something to happen meanwhile.
var slow = modemsim.Faults{SendDelay: modemsim.Duration(20 * time.Second)}

func TestPartsOfATextLeaveByOneSIM(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				st := w.ready()
				sent, err := w.m.SendAll(context.Background(), w.long())
				if err != nil || len(sent) != 3 {
					w.t.Fatalf("%d parts, %v", len(sent), err)
				}
				for _, one := range sent {
					if one.ICCID != st.ICCID || one.Took <= 0 {
						w.t.Fatalf("by %q after %v", one.ICCID, one.Took)
					}
					if strings.Contains(fmt.Sprintf("%v %+v %#v", one, one, one)+one.LogValue().String(), st.ICCID) {
						w.t.Fatal("the SIM is shown")
					}
				}
				if n := w.traced("AT+CMMS"); n != 1 {
					w.t.Fatalf("AT+CMMS given %d times for one text of three parts", n)
				}
				time.Sleep(10 * time.Second)
				if got := w.shown(patient); len(got) != 1 || len(got[0]) != 400 {
					w.t.Fatalf("the handset shows %d texts", len(got))
				}
			})
		})
	}
}

// +CMMS is for several parts only (reference 5.1), and so are the questions between them.
func TestOnePartCostsOneCommand(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		time.Sleep(time.Second) // the first looks at network and storage are over
		w.mu.Lock()
		before := len(w.traces)
		w.mu.Unlock()
		if _, err := w.m.SendAll(context.Background(), []TPDU{w.encode("hello")}); err != nil {
			w.t.Fatal(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := w.traces[before:]; len(got) != 1 || got[0] != "AT+CMGS" {
			w.t.Fatalf("%q", got)
		}
	})
}

func TestSIMSwappedBetweenPartsSendsNoMore(t *testing.T) {
	for _, quiet := range []bool{true, false} {
		for at, want := range map[time.Duration]int{5 * time.Second: 1, 30 * time.Second: 2, 55 * time.Second: 3} {
			t.Run(fmt.Sprintf("quiet %v, after %v", quiet, at), func(t *testing.T) {
				inWorld(t, setup{faults: slow}, func(w *world) {
					w.ready()
					parts := w.long()
					time.AfterFunc(at, func() {
						if err := w.sim.SwapSIM(modemsim.SIM{Quiet: quiet}); err != nil {
							w.t.Error(err)
						}
					})
					sent, err := w.m.SendAll(context.Background(), parts)
					w.want("a text by two SIMs", err, nil)
					if len(sent) != want || w.sim.Submitted() != want {
						w.t.Fatalf("%d parts told, %d left; want %d", len(sent), w.sim.Submitted(), want)
					}
					if e := w.event(time.Minute); e.Swap == nil { // seen at once, not in an hour
						w.t.Fatalf("event %+v", e)
					}
					w.ready()
				})
			})
		}
	}
}

func TestModemRestartedBetweenPartsSendsNoMore(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		h, err := w.m.hold()
		if err != nil {
			w.t.Fatal(err)
		}
		if err := h.same(context.Background()); err != nil {
			w.t.Fatal(err)
		}
		w.sim.Reboot()
		w.until("rebooted", time.Minute, func(s Status) bool { return s.Reboots == 1 && !s.Ready })
		if err := h.same(context.Background()); err == nil {
			w.t.Fatal("in mid-restart: no error")
		}
		w.ready()
		if err := h.same(context.Background()); !errors.Is(err, errMoved) {
			w.t.Fatalf("after a restart: %v", err)
		}
		_, err = w.m.send(context.Background(), h, w.encode("the rest"))
		w.want("the rest", err, ErrNotSent)
		if n := w.sim.Submitted(); n != 0 {
			w.t.Fatalf("%d parts left", n)
		}
	})
}

// What would be "not sent" for a text of its own is "unknown" behind a part that left; a refusal stays one.
func TestFailureOfALaterPart(t *testing.T) {
	for name, c := range map[string]struct {
		then   modemsim.Faults
		target error
	}{
		"no prompt":         {modemsim.Faults{NoPrompt: 1}, nil},
		"congestion":        {modemsim.Faults{SendErrors: []string{"+CMS ERROR: 42"}}, nil},
		"ambiguous":         {modemsim.Faults{SendErrors: []string{"+CMS ERROR: 500"}}, nil},
		"unknown recipient": {modemsim.Faults{SendErrors: []string{"+CMS ERROR: 30"}}, ErrRefused},
		"silence":           {modemsim.Faults{Silence: 1}, nil},
		"unplugged":         {modemsim.Faults{Unplugged: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{faults: slow}, func(w *world) {
				w.ready()
				parts := w.long()
				time.AfterFunc(30*time.Second, func() { // the second part is on air
					if err := w.sim.SetFaults(c.then); err != nil {
						w.t.Error(err)
					}
				})
				sent, err := w.m.SendAll(context.Background(), parts)
				w.want(name, err, c.target)
				if len(sent) == 0 || len(sent) == 3 {
					w.t.Fatalf("%d parts", len(sent))
				}
				var cms *CMSError
				if len(c.then.SendErrors) > 0 && !errors.As(err, &cms) {
					w.t.Fatalf("the network's code is lost: %v", err)
				}
			})
		})
	}
}

// A code that waits longer than a text of many parts deserves ends it between two parts as well, and no restart is needed.
func TestGiveUpBetweenParts(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{Late: modemsim.Duration(time.Second)}}, func(w *world) {
		w.ready()
		time.Sleep(time.Minute)
		parts := w.long()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { // each line of the conversation; the SIM is asked after the first part
			for l := range w.m.Follow(ctx) {
				if l.Out && strings.Contains(l.Text, "CCID") {
					w.m.GiveUp()
				}
			}
		}()
		sent, err := w.m.SendAll(context.Background(), parts)
		w.want("given up", err, nil)
		if st := w.ready(); len(sent) != 1 || st.Resets != 0 {
			w.t.Fatalf("%d parts, %d resets", len(sent), st.Resets)
		}
		if _, err := w.send("the code"); err != nil {
			w.t.Fatal(err)
		}
	})
}

func TestSendAllOfNothing(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		_, err := w.m.SendAll(context.Background(), []TPDU{w.encode("too early")})
		w.want("before it is ready", err, ErrNotSent)
		w.ready()
		_, err = w.m.SendAll(context.Background(), nil)
		w.want("no parts", err, ErrNotSent)
	})
}
