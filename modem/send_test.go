package modem

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/modemsim"
)

func TestOutcomeByErrorClass(t *testing.T) {
	cases := []struct {
		answer string
		target error // nil: unknown
		class  Class
	}{
		{"+CMS ERROR: 38", ErrNotSent, ClassTransient},
		{"+CMS ERROR: 331", ErrNotSent, ClassTransient},
		{"+CMS ERROR: 332", nil, ClassAmbiguous},
		{"+CMS ERROR: 500", nil, ClassAmbiguous},
		{"+CMS ERROR: 512", nil, ClassAmbiguous},
		{"+CMS ERROR: 999", nil, ClassAmbiguous},
		{"+CMS ERROR: 1", ErrRefused, ClassRecipient},
		{"+CMS ERROR: 28", ErrRefused, ClassRecipient},
		{"+CMS ERROR: 304", ErrNotSent, ClassFault},
		{"+CMS ERROR: 310", ErrNotSent, ClassSIM},
		{"+CMS ERROR: 322", ErrNotSent, ClassStorage},
		{"+CME ERROR: 30", ErrNotSent, ClassTransient},
		{"+CME ERROR: 100", nil, ClassAmbiguous},
		{"+CMS ERROR: Network timeout", nil, ClassAmbiguous},
		{"ERROR", nil, ClassAmbiguous},
	}
	for _, c := range cases {
		t.Run(c.answer, func(t *testing.T) {
			inWorld(t, setup{faults: modemsim.Faults{SendErrors: []string{c.answer}}}, func(w *world) {
				w.ready()
				_, err := w.send("hello")
				w.want(c.answer, err, c.target)
				var e *CMSError
				if !errors.As(err, &e) || e.Class != c.class {
					w.t.Fatalf("%v, want class %s", err, c.class)
				}
				if got := w.shown(patient); len(got) != 0 {
					w.t.Fatalf("the handset shows %d texts", len(got))
				}
			})
		})
	}
}

func TestNoPromptIsNotSent(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{NoPrompt: 1}}, func(w *world) {
		w.ready()
		start := time.Now()
		_, err := w.send("first")
		w.want("no prompt", err, ErrNotSent)
		if d := time.Since(start); d != 10*time.Second {
			w.t.Fatalf("gave up after %v, want 10 s", d)
		}
		w.ready()
		if _, err := w.send("second"); err != nil {
			w.t.Fatalf("send after a lost prompt: %v\n%s", err, w.log)
		}
		time.Sleep(time.Minute)
		if got := w.shown(patient); len(got) != 1 || got[0] != "second" {
			w.t.Fatalf("handset shows %q", got)
		}
	})
}

func TestPromptForms(t *testing.T) {
	for name, f := range map[string]modemsim.Faults{
		"SIM7670G":  {Prompt: "\r\n>\r\n"},
		"bare":      {Prompt: ">"},
		"double":    {DoublePrompt: true},
		"late":      {PromptDelay: modemsim.Duration(5 * time.Second)},
		"swallows":  {PromptRace: modemsim.Duration(90 * time.Millisecond)},
		"in pieces": {Chunk: 1, ChunkGap: modemsim.Duration(time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{faults: f}, func(w *world) {
				w.ready()
				if _, err := w.send("hello"); err != nil {
					w.t.Fatalf("send: %v", err)
				}
				time.Sleep(10 * time.Second)
				if got := w.shown(patient); len(got) != 1 || got[0] != "hello" {
					w.t.Fatalf("handset shows %q", got)
				}
				if n := w.sim.Submitted(); n != 1 {
					w.t.Fatalf("the network took %d messages", n)
				}
			})
		})
	}
}

func TestFramingAndNoise(t *testing.T) {
	for name, f := range map[string]modemsim.Faults{
		"CRCRLF":               {DoubleCR: true},
		"CR":                   {CROnly: true},
		"no first CR":          {NoLeadingCR: true},
		"echo":                 {EchoAlways: true},
		"echo, CRCRLF":         {EchoAlways: true, DoubleCR: true},
		"garbage":              {Garbage: 1000},
		"garbage, no first CR": {Garbage: 1000, NoLeadingCR: true},
		"URC inside":           {URCInside: true},
		"URC flood":            {URCEvery: modemsim.Duration(5 * time.Millisecond)},
		"pieces":               {Chunk: 1, ChunkGap: modemsim.Duration(time.Millisecond), EchoAlways: true},
		"slow":                 {Late: modemsim.Duration(900 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{faults: f, sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
				st := w.ready()
				if st.Vendor != "Quectel" || st.Model != "EC25" || st.Profile != "quectel-ec25" || st.SignalDBm == 0 {
					w.t.Fatalf("status %#v, vendor %q", st, st.Vendor)
				}
				sent, err := w.send("hello")
				if err != nil {
					w.t.Fatalf("send: %v", err)
				}
				if e := w.event(time.Minute); e.Report == nil || e.Report.Ref != sent.Ref {
					w.t.Fatalf("event %+v", e)
				}
			})
		})
	}
}

// A report may come before +CMGS, twice, or under another reference: each is handed on as it came.
func TestReportsOnBadDays(t *testing.T) {
	t.Run("early", func(t *testing.T) {
		inWorld(t, setup{faults: modemsim.Faults{ReportEarly: true}}, func(w *world) {
			w.ready()
			sent, err := w.send("hello")
			if err != nil {
				w.t.Fatal(err)
			}
			select { // it is there already
			case e := <-w.m.Events():
				if e.Report == nil || e.Report.Ref != sent.Ref {
					w.t.Fatalf("event %+v", e)
				}
			default:
				w.t.Fatal("no report before +CMGS")
			}
		})
	})
	t.Run("twice", func(t *testing.T) {
		inWorld(t, setup{faults: modemsim.Faults{ReportTwice: true}}, func(w *world) {
			w.ready()
			sent, err := w.send("hello")
			if err != nil {
				w.t.Fatal(err)
			}
			for range 2 {
				if e := w.event(time.Minute); e.Report == nil || e.Report.Ref != sent.Ref {
					w.t.Fatalf("event %+v", e)
				}
			}
			w.noEvent(time.Minute)
		})
	})
	t.Run("wrong reference", func(t *testing.T) {
		inWorld(t, setup{faults: modemsim.Faults{ReportWrongMR: true}}, func(w *world) {
			w.ready()
			sent, err := w.send("hello")
			if err != nil {
				w.t.Fatal(err)
			}
			if e := w.event(time.Minute); e.Report == nil || e.Report.Ref == sent.Ref || e.Report.To != patient {
				w.t.Fatalf("event %+v, sent %d", e, sent.Ref)
			}
		})
	})
	t.Run("handset off until the life is over", func(t *testing.T) {
		inWorld(t, setup{}, func(w *world) {
			w.ready()
			off := false
			if err := w.net.Handset(patient).Set(modemsim.HandsetChange{On: &off}); err != nil {
				w.t.Fatal(err)
			}
			sent, err := w.send("hello")
			if err != nil {
				w.t.Fatal(err)
			}
			for { // "still trying" reports may come before
				e := w.event(10 * time.Minute)
				if e.Report == nil || e.Report.Ref != sent.Ref {
					w.t.Fatalf("event %+v", e)
				}
				if e.Report.Status == 0x46 {
					break
				}
				if e.Report.Status < 0x20 || e.Report.Status > 0x3f {
					w.t.Fatalf("status %#x of a handset that is off", e.Report.Status)
				}
			}
		})
	})
}

func TestAnswerMinutesLateIsAnAnswer(t *testing.T) {
	inWorld(t, setup{faults: modemsim.Faults{SendDelay: modemsim.Duration(4 * time.Minute)}}, func(w *world) {
		w.ready()
		start := time.Now()
		if _, err := w.send("hello"); err != nil {
			w.t.Fatalf("after %v: %v", time.Since(start), err)
		}
		if time.Since(start) < 4*time.Minute {
			w.t.Fatal("the answer was not late")
		}
	})
}

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

// The 45 s way out: a code waits, no other modem is free.
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

// A recipient that the network refuses says nothing against the modem, however many there are.
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

func TestFirstByteIsTraced(t *testing.T) {
	inWorld(t, setup{}, func(w *world) {
		w.ready()
		synctest.Wait()
		if _, err := w.send("hello"); err != nil {
			w.t.Fatal(err)
		}
		if n := w.traced("AT+CMGS"); n != 1 {
			w.t.Fatalf("AT+CMGS traced %d times", n)
		}
		for _, e := range w.traces {
			if len(e) > 12 {
				w.t.Fatalf("trace %q is more than a command's name", e)
			}
		}
	})
}

func TestQueryOnlyWhatTheProfileLists(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		if info, err := w.m.Query(context.Background(), "+CSQ"); err != nil || len(info) != 1 {
			w.t.Fatalf("%q, %v", info, err)
		}
		for _, cmd := range []string{"+CMGF=1", "+CSQ;+CFUN=1,1", "D16175551234;", "+CPIN=\"0000\"", "+csq", "+CMGL=4"} {
			if _, err := w.m.Query(context.Background(), cmd); !errors.Is(err, ErrQuery) {
				w.t.Errorf("%s: %v", cmd, err)
			}
		}
	})
}
