package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// policy counts how often one of it is decoded.
type policy struct{ Words []string }

var policiesDecoded atomic.Int64

func (p *policy) UnmarshalJSON(b []byte) error {
	policiesDecoded.Add(1)
	return json.Unmarshal(b, &p.Words)
}

func (p policy) MarshalJSON() ([]byte, error) { return json.Marshal(p.Words) }

var testPolicies = NewTable[policy]("test.policies", Cached())

// word reads the only word of a policy, "" if there is none.
func word(tx *Tx, n int) (string, error) {
	p, ok, err := testPolicies.Get(tx, num(n))
	if !ok || err != nil {
		return "", err
	}
	return p.Words[0], nil
}

func setWord(tx *Tx, n int, w string) error {
	if err := testPolicies.Put(tx, num(n), policy{[]string{w}}); err != nil {
		return err
	}
	return tx.Record(Entry{Action: "test.saved", Outcome: OK})
}

func dropWord(tx *Tx, n int) error {
	if err := testPolicies.Delete(tx, num(n)); err != nil {
		return err
	}
	return tx.Record(Entry{Action: "test.saved", Outcome: OK})
}

func wantWord(t *testing.T, tx *Tx, n int, want string) {
	t.Helper()
	if got, err := word(tx, n); got != want || err != nil {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
	// Get and Each agree.
	listed := ""
	err := testPolicies.Each(tx, Range{Prefix: num(n)}, func(_ []byte, p policy) error {
		listed = p.Words[0]
		return nil
	})
	if listed != want || err != nil {
		t.Errorf("listed %q, %v, want %q", listed, err, want)
	}
}

func viewWord(t *testing.T, s *Store, n int, want string) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error { wantWord(t, tx, n, want); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func mustUpdate(t testing.TB, s *Store, fn func(tx *Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), nurse, fn); err != nil {
		t.Fatal(err)
	}
}

// TestCachedIsDecodedOnceAWrite: what stands in the file is decoded at the first read after a commit
// and not again, in Views and Updates alike.
func TestCachedIsDecodedOnceAWrite(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	for _, w := range []string{"one", "two"} {
		mustUpdate(t, s, func(tx *Tx) error { return setWord(tx, 1, w) })
		before := policiesDecoded.Load()
		for range 10 {
			viewWord(t, s, 1, w)
			mustUpdate(t, s, func(tx *Tx) error { wantWord(t, tx, 1, w); return nil })
		}
		if n := policiesDecoded.Load() - before; n != 1 {
			t.Errorf("%q was decoded %d times in 20 transactions", w, n)
		}
	}
}

// TestCachedOwnWriteAndRollback: a transaction sees what it wrote itself, also after it deleted it, and
// nobody sees what was rolled back.
func TestCachedOwnWriteAndRollback(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, s, func(tx *Tx) error { return setWord(tx, 1, "old") })
	viewWord(t, s, 1, "old")

	boom := errors.New("boom")
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		for _, w := range []string{"new", "newer"} {
			if err := setWord(tx, 1, w); err != nil {
				return err
			}
			wantWord(t, tx, 1, w)
		}
		if err := dropWord(tx, 1); err != nil {
			return err
		}
		wantWord(t, tx, 1, "")
		if err := setWord(tx, 1, "newest"); err != nil {
			return err
		}
		wantWord(t, tx, 1, "newest")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	viewWord(t, s, 1, "old")
	mustUpdate(t, s, func(tx *Tx) error { wantWord(t, tx, 1, "old"); return nil })
}

// TestCachedMissingThenCreated: that a key is missing is not remembered.
func TestCachedMissingThenCreated(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	for range 2 {
		viewWord(t, s, 1, "")
		mustUpdate(t, s, func(tx *Tx) error {
			wantWord(t, tx, 1, "")
			return setWord(tx, 1, "here")
		})
		viewWord(t, s, 1, "here")
		mustUpdate(t, s, func(tx *Tx) error {
			wantWord(t, tx, 1, "here")
			return dropWord(tx, 1)
		})
	}
	viewWord(t, s, 1, "")
}

// TestCachedSnapshots: a View goes on with the value of its snapshot while others read, and remember,
// the next one.
func TestCachedSnapshots(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, s, func(tx *Tx) error { return setWord(tx, 1, "old") })
	begun, changed, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- s.View(context.Background(), func(tx *Tx) error {
			wantWord(t, tx, 1, "old")
			close(begun)
			<-changed
			wantWord(t, tx, 1, "old")
			return nil
		})
	}()
	<-begun
	mustUpdate(t, s, func(tx *Tx) error { return setWord(tx, 1, "new") })
	viewWord(t, s, 1, "new")
	close(changed)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	viewWord(t, s, 1, "new") // the old View, the last one to read, did not bring its value back
}

// TestCachedBatches: transactions see what stands in batches before them that are not durable, and
// Views do not.
func TestCachedBatches(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, s, func(tx *Tx) error { return setWord(tx, 1, "durable") })
	viewWord(t, s, 1, "durable")
	g := gated(s)
	done := make(chan error, 3)
	update := func(fn func(tx *Tx) error) {
		go func() { done <- s.Update(context.Background(), nurse, fn) }()
	}
	update(func(tx *Tx) error { return setWord(tx, 1, "committing") })
	<-g.entered
	update(func(tx *Tx) error {
		wantWord(t, tx, 1, "committing")
		return setWord(tx, 1, "waits")
	})
	waiting(s, 1)
	update(func(tx *Tx) error {
		wantWord(t, tx, 1, "waits")
		return tx.Record(Entry{Action: "test.saved", Outcome: OK})
	})
	waiting(s, 2)
	viewWord(t, s, 1, "durable")
	close(g.open)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	viewWord(t, s, 1, "waits")
}

// TestCachedFailedCommit: what was in a commit that failed, and what was written or read on top of it,
// was never there, and is not remembered.
func TestCachedFailedCommit(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, s, func(tx *Tx) error { return setWord(tx, 1, "durable") })
	viewWord(t, s, 1, "durable")
	entered, fail := make(chan struct{}), make(chan struct{})
	var broken atomic.Bool
	broken.Store(true)
	s.write = func(tx *bolt.Tx) error {
		if !broken.Load() {
			return tx.Commit()
		}
		entered <- struct{}{}
		<-fail
		return errors.Join(tx.Rollback(), &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	}
	done := make(chan error, 2)
	update := func(fn func(tx *Tx) error) {
		go func() { done <- s.Update(context.Background(), nurse, fn) }()
	}
	update(func(tx *Tx) error { return setWord(tx, 1, "lost") })
	<-entered
	update(func(tx *Tx) error {
		wantWord(t, tx, 1, "lost")
		return setWord(tx, 2, "lost on top")
	})
	waiting(s, 1)
	broken.Store(false)
	close(fail)
	for range 2 {
		if err := <-done; !errors.Is(err, ErrFull) {
			t.Errorf("a writer got %v", err)
		}
	}
	for range 2 {
		viewWord(t, s, 1, "durable")
		viewWord(t, s, 2, "")
		mustUpdate(t, s, func(tx *Tx) error {
			wantWord(t, tx, 1, "durable")
			wantWord(t, tx, 2, "")
			return nil
		})
	}
}

// TestCachedIsOfOneStore: two stores do not meet in what they remember of one table.
func TestCachedIsOfOneStore(t *testing.T) {
	a, b := open(t, t.TempDir(), newTestKeys(t)), open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, a, func(tx *Tx) error { return setWord(tx, 1, "a") })
	mustUpdate(t, b, func(tx *Tx) error { return setWord(tx, 1, "b") })
	for range 2 {
		viewWord(t, a, 1, "a")
		viewWord(t, b, 1, "b")
	}
}

// TestCachedIsNoCoverForDamage: a value that was altered in the file, or put in another's place, is
// found even if what it was is remembered.
func TestCachedIsNoCoverForDamage(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, s, func(tx *Tx) error {
		return errors.Join(setWord(tx, 1, "one"), setWord(tx, 2, "two"))
	})
	if err := s.merged(nil); err != nil {
		t.Fatal(err)
	}
	viewWord(t, s, 1, "one")
	viewWord(t, s, 2, "two")
	for name, damage := range map[string]func(one, two []byte) []byte{
		"flipped": func(one, _ []byte) []byte { one[len(one)-1] ^= 1; return one },
		"cut":     func(one, _ []byte) []byte { return one[:len(one)-1] },
		"emptied": func(_, _ []byte) []byte { return nil },
		"moved":   func(_, two []byte) []byte { return two },
	} {
		var was []byte
		put := func(change func(b *bolt.Bucket) error) {
			if err := s.durable.Load().file.db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket([]byte("t/test.policies"))) }); err != nil {
				t.Fatal(err)
			}
		}
		put(func(b *bolt.Bucket) error {
			was = bytes.Clone(b.Get(num(1)))
			return b.Put(num(1), damage(bytes.Clone(was), bytes.Clone(b.Get(num(2)))))
		})
		// A commit of the store's own comes after the test's, or no View would begin.
		mustUpdate(t, s, func(tx *Tx) error { return tx.Record(Entry{Action: "test.saved", Outcome: OK}) })
		err := s.View(context.Background(), func(tx *Tx) error { _, err := word(tx, 1); return err })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		put(func(b *bolt.Bucket) error { return b.Put(num(1), was) })
	}
}

// TestCachedIsBounded: a table with more keys than are remembered is read right all the same.
func TestCachedIsBounded(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustUpdate(t, s, func(tx *Tx) error {
		for n := range maxOpened + 10 {
			if err := setWord(tx, n, string(rune('a'+n%26))); err != nil {
				return err
			}
		}
		return nil
	})
	for range 2 {
		n := 0
		err := s.View(context.Background(), func(tx *Tx) error {
			return testPolicies.Each(tx, Range{}, func(_ []byte, p policy) error {
				if !slices.Equal(p.Words, []string{string(rune('a' + n%26))}) {
					t.Errorf("key %d reads %v", n, p.Words)
				}
				n++
				return nil
			})
		})
		if err != nil || n != maxOpened+10 {
			t.Fatalf("%d values, %v", n, err)
		}
		if s.opened.n > maxOpened {
			t.Fatalf("%d values are kept", s.opened.n)
		}
	}
}
