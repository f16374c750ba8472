package outbox

import (
	"testing"
	"time"

	"pinward/store"
)

func TestHalfOfMinuteBudgetIsKeptForCodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.caps("a", 6, -1)
		b.report(modem("a", "red"))
		for i := range 10 {
			b.put(notice(i))
			b.put(code(100 + i))
		}
		count := func() (codes, notices int) {
			for {
				job, ok := b.next("a")
				if !ok {
					return codes, notices
				}
				if job.Message.Lane == OTP {
					codes++
				} else {
					notices++
				}
				b.settle(job, sentAs(1))
			}
		}
		if codes, notices := count(); codes != 6 || notices != 0 {
			t.Fatalf("the first minute took %d codes and %d notices, want 6 and 0", codes, notices)
		}
		time.Sleep(70 * time.Second)
		if codes, notices := count(); codes != 4 || notices != 2 {
			t.Fatalf("the second minute took %d codes and %d notices, want 4 and 2", codes, notices)
		}
		time.Sleep(70 * time.Second)
		if codes, notices := count(); codes != 0 || notices != 3 {
			t.Fatalf("a minute without codes took %d notices, want half of the budget", notices)
		}
		b.view(func(tx *store.Tx) error { // an idle sender is told when to ask again
			at, ok, err := NextDue(tx)
			if wait := time.Until(at); !ok || wait <= 0 || wait > 65*time.Second {
				t.Errorf("the budget is said to have room in %v", wait)
			}
			return err
		})
	})
}

func TestDayBudgetGoesByPartsAndSIM(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.src["notice"] = func(_ *store.Tx, m Message) (Rendered, error) { return Rendered{Text: "long", Parts: 2}, nil }
		b.caps("a", -1, 8)
		b.report(modem("a", "red"))
		for i := range 4 {
			m := notice(i)
			m.Expires = time.Now().Add(72 * time.Hour)
			b.put(m)
		}
		job := b.must("a")
		b.settle(job, Result{Outcome: NotSent}) // nothing left the modem: it does not count
		b.settle(b.must("a"), sentAs(1, 2))
		b.settle(b.must("a"), sentAs(3, 4))
		b.none("a")
		s := modem("b", "red") // the SIM in another modem has the same budget
		s.SIM = "sim-a"
		b.report(s)
		b.none("b")
		time.Sleep(26 * time.Hour)
		b.must("b")
	})
}
