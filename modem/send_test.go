package modem

import (
	"context"
	"errors"
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

// The 45 s way out: a code waits, no other modem is free.

// A recipient that the network refuses says nothing against the modem, however many there are.

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
