package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/modem/modemsim"
	"pinward/store"
)

// last is the result of the last self-test of the first modem.
func (f *flow) last() (t selfTest) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) (err error) {
		t, _, err = tested.Get(tx, testedKey(tx, f.status().ICCID))
		return err
	}))
	return t
}

func (f *flow) tested(n int) {
	f.t.Helper()
	f.until("self-tests", 40*time.Minute, func() bool { return len(f.entries(actTestEnd)) >= n })
}

// A SIM that was never tested is tested soon, to a SIM of the other carrier; what arrives is read by
// nobody.
func TestFlowSelfTestOfNewSIM(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.tested(2)
		if r := f.last(); !r.OK || r.ToModem != "m2" || r.Arrived.IsZero() || r.Receipt.IsZero() || r.Accepted.IsZero() {
			t.Fatalf("the first test: ok %v, to %s: %s", r.OK, r.ToModem, r.Cause)
		}
		if n := len(f.entries(actText)) + len(f.entries("text.own")); n != 0 {
			t.Errorf("%d self-tests were offered to be read", n)
		}
		for _, m := range f.modems {
			if n := len(f.network.Handset(m.Number()).Messages()); n != 0 {
				t.Errorf("%d answers went to a SIM of the box", n)
			}
		}
	})
}

// Each night each SIM is tested once more, and not all at the same time.
func TestFlowSelfTestsAtNight(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		zone, err := time.LoadLocation("America/New_York")
		f.must(err)
		now := time.Now().In(zone)
		time.Sleep(time.Until(time.Date(now.Year(), now.Month(), now.Day()+1, 4, 30, 0, 0, zone)))
		starts := f.entries(actTestStart) // newest first: this night's two, and the first of each SIM
		if len(starts) != 4 {
			t.Fatalf("%d tests began, want 4", len(starts))
		}
		var minutes []int
		for _, e := range starts[:2] {
			at := e.Time.In(zone)
			if at.Hour() < 2 || at.Hour() > 3 {
				t.Errorf("a test began at %s local time", at.Format(time.TimeOnly))
			}
			minutes = append(minutes, at.Hour()*60+at.Minute())
		}
		if minutes[0]-minutes[1] < 30 {
			t.Errorf("the SIMs are not tested at different times: %v", minutes)
		}
		for _, e := range f.entries(actTestEnd) {
			if e.Entry.Outcome != store.OK {
				t.Errorf("a test failed: %s", record.Attr(e.Entry, "result"))
			}
		}
	})
}

// A test whose text gets lost fails once, says how far it came, and is tried again the next night only.
func TestFlowSelfTestDoesNotArrive(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		for _, m := range f.modems {
			f.must(m.SetFaults(modemsim.Faults{LoseText: 1, ReportNever: true}))
		}
		f.tested(2)
		r := f.last()
		if r.OK || !strings.HasPrefix(r.Cause, "accepted after ") || !strings.HasSuffix(r.Cause, ", no receipt, did not arrive") {
			t.Fatalf("ok %v: %s", r.OK, r.Cause)
		}
		if got := f.troubles(); !slices.Equal(got, []string{"self-test"}) {
			t.Errorf("health names %v", got)
		}
		time.Sleep(20 * time.Minute)
		if n := len(f.entries(actTestStart)); n != 2 {
			t.Errorf("%d tests began, want one a SIM", n)
		}
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			_, err := f.startTest(tx, "m1", contact.Phone{}, false)
			return err
		}))
		f.tested(3)
		if got := f.troubles(); len(got) != 0 {
			t.Errorf("after a test that went well health names %v", got)
		}
	})
}

// A modem that refuses the test is not asked again and again.
func TestFlowSelfTestRefused(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SendErrors: slices.Repeat([]string{"+CMS ERROR: 500"}, 100)}))
		f.tested(1)
		if r := f.last(); r.OK || !strings.HasPrefix(r.Cause, "not accepted") || r.ToModem != "m1" {
			t.Errorf("ok %v, to %s: %s", r.OK, r.ToModem, r.Cause)
		}
		if n := len(f.entries(outbox.ActionUnknown)); n != 1 {
			t.Errorf("the test was handed over %d times", n)
		}
	})
}

// A text of somebody who knows the form of a test, and not its token, is read as any other.
func TestFlowForgedSelfTest(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.network.Handset(patient).Reply("Test modem test AAAAAAAAAAAAAAAA", "m1"))
		f.until("it is read", 2*time.Minute, func() bool { return len(f.entries(actText)) == 1 })
	})
}

// In shadow mode nothing leaves the box; in pilot mode a SIM of the box may be written to, as it is no
// patient's.
func TestFlowSelfTestByMode(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.mode(contact.Shadow)
		time.Sleep(20 * time.Minute)
		if n := len(f.entries(actTestStart)); n != 0 {
			t.Fatalf("%d tests began in shadow mode", n)
		}
		f.mode(contact.Pilot)
		f.tested(1)
		if r := f.last(); !r.OK {
			t.Errorf("in pilot mode: %s", r.Cause)
		}
	})
}

func (f *flow) mode(m contact.Mode) {
	f.t.Helper()
	f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		site.Mode = m
		return contact.SetSite(tx, site)
	}))
}

// Reference 5.1: an answer that comes after the caller was told "unknown yet" is kept all the same; the
// receipt finds its part by it.
func TestFlowLateAnswerAmends(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SendDelay: modemsim.Duration(codePatience + 5*time.Second), ReportNever: true}))
		v, err := f.start()
		f.must(err)
		f.until("patience runs out", time.Minute, func() bool {
			m := f.message(v)
			return len(m.Attempts) == 1 && m.Attempts[0].Outcome == outbox.Unknown
		})
		f.until("the answer is kept", 20*time.Second, func() bool { return f.message(v).Attempts[0].Outcome == outbox.Sent })
		a := f.message(v).Attempts[0]
		if !a.Late || len(a.Parts) != 1 {
			t.Errorf("late %v, %d references", a.Late, len(a.Parts))
		}
		if n := len(f.network.Handset(patient).Messages()); n != 1 {
			t.Errorf("%d texts went out", n)
		}
		e := f.entries(outbox.ActionSent)
		if len(e) != 1 || record.Attr(e[0].Entry, "late") == "" {
			t.Error("no entry tells that the answer was late")
		}
	})
}

// The night is in the site's own hours: the middle of the day never is, whatever its quiet hours.
func TestNight(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 1, 12, 0, 0, 0, zone) // the clock goes back in this night
	for _, c := range []struct{ from, to, begin, last string }{
		{"", "", "02:00", "03:30"},
		{"21:00", "08:00", "02:00", "03:30"},
		{"22:00", "03:30", "01:30", "03:00"},
		{"13:00", "15:00", "02:00", "03:30"},
	} {
		site := contact.Site{Zone: "America/New_York", QuietFrom: c.from, QuietTo: c.to}
		if got := slot(site, noon, 0, 4).Format("15:04"); got != c.begin {
			t.Errorf("quiet from %q to %q: the night begins at %s, want %s", c.from, c.to, got, c.begin)
		}
		if got := slot(site, noon, 3, 4).Format("15:04"); got != c.last {
			t.Errorf("quiet from %q to %q: the last of four is tested at %s, want %s", c.from, c.to, got, c.last)
		}
	}
}
