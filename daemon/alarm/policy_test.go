package alarm

import (
	"strings"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

// A policy that could not work is refused with the place of what is wrong.
func TestPolicyIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Policy){
		"help is longer":                        func(p *Policy) { p.Help = strings.Repeat("x", 201) },
		"hold_minutes is not 0 to 60":           func(p *Policy) { p.HoldMinutes = 61 },
		"repeat_minutes is below 5":             func(p *Policy) { p.RepeatMinutes = 4 },
		"on_call[0]: name must be set":          func(p *Policy) { p.OnCall[0].Name = "a b" },
		"on_call[1]: it has neither":            func(p *Policy) { p.OnCall[1] = Duty{Name: "second"} },
		"on_call[0]: mail is no address":        func(p *Policy) { p.OnCall[0].Mail = "x" },
		"on_call[0]: days are":                  func(p *Policy) { p.OnCall[0].Days = []string{"monday"} },
		"on_call[0]: not two times":             func(p *Policy) { p.OnCall[0].From = "25:00" },
		"steps[0]: to has not":                  func(p *Policy) { p.Steps[0].To = nil },
		"more than 50 on call":                  func(p *Policy) { p.Steps = make([]Step, 21) },
		"steps[0]: by is none":                  func(p *Policy) { p.Steps[0].By = "fax" },
		"steps[0]: nobody in on_call":           func(p *Policy) { p.Steps[0].To = []string{"day"} },
		"steps[2]: neither an address":          func(p *Policy) { p.Steps[2].To = []string{"night"} },
		"steps[3]: a webhook needs":             func(p *Policy) { p.Steps[3].To = []string{""} },
		"steps[1]: wait_minutes is":             func(p *Policy) { p.Steps[1].WaitMinutes = -1 },
		"steps[1]: least is none":               func(p *Policy) { p.Steps[1].Least = "fatal" },
		"heartbeat.to[0]: by is none":           func(p *Policy) { p.Heartbeat.To = []Target{{}} },
		"heartbeat.at is no time":               func(p *Policy) { p.Heartbeat.At = "7" },
		"severities[0]: needs a path":           func(p *Policy) { p.Severities = []Rule{{Severity: Ignore}} },
		"warn_from and warn_to: not two times":  func(p *Policy) { p.WarnTo = "" },
		"weekly_test.day is none of mon to sun": func(p *Policy) { p.Weekly.Day = "someday" },
		"weekly_test.at is no time":             func(p *Policy) { p.Weekly = Weekly{Day: "mon"} },
	} {
		p := ladder()
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := ladder().Check(); err != nil {
		t.Error(err)
	}
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
}

// A silence ends by itself, is bounded, and can be lifted.
func TestSilences(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		set := func(s Silence) error {
			return b.store.Update(b.Context(), storetest.Tester, func(tx *store.Tx) error { return SetSilence(tx, s) })
		}
		if err := set(Silence{Until: time.Now().Add(8 * 24 * time.Hour)}); err == nil {
			t.Error("one of eight days is taken")
		}
		count := func() (n int) {
			b.do(func(tx *store.Tx) error {
				l, err := Silences(tx)
				n = len(l)
				return err
			})
			return n
		}
		for _, s := range []Silence{{Path: "modems", Until: time.Now().Add(time.Hour)}, {Until: time.Now().Add(2 * time.Hour)}, {Path: "modems", Until: time.Now().Add(3 * time.Hour)}} {
			if err := set(s); err != nil {
				t.Fatal(err)
			}
		}
		if count() != 2 {
			t.Errorf("%d silences", count())
		}
		if err := set(Silence{}); err != nil || count() != 1 {
			t.Errorf("%v, %d after it was lifted", err, count())
		}
		time.Sleep(4 * time.Hour)
		if count() != 0 {
			t.Error("it did not end")
		}
	})
}

// What has been over for more than a year is forgotten, with an entry.
func TestSweep(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.is(Critical, "store")
		b.run(2 * time.Minute)
		b.is(Critical)
		b.run(7 * time.Minute)
		b.do(Sweep)
		if n := len(b.entries(ActionForgot)); n != 0 {
			t.Error("it is forgotten at once")
		}
		b.do(func(tx *store.Tx) error { // a year later
			a, err := Get(tx, 1)
			if err != nil {
				return err
			}
			a.Ended = a.Ended.Add(-kept)
			return a.keep(tx, ActionChanged, store.OK)
		})
		b.do(Sweep)
		if n := len(b.entries(ActionForgot)); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}
