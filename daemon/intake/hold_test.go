package intake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

const result = "ORU^R01\n" + jane + "\nORC|RE\nOBR|1|O1|F1|24356-8^Urinalysis^LN|||||||||||||||||||||F\nOBX|1|NM|5803-2^pH^LN||6.0||||||F"

// resultOf is a final result of another patient each time.
func resultOf(n int) string {
	return strings.NewReplacer("4711", fmt.Sprint("R", n), "6175551234", fmt.Sprintf("617555%04d", 2000+n)).Replace(result)
}

var releasing = Policy{Releasable: []string{"*"}}

func (b *box) held() (list []Held) {
	b.T.Helper()
	b.View(func(tx *store.Tx) (err error) {
		list, err = HeldTexts(tx)
		return err
	})
	return list
}

func (b *box) release(rule string) (sent, dropped int) {
	b.T.Helper()
	for left := 1; left > 0; {
		b.Do(func(tx *store.Tx) error {
			s, d, l, err := Release(tx, rule)
			sent, dropped, left = sent+s, dropped+d, l
			return err
		})
	}
	return sent, dropped
}

func (b *box) trouble() (tr Trouble) {
	b.T.Helper()
	b.View(func(tx *store.Tx) (err error) {
		tr, err = TroubleOf(tx)
		return err
	})
	return tr
}

// TestBreaker: a rule that would text far more than its usual is held, the feed still gets AA, a person
// sees masked samples, and what they release goes, once.
func TestBreaker(t *testing.T) {
	b := newBox(t)
	p := releasing
	p.BreakerFloor = 3
	b.policy(p)
	for i := range 10 {
		sendOK(t, b, resultOf(i))
	}
	if got := len(b.texts()); got != 3 {
		t.Fatalf("%d texts went, want 3", got)
	}
	if e := b.last(); e.Ack != "AA" || !strings.Contains(e.Why, "breaker is open") {
		t.Errorf("explained %+v", e)
	}
	list := b.held()
	if len(list) != 1 || list[0].Rule != "oru.result" || list[0].Count != 7 || list[0].Open.IsZero() || len(list[0].Samples) != samples {
		t.Fatalf("held %+v", list)
	}
	if s := list[0].Samples[0]; s.Patient != "…R3" || s.Template != "result.ready" {
		t.Errorf("sample %+v", s)
	}
	if b.count(ActionBreaker) != 1 || b.count(ActionHold) != 7 {
		t.Errorf("%d openings, %d holds on record", b.count(ActionBreaker), b.count(ActionHold))
	}
	if tr := b.trouble(); !tr.Held || len(tr.Open) != 1 || tr.Open[0] != "oru.result" {
		t.Errorf("trouble %+v", tr)
	}
	sendOK(t, b, resultOf(3)) // the same again: at release it is the same text
	if sent, dropped := b.release("oru.result"); sent != 7 || dropped != 1 {
		t.Errorf("released %d, dropped %d", sent, dropped)
	}
	if got := len(b.texts()); got != 10 {
		t.Errorf("%d texts, want 10", got)
	}
	// The breaker is closed, and what was let through does not open it again at once.
	sendOK(t, b, resultOf(11))
	if e := b.last(); !strings.Contains(e.Did, "queued") || len(b.held()) != 0 {
		t.Errorf("after the release: %+v", e)
	}
	if tr := b.trouble(); tr.Held || len(tr.Open) != 0 {
		t.Errorf("after the release: trouble %+v", tr)
	}
}

// TestBreakerLearns: four times what is usual is let through, and the usual fades by a third in a day.
func TestBreakerLearns(t *testing.T) {
	now := time.Now()
	r := rate{}.turn(now)
	if got := r.limit(nil, Policy{}); got != DefaultBreakerFloor {
		t.Errorf("limit of a new rule is %d", got)
	}
	r.N = 1000
	r = r.turn(now.Add(slot))
	if got := r.limit(nil, Policy{}); got != 4000 || r.N != 0 {
		t.Errorf("limit is %d after a span with 1000", got)
	}
	day := r.turn(now.Add(slot + 24*time.Hour))
	if got := day.limit(nil, Policy{}); got < 2500 || got > 2800 {
		t.Errorf("limit is %d a day later", got)
	}
	if got := r.turn(now.Add(2000*time.Hour)).limit(nil, Policy{}); got != DefaultBreakerFloor {
		t.Errorf("limit is %d after three months", got)
	}
	if got := r.limit(&Rule{Max: 7}, Policy{}); got != 7 {
		t.Errorf("limit of a rule with max 7 is %d", got)
	}
}

// TestDropHeld forgets what waits, and closes the breaker.
func TestDropHeld(t *testing.T) {
	b := newBox(t)
	p := releasing
	p.BreakerFloor = 1
	b.policy(p)
	for i := range 5 {
		sendOK(t, b, resultOf(i))
	}
	b.Do(func(tx *store.Tx) error {
		n, left, err := Drop(tx, "oru.result")
		if n != 4 || left != 0 {
			t.Errorf("dropped %d, left %d", n, left)
		}
		return err
	})
	if len(b.held()) != 0 || len(b.texts()) != 1 {
		t.Errorf("held %+v, %d texts", b.held(), len(b.texts()))
	}
}

// TestPause holds the texts of a rule or a peer; persons and appointments are kept up to date.
func TestPause(t *testing.T) {
	for _, c := range [][2]string{{"rule", "siu.cancel"}, {"peer", "adt"}} {
		t.Run(c[0], func(t *testing.T) {
			b := newBox(t)
			start := time.Now().Add(90 * time.Hour)
			sendOK(t, b, siu("S12", start, ""))
			pause := func(on bool) {
				b.Do(func(tx *store.Tx) error { return Pause(tx, c[0], c[1], on) })
				b.in.ground.Store(nil)
			}
			pause(true)
			sendOK(t, b, siu("S15", start, ""))
			if list := b.held(); len(list) != 1 || list[0].Rule != "siu.cancel" || b.whats() != "" {
				t.Fatalf("held %+v, texts %q", list, b.whats())
			}
			b.View(func(tx *store.Tx) error {
				a, _, err := contact.FindAppointment(tx, contact.AppointmentID{Authority: "EPIC", Number: "A77"})
				if a.Status != contact.Cancelled {
					t.Errorf("the appointment is %s", a.Status)
				}
				return err
			})
			pause(false)
			if sent, _ := b.release("siu.cancel"); sent != 1 {
				t.Errorf("released %d", sent)
			}
			sendOK(t, b, strings.ReplaceAll(siu("S12", start, ""), "A77", "A78"))
			if len(b.held()) != 0 {
				t.Errorf("held %+v after the pause", b.held())
			}
		})
	}
	b := newBox(t)
	for _, c := range [][2]string{{"rule", "none"}, {"lane", "otp"}} {
		err := b.Store.Update(t.Context(), operator, func(tx *store.Tx) error { return Pause(tx, c[0], c[1], true) })
		if err == nil {
			t.Errorf("%v: paused", c)
		}
	}
}

// TestHeldIsCheckedAgain: a held text about an appointment that changed since is pointless.
func TestHeldIsCheckedAgain(t *testing.T) {
	b := newBox(t)
	start := time.Now().Add(90 * time.Hour)
	sendOK(t, b, siu("S12", start, ""))
	b.Do(func(tx *store.Tx) error { return Pause(tx, "rule", "siu.book", true) })
	b.in.ground.Store(nil)
	sendOK(t, b, siu("S13", start.Add(time.Hour), "")) // appointment.moved, and reminders: held
	before := b.held()
	if len(before) != 1 || before[0].Count < 2 {
		t.Fatalf("held %+v", before)
	}
	sendOK(t, b, siu("S15", start.Add(time.Hour), ""))
	if sent, dropped := b.release("siu.book"); sent != 0 || dropped != before[0].Count {
		t.Errorf("released %d, dropped %d of %d", sent, dropped, before[0].Count)
	}
	if got := b.whats(); strings.Contains(got, "moved") || strings.Contains(got, "h") && got != "cancelled" && !strings.HasPrefix(got, "cancelled") {
		t.Errorf("texts are %q", got)
	}
}

// TestHours: texts of a rule wait for its hours, over midnight and over the change of the clocks.
func TestHours(t *testing.T) {
	zone, _ := time.LoadLocation("America/New_York")
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	day, night := Hours{From: "08:00", To: "20:00"}, Hours{From: "20:00", To: "06:00"}
	for _, c := range []struct {
		h        Hours
		at, want string
	}{
		{Hours{}, "2026-01-05 03:00", "2026-01-05 03:00"},
		{day, "2026-01-05 08:00", "2026-01-05 08:00"},
		{day, "2026-01-05 19:59", "2026-01-05 19:59"},
		{day, "2026-01-05 20:00", "2026-01-06 08:00"},
		{day, "2026-01-05 07:59", "2026-01-05 08:00"},
		{day, "2026-01-31 23:00", "2026-02-01 08:00"},
		{day, "2026-03-07 23:00", "2026-03-08 08:00"}, // the clocks go forward
		{day, "2026-10-31 23:00", "2026-11-01 08:00"}, // and back
		{night, "2026-01-05 23:00", "2026-01-05 23:00"},
		{night, "2026-01-05 05:59", "2026-01-05 05:59"},
		{night, "2026-01-05 06:00", "2026-01-05 20:00"},
	} {
		if got := c.h.Next(at(c.at), zone); !got.Equal(at(c.want)) {
			t.Errorf("%v at %s: %s, want %s", c.h, c.at, got.Format(time.DateTime), c.want)
		}
	}
	b := newBox(t)
	p := releasing
	list := p.Rules()
	now := time.Now().In(zone)
	closed := Hours{From: now.Add(2 * time.Hour).Format("15:04"), To: now.Add(3 * time.Hour).Format("15:04")}
	for i := range list {
		if list[i].Name == "oru.result" {
			list[i].Hours = closed
		}
	}
	b.policy(p.WithRules(list))
	sendOK(t, b, result)
	texts := b.texts()
	if len(texts) != 1 || texts[0].due.Sub(now) < 118*time.Minute || texts[0].due.Sub(now) > 121*time.Minute {
		t.Errorf("texts %v, explained %+v", texts, b.last())
	}
}

// TestReleaseKeepsTheHours: who releases at night what was held by day sends it in the rule's hours.
func TestReleaseKeepsTheHours(t *testing.T) {
	b := newBox(t)
	p := releasing
	b.policy(p)
	b.Do(func(tx *store.Tx) error { return Pause(tx, "rule", "oru.result", true) })
	b.in.ground.Store(nil)
	sendOK(t, b, result)
	now := time.Now().In(b.in.ground.Load().site.Location())
	list := p.Rules()
	for i := range list {
		if list[i].Name == "oru.result" {
			list[i].Hours = Hours{From: now.Add(2 * time.Hour).Format("15:04"), To: now.Add(3 * time.Hour).Format("15:04")}
		}
	}
	b.policy(p.WithRules(list))
	if sent, dropped := b.release("oru.result"); sent != 1 || dropped != 0 {
		t.Fatalf("released %d, dropped %d", sent, dropped)
	}
	if texts := b.texts(); len(texts) != 1 || texts[0].due.Sub(now) < 118*time.Minute || texts[0].due.Sub(now) > 121*time.Minute {
		t.Errorf("texts %v", texts)
	}
}
