package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedSegment flips, zeroes and cuts a frozen segment: rows and the rest of the log go on, what
// is read of it is true or an error that names it, the scrub says which entries are concerned, and the
// file is put aside and never deleted.
func TestDamagedSegment(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	base, k := t.TempDir(), newTestKeys(t)
	s := open(t, base, k)
	for n := range 300 {
		mustSave(t, s, n, "x")
		if n%100 == 99 {
			if err := s.Roll(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	info := s.Stats().Segments[1]
	entries := s.Stats().Entries
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := "segment-000002.db"
	rnd := rand.New(rand.NewPCG(7, 8))
	found := 0
	for i := range 12 {
		dir := t.TempDir()
		copyStore(t, base, dir)
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		used := len(strings.TrimRight(string(data), "\x00"))
		switch i % 3 {
		case 0:
			data[rnd.IntN(used)] ^= 1 << rnd.IntN(8)
		case 1:
			page := rnd.IntN(used/4096) * 4096
			clear(data[page : page+4096])
		case 2:
			data = data[:rnd.IntN(used)]
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		writeSparse(t, path, data)
		s := open(t, dir, k)
		for n := range 300 {
			if v, ok := read(t, s, n); !ok || v.Count != n {
				t.Fatalf("row %d: %v, %v", n, v, ok)
			}
		}
		report, err := s.Scrub(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range report.Findings {
			if f.Table != "" || f.From < info.From || f.To > info.To {
				t.Errorf("damage %d: a finding elsewhere: %+v", i, f)
			}
		}
		bad := s.Stats().Damaged
		aside, _ := filepath.Glob(path + asideMark + "*")
		if len(bad) != len(aside) || len(bad) > 0 && (bad[0].Number != 2 || len(report.Findings) == 0) {
			t.Errorf("damage %d: out of use %v, aside %v", i, bad, aside)
		}
		if len(report.Findings) > 0 {
			found++
		}
		next := uint64(0)
		err = s.View(ctx, func(tx *Tx) error {
			return tx.Entries(info.To, func(r Record) error { next++; return nil })
		})
		if err != nil || next < entries-info.To {
			t.Errorf("damage %d: %d entries after the segment, %v", i, next, err)
		}
		mustSave(t, s, 300, "it goes on")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if found < 4 { // all that were cut
		t.Errorf("only %d of 12 damages were found", found)
	}
}

// TestQuarantine: a live file that was cut is put aside, and no empty store is begun in its place.
func TestQuarantine(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	file := filled(t, dir, k, 50)
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		_, err := tryOpen(dir, k)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "restore the newest backup") {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if aside, _ := filepath.Glob(file + asideMark + "*"); len(aside) != 1 {
		t.Errorf("aside: %v", aside)
	}
	// Keys that do not fit say nothing about the file.
	dir = t.TempDir()
	file = filled(t, dir, k, 5)
	if _, err := tryOpen(dir, newTestKeys(t)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("other keys: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// copyStore copies a store that is closed.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	list, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		writeSparse(t, filepath.Join(to, f.Name()), data)
	}
}

// TestExisting: who knows that there was a store gets no empty one in its place.
func TestExisting(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "store"), newTestKeys(t)
	if _, err := Open(t.Context(), dir, Options{Keys: k, Existing: true}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a store that is gone: %v", err)
	}
	file := filled(t, dir, k, 5)
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{Keys: k, Existing: true}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a file that is gone: %v", err)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dir, Options{Keys: k, Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
