package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestNothingIsAcceptedWhenTheSwitchFailed: a roll fails after the new file has its name. What waited
// for the commit is refused: in the old file it would be lost at the next start.
func TestNothingIsAcceptedWhenTheSwitchFailed(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	for n := range 100 {
		mustSave(t, s, n, "x")
	}
	result := make(chan error, 1)
	s.crash = func(p string) error {
		if p != "renamed" {
			return nil
		}
		go func() { result <- save(s, 100, "while the files change places") }()
		waiting(s, 1)
		return syscall.EIO
	}
	if err := s.Roll(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := <-result; err == nil {
		t.Error("it was accepted")
	}
	_ = s.Close()
	s = open(t, dir, k)
	if _, ok := read(t, s, 100); ok {
		t.Error("it was refused and is there")
	}
	whole(t, s, 100)
}

// TestNoSwitchAfterAFailedCommit: a commit fails, and may be done, while a roll waits to put the new
// file in its place. The roll fails too: its new file would hold half of that commit.
func TestNoSwitchAfterAFailedCommit(t *testing.T) {
	for _, done := range []bool{false, true} {
		dir, k := t.TempDir(), newTestKeys(t)
		s := open(t, dir, k)
		for n := range 100 {
			mustSave(t, s, n, "x")
		}
		var broken atomic.Bool
		entered, goOn := make(chan struct{}), make(chan struct{})
		s.write = func(tx *bolt.Tx) error {
			if !broken.Load() {
				return tx.Commit()
			}
			close(entered)
			<-goOn
			if done {
				return errors.Join(tx.Commit(), syscall.EIO)
			}
			return errors.Join(tx.Rollback(), syscall.EIO)
		}
		result := make(chan error, 1)
		w, err := s.beginRewrite(false)
		if err == nil {
			err = errors.Join(w.nearly(context.Background()), s.signHead(context.Background()))
		}
		if err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		go func() { result <- save(s, 100, "in the commit that fails") }()
		<-entered
		rolled := make(chan error, 1)
		go func() { rolled <- s.between(w.replace) }()
		for waits := false; !waits; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			waits = len(s.interludes) > 0
			s.mu.Unlock()
		}
		close(goOn)
		if err := <-rolled; !errors.Is(err, syscall.EIO) {
			t.Errorf("the roll: %v", err)
		}
		w.abandon()
		if err := <-result; !errors.Is(err, syscall.EIO) {
			t.Errorf("the writer: %v", err)
		}
		_ = s.Close()
		s = open(t, dir, k)
		if _, ok := read(t, s, 100); ok != done || segments(t, dir) != 0 {
			t.Errorf("the row is there: %v, want %v; %d segments", ok, done, segments(t, dir))
		}
		whole(t, s, 100)
	}
}

// TestRenameFaults: the rename of a roll or a compaction reports an error and was not done, or was done.
// In the second case the segment's name is all that the old file has, and stays.
func TestRenameFaults(t *testing.T) {
	for _, done := range []bool{false, true} {
		dir, k := t.TempDir(), newTestKeys(t)
		s := open(t, dir, k)
		for n := range 100 {
			mustSave(t, s, n, "x")
		}
		s.rename = func(from, to string) error {
			if done {
				return errors.Join(os.Rename(from, to), syscall.EIO)
			}
			return syscall.EIO
		}
		if err := s.Roll(context.Background()); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		s.rename = os.Rename
		if failed := s.Err() != nil; failed != done {
			t.Errorf("the store failed: %v, the rename was done: %v", failed, done)
		}
		if done {
			_ = s.Close()
			s = open(t, dir, k)
		}
		mustSave(t, s, 100, "x")
		whole(t, s, 101)
		if got := segments(t, dir); got != map[bool]int{true: 1}[done] {
			t.Errorf("%d segments, the rename was done: %v", got, done)
		}
	}
}

// TestCopiesLeaveSpaceForCommits: a roll, a compaction and a backup are refused while a copy of the
// live file would take the space that commits need, and leave nothing behind.
func TestCopiesLeaveSpaceForCommits(t *testing.T) {
	dir := t.TempDir()
	free := uint64(minFreeBytes)
	s := openWith(t, dir, Options{Keys: newTestKeys(t), HeadEvery: time.Hour, Free: func(string) (uint64, uint64, error) { return free, 1 << 30, nil }})
	for n := range 10 {
		mustSave(t, s, n, "x")
	}
	ctx := context.Background()
	free = minFreeBytes / 2
	_, err := s.Backup(ctx, &failing{}, BackupOptions{})
	for i, err := range []error{s.Roll(ctx), s.Compact(ctx), err} {
		if !errors.Is(err, ErrFull) {
			t.Errorf("%d: %v", i, err)
		}
	}
	free = minFreeBytes
	if err := s.Roll(ctx); err != nil {
		t.Error(err)
	}
	whole(t, s, 10)
	if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestRestoreBeginsWithItsEntry also in another month than that of the backup, when new keys are due.
func TestRestoreBeginsWithItsEntry(t *testing.T) {
	k, base := newTestKeys(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(base, "old"), k)
		mustSave(t, s, 0, "x")
		data, info := backup(t, s, BackupOptions{})
		signer := s.Fingerprint()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * 24 * time.Hour)
		dir := filepath.Join(base, "new")
		if _, err := Restore(context.Background(), bytes.NewReader(data), dir, k, RestoreOptions{By: nurse}); err != nil {
			t.Fatal(err)
		}
		r := open(t, dir, k)
		comesFrom(t, r, &info, signer)
		mustSave(t, r, 1, "x")
		whole(t, r, 2)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
