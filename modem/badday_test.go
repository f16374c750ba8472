package modem

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

func TestSilenceAfterThePDU(t *testing.T) {
	for name, f := range map[string]modemsim.Faults{"late": {SendDelay: modemsim.Duration(400 * time.Second)}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{faults: f}, func(w *world) {
				w.ready()
				start := time.Now()
				_, err := w.send("first")
				w.want("silence", err, nil)
				if d := time.Since(start); d < 300*time.Second || d > 311*time.Second {
					w.t.Fatalf("unknown after %v, want 300 s after the PDU", d)
				}
				w.faults(modemsim.Faults{})
				w.until("restarted", time.Minute, func(s Status) bool { return s.Resets == 1 })
				w.ready()
				sent, err := w.send("second")
				if err != nil {
					w.t.Fatalf("send after silence: %v\n%s", err, w.log)
				}
				for {
					e := w.event(2 * time.Minute)
					if e.Report != nil && e.Report.Ref == sent.Ref {
						break
					}
				}
			})
		})
	}
}

func TestGiveUp(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SilentSend: 1}}, func(w *world) {
		w.ready()
		w.m.GiveUp() // nothing is on air: nothing happens
		if !w.m.Status().Ready {
			w.t.Fatal("GiveUp without a send changed the modem")
		}
		type result struct {
			err error
			at  time.Time
		}
		first := make(chan result, 1)
		go func() {
			_, err := w.send("first")
			first <- result{err, time.Now()}
		}()
		time.Sleep(45 * time.Second)
		gave := time.Now()
		w.m.GiveUp()
		r := <-first
		w.want("given up", r.err, nil)
		if d := r.at.Sub(gave); d > time.Second {
			w.t.Fatalf("Send returned %v after GiveUp", d)
		}
		st := w.ready()
		if st.Resets != 1 {
			w.t.Fatalf("%d resets", st.Resets)
		}
		if d := time.Since(gave); d > 45*time.Second {
			w.t.Fatalf("ready again after %v", d)
		}
		if _, err := w.send("second"); err != nil {
			w.t.Fatalf("next send: %v\n%s", err, w.log)
		}
		time.Sleep(time.Minute)
		if got := w.shown(patient); len(got) != 2 || got[0] != "first" || got[1] != "second" {
			w.t.Fatalf("handset shows %q", got)
		}
	})
}

func TestContextEndsMidSend(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SendDelay: modemsim.Duration(time.Minute)}}, func(w *world) {
		w.ready()
		gone := errors.New("caller went away")
		ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Second, gone)
		defer cancel()
		start := time.Now()
		_, err := w.m.Send(ctx, w.encode("first"))
		w.want("ctx ended after the PDU", err, nil)
		if !errors.Is(err, gone) || time.Since(start) != 20*time.Second {
			w.t.Fatalf("%v after %v", err, time.Since(start))
		}
		// The line stays with the first message: the second waits for its answer and gets its own.
		sent, err := w.send("second")
		if err != nil {
			w.t.Fatalf("second: %v", err)
		}
		if time.Since(start) < 2*time.Minute {
			w.t.Fatalf("the second was answered after %v: with the first one's answer", time.Since(start))
		}
		var refs []byte
		for range 2 {
			refs = append(refs, w.event(5*time.Minute).Report.Ref)
		}
		if refs[1] != sent.Ref || refs[0] == sent.Ref {
			w.t.Fatalf("reports for %v, second was sent as %d", refs, sent.Ref)
		}
		done, cancel2 := context.WithCancel(context.Background())
		cancel2()
		_, err = w.m.Send(done, w.encode("third"))
		w.want("ctx ended before the first byte", err, ErrNotSent)
	})
}

func TestRebootInMidSend(t *testing.T) {
	for at, target := range map[modemsim.Moment]error{modemsim.AtPrompt: ErrNotSent, modemsim.AtPDU: nil, modemsim.AtAnswer: nil} {
		t.Run(string(at), func(t *testing.T) {
			inWorld(t, setup{faults: modemsim.Faults{RebootAt: at}}, func(w *world) {
				w.ready()
				start := time.Now()
				_, err := w.send("first")
				w.want("reboot at "+string(at), err, target)
				if d := time.Since(start); d > 5*time.Second {
					w.t.Fatalf("RDY ended the send only after %v", d)
				}
				st := w.until("ready again", time.Minute, func(s Status) bool { return s.Ready && s.Reboots == 1 })
				if st.Resets != 0 {
					w.t.Fatalf("reset a modem that had rebooted by itself")
				}
				if _, err := w.send("second"); err != nil {
					w.t.Fatalf("send after the reboot: %v\n%s", err, w.log)
				}
				if e := w.event(time.Minute); e.Report == nil { // CNMI was set again
					w.t.Fatalf("event %+v", e)
				}
			})
		})
	}
}

func TestVanishesInMidSendAndComesBack(t *testing.T) {
	for at, target := range map[modemsim.Moment]error{modemsim.AtPrompt: ErrNotSent, modemsim.AtPDU: nil, modemsim.AtAnswer: nil} {
		t.Run(string(at), func(t *testing.T) {
			inWorld(t, setup{faults: modemsim.Faults{UnplugAt: at, UnplugFor: modemsim.Duration(20 * time.Second)}}, func(w *world) {
				st := w.ready()
				_, err := w.send("first")
				w.want("unplug at "+string(at), err, target)
				w.until("down", time.Minute, func(s Status) bool { return s.Phase == PhaseDown && s.Cause != "" })
				_, err = w.send("while away")
				w.want("while away", err, ErrNotSent)
				back := w.ready()
				if back.IMEI != st.IMEI || back.ICCID != st.ICCID {
					w.t.Fatal("another modem came back")
				}
				if _, err := w.send("second"); err != nil {
					w.t.Fatalf("send after it came back: %v\n%s", err, w.log)
				}
			})
		})
	}
}

func TestStuckWrites(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.faults(modemsim.Faults{Stuck: true})
		_, err := w.send("first")
		w.want("stuck port", err, ErrNotSent) // not one byte was taken
		w.until("not ready", time.Minute, func(s Status) bool { return !s.Ready && s.Cause != "" })
		w.faults(modemsim.Faults{})
		w.ready()
		if _, err := w.send("second"); err != nil {
			w.t.Fatalf("send after the port was stuck: %v\n%s", err, w.log)
		}
	})
}

func TestQuarantine(t *testing.T) {
	three := []string{"+CMS ERROR: 38", "+CMS ERROR: 38", "+CMS ERROR: 38"}
	inWorld(t, setup{faults: modemsim.Faults{SendErrors: three}}, func(w *world) {
		w.ready()
		for i := range three {
			_, err := w.send("hello")
			w.want(fmt.Sprintf("send %d", i+1), err, ErrNotSent)
		}
		st := w.m.Status()
		if st.Phase != PhaseQuarantined || st.Ready || st.Cause == "" {
			w.t.Fatalf("after three failures: %v", st)
		}
		if d := time.Until(st.Until); d < 50*time.Second || d > time.Minute {
			w.t.Fatalf("quarantined for %v, want about a minute", d)
		}
		_, err := w.send("hello")
		w.want("in quarantine", err, ErrNotSent)
		start := time.Now()
		w.ready()
		if d := time.Since(start); d > 61*time.Second {
			w.t.Fatalf("out of quarantine after %v", d)
		}
		if _, err := w.send("hello"); err != nil {
			w.t.Fatal(err)
		}
	})
}

func TestSIMRefusedByTheNetwork(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SendErrors: []string{"+CMS ERROR: 50"}}}, func(w *world) {
		w.ready()
		_, err := w.send("hello")
		w.want("not subscribed", err, ErrNotSent)
		if st := w.m.Status(); st.Phase != PhaseQuarantined {
			w.t.Fatalf("a SIM that the network refuses stays %s", st.Phase)
		}
	})
}

func TestRefusedRecipientsDoNotQuarantine(t *testing.T) {
	var answers []string
	for range 10 {
		answers = append(answers, "+CMS ERROR: 1")
	}
	inWorld(t, setup{faults: modemsim.Faults{SendErrors: answers}}, func(w *world) {
		w.ready()
		for range answers {
			_, err := w.send("hello")
			w.want("unassigned number", err, ErrRefused)
		}
		if st := w.m.Status(); !st.Ready {
			w.t.Fatalf("%v", st)
		}
	})
}

// Some carriers answer 21 when the balance is used up (reference 5.2), others bar destinations with 10: one recipient that is refused
// says nothing of the SIM, three in a row do.
func TestRejectedRecipientsQuarantine(t *testing.T) {
	for _, answer := range []string{"+CMS ERROR: 21", "+CMS ERROR: 10"} {
		var answers []string
		for range 7 {
			answers = append(answers, answer)
		}
		inWorld(t, setup{faults: modemsim.Faults{SendErrors: answers}}, func(w *world) {
			w.ready()
			for range 5 {
				_, err := w.send("hello")
				w.want("one recipient", err, ErrRefused)
			}
			if st := w.m.Status(); !st.Ready {
				w.t.Fatalf("one bad number took the modem out: %v", st)
			}
			for _, to := range []string{"+16175551235", "+16175551236"} {
				_, err := w.m.Send(context.Background(), w.encodeTo(to, "hello"))
				w.want("another recipient", err, ErrRefused)
			}
			if st := w.m.Status(); st.Phase != PhaseQuarantined || st.Alarm != AlarmSending {
				w.t.Fatalf("after three recipients: %v", st)
			}
			w.ready()
			if _, err := w.send("hello"); err != nil {
				w.t.Fatal(err)
			}
		})
	}
}

func TestRegistrationLost(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		w.faults(modemsim.Faults{Registration: 3})
		st := w.until("not registered", time.Minute, func(s Status) bool { return s.Phase == PhaseRegistering })
		if st.Registration != RegDenied || st.Cause == "" {
			w.t.Fatalf("%+v", st)
		}
		_, err := w.send("hello")
		w.want("without a network", err, ErrNotSent)
		for _, stat := range []int{5, 6, 7, 9, 10} {
			w.faults(modemsim.Faults{Registration: stat})
			if st := w.ready(); st.Registration != Registration(stat) {
				w.t.Fatalf("registration %d, want %d", st.Registration, stat)
			}
			w.faults(modemsim.Faults{Registration: 11})
			w.until("lost again", time.Minute, func(s Status) bool { return !s.Ready })
		}
	})
}
