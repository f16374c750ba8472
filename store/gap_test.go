package store

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// TestUnwrittenIsTold: after a time in which commits found no space the log says so, once, when the next head is due, and at the latest when
// the store is closed.
func TestUnwrittenIsTold(t *testing.T) {
	for name, rounds := range map[string]int{"it goes on": 2, "it is closed": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { unwritten(t, rounds) })
		})
	}
}

func unwritten(t *testing.T, rounds int) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k) // a head an hour
	var full atomic.Bool
	s.write = func(tx *bolt.Tx) error {
		if full.Load() {
			return errors.Join(tx.Rollback(), syscall.ENOSPC)
		}
		return tx.Commit()
	}
	began := time.Now().Truncate(time.Second)
	mustSave(t, s, 1, "before")
	for told := range max(rounds, 1) {
		full.Store(true)
		for range 3 {
			if err := save(s, 2, "in vain"); !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Minute) // a head is due, and finds no space either
		}
		if n := len(gaps(t, s)); n != told {
			t.Fatalf("%d gaps told while the disk is full", n)
		}
		full.Store(false)
		if rounds > 0 {
			mustSave(t, s, 3, "after")
			time.Sleep(3 * time.Hour)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	list := gaps(t, s)
	if len(list) != max(rounds, 1) {
		t.Errorf("%d gaps told", len(list))
	}
	for i, e := range list {
		since, err := time.Parse(time.RFC3339, e.Attrs[0].Value)
		until, err2 := time.Parse(time.RFC3339, e.Attrs[1].Value)
		// The last try is that of a head.
		if err := errors.Join(err, err2); err != nil || i == 0 && !since.Equal(began) || until.Sub(since) < 80*time.Minute || until.Sub(since) > 2*time.Hour {
			t.Errorf("it says %v, %v", e.Attrs, err)
		}
	}
}

// gaps are the entries of times without space; each is followed by that of its end.
func gaps(t *testing.T, s *Store) (list []audit.Entry) {
	t.Helper()
	var all []audit.Action
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(0, func(r audit.Record) error {
			if all = append(all, r.Entry.Action); r.Entry.Action == ActionUnwritten {
				list = append(list, r.Entry)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		if (a == ActionWritten) != (i > 0 && all[i-1] == ActionUnwritten) {
			t.Errorf("entries %v", slices.Clone(all))
		}
	}
	return list
}
