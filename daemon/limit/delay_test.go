package limit

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

// TestGrowingDelay is NIST SP 800-63B section 3.2.2: from 30 seconds to an hour, at most 100 in a row.
func TestGrowingDelay(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		tr := Triple{number(t), "portal-login", Public}
		for range FreeFailures {
			if wait, blocked := delayOf(t, s, tr); wait != 0 || blocked {
				t.Fatalf("the checks of a first verification are held back by %v", wait)
			}
			fail(t, s, tr)
		}
		if wait, _ := delayOf(t, s, tr); wait != 0 {
			t.Fatalf("the sixth try is held back by %v", wait)
		}
		want := 30 * time.Second
		for n := FreeFailures + 1; n < MaxFailures; n++ {
			if got := fail(t, s, tr); got != n {
				t.Fatalf("failure %d counts as %d", n, got)
			}
			if wait, blocked := delayOf(t, s, tr); wait != want || blocked {
				t.Fatalf("after failure %d: wait %v, want %v, blocked %t", n, wait, want, blocked)
			}
			want = min(2*want, time.Hour)
		}
		time.Sleep(59 * time.Minute)
		if wait, _ := delayOf(t, s, tr); wait != time.Minute {
			t.Fatalf("an hour's delay has %v left after 59 minutes", wait)
		}
		time.Sleep(time.Minute)
		if wait, blocked := delayOf(t, s, tr); wait != 0 || blocked {
			t.Fatal("the delay does not end")
		}
		fail(t, s, tr)
		time.Sleep(1000 * time.Hour)
		if _, blocked := delayOf(t, s, tr); !blocked {
			t.Fatal("a hundred in a row do not block, or time lifts the block")
		}
		// It hits that triple and no other.
		for _, other := range []Triple{{tr.Number, tr.Service, Staff}, {tr.Number, "billing", Public}} {
			if wait, blocked := delayOf(t, s, other); wait != 0 || blocked {
				t.Errorf("%s %s is held back too", other.Service, other.Class)
			}
		}
		storetest.Update(t, s, func(tx *store.Tx) error { return Clear(tx, tr) })
		if wait, blocked := delayOf(t, s, tr); wait != 0 || blocked || fail(t, s, tr) != 1 {
			t.Error("a success does not end the row")
		}
	})
}

func BenchmarkStartBudgets(b *testing.B) {
	s := storetest.Open(b)
	l := Default()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("+1617555%04d", i)
	}
	i := 0
	err := s.Update(b.Context(), storetest.Tester, func(tx *store.Tx) error {
		for b.Loop() {
			k := keys[i%len(keys)]
			i++
			err := TakeAll(tx, Charge{l.NumberHour, k}, Charge{l.NumberDay, k}, Charge{l.Client, k}, Charge{l.Prefix, k})
			var e *Exceeded
			if err != nil && !errors.As(err, &e) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
