package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestScrubsEachMonth: the store scrubs itself once in thirty days, and goes on after a restart where
// it was.
func TestScrubsEachMonth(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		mustSave(t, s, 0, "x")
		time.Sleep(29 * 24 * time.Hour)
		synctest.Wait()
		if r, err := s.LastScrub(); err != nil || !r.Started.IsZero() {
			t.Errorf("scrubbed within the month: %+v, %v", r, err)
		}
		time.Sleep(24*time.Hour + 2*time.Minute)
		synctest.Wait()
		r, err := s.LastScrub()
		if err != nil || r.Finished.IsZero() || r.Values == 0 || r.Entries < 5 || len(r.Findings) > 0 {
			t.Errorf("after thirty days: %+v, %v", r, err)
		}
		// One that was interrupted within the log: values are not read again, and no entry twice.
		cut := ScrubReport{Started: time.Now().UTC().Round(0), Values: 1000, Entries: 2, At: cursor{Seq: 2}}
		if err := s.keepScrub(context.Background(), &cut); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, k)
		size := s.Stats().Entries
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r, err = s.LastScrub()
		if err != nil || r.Started != cut.Started || r.Finished.IsZero() || r.Values != 1000 || r.Entries < size || r.Entries > size+1 {
			t.Errorf("after the restart: %+v of %d entries, %v", r, size, err)
		}
		if n := count(t, s, ActionScrubbed); n != 2 {
			t.Errorf("%d entries about it", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestScrubIsInterrupted by a context, again and again: it ends all the same, and has read each value
// and each entry.
func TestScrubIsInterrupted(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	for n := range 10 {
		mustSave(t, s, n, "x")
	}
	if err := s.Roll(context.Background()); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 10, "x")
	if err := s.merged(nil); err != nil {
		t.Fatal(err)
	}
	c := &scrub{Store: s, tables: true, ScrubReport: ScrubReport{Started: time.Now().UTC().Round(0)}}
	for n := range 3 { // as if it had been cut short after so many pieces
		if done, err := c.step(context.Background(), s.Stats().Entries); done || err != nil {
			t.Fatalf("piece %d: %v, %v", n, done, err)
		}
		if err := s.keepScrub(context.Background(), &c.ScrubReport); err != nil {
			t.Fatal(err)
		}
	}
	values, started := c.Values, c.Started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Scrub(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	size := s.Stats().Entries
	r, err := s.Scrub(context.Background(), 0)
	if err != nil || r.Started != started || r.Values < values || r.Values < 11 || r.Entries != size || len(r.Findings) > 0 {
		t.Errorf("%+v, %v; %d values before, %d entries", r, err, values, size)
	}
}

// TestDamageIsTold: a segment that is lost while the store runs is an entry, once; after a restart the
// rest goes on.
func TestDamageIsTold(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		mustSave(t, s, 0, "x")
		if err := s.Roll(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.durable.Load().file.segments[0].quarantine("a test says so")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		told := 0
		err := s.View(context.Background(), func(tx *Tx) error {
			return tx.Entries(s.durable.Load().file.place.Base, func(r Record) error {
				if r.Entry.Action == ActionDamaged && r.Entry.Outcome == Failed && len(r.Entry.Attrs) == 3 {
					told++
				}
				return nil
			})
		})
		if err != nil || told != 1 {
			t.Errorf("%d entries, %v", told, err)
		}
		mustSave(t, s, 1, "x")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, k)
		if bad := s.Stats().Damaged; len(bad) != 1 {
			t.Errorf("damaged after a restart: %v", bad)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if aside, _ := filepath.Glob(filepath.Join(dir, "*"+asideMark+"*")); len(aside) != 1 {
		t.Errorf("put aside: %v", aside)
	}
}

// TestRottenValue: one value that does not open stays what it is, an error where it is read. It keeps
// neither the other values from being sealed anew nor the store from being restored.
func TestRottenValue(t *testing.T) {
	ctx := context.Background()
	dir, k := t.TempDir(), newTestKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, k)
		put(t, s, testQueue, 1)
		put(t, s, testQueue, 2)
		mustSave(t, s, 0, "x")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tamper(t, filepath.Join(dir, fileName), func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(testQueue.info.bucket))
			v := bytes.Clone(b.Get(num(1)))
			v[len(v)-1]++
			return b.Put(num(1), v)
		})
		s = open(t, dir, k)
		time.Sleep(10 * 24 * time.Hour)
		if err := s.Refresh(ctx); err != nil {
			t.Errorf("refresh: %v", err)
		}
		mustGet(t, s, testQueue, 2)
		if got := epochs(s, PurposeQueue); len(got) < 2 || got[0] != 1 {
			t.Errorf("queue keys %v: that of the value that does not open has to stay", got)
		}
		data, _ := backup(t, s, BackupOptions{})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		r := filepath.Join(dir, "restored")
		if _, err := Restore(ctx, bytes.NewReader(data), r, k, RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		s = open(t, r, k)
		mustGet(t, s, testQueue, 2)
		err := s.View(ctx, func(tx *Tx) error { _, _, err := testQueue.Get(tx, num(1)); return err })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("the rotten value reads: %v", err)
		}
		if report, err := s.Scrub(ctx, 0); err != nil || len(report.Findings) != 1 {
			t.Errorf("scrub: %+v, %v", report, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestUpkeepOnAFullDisk: a roll, a compaction and a backup meet a disk that is really full, at many
// places. Each is an error, leaves nothing behind, and works when there is space again.
func TestUpkeepOnAFullDisk(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatalf("mount a small file system (this test runs as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := open(t, dir, newTestKeys(t))
	for n := range 20 {
		mustSave(t, s, n, string(make([]byte, 5000)))
	}
	ballast := filepath.Join(dir, "ballast")
	for _, left := range []int64{0, 8 << 10, 100 << 10, 600 << 10} {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ballast, make([]byte, int64(st.Bavail)*st.Bsize-left), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Backup(ctx, &failing{left: 1 << 30}, BackupOptions{})
		for what, err := range map[string]error{"roll": s.Roll(ctx), "compact": s.Compact(ctx), "backup": err} {
			if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s with %d bytes left: %v", what, left, err)
			}
			saidOnce(t, err)
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 || segments(t, dir) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	if err := errors.Join(s.Compact(ctx), s.Roll(ctx)); err != nil {
		t.Error(err)
	}
	backup(t, s, BackupOptions{})
	whole(t, s, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
