package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestRotateIndexCommitFaults: each commit that a rotation makes in the live file, that of the new cover
// and that of its end, fails and was not done, or was done. Whatever the next start finds fits together.
func TestRotateIndexCommitFaults(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, done := range []bool{false, true} {
			for n := range 2 {
				t.Run(fmt.Sprintf("%d/%v/done %v", n, fault, done), func(t *testing.T) {
					dir, k := t.TempDir(), newTestKeys(t)
					s := open(t, dir, k)
					fillBlinded(t, s)
					commits := 0
					s.write = func(tx *bolt.Tx) error {
						if commits++; commits != n+1 {
							return tx.Commit()
						}
						if done {
							return errors.Join(tx.Commit(), fault)
						}
						return errors.Join(tx.Rollback(), fault)
					}
					if err := s.RotateIndex(context.Background(), nurse); !errors.Is(err, fault) {
						t.Fatalf("error %v", err)
					}
					if failed := s.Err() != nil; failed != (done || fault != syscall.ENOSPC) {
						t.Errorf("the store failed: %v", s.Err())
					}
					checkLeft(t, s, done || fault != syscall.ENOSPC)
					_ = s.Close()
					afterIndex(t, open(t, dir, k), dir, uint32(1+n)) // the second commit comes after the new file
				})
			}
		}
	}
}

// checkLeft looks that a store which goes on after a failure works.
func checkLeft(t *testing.T, s *Store, failed bool) {
	t.Helper()
	if !failed {
		mustSave(t, s, 1, "it goes on")
		checkBlinded(t, s)
	}
}

// TestRotateIndexRenameFaults: the rename fails and was not done, or was done.
func TestRotateIndexRenameFaults(t *testing.T) {
	for _, done := range []bool{false, true} {
		dir, k := t.TempDir(), newTestKeys(t)
		s := open(t, dir, k)
		fillBlinded(t, s)
		s.rename = func(from, to string) error {
			if done {
				return errors.Join(os.Rename(from, to), syscall.EIO)
			}
			return syscall.EIO
		}
		if err := s.RotateIndex(context.Background(), nurse); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if failed := s.Err() != nil; failed != done {
			t.Errorf("the store failed: %v, the rename was done: %v", failed, done)
		}
		s.rename = os.Rename
		want := uint32(1)
		if done {
			_ = s.Close()
			s, want = open(t, dir, k), 2
		}
		afterIndex(t, s, dir, want)
	}
}

// TestRotateIndexThatCannotBegin: the TPM is away, the disk is nearly full, the file is being rewritten
// already, the caller gave up. Nothing has happened.
func TestRotateIndexThatCannotBegin(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	free := uint64(1 << 40)
	s := openWith(t, dir, Options{Keys: k, Free: func(string) (uint64, uint64, error) { return free, 1 << 40, nil }})
	fillBlinded(t, s)
	ctx := context.Background()
	away := errors.New("the TPM is away")
	k.setErr(away)
	if err := s.RotateIndex(ctx, nurse); !errors.Is(err, away) {
		t.Errorf("without the TPM: %v", err)
	}
	k.setErr(nil)
	free = minFreeBytes / 2
	if err := s.RotateIndex(ctx, nurse); !errors.Is(err, ErrFull) {
		t.Errorf("without space: %v", err)
	}
	free = 1 << 40
	s.rewrites.Lock()
	if err := s.RotateIndex(ctx, nurse); !errors.Is(err, ErrBusy) {
		t.Errorf("while it rolls: %v", err)
	}
	s.rewrites.Unlock()
	gone, cancel := context.WithCancel(ctx)
	s.crash = func(p string) error {
		if p == "made" {
			cancel()
		}
		return nil
	}
	if err := s.RotateIndex(gone, nurse); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	s.crash = nil
	if got := coverEntries(t, s); got != "made 2, dropped 2, " {
		t.Errorf("entries about covers: %s", got)
	}
	afterIndex(t, s, dir, 1)
}

// TestRotateIndexWhileOthersWork: transactions read and write covered tables all the time, and a View
// that began in the old file ends in it.
func TestRotateIndexWhileOthersWork(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	fillBlinded(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := w; ctx.Err() == nil; n = (n + 4) % blindedRows {
				err := s.Update(context.Background(), nurse, func(tx *Tx) error {
					single, pair := blindedKeys(tx, n)
					if err := errors.Join(testBlinded.Delete(tx, single), testPairs.Delete(tx, pair), putBlinded(tx, n, fmt.Sprintf("value %d", n))); err != nil {
						return err
					}
					return findBlinded(tx, blindedRows)
				})
				if err == nil {
					err = s.View(context.Background(), func(tx *Tx) error { return findBlinded(tx, blindedRows) })
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range 4 {
		began, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			ended <- s.View(context.Background(), func(tx *Tx) error {
				err := findBlinded(tx, blindedRows)
				close(began)
				<-goOn
				return errors.Join(err, findBlinded(tx, blindedRows))
			})
		}()
		<-began
		if err := s.RotateIndex(context.Background(), nurse); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		close(goOn)
		if err := <-ended; err != nil {
			t.Errorf("round %d: a View of the old file: %v", round, err)
		}
	}
	cancel()
	wg.Wait()
	checkBlinded(t, s)
}

// TestBackupsAroundARotationOfIndex: one from before it and one from after it restore, and so does one
// that was copied in its midst; each with its own cover.
func TestBackupsAroundARotationOfIndex(t *testing.T) {
	k, ctx := newTestKeys(t), context.Background()
	s := open(t, t.TempDir(), k)
	fillBlinded(t, s)
	backups := map[string][]byte{}
	backups["before"], _ = backup(t, s, BackupOptions{})
	s.crash = func(p string) error {
		if p == "copied" {
			backups["in its midst"], _ = backup(t, s, BackupOptions{})
		}
		return nil
	}
	if err := s.RotateIndex(ctx, nurse); err != nil {
		t.Fatal(err)
	}
	s.crash = nil
	backups["after"], _ = backup(t, s, BackupOptions{})
	for name, data := range backups {
		if _, err := VerifyBackup(ctx, bytes.NewReader(data), k, t.TempDir()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(ctx, bytes.NewReader(data), dir, k, RestoreOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := uint32(1)
		if name == "after" {
			want = 2
		}
		r := open(t, dir, k)
		if got := r.Index().Generation; got != want || len(r.durable.Load().ring.covers) != 1 {
			t.Errorf("%s: generation %d, want %d", name, got, want)
		}
		checkBlinded(t, r)
		if err := r.RotateIndex(ctx, nurse); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkBlinded(t, r)
	}
}

// TestScrubAcrossARotationOfIndex: one that a rotation meets half-way, or while the process is down, begins
// its table anew, as the keys have another order by then.
func TestScrubAcrossARotationOfIndex(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	fillBlinded(t, s)
	ctx := context.Background()
	half := bytes.Repeat([]byte{0x80}, blindSize)
	for _, rotate := range []bool{false, true} {
		c := &scrub{Store: s, tables: true, ScrubReport: ScrubReport{At: cursor{Table: "t/test.blinded", Key: half, Cover: s.Index().Generation}}}
		if rotate {
			if err := s.RotateIndex(ctx, nurse); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.stepTable(ctx); err != nil {
			t.Fatal(err)
		}
		if all := c.Values == blindedRows; all != rotate || len(c.Findings) > 0 {
			t.Errorf("rotated %v: %d values, findings %v", rotate, c.Values, c.Findings)
		}
	}
}
