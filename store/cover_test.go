package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

var testCovered = NewTable[int]("test.covered", Blinded(1, 18), Bookkeeping("a test's"))

// coveredKey is like those of the rooms: a byte, a blinded value, a byte, and sometimes another blinded
// value and a rest; or too short for any.
func coveredKey(rnd *rand.Rand, tx *Tx) []byte {
	k := []byte{"xy"[rnd.IntN(2)]}
	if rnd.IntN(8) == 0 {
		return append(k, "short"...)
	}
	k = append(append(k, tx.Blind("test.one", fmt.Sprint(rnd.IntN(3)))...), "ab\xff"[rnd.IntN(3)])
	if rnd.IntN(2) == 0 {
		k = append(append(k, tx.Blind("test.two", fmt.Sprint(rnd.IntN(3)))...), randomKeyOf(rnd, 2)...)
	}
	return k
}

// TestCoveredTableAgainstModel: Get and Each see what a map would hold, in the order in which the covered
// keys stand in the file, over the file, two batches and the overlay, and across rotations.
func TestCoveredTableAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		s := open(t, t.TempDir(), newTestKeys(t))
		s.coverAtOnce = 3
		m := model{}
		change := func(tx *Tx) error {
			for range 1 + rnd.IntN(12) {
				k := coveredKey(rnd, tx)
				if rnd.IntN(3) == 0 {
					delete(m, string(k))
					if err := testCovered.Delete(tx, k); err != nil {
						return err
					}
					continue
				}
				m[string(k)] = rnd.IntN(1000)
				if err := testCovered.Put(tx, k, m[string(k)]); err != nil {
					return err
				}
			}
			return nil
		}
		compare := func(tx *Tx) error {
			for range 12 {
				k := coveredKey(rnd, tx)
				r := Range{Prefix: k[:min(len(k), []int{0, 1, 17, 18, 34}[rnd.IntN(5)])], Reverse: rnd.IntN(2) == 0}
				if len(k) < 17 {
					r.Prefix = k[:1]
				}
				if rnd.IntN(2) == 0 {
					if r.From = coveredKey(rnd, tx); len(r.From) < 17 {
						r.From = nil
					}
				}
				if err := compareCovered(tx, m, r); err != nil {
					return fmt.Errorf("seed %d: %w", seed, err)
				}
			}
			for k, want := range m {
				if v, ok, err := testCovered.Get(tx, []byte(k)); err != nil || !ok || v != want {
					return fmt.Errorf("seed %d: Get is %d, %v, %v, want %d", seed, v, ok, err, want)
				}
			}
			return nil
		}
		both := func(tx *Tx) error { return errors.Join(change(tx), compare(tx), change(tx), compare(tx)) }
		ctx := context.Background()
		for range 3 {
			if err := s.Update(ctx, nurse, both); err != nil {
				t.Fatal(err)
			}
			g := gated(s)
			done := make(chan error, 3)
			for range 3 { // one is being committed, two wait
				ran := make(chan struct{})
				go func() {
					done <- s.Update(ctx, nurse, func(tx *Tx) error { defer close(ran); return both(tx) })
				}()
				<-ran
			}
			<-g.entered
			close(g.open)
			for range 3 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			s.write = (*bolt.Tx).Commit
			if err := errors.Join(s.RotateIndex(ctx, nurse), s.View(ctx, compare), s.Check(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// compareCovered walks a range and compares with the model.
func compareCovered(tx *Tx, m model, r Range) error {
	b, err := tx.bucket(testCovered.info)
	if err != nil {
		return err
	}
	laid := func(k []byte) string { return string(tx.file.cover.lay(b.at, k)) }
	var want []string
	for k := range m {
		from := len(r.From) == 0 || !r.Reverse && laid([]byte(k)) >= laid(r.From) || r.Reverse && laid([]byte(k)) <= laid(r.From)
		if strings.HasPrefix(k, string(r.Prefix)) && from {
			want = append(want, k)
		}
	}
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(laid([]byte(a)), laid([]byte(b))) })
	if r.Reverse {
		slices.Reverse(want)
	}
	var got []string
	err = testCovered.Each(tx, r, func(k []byte, v int) error {
		if v != m[string(k)] {
			return fmt.Errorf("a key has %d, want %d", v, m[string(k)])
		}
		got = append(got, string(k))
		return nil
	})
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("prefix %q from %q reverse %v: got %q, want %q", r.Prefix, r.From, r.Reverse, got, want)
	}
	return errors.Join(err, compareAny(tx, testCovered, m, r.Prefix))
}

// compareAny asks whether anything begins with a prefix.
func compareAny(tx *Tx, t *Table[int], m model, prefix []byte) error {
	want := len(m.walk(Range{Prefix: prefix})) > 0
	if got, err := t.Any(tx, prefix); err != nil || got != want {
		return fmt.Errorf("prefix %q: any is %v, %w, want %v", prefix, got, err, want)
	}
	return nil
}

// TestRangeWithinABlindedValue is an error and never a wrong answer.
func TestRangeWithinABlindedValue(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	fillBlinded(t, s)
	err := s.View(context.Background(), func(tx *Tx) error {
		_, pair := blindedKeys(tx, 0)
		for n := range len(pair) + 1 {
			wrong := n > 1 && n < 17 || n > 18 && n < 34
			for _, r := range []Range{{Prefix: pair[:n]}, {Prefix: pair[:1], From: pair[:n]}} {
				err := testPairs.Each(tx, r, func([]byte, string) error { return nil })
				if (err != nil) != wrong {
					return fmt.Errorf("%d bytes: %w", n, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestBlindedThatWasNotDeclared: a table is declared only later, when it is filled already; it stays
// readable as it stands, and follows at the next rotation. What a program no longer declares is carried along.
func TestBlindedThatWasNotDeclared(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	ctx, file := context.Background(), filepath.Join(dir, fileName)
	late := NewTable[string]("test.late")
	t.Cleanup(func() { delete(tables.by, "test.late") })
	s := open(t, dir, k)
	check := func(s *Store) {
		t.Helper()
		err := s.View(ctx, func(tx *Tx) error {
			for n := range 5 {
				if v, ok, err := late.Get(tx, tx.Blind("late", fmt.Sprint(n))); err != nil || !ok || v != fmt.Sprint(n) {
					return fmt.Errorf("row %d: %q %v %w", n, v, ok, err)
				}
			}
			return nil
		})
		if err = errors.Join(err, s.Check(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	inClear := func(s *Store) (clear int) {
		t.Helper()
		blinds := [][]byte{}
		for n := range 5 {
			blinds = append(blinds, s.durable.Load().ring.blind("late", fmt.Sprint(n)))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tamper(t, file, func(tx *bolt.Tx) error {
			for _, b := range blinds {
				if tx.Bucket([]byte("t/test.late")).Get(b) != nil {
					clear++
				}
			}
			return nil
		})
		return clear
	}
	err := s.Update(ctx, nurse, func(tx *Tx) error {
		for n := range 5 {
			if err := late.Put(tx, tx.Blind("late", fmt.Sprint(n)), fmt.Sprint(n)); err != nil {
				return err
			}
		}
		return tx.Record(Entry{Action: "test.saved", Outcome: OK})
	})
	if err = errors.Join(err, s.RotateIndex(ctx, nurse)); err != nil {
		t.Fatal(err)
	}
	if n := inClear(s); n != 5 {
		t.Fatalf("%d keys of a table that declares nothing are as they were put", n)
	}
	Blinded(0)(late.info)
	s = open(t, dir, k)
	check(s)
	if n := inClear(s); n != 5 {
		t.Errorf("%d keys are in clear before the rotation", n)
	}
	s = open(t, dir, k)
	if err := s.RotateIndex(ctx, nurse); err != nil {
		t.Fatal(err)
	}
	check(s)
	if n := inClear(s); n != 0 {
		t.Errorf("%d keys are in clear after the rotation", n)
	}
	delete(tables.by, "test.late") // another program
	s = open(t, dir, k)
	if err := s.RotateIndex(ctx, nurse); err != nil {
		t.Fatal(err)
	}
	check(s) // the table is as it was: its keys went along
}

// TestTableThatIsNewToTheFile: a later program has one more table; it is covered from its first key on,
// also after a restart.
func TestTableThatIsNewToTheFile(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	ctx := context.Background()
	if err := open(t, dir, k).Close(); err != nil {
		t.Fatal(err)
	}
	fresh := NewTable[int]("test.fresh", Blinded(0), Bookkeeping("a test's"))
	t.Cleanup(func() { delete(tables.by, "test.fresh") })
	var blind []byte
	s := open(t, dir, k)
	err := s.Update(ctx, nurse, func(tx *Tx) error { blind = tx.Blind("fresh", "1"); return fresh.Put(tx, blind, 7) })
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	tamper(t, filepath.Join(dir, fileName), func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket([]byte("t/test.fresh")).Cursor().First(); k == nil || bytes.Equal(k, blind) {
			t.Error("the key is not covered")
		}
		return nil
	})
	s = open(t, dir, k)
	err = s.View(ctx, func(tx *Tx) error {
		if v, ok, err := fresh.Get(tx, blind); err != nil || !ok || v != 7 {
			return fmt.Errorf("%d %v %w", v, ok, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStrict: in a strict store no key may hold a blinded value that is not declared, from whatever
// transaction.
func TestStrict(t *testing.T) {
	s := openWith(t, t.TempDir(), Options{Keys: newTestKeys(t), Free: plenty, Strict: true})
	var blind []byte
	put := func(table *Table[int], key []byte) error {
		return s.Update(context.Background(), nurse, func(tx *Tx) error { return table.Put(tx, key, 1) })
	}
	if err := s.View(context.Background(), func(tx *Tx) error { blind = tx.Blind("strict", "1"); return nil }); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		table *Table[int]
		key   []byte
		good  bool
	}{
		"declared":           {testCovered, append([]byte{1}, blind...), true},
		"at another place":   {testCovered, append([]byte{1, 2}, blind...), false},
		"in an other table":  {testCursor, blind, false},
		"within":             {testCursor, append(append([]byte("abc"), blind...), "def"...), false},
		"cut, so no blinded": {testCursor, blind[:15], true},
	} {
		if err := put(c.table, c.key); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
