package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pinward/store/audit"
)

// whole checks all that a store promises after whatever was done to it: rows 0 to n-1 read true, every
// entry is there in order, everything opens, and a bundle verifies.
func whole(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		if v, ok := read(t, s, i); !ok || v.Count != i {
			t.Fatalf("row %d: %v, %v", i, v, ok)
		}
	}
	next, saved := uint64(0), map[string]int{}
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(0, func(r Record) error {
			if r.Seq != next {
				return fmt.Errorf("entry %d after %d", r.Seq, next)
			}
			next++
			if r.Entry.Action == "test.saved" {
				saved[r.Entry.Object]++
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); next != st.Entries {
		t.Fatalf("%d entries read, %d counted", next, st.Entries)
	}
	for i := range n {
		if saved[fmt.Sprint(i)] == 0 {
			t.Fatalf("row %d has no entry", i)
		}
	}
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := export(t, s, s.Fingerprint()); r.Entries != s.Stats().Entries {
		t.Fatalf("the bundle has %d entries", r.Entries)
	}
}

func segments(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "segment-*.db"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// TestRoll rolls at many sizes of the tree, so that its edge falls on every kind of place; all is
// read across the segments, before and after a restart.
func TestRoll(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	n := 0
	for _, more := range []int{1, 59, 2, 130, 64, 1, 700, 3} {
		for range more {
			mustSave(t, s, n, "x")
			n++
		}
		if err := s.Roll(context.Background()); err != nil {
			t.Fatal(err)
		}
		whole(t, s, n)
	}
	if got := segments(t, dir); got != 8 {
		t.Fatalf("%d segments", got)
	}
	mustSave(t, s, n, "after")
	n++
	reveal := func(seq uint64) (err error) {
		return s.View(context.Background(), func(tx *Tx) error {
			o, err := tx.Reveal(seq)
			if err != nil {
				return err
			}
			_, err = audit.VerifyOpening(&o, k.Signer())
			return err
		})
	}
	if err := s.signHead(context.Background()); err != nil {
		t.Fatal(err)
	}
	for seq := range s.Stats().Entries {
		if err := reveal(seq); err != nil {
			t.Fatalf("entry %d: %v", seq, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	whole(t, s, n)
	info, err := os.Stat(filepath.Join(dir, "segment-000003.db"))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("a segment's mode: %v, %v", info, err)
	}
}

// TestRollBesideWriters: rows are written, altered and deleted while the store rolls again and again;
// Views that began before go on, and nothing gets lost.
func TestRollBesideWriters(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	for n := range 300 {
		mustSave(t, s, n, "x")
	}
	stop, ended := make(chan struct{}), make(chan error, 4)
	for w := range 4 {
		go func() {
			for n := 300 + w; ; n += 4 {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				err := s.Update(context.Background(), nurse, func(tx *Tx) error {
					if err := testRows.Put(tx, num(n), row{Count: n}); err != nil {
						return err
					}
					if err := testRows.Delete(tx, num(n-4)); err != nil && n >= 304 {
						return err
					}
					if n < 304+w { // the first of each writer has nothing to delete but a row below 300
						if err := testRows.Put(tx, num(n-4), row{Count: n - 4}); err != nil {
							return err
						}
					}
					return tx.Record(Entry{Action: "test.moved", Outcome: OK})
				})
				if err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	// A View that lasts through the rolls sees one state.
	viewing, seen := make(chan struct{}), make(chan error, 1)
	go func() {
		seen <- s.View(context.Background(), func(tx *Tx) error {
			before, err := testRows.Len(tx)
			<-viewing
			after, err2 := testRows.Len(tx)
			if before != after {
				return fmt.Errorf("%d rows, then %d", before, after)
			}
			return errors.Join(err, err2)
		})
	}()
	for range 8 {
		if err := s.Roll(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	close(viewing)
	if err := <-seen; err != nil {
		t.Error(err)
	}
	close(stop)
	for range 4 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	rows := 0
	err := s.View(context.Background(), func(tx *Tx) (err error) { rows, err = testRows.Len(tx); return err })
	if err != nil || rows != 304 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	export(t, s, s.Fingerprint())
}

// TestViewOutlivesManyRolls: while a View of the first file lasts, that file stays locked against being opened
// anew; it is read all the same, in that View and beside it.
func TestViewOutlivesManyRolls(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 0, "x")
	entries := func(tx *Tx) (n int, err error) {
		err = tx.Entries(0, func(Record) error { n++; return nil })
		return n, err
	}
	began, rolled, seen := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		seen <- s.View(context.Background(), func(tx *Tx) error {
			before, err := entries(tx)
			close(began)
			<-rolled
			after, err2 := entries(tx)
			if before != after {
				return fmt.Errorf("%d entries, then %d", before, after)
			}
			return errors.Join(err, err2)
		})
	}()
	<-began
	for n := range 2 * maxOpenSegments {
		mustSave(t, s, n, "x")
		if err := s.Roll(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		err := s.View(context.Background(), func(tx *Tx) error { _, err := entries(tx); return err })
		if err != nil {
			t.Error(err)
		}
	}
	close(rolled)
	if err := <-seen; err != nil {
		t.Error(err)
	}
	whole(t, s, 2*maxOpenSegments)
}

// TestRollSeesWhatIsWrittenWhileItCatchesUp alters a row again between the list of what is to be
// copied and the snapshot from which it is copied.
func TestRollSeesWhatIsWrittenWhileItCatchesUp(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 0, "first")
	times := 0
	s.crash = func(p string) error {
		if p == "taken" {
			times++
			mustSave(t, s, 0, fmt.Sprint("again ", times))
		}
		return nil
	}
	if err := s.Roll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v, ok := read(t, s, 0); !ok || times == 0 || v.Name != fmt.Sprint("again ", times) {
		t.Errorf("after %d changes the row is %v, %v", times, v, ok)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// rollPoints are the crash points of a roll; the new file is the live one after the last.
var rollPoints = []string{"copied", "filled", "linked", "renamed"}

// TestRollFaults fails a roll at each point. Before the rename all is as before and the next roll
// works; after it the process has to end, and the next start finds the new file.
func TestRollFaults(t *testing.T) {
	for _, point := range rollPoints {
		for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(point+" "+fault.Error(), func(t *testing.T) {
				dir, k := t.TempDir(), newTestKeys(t)
				s := open(t, dir, k)
				for n := range 100 {
					mustSave(t, s, n, "x")
				}
				s.crash = func(p string) error {
					if p == point {
						return fault
					}
					return nil
				}
				if err := s.Roll(context.Background()); !errors.Is(err, fault) {
					t.Fatal(err)
				}
				s.crash = nil
				if point == "renamed" {
					<-s.Failed()
					_ = s.Close()
					s = open(t, dir, k)
				} else if got := segments(t, dir); got != 0 {
					t.Errorf("%d segments were left", got)
				}
				mustSave(t, s, 100, "after")
				whole(t, s, 101)
				if err := s.Roll(context.Background()); err != nil {
					t.Fatal(err)
				}
				whole(t, s, 101)
				if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// TestFormat1 opens a store that the first version of the program wrote, and rolls it. The first
// version refuses it from then on, as this one refuses a newer one.
func TestFormat1(t *testing.T) {
	dir, k := t.TempDir(), format1(t)
	gunzip(t, "testdata/format-1.db.gz", filepath.Join(dir, fileName))
	s := open(t, dir, k)
	if got := s.Stats().Entries; got != 176 {
		t.Errorf("%d entries", got)
	}
	for _, n := range []int{0, 149, 200, 219} {
		if v, ok := read(t, s, n); !ok || v.Name != fmt.Sprintf("row %d", n) {
			t.Errorf("row %d: %v, %v", n, v, ok)
		}
	}
	if err := s.Roll(context.Background()); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, 0, "x")
	whole(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole(t, open(t, dir, k), 1)
}

// TestNewerFormatIsRefused: and the file stays where it is.
func TestNewerFormatIsRefused(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	file := filled(t, dir, k, 3)
	tamper(t, file, flip(bucketMeta, keyFormat, 0))
	if _, err := tryOpen(dir, k); !errors.Is(err, ErrNewer) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
