package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestCommitFaults plays, for each kind of error, a commit that was not done and one that was done in
// truth. In both cases transactions that ran on top of it share its fate, and what the next Open
// finds is whole.
func TestCommitFaults(t *testing.T) {
	noSpace := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	ioErr := &os.PathError{Op: "write", Path: "x", Err: syscall.EIO}
	for _, c := range []struct {
		name  string
		err   error
		done  bool // the commit did happen
		fatal bool
	}{
		{"no space, not done", noSpace, false, false},
		{"no space, done", noSpace, true, true},
		{"i/o error, not done", ioErr, false, true},
		{"i/o error, done", ioErr, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, k := t.TempDir(), newTestKeys(t)
			s := open(t, dir, k)
			mustSave(t, s, 1, "before")
			entered, open2 := make(chan struct{}, 9), make(chan struct{})
			var broken atomic.Bool
			broken.Store(true)
			s.write = func(tx *bolt.Tx) error {
				if !broken.Load() {
					return tx.Commit()
				}
				entered <- struct{}{}
				<-open2
				if c.done {
					return errors.Join(tx.Commit(), c.err)
				}
				return errors.Join(tx.Rollback(), c.err)
			}
			results := make(chan error, 2)
			go func() { results <- save(s, 2, "in the commit that fails") }()
			<-entered
			go func() { results <- save(s, 3, "on top of it") }()
			waiting(s, 1)
			broken.Store(false)
			close(open2)
			for range 2 {
				err := <-results
				if err == nil || errors.Is(err, ErrFull) != errors.Is(c.err, syscall.ENOSPC) {
					t.Errorf("a writer got %v", err)
				}
			}
			if c.fatal {
				<-s.Failed()
				if s.Err() == nil {
					t.Error("there is no error behind Failed")
				}
				if err := save(s, 4, "after"); err == nil {
					t.Error("something was accepted after the failure")
				}
				if err := s.View(context.Background(), func(*Tx) error { return nil }); err == nil {
					t.Error("a View works after the failure")
				}
			} else {
				if s.Err() != nil {
					t.Errorf("the store failed: %v", s.Err())
				}
				mustSave(t, s, 4, "after")
			}
			_ = s.Close()
			s = open2nd(t, dir, k)
			for n, want := range map[int]bool{1: true, 2: c.done, 3: false, 4: !c.fatal} {
				if _, ok := read(t, s, n); ok != want {
					t.Errorf("row %d is there: %v, want %v", n, ok, want)
				}
			}
			if err := s.Check(context.Background()); err != nil {
				t.Error(err)
			}
			mustSave(t, s, 5, "it goes on")
		})
	}
}

func open2nd(t *testing.T, dir string, k Keys) *Store {
	t.Helper()
	s, err := tryOpen(dir, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestPanicInCommit: the database panics in a commit. That ends the store, not the process, and Close
// returns.
func TestPanicInCommit(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	s.write = func(*bolt.Tx) error { panic("page 7 already freed") }
	if err := save(s, 1, "x"); err == nil {
		t.Error("it was accepted")
	}
	<-s.Failed()
	_ = s.Close()
}

// TestKeyringCannotBeWrapped: the first code of a day fails, nothing else does, and the next try works.
func TestKeyringCannotBeWrapped(t *testing.T) {
	k := newTestKeys(t)
	s := open(t, t.TempDir(), k)
	code := func() error {
		return s.Update(context.Background(), nurse, func(tx *Tx) error {
			if _, err := tx.CodeMAC(tx.CodeEpoch(), []byte("x")); err != nil {
				return err
			}
			return tx.Record(Entry{Action: "test.code", Outcome: OK})
		})
	}
	away := errors.New("the TPM is away")
	k.setErr(away)
	if err := code(); !errors.Is(err, away) {
		t.Errorf("with the TPM away: %v", err)
	}
	mustSave(t, s, 1, "x")
	k.setErr(nil)
	if err := code(); err != nil {
		t.Error(err)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestAcceptNeedsSpace: under max(5 %, 512 MB) Accept is refused and Update is not.
func TestAcceptNeedsSpace(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		free, total uint64
		want        error
	}{
		{511 * mb, 1000 * mb, ErrFull}, {513 * mb, 1000 * mb, nil},
		{4 << 30, 100 << 30, ErrFull}, {6 << 30, 100 << 30, nil},
	} {
		s := openWith(t, t.TempDir(), Options{Keys: newTestKeys(t), Free: func(string) (uint64, uint64, error) { return c.free, c.total, nil }})
		err := s.Accept(context.Background(), nurse, func(tx *Tx) error { return tx.Record(Entry{Action: "test.saved", Outcome: OK}) })
		if !errors.Is(err, c.want) {
			t.Errorf("%d of %d MB free: %v", c.free/mb, c.total/mb, err)
		}
		if free, least, err := s.Room(); free != c.free || least != max(c.total/20, 512*mb) || !errors.Is(err, c.want) {
			t.Errorf("%d of %d MB free: room is %d of %d, %v", c.free/mb, c.total/mb, free, least, err)
		}
		mustSave(t, s, 1, "an Update")
	}
	gone := errors.New("no such disk")
	s := openWith(t, t.TempDir(), Options{Keys: newTestKeys(t), Free: func(string) (uint64, uint64, error) { return 0, 0, gone }})
	if err := s.Accept(context.Background(), nurse, func(*Tx) error { return nil }); !errors.Is(err, gone) {
		t.Errorf("with no answer about space: %v", err)
	}
}

// TestDiskReallyFull fills a small file system. The writes that fit stay, those that do not are
// refused and leave nothing; when there is space again it goes on by itself.
func TestDiskReallyFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a small file system (this test runs as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	k := newTestKeys(t)
	s := open(t, dir, k)
	big := string(make([]byte, 5000))
	stored := 0
	var err error
	for ; stored < 10_000 && err == nil; stored++ {
		err = save(s, stored, big)
	}
	stored-- // the last one failed
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || s.Err() != nil {
		t.Fatalf("after %d rows: %v; failed: %v", stored, err, s.Err())
	}
	if err := s.Accept(context.Background(), nurse, func(*Tx) error { return nil }); !errors.Is(err, ErrFull) {
		t.Errorf("Accept while the disk is full: %v", err)
	}
	if _, _, err := s.Room(); !errors.Is(err, ErrFull) {
		t.Errorf("room while the disk is full: %v", err)
	}
	if _, ok := read(t, s, stored); ok {
		t.Error("the row that was refused is there")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, stored, "again")
	if err := s.Accept(context.Background(), nurse, func(*Tx) error { return nil }); err != nil {
		t.Errorf("Accept with space again: %v", err)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	for n := range stored + 1 {
		if _, ok := read(t, s, n); !ok {
			t.Fatalf("row %d was accepted and is gone", n)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNoSpaceToMakeIt: the very first start on a full disk is a clear error and leaves no store.
func TestNoSpaceToMakeIt(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Fatalf("mount a small file system (this test runs as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := Open(context.Background(), dir, Options{Keys: newTestKeys(t), HeadEvery: time.Hour})
	if !errors.Is(err, ErrFull) {
		t.Errorf("error %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Error(fmt.Sprint("left behind: ", files, err))
	}
}
