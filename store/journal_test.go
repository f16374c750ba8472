package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// openJournal opens a store that merges as soon as a few changes are pending, in pieces of five, by
// write, which may be nil.
func openJournal(t testing.TB, dir string, k Keys, write func(*bolt.Tx) error) *Store {
	t.Helper()
	return openWith(t, dir, Options{
		Keys: k, Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.DiscardHandler), mergeFrom: 40, writeMerge: write,
	})
}

// unmerged opens a store whose journal cannot be merged, as the disk is full, until that is allowed.
func unmerged(t testing.TB, dir string, k Keys) (s *Store, allow func()) {
	t.Helper()
	var space atomic.Bool
	return openJournal(t, dir, k, func(tx *bolt.Tx) error {
		if !space.Load() {
			return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
		}
		return tx.Commit()
	}), func() { space.Store(true) }
}

// piece merges a few changes.
func piece(s *Store) error { return s.between(func() error { return s.merge(s.mergeAtOnce()) }) }

// crashed copies the live file as it is at some moment, into a folder of its own: what the next start
// would find.
func crashed(t testing.TB, s *Store) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := s.durable.Load().file.db.View(func(tx *bolt.Tx) error { return tx.CopyFile(filepath.Join(dir, fileName), 0o600) })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// journaled counts the chunks of the journal in the file.
func journaled(t testing.TB, s *Store) (n int) {
	t.Helper()
	err := s.durable.Load().file.db.View(func(tx *bolt.Tx) error {
		top := tx.Bucket(bucketJournal)
		return top.ForEachBucket(func(name []byte) error {
			return top.Bucket(name).ForEach(func(_, _ []byte) error { n++; return nil })
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestJournalAgainstModel changes two tables, one of them covered, and compares what transactions see
// with a map, whatever is merged by then: over merges in pieces, crashes in the middle of a pass, rolls,
// compactions, rotations of the index, restarts.
func TestJournalAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		k := newTestKeys(t)
		s := openJournal(t, t.TempDir(), k, nil)
		plain, covered := map[int]int{}, model{}
		change := func(tx *Tx) error {
			for range 1 + rnd.IntN(20) {
				n, v, key := rnd.IntN(60), rnd.IntN(1000), coveredKey(rnd, tx)
				var err error
				if rnd.IntN(3) == 0 {
					delete(plain, n)
					delete(covered, string(key))
					err = errors.Join(testCursor.Delete(tx, num(n)), testCovered.Delete(tx, key))
				} else {
					plain[n], covered[string(key)] = v, v
					err = errors.Join(testCursor.Put(tx, num(n), v), testCovered.Put(tx, key, v))
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
		compare := func(tx *Tx) error {
			for n := range 60 {
				want, there := plain[n]
				if v, ok, err := testCursor.Get(tx, num(n)); err != nil || ok != there || v != want {
					return fmt.Errorf("seed %d: %d is %d, %v, %v, want %d, %v", seed, n, v, ok, err, want, there)
				}
			}
			for _, r := range []Range{{}, {Reverse: true}, {From: num(30)}, {From: num(30), Reverse: true}} {
				var got []int
				err := testCursor.Each(tx, r, func(key []byte, v int) error { got = append(got, int(key[7])<<16|v); return nil })
				if want := cursorsIn(plain, r); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					return fmt.Errorf("seed %d: %v gives %v, %w, want %v", seed, r, got, err, want)
				}
			}
			return errors.Join(compareCovered(tx, covered, Range{}), compareCovered(tx, covered, Range{Reverse: true, Prefix: []byte("x")}))
		}
		ctx := context.Background()
		for step := range 60 {
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
			}
			must(s.Update(ctx, nurse, func(tx *Tx) error { return errors.Join(change(tx), compare(tx)) }))
			switch rnd.IntN(12) {
			case 0, 1, 2:
				must(piece(s))
			case 3:
				must(s.merged(nil))
				if n := journaled(t, s); n > 0 && s.durable.Load().pending.size() == 0 {
					t.Fatalf("all is merged, and the journal has %d chunks", n)
				}
			case 4, 5:
				must(piece(s))
				dir := crashed(t, s)
				must(s.Close())
				s = openJournal(t, dir, k, nil)
			case 6:
				mustSave(t, s, step, "x")
				must(s.Compact(ctx))
			case 7:
				must(s.RotateIndex(ctx, nurse))
			}
			must(s.View(ctx, compare))
		}
		if err := errors.Join(s.Check(ctx), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func cursorsIn(m map[int]int, r Range) (list []int) {
	for i := range 60 {
		n := i
		if r.Reverse {
			n = 59 - i
		}
		if v, ok := m[n]; ok && r.in(num(n)) {
			list = append(list, n<<16|v)
		}
	}
	return list
}

// TestViewIsOneStateWhileItMerges: two rows in two tables always change together. A View that reads one
// by Get and the other by Each, whatever is committed and merged between the two, sees one state.
func TestViewIsOneStateWhileItMerges(t *testing.T) {
	s := openJournal(t, t.TempDir(), newTestKeys(t), nil)
	ctx := context.Background()
	set := func(n, v int) error {
		return s.Update(ctx, nurse, func(tx *Tx) error {
			return errors.Join(testCursor.Put(tx, num(n), v), testCovered.Put(tx, append([]byte("x"), tx.Blind("test.one", fmt.Sprint(n))...), v))
		})
	}
	const keys = 8
	for n := range keys {
		if err := set(n, 0); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for v := 1; ; v++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := set((v*4+w)%keys, v); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 400 {
		err := s.View(ctx, func(tx *Tx) error {
			for n := range keys {
				a, ok, err := testCursor.Get(tx, num(n))
				if err != nil || !ok {
					return fmt.Errorf("row %d: %v, %w", n, ok, err)
				}
				err = testCovered.Each(tx, Range{Prefix: append([]byte("x"), tx.Blind("test.one", fmt.Sprint(n))...)}, func(_ []byte, b int) error {
					if a != b {
						t.Errorf("row %d is %d and %d", n, a, b)
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestJournalIsReplayed: what was acknowledged and not merged is there after a crash, with the number of
// values that each key has sealed; a second crash before the merge changes nothing. Close merges all.
func TestJournalIsReplayed(t *testing.T) {
	k := newTestKeys(t)
	s, _ := unmerged(t, t.TempDir(), k)
	for n := range 30 {
		mustSave(t, s, n, "x")
	}
	mustUpdate(t, s, func(tx *Tx) error {
		return errors.Join(testRows.Delete(tx, num(29)), tx.Record(Entry{Action: "test.deleted", Outcome: OK}))
	})
	seals := s.seals[PurposeData].Load()
	for range 2 {
		s, _ = unmerged(t, crashed(t, s), k)
		if n := s.durable.Load().pending.size(); n != 30 || s.seals[PurposeData].Load() != seals {
			t.Errorf("%d changes are pending, %d seals counted of %d", n, s.seals[PurposeData].Load(), seals)
		}
		if _, ok := read(t, s, 29); ok {
			t.Error("a deletion was undone")
		}
	}
	dir := crashed(t, s)
	s = openJournal(t, dir, k, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	if n, p := journaled(t, s), s.durable.Load().pending.size(); n != 0 || p != 0 {
		t.Errorf("after Close the journal has %d chunks, and %d changes are pending", n, p)
	}
	if _, ok := read(t, s, 29); ok {
		t.Error("a deletion was undone")
	}
	whole(t, s, 29)
}

// TestQuietStoreMerges: when nothing comes for a moment the journal is merged, without anybody asking.
func TestQuietStoreMerges(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 1, "x")
	for end := time.Now().Add(20 * time.Second); s.durable.Load().pending.size() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the journal is not merged")
		}
	}
	if n := journaled(t, s); n != 0 {
		t.Errorf("the journal has %d chunks", n)
	}
	if v, ok := read(t, s, 1); !ok || v.Count != 1 {
		t.Errorf("row 1: %v, %v", v, ok)
	}
}
