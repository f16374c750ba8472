package outbox

import (
	"errors"
	"testing"
	"time"

	"pinward/store"
)

// old collects and deletes as the daemon does, and says how many of how many looked at.
func (b *box) old(age store.Age) (keys [][]byte) {
	b.t.Helper()
	b.view(func(tx *store.Tx) (err error) { keys, _, err = Old(tx, nil, 1000, 1000, age); return err })
	return keys
}

func (b *box) forget(keys [][]byte, age store.Age) (n int) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) { n, err = Forget(tx, keys, age); return err })
	return n
}

// TestOnlyWhatIsOverIsOld: a message that waits, is on air, may have its receipt or another step, or is of use still, is not deleted,
// whatever its age.
func TestOnlyWhatIsOverIsOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		waits := notice(1)
		waits.Due, waits.Expires = time.Now().Add(90*24*time.Hour), time.Now().Add(91*24*time.Hour)
		waits = b.put(waits)
		time.Sleep(time.Millisecond)
		sent := notice(2)
		sent.Ref, sent.Expires = "notice-2", time.Now().Add(3*24*time.Hour) // of use for three days
		sent = b.put(sent)
		b.settle(b.must("a"), sentAs(7))
		time.Sleep(time.Millisecond)
		gone := notice(3)
		gone.Expires = time.Now().Add(200 * 24 * time.Hour)
		gone = b.put(gone)
		b.do(func(tx *store.Tx) error { return Cancel(tx, gone.ID) })
		air := b.put(code(4))
		b.must("a")
		age := func() store.Age { return store.Age{Before: time.Now().Add(-LeastAge)} }
		is := func(want ...string) {
			t.Helper()
			keys := b.old(age())
			if len(keys) != len(want) {
				t.Fatalf("%d are old, want %d", len(keys), len(want))
			}
			for i, k := range keys {
				if string(k) != want[i] {
					t.Errorf("%d: another message is old", i)
				}
			}
		}
		is()
		time.Sleep(LeastAge)
		is()
		time.Sleep(time.Millisecond)
		is(gone.ID) // canceled: of no use from then on
		time.Sleep(4 * 24 * time.Hour)
		b.expire()
		is(sent.ID, gone.ID) // the one on air is settled by nobody
		all := [][]byte{[]byte(waits.ID), []byte(sent.ID), []byte(gone.ID), []byte(air.ID), []byte("SMgone")}
		held := store.Age{Before: age().Before, Held: func(from, to time.Time) bool { return !from.After(sent.Created) }}
		if n := b.forget(all, held); n != 1 {
			t.Errorf("deleted %d that are under no hold, want 1", n)
		}
		if n := b.forget(all, age()); n != 1 {
			t.Errorf("deleted %d, want 1", n)
		}
		b.view(func(tx *store.Tx) error {
			for name, length := range map[string]func(*store.Tx) (int, error){"refs": refs.Len, "early receipts": earlies.Len} {
				if n, err := length(tx); err != nil || n != 0 {
					t.Errorf("%d %s are left, %v", n, name, err)
				}
			}
			if n, err := handed.Len(tx); err != nil || n != 1 { // the one on air
				t.Errorf("%d hand-overs are left, %v", n, err)
			}
			if n, err := messages.Len(tx); err != nil || n != 2 {
				t.Errorf("%d messages are left, %v", n, err)
			}
			return nil
		})
		b.do(func(tx *store.Tx) error {
			return Receive(tx, Receipt{SIM: "sim-a", Ref: 7, To: sent.To, At: tx.Now()}) // weeks late
		})
		b.expire()
		b.coherent()
	})
}

// TestForgetIsWholeOrNot: what failed and was not done deletes nothing; what failed but was done is found done, and leaves no second entry;
// and a crash after either begins with what was committed.
func TestForgetIsWholeOrNot(t *testing.T) {
	b := newBox(t)
	for i := range 5 {
		m := notice(i)
		m.Ref = "n"
		m = b.put(m)
		b.do(func(tx *store.Tx) error { return Cancel(tx, m.ID) })
	}
	age := store.Age{Before: time.Now().Add(time.Hour)}
	keys := b.old(age)
	if len(keys) != 5 {
		t.Fatalf("%d are old", len(keys))
	}
	broken := errors.New("broken")
	err := b.try(func(tx *store.Tx) error {
		if n, err := Forget(tx, keys, age); err != nil || n != 5 {
			t.Errorf("%d, %v", n, err)
		}
		return broken
	})
	count := func(b *box) (n, purged int) {
		b.view(func(tx *store.Tx) (err error) {
			if n, err = messages.Len(tx); err != nil {
				return err
			}
			return tx.Entries(0, func(r store.Record) error {
				if r.Entry.Action == ActionPurge {
					purged++
				}
				return nil
			})
		})
		return n, purged
	}
	for name, b := range map[string]*box{"here": b, "after a crash": b.image()} {
		if n, purged := count(b); !errors.Is(err, broken) || n != 5 || purged != 0 {
			t.Errorf("failed and not done, %s: %v, %d messages, %d entries", name, err, n, purged)
		}
	}
	b.forget(keys, age)
	again := b.image()
	for name, b := range map[string]*box{"here": b, "after a crash": again} {
		if n := b.forget(keys, age); n != 0 {
			t.Errorf("deleted %d twice", n)
		}
		if n, purged := count(b); n != 0 || purged != 1 {
			t.Errorf("done, %s: %d messages, %d entries", name, n, purged)
		}
	}
}
