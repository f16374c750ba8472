package limit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
	"pinward/store/storetest"
)

// clocked runs a test over a real store in a bubble whose clock stands still until it sleeps.
func clocked(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t)
		fn(t, s)
	})
}

func take(t *testing.T, s *store.Store, b Budget, key string) error {
	t.Helper()
	return s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error { return Take(tx, b, key) })
}

// exceeded says how long a take has to wait; an error of another kind ends the test.
func exceeded(t *testing.T, err error) (wait time.Duration, yes bool) {
	t.Helper()
	var e *Exceeded
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e == nil {
		return 0, false
	}
	return e.RetryAfter, true
}

func TestBudgetSlides(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		b := Budget{Name: "test", Max: 3, Window: time.Hour}
		for range 3 {
			if err := take(t, s, b, "a"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		wait, yes := exceeded(t, take(t, s, b, "a"))
		if !yes || wait != 30*time.Minute {
			t.Fatalf("the fourth waits %v, want the half hour until the first has left", wait)
		}
		if err := take(t, s, b, "b"); err != nil {
			t.Fatalf("another key: %v", err)
		}
		time.Sleep(wait - time.Millisecond)
		if _, yes := exceeded(t, take(t, s, b, "a")); !yes {
			t.Fatal("passed a millisecond early")
		}
		time.Sleep(time.Millisecond)
		if err := take(t, s, b, "a"); err != nil {
			t.Fatalf("after the wait it asked for: %v", err)
		}
		if _, yes := exceeded(t, take(t, s, b, "a")); !yes {
			t.Fatal("a fixed window: all came back at once")
		}
	})
}

// TestNoWindowHoldsTooMany plays random takes against the definition, exact and in buckets: in no
// window are there more than Max, and waiting as told is enough.
func TestNoWindowHoldsTooMany(t *testing.T) {
	for _, size := range []int{5, exactMax, exactMax + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			clocked(t, func(t *testing.T, s *store.Store) {
				b := Budget{Name: "test", Max: size, Window: time.Hour}
				r := rand.New(rand.NewPCG(1, uint64(size)))
				var taken []time.Time
				refused := 0
				for range 3 * size {
					time.Sleep(time.Duration(r.Int64N(int64(b.Window) / int64(size)))) // twice what the budget bears
					if r.IntN(size) == 0 {
						time.Sleep(10 * time.Minute)
					}
					if wait, yes := exceeded(t, take(t, s, b, "a")); yes {
						if wait <= 0 || wait > b.Window+b.Window/buckets {
							t.Fatalf("waits %v", wait)
						}
						refused++
						time.Sleep(wait)
						if err := take(t, s, b, "a"); err != nil {
							t.Fatalf("after the wait it asked for: %v", err)
						}
					}
					taken = append(taken, time.Now())
					in := 0
					for _, at := range taken {
						if time.Since(at) < b.Window {
							in++
						}
					}
					if in > size {
						t.Fatalf("%d in one window of %d", in, size)
					}
				}
				if refused == 0 {
					t.Error("the budget was never used up, so nothing was shown")
				}
			})
		})
	}
}

// TestReserveForStaff: a stranger who uses up a number's budget must not keep a nurse from it.
func TestReserveForStaff(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		l := Default()
		for _, b := range []Budget{l.NumberHour, l.NumberDay} {
			public := 0
			for take(t, s, b.For(false), "n") == nil {
				public++
			}
			staff := 0
			for take(t, s, b.For(true), "n") == nil {
				staff++
			}
			if public+staff != b.Max || staff != b.Reserve || staff == 0 {
				t.Errorf("%s: %d public and %d staff of %d", b.Name, public, staff, b.Max)
			}
		}
		if l.NumberHour.Max-l.NumberHour.Reserve != 5 || l.NumberHour.Reserve != 1 || l.NumberDay.Max-l.NumberDay.Reserve != 10 || l.NumberDay.Reserve != 2 {
			t.Error("the shipped numbers are not those of the design")
		}
		all := Budget{Name: "all", Max: 2, Reserve: 2, Window: time.Minute}
		if wait, yes := exceeded(t, take(t, s, all.For(false), "n")); !yes || wait != time.Minute {
			t.Errorf("the public takes from a budget that is all reserve: %v", wait)
		}
	})
}

func TestTakeAllOrNone(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		wide := Charge{Budget{Name: "wide", Max: 10, Window: time.Minute}, "a"}
		day := Charge{Budget{Name: "day", Max: 1, Window: 24 * time.Hour}, "a"}
		hour := Charge{Budget{Name: "hour", Max: 1, Window: time.Hour}, "a"}
		storetest.Update(t, s, func(tx *store.Tx) error { return TakeAll(tx, wide, hour, day) })
		storetest.Update(t, s, func(tx *store.Tx) error {
			err := TakeAll(tx, wide, hour, day)
			var e *Exceeded
			if !errors.As(err, &e) || e.Budget != "day" || e.RetryAfter != 24*time.Hour {
				t.Errorf("got %v, want the longest wait", err)
			}
			return nil // committed: a refusal must not have cost anything
		})
		storetest.View(t, s, func(tx *store.Tx) error {
			if left, _, err := Peek(tx, wide.Budget, "a"); left != 9 || err != nil {
				t.Errorf("%d left, %v", left, err)
			}
			return nil
		})
	})
}

func TestGiveAndFailedTransaction(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		b := Budget{Name: "test", Max: 1, Window: time.Hour}
		storetest.Update(t, s, func(tx *store.Tx) error {
			if err := Take(tx, b, "a"); err != nil {
				return err
			}
			return Give(tx, b, "a")
		})
		broken := errors.New("broken")
		err := s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error {
			if err := Take(tx, b, "a"); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err := take(t, s, b, "a"); err != nil {
			t.Errorf("what was given back, or rolled back, is gone: %v", err)
		}
		storetest.Update(t, s, func(tx *store.Tx) error { return Give(tx, b, "never taken") })
	})
}

// TestForget: who proved themselves begins anew, and nobody else does.
func TestForget(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		b := Budget{Name: "test", Max: 3, Window: time.Hour}
		for range 3 {
			for _, key := range []string{"a", "b"} {
				if err := take(t, s, b, key); err != nil {
					t.Fatal(err)
				}
			}
		}
		storetest.Update(t, s, func(tx *store.Tx) error { return Forget(tx, b, "a") })
		storetest.View(t, s, func(tx *store.Tx) error {
			for key, want := range map[string]int{"a": 3, "b": 0} {
				if left, _, err := Peek(tx, b, key); left != want || err != nil {
					t.Errorf("%s: %d left, %v", key, left, err)
				}
			}
			return nil
		})
	})
}

func TestNoLimit(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		for range 50 {
			storetest.Update(t, s, func(tx *store.Tx) error { return Take(tx, Budget{Name: "open", Window: time.Hour}, "a") })
		}
	})
}

func TestSweep(t *testing.T) {
	clocked(t, func(t *testing.T, s *store.Store) {
		b := Budget{Name: "test", Max: 5, Window: time.Hour}
		for i := range 30 {
			if i == 20 {
				time.Sleep(2 * time.Hour)
			}
			if err := take(t, s, b, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		var cursor []byte
		rounds := 0
		for {
			storetest.Update(t, s, func(tx *store.Tx) (err error) {
				cursor, err = Sweep(tx, cursor, 7)
				return err
			})
			if rounds++; cursor == nil {
				break
			}
			if rounds > 10 {
				t.Fatal("it never ends")
			}
		}
		storetest.View(t, s, func(tx *store.Tx) error {
			if n, err := counters.Len(tx); n != 10 || err != nil {
				t.Errorf("%d counters are left, %v; want the ten that still count", n, err)
			}
			return nil
		})
		if rounds < 4 {
			t.Errorf("%d rounds of seven over thirty", rounds)
		}
	})
}

func TestBudgetsOutliveARestart(t *testing.T) {
	dir, keys := t.TempDir(), storetest.NewKeys(t)
	b := Budget{Name: "test", Max: 1, Window: time.Hour}
	for i := range 2 {
		s, err := store.Open(t.Context(), dir, store.Options{Origin: "pinward/test", Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		_, refused := exceeded(t, take(t, s, b, "a"))
		if refused != (i == 1) {
			t.Errorf("run %d: refused %t", i, refused)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSetLimits(t *testing.T) {
	s := storetest.Open(t)
	l := Default()
	l.Client.Max, l.Client.Reserve = 0, 0
	l.NumberHour.Name = "smuggled" // would begin a new count
	storetest.Update(t, s, func(tx *store.Tx) error { return Set(tx, l) })
	storetest.View(t, s, func(tx *store.Tx) error {
		got, err := Of(tx)
		if got.Client.Max != 0 || got.NumberHour.Name != "number.hour" || got.EndUser != l.EndUser {
			t.Errorf("kept %+v", got)
		}
		return err
	})
	if e := storetest.Entries(t, s); len(e) != 1 || e[0].Action != ActionLimits {
		t.Errorf("%d entries", len(e))
	}
	for name, spoil := range map[string]func(*Limits){
		"no checks":      func(l *Limits) { l.Checks = 0 },
		"six checks":     func(l *Limits) { l.Checks = 6 },
		"no sends":       func(l *Limits) { l.Sends = 0 },
		"negative":       func(l *Limits) { l.Prefix.Max = -1 },
		"no window":      func(l *Limits) { l.Prefix.Window = 0 },
		"reserve beyond": func(l *Limits) { l.Prefix.Reserve = l.Prefix.Max + 1 },
	} {
		bad := Default()
		spoil(&bad)
		if err := s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error { return Set(tx, bad) }); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func number(t testing.TB) contact.Phone {
	t.Helper()
	p, err := contact.ParsePhone("+16175551234", contact.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func delayOf(t *testing.T, s *store.Store, tr Triple) (wait time.Duration, blocked bool) {
	t.Helper()
	storetest.View(t, s, func(tx *store.Tx) (err error) {
		wait, blocked, err = Delay(tx, tr)
		return err
	})
	return wait, blocked
}

func fail(t *testing.T, s *store.Store, tr Triple) (n int) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) (err error) {
		n, err = Fail(tx, tr)
		return err
	})
	return n
}
