package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is what a table must hold: a plain map.
type model map[string]int

// walk is what Each over the model must yield.
func (m model) walk(r Range) (out []string) {
	for k := range m {
		from := len(r.From) == 0 || !r.Reverse && k >= string(r.From) || r.Reverse && k <= string(r.From)
		if strings.HasPrefix(k, string(r.Prefix)) && from {
			out = append(out, fmt.Sprintf("%s=%d", k, m[k]))
		}
	}
	slices.Sort(out)
	if r.Reverse {
		slices.Reverse(out)
	}
	return out
}

func randomKeyOf(rnd *rand.Rand, longest int) []byte {
	b := make([]byte, rnd.IntN(longest+1))
	for i := range b {
		b[i] = "ab\xff"[rnd.IntN(3)]
	}
	return b
}

// TestEachAgainstModel: over the file, a batch that is being committed, one that waits and the
// transaction's own overlay, Get and Each see what a map would hold.
func TestEachAgainstModel(t *testing.T) {
	for seed := range uint64(25) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := open(t, t.TempDir(), newTestKeys(t))
		m := model{}
		change := func(tx *Tx) error {
			for range 1 + rnd.IntN(12) {
				k := append([]byte{'k'}, randomKeyOf(rnd, 3)...)
				if rnd.IntN(3) == 0 {
					delete(m, string(k))
					if err := testCursor.Delete(tx, k); err != nil {
						return err
					}
					continue
				}
				m[string(k)] = rnd.IntN(1000)
				if err := testCursor.Put(tx, k, m[string(k)]); err != nil {
					return err
				}
			}
			return nil
		}
		compare := func(tx *Tx) error {
			for range 12 {
				r := Range{Prefix: append([]byte{'k'}, randomKeyOf(rnd, 2)...), Reverse: rnd.IntN(2) == 0}
				switch rnd.IntN(3) {
				case 0:
					r.From = append([]byte{'k'}, randomKeyOf(rnd, 3)...)
				case 1:
					r.Prefix = nil
				}
				var got []string
				err := testCursor.Each(tx, r, func(k []byte, v int) error {
					got = append(got, fmt.Sprintf("%s=%d", k, v))
					return nil
				})
				if err != nil {
					return err
				}
				if err := compareAny(tx, testCursor, m, r.Prefix); err != nil {
					return fmt.Errorf("seed %d: %w", seed, err)
				}
				if want := m.walk(r); !slices.Equal(got, want) {
					return fmt.Errorf("seed %d, prefix %q from %q reverse %v: got %q, want %q", seed, r.Prefix, r.From, r.Reverse, got, want)
				}
			}
			for k, want := range m {
				if v, ok, err := testCursor.Get(tx, []byte(k)); err != nil || !ok || v != want {
					return fmt.Errorf("seed %d: Get is %d, %v, %v, want %d", seed, v, ok, err, want)
				}
			}
			if n, err := testCursor.Len(tx); err != nil || n != len(m) {
				return fmt.Errorf("seed %d: Len is %d, %v, want %d", seed, n, err, len(m))
			}
			return nil
		}
		both := func(tx *Tx) error { return errors.Join(change(tx), compare(tx), change(tx), compare(tx)) }

		if err := s.Update(context.Background(), nurse, both); err != nil { // in the file
			t.Fatal(err)
		}
		g := gated(s)
		done := make(chan error, 3)
		update := func(ran chan<- struct{}) {
			done <- s.Update(context.Background(), nurse, func(tx *Tx) error {
				defer close(ran)
				return both(tx)
			})
		}
		ran := make(chan struct{})
		go update(ran) // being committed
		<-g.entered
		for range 2 { // waiting
			ran := make(chan struct{})
			go update(ran)
			<-ran
		}
		close(g.open)
		for range 3 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if err := s.View(context.Background(), compare); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEachWhileChanging: fn may change the table that is walked, and does not see it; it may stop.
func TestEachWhileChanging(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	put := func(tx *Tx, from, to int) error {
		for n := from; n < to; n++ {
			if err := testCursor.Put(tx, num(n), n); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.Update(context.Background(), nurse, func(tx *Tx) error { return put(tx, 0, 5) }); err != nil {
		t.Fatal(err)
	}
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		if err := put(tx, 5, 10); err != nil {
			return err
		}
		var seen []int
		err := testCursor.Each(tx, Range{}, func(k []byte, v int) error {
			seen = append(seen, v)
			clear(k) // the key is ours
			return errors.Join(testCursor.Delete(tx, num(v+1)), testCursor.Put(tx, num(v+100), v))
		})
		if err != nil {
			return err
		}
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(seen, want) {
			return fmt.Errorf("seen %v", seen)
		}
		if n, err := testCursor.Len(tx); n != 11 || err != nil {
			return fmt.Errorf("afterwards %d, %w", n, err)
		}
		n := 0
		err = testCursor.Each(tx, Range{}, func([]byte, int) error { n++; return Stop })
		if n != 1 || err != nil {
			return fmt.Errorf("stopped after %d with %w", n, err)
		}
		boom := errors.New("boom")
		if err := testCursor.Each(tx, Range{}, func([]byte, int) error { return boom }); !errors.Is(err, boom) {
			return fmt.Errorf("the error of fn came back as %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeysAndValues: an index table has no values, a key must not be empty, and a value that no longer
// fits its type is damage and not a zero.
func TestKeysAndValues(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		if err := testIndex.Put(tx, num(1), struct{}{}); err != nil {
			return err
		}
		if err := tx.put(testRows.info, num(2), []byte(`{"Name":17}`)); err != nil {
			return err
		}
		return tx.Record(Entry{Action: "test.saved", Outcome: OK})
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(context.Background(), func(tx *Tx) error {
		if _, ok, err := testIndex.Get(tx, num(1)); !ok || err != nil {
			t.Errorf("the index holds %v, %v", ok, err)
		}
		if _, ok, err := testIndex.Get(tx, num(2)); ok || err != nil {
			t.Errorf("the index holds %v, %v", ok, err)
		}
		if _, _, err := testIndex.Get(tx, nil); err == nil {
			t.Error("an empty key is read")
		}
		if _, ok, err := testRows.Get(tx, num(2)); ok || !errors.Is(err, ErrCorrupt) || strings.Contains(err.Error(), "17") {
			t.Errorf("a value of another form: %v, %v", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]func(){
		"taken": func() { NewTable[row]("test.rows") }, "empty": func() { NewTable[row]("") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a name that is %s is accepted", name)
				}
			}()
			fn()
		}()
	}
}

// TestBlind: the same value is always the same, under one purpose only, and across openings.
func TestBlind(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	get := func(s *Store, purpose, value string) (out []byte) {
		err := s.View(context.Background(), func(tx *Tx) error { out = tx.Blind(purpose, value); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	s := open(t, dir, k)
	a := get(s, "phone", "+16175551234")
	if len(a) != 16 || bytes.Equal(a, get(s, "phone", "+16175551235")) || bytes.Equal(a, get(s, "phon", "e+16175551234")) {
		t.Errorf("blinded to %x", a)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = open(t, dir, k); !bytes.Equal(a, get(s, "phone", "+16175551234")) {
		t.Error("after reopening it is another")
	}
	if other := open(t, t.TempDir(), newTestKeys(t)); bytes.Equal(a, get(other, "phone", "+16175551234")) {
		t.Error("in another store it is the same")
	}
}

// TestBlindWithinOneTransaction: what a transaction remembers of its blinds is the same, belongs to the
// caller, and mixes up no purposes, also beyond what it remembers.
func TestBlindWithinOneTransaction(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	err := s.View(context.Background(), func(tx *Tx) error {
		first := map[string][]byte{}
		for round := range 2 {
			for n := range maxBlinds + 8 {
				for _, purpose := range []string{"a", "b"} {
					value := strings.Repeat("v", n)
					got := tx.Blind(purpose, value)
					if round == 0 {
						first[purpose+value] = bytes.Clone(got)
					} else if !bytes.Equal(got, first[purpose+value]) {
						t.Errorf("%s of %d bytes is another one the second time", purpose, n)
					}
					got = append(got, 'x')
					clear(got)
				}
			}
		}
		seen := map[string]bool{}
		for _, sum := range first {
			seen[string(sum)] = true
		}
		if len(seen) != len(first) {
			t.Errorf("%d values make %d blinds", len(first), len(seen))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
