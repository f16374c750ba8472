package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRollsEachMonth: the store rolls by itself when a month (UTC) is over, once, also when the month
// ended while it was closed; each roll leaves an entry, and so does one that a crash cut short.
func TestRollsEachMonth(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		mustSave(t, s, 0, "in January")
		time.Sleep(30 * 24 * time.Hour)
		synctest.Wait()
		if got := segments(t, dir); got != 0 {
			t.Fatalf("%d segments within the month", got)
		}
		time.Sleep(2 * 24 * time.Hour)
		mustSave(t, s, 1, "in February")
		if got := segments(t, dir); got != 1 {
			t.Fatalf("%d segments after a month", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * 24 * time.Hour)
		s = open(t, dir, k)
		time.Sleep(2 * time.Minute)
		mustSave(t, s, 2, "in April")
		if got := segments(t, dir); got != 2 {
			t.Fatalf("%d segments after months away", got)
		}
		whole(t, s, 3)
		if n := count(t, s, ActionRolled); n != 2 {
			t.Errorf("%d entries about it", n)
		}
		// Killed before the entry: the next start makes it.
		if err := s.rewriteFile(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, k)
		if n := count(t, s, ActionRolled); n != 3 {
			t.Errorf("%d entries after the restart", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func count(t *testing.T, s *Store, a Action) (n int) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(0, func(r Record) error {
			if r.Entry.Action == a {
				n++
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUpkeepThatFailsIsTriedAgain: in an hour and not each minute, and it is logged.
func TestUpkeepThatFailsIsTriedAgain(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := openWith(t, dir, Options{Keys: k, Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
		mustSave(t, s, 0, "x")
		s.rewrites.Lock()
		s.crash = func(string) error { return errors.New("not today") }
		s.rewrites.Unlock()
		time.Sleep(31*24*time.Hour + 90*time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "upkeep of the store failed"); n != 2 {
			t.Errorf("logged %d times in 90 minutes", n)
		}
		s.rewrites.Lock()
		s.crash = nil
		s.rewrites.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := segments(t, dir); got != 1 {
			t.Errorf("%d segments", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRollsWhenLarge and compacts when most of it is free.
func TestRollsWhenLarge(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	for n := range 20 {
		mustSave(t, s, n, "x")
	}
	s.rollAt = 1 << 20
	if err := s.rollIfDue(context.Background(), time.Now()); err != nil || segments(t, dir) != 0 {
		t.Errorf("a file that is large by its tables rolled: %v", err)
	}
	s.rollLeast = 20
	if err := s.rollIfDue(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := segments(t, dir); got != 1 {
		t.Errorf("%d segments", got)
	}
	s.rollAt = rollBytes
	if err := s.rollIfDue(context.Background(), time.Now()); err != nil || segments(t, dir) != 1 {
		t.Errorf("a small file rolled: %v", err)
	}
}

// TestCompact: rows are deleted, the file becomes small, and nothing else changes.
func TestCompact(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	name := strings.Repeat("x", 4000)
	const most = 3000
	err := s.Update(context.Background(), nurse, func(tx *Tx) error {
		for n := range most {
			if err := testRows.Put(tx, num(n), row{Name: name, Count: n}); err != nil {
				return err
			}
		}
		return tx.Record(Entry{Action: "test.filled", Outcome: OK})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Roll(context.Background()); err != nil { // a compaction keeps the segments
		t.Fatal(err)
	}
	s.compactAt = 1 << 20
	if err := s.compactIfDue(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	before := usedSize(s.durable.Load().file.db)
	err = s.Update(context.Background(), nurse, func(tx *Tx) error {
		for n := range most {
			if err := testRows.Delete(tx, num(n)); err != nil {
				return err
			}
		}
		return tx.Record(Entry{Action: "test.emptied", Outcome: OK})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.merged(nil); err != nil {
		t.Fatal(err)
	}
	for n := range 40 { // commits, so that pages become free
		mustSave(t, s, n, "x")
	}
	if err := s.compactIfDue(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	after := usedSize(s.durable.Load().file.db)
	if after > before/4 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	mustSave(t, s, 40, "x")
	whole(t, s, 41)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole(t, open(t, dir, k), 41)
	if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 || segments(t, dir) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
