package alarm

import (
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

func (b *box) trouble() (words string) {
	b.Helper()
	b.do(func(tx *store.Tx) (err error) {
		words, err = Trouble(tx)
		return err
	})
	return words
}

func (b *box) figures() (f Figures) {
	b.Helper()
	b.do(func(tx *store.Tx) (err error) {
		f, err = FiguresOf(tx)
		return err
	})
	return f
}

// The weekly test goes through every outlet, also to who is not on call now, once a week.
func TestWeeklyTest(t *testing.T) {
	p := ladder()
	p.Weekly = Weekly{Day: "tue", At: "09:30"}
	p.OnCall[1].From, p.OnCall[1].To = "22:00", "06:00"
	inBox(t, p, func(b *box) {
		b.run(10 * time.Hour)
		b.wantOut()
		b.run(90 * time.Minute)
		words := "Riverside test 1 of the alarms. Nothing is wrong and nothing is to be done."
		b.wantTexts(night, words)
		b.wantTexts(second, words)
		b.wantOut("it@hospital.example test 1", "pager test 1")
		if b.trouble() != "" || b.figures().TestPassed.IsZero() {
			t.Errorf("trouble %q, passed %v", b.trouble(), b.figures().TestPassed)
		}
		if n := len(b.open()); n != 0 {
			t.Errorf("%d alarms", n)
		}
	})
}

// The failure of the weekly test is a cause of its own until a test goes well.
func TestWeeklyTestFails(t *testing.T) {
	inBox(t, ladder(), func(b *box) {
		b.down["pager"] = true
		b.run(5 * time.Second)
		b.do(func(tx *store.Tx) error { _, err := BeginTest(tx); return err })
		b.run(20 * time.Minute)
		if got := b.trouble(); got != "the weekly test of the alarms did not go by webhook pager (connection refused)" {
			t.Errorf("the trouble is %q", got)
		}
		b.down = map[string]bool{}
		b.do(func(tx *store.Tx) error { _, err := BeginTest(tx); return err })
		b.run(time.Minute)
		if got := b.trouble(); got != "" {
			t.Errorf("the trouble is still %q", got)
		}
	})
}

// A test with nobody to test is refused, and not planned.
func TestNobodyToTest(t *testing.T) {
	inBox(t, Default(), func(b *box) {
		err := b.store.Update(b.Context(), storetest.Tester, func(tx *store.Tx) error { _, err := BeginTest(tx); return err })
		if err == nil {
			t.Error("it is begun")
		}
		b.run(12 * time.Hour)
		if n := len(b.entries(ActionTest)); n != 0 {
			t.Errorf("%d tests", n)
		}
		if b.figures().HeartbeatPassed.IsZero() {
			t.Error("there was no heartbeat at 7")
		}
	})
}

// The heartbeat is daily; the figure a monitor watches stays behind when it does not go.
func TestHeartbeat(t *testing.T) {
	p := ladder()
	p.Heartbeat = Daily{At: "07:00", To: []Target{{Webhook, "monitor"}}}
	inBox(t, p, func(b *box) {
		b.run(9 * time.Hour)
		b.wantOut("monitor heartbeat 1")
		first := b.figures().HeartbeatPassed
		if first.IsZero() {
			t.Fatal("it is not noted")
		}
		b.down["monitor"] = true
		b.run(24 * time.Hour)
		if got := b.figures().HeartbeatPassed; !got.Equal(first) {
			t.Errorf("it passed at %v", got)
		}
		if got := b.trouble(); got != "the daily heartbeat did not go by webhook monitor (connection refused)" {
			t.Errorf("the trouble is %q", got)
		}
		b.down = map[string]bool{}
		b.run(24 * time.Hour)
		if b.trouble() != "" || !b.figures().HeartbeatPassed.After(first) {
			t.Error("it did not come back")
		}
	})
}
