package outbox

import (
	"testing"
	"time"

	"pinward/store"
)

// Share and delay are learned per sending SIM and destination prefix (issue: routes).
func TestLearned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.only("a")
		for i := range 4 {
			b.say(i, map[string]carrier{"a": {drops: i == 3, receipts: true}})
		}
		b.say(10_000, map[string]carrier{"a": {}})
		time.Sleep(time.Minute)
		b.view(func(tx *store.Tx) error {
			all, err := Learned(tx)
			if err != nil {
				return err
			}
			if len(all) != 2 {
				t.Fatalf("%d ways", len(all))
			}
			r := all[0]
			if r.SIM != "sim-a" || r.Sender != "a" || r.Carrier != "red" || r.Prefix != phone(0).Prefix() ||
				r.Texts != 4 || r.Receipts != 3 || r.Share != 0.75 || r.Delay != 3*time.Second {
				t.Errorf("learned %+v", r)
			}
			if r := all[1]; r.Texts != 1 || r.Receipts != 0 || r.Converted != 1 || r.Prefix != phone(10_000).Prefix() {
				t.Errorf("learned %+v", r)
			}
			return nil
		})
	})
}

// Of several attempts the one that arrived is credited, and a call proves nothing of texts.
func TestConvertedCreditsOneAttempt(t *testing.T) {
	typed := func(b *box, name string) (n int) {
		b.view(func(tx *store.Tx) error {
			all, err := Learned(tx)
			for _, r := range all {
				if r.SIM == "sim-"+name {
					n += r.Converted
				}
			}
			return err
		})
		return n
	}
	for name, c := range map[string]struct {
		receipt bool // of the first attempt
		a, c    int
	}{"by receipt": {true, 1, 0}, "the last": {false, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.report(modem("a", "red"), modem("c", "blue"))
				m := code(1)
				m.Route, m.Ref = fullRoute()[:2], "VE1"
				m = b.put(m)
				first := b.must("a")
				b.settle(first, sentAs(1))
				b.do(func(tx *store.Tx) error { return Hasten(tx, m.ID) })
				b.settle(b.must("c"), sentAs(2))
				if c.receipt {
					b.receive(first, 1, 0)
				}
				for range 2 {
					b.do(func(tx *store.Tx) error { return Converted(tx, "VE1") })
				}
				if typed(b, "a") != c.a || typed(b, "c") != c.c {
					t.Errorf("a is credited %d, c %d", typed(b, "a"), typed(b, "c"))
				}
			})
		})
	}
	t.Run("a call", func(t *testing.T) {
		b := newBox(t)
		v := modem("a", "red")
		v.Voice = true
		b.report(v)
		m := code(1)
		m.Route, m.Ref = []Step{{Channel: SMS}, {Channel: Call}}, "VE1"
		m = b.put(m)
		b.settle(b.must("a"), sentAs(1))
		b.do(func(tx *store.Tx) error { return Hasten(tx, m.ID) })
		b.settle(b.must("a"), Result{Outcome: Delivered})
		b.do(func(tx *store.Tx) error { return Converted(tx, "VE1") })
		if typed(b, "a") != 0 {
			t.Error("a call proved a text")
		}
	})
}
