package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pinward/store/audit"
)

func backup(t *testing.T, s *Store, o BackupOptions) ([]byte, BackupInfo) {
	t.Helper()
	var b bytes.Buffer
	info, err := s.Backup(context.Background(), &b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), info
}

// TestBackupAndRestore makes a backup while others write and restores it on another machine: same
// root key, another signer.
func TestBackupAndRestore(t *testing.T) {
	ctx := context.Background()
	k := newTestKeys(t)
	s := open(t, t.TempDir(), k)
	const rows = 40
	for n := range rows {
		mustSave(t, s, n, "x")
		if n == 10 || n == 20 {
			if err := s.Roll(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, s, testQueue, 7)
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for n := 1000; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := save(s, n, "y"); err != nil {
				stopped <- err
				return
			}
		}
	}()
	data, info := backup(t, s, BackupOptions{By: nurse, Clear: []byte("shares")})
	if err := s.Roll(ctx); err != nil { // the old one goes on meanwhile
		t.Fatal(err)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, ActionBackup); n != 1 || len(info.Segments) != 2 {
		t.Errorf("%d entries about the backup of %d segments", n, len(info.Segments))
	}
	h, err := InspectBackup(bytes.NewReader(data))
	if err != nil || string(h.Clear) != "shares" || h.Origin != s.Origin() || h.Entries != info.Entries {
		t.Errorf("header %+v, %v", h, err)
	}
	if _, err := VerifyBackup(ctx, bytes.NewReader(data), k, t.TempDir()); err != nil {
		t.Error(err)
	}
	if _, err := VerifyBackup(ctx, bytes.NewReader(data), newTestKeys(t), t.TempDir()); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with another root key: %v", err)
	}

	other := newTestKeys(t)
	other.aead = k.aead
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := Restore(ctx, bytes.NewReader(data), dir, other, RestoreOptions{By: nurse}); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(ctx, bytes.NewReader(data), dir, other, RestoreOptions{}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a folder that is not empty: %v", err)
	}
	r := open(t, dir, other)
	whole(t, r, rows)
	mustGet(t, r, testQueue, 7)
	if r.id == s.id || r.Origin() != s.Origin() {
		t.Errorf("id %x, origin %s", r.id, r.Origin())
	}
	comesFrom(t, r, &info, s.Fingerprint())
	at, ok := r.Restored()
	if !ok || at.Before(info.Made) {
		t.Errorf("restored at %v, %v", at, ok)
	}
	for _, key := range r.KeyInfos() { // nothing is sealed under a key that the old one may use
		if key.Epoch == epochOf(s.durable.Load().ring, key.Purpose) && key.Epoch == epochOf(r.durable.Load().ring, key.Purpose) {
			t.Errorf("the key %d for %s is still current", key.Epoch, key.Purpose)
		}
	}
	err = r.Update(ctx, nurse, func(tx *Tx) error {
		if _, ok := tx.Restored(); !ok {
			t.Error("a transaction does not know of the restore")
		}
		return LiftRestore(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir, other)
	if _, ok := r.Restored(); ok {
		t.Error("lifted, and still restored after a restart")
	}
	if n := count(t, r, ActionLifted); n != 1 {
		t.Errorf("%d entries about the lifting", n)
	}
	if err := r.Roll(ctx); err != nil {
		t.Fatal(err)
	}
	whole(t, r, rows)
}

// comesFrom checks the first entry after a backup.
func comesFrom(t *testing.T, r *Store, info *BackupInfo, signer string) {
	t.Helper()
	err := r.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(info.Entries, func(e Record) error {
			attrs := map[string]string{}
			for _, a := range e.Entry.Attrs {
				attrs[a.Key] = a.Value
			}
			sum := audit.NoteHash(info.Head)
			if e.Entry.Action != ActionRestored || e.Actor != nurse || attrs["signer"] != signer ||
				attrs["head"] != fmt.Sprintf("%x", sum) || attrs["entries"] != fmt.Sprint(info.Entries) {
				t.Errorf("the first entry after the backup is %#v with %v", e, attrs)
			}
			return Stop
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedBackup: each byte that is altered, each cut and whatever is appended is found, and a
// restore from it leaves the folder empty.
func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	k := newTestKeys(t)
	s := open(t, t.TempDir(), k)
	for n := range 4 {
		mustSave(t, s, n, string(make([]byte, 200_000))) // JSON makes six bytes of each
	}
	data, _ := backup(t, s, BackupOptions{})
	rnd := rand.New(rand.NewPCG(5, 6))
	top := bytes.IndexByte(data, '{')
	for i := range 60 {
		bad := bytes.Clone(data)
		switch i % 4 {
		case 0:
			bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
		case 1:
			bad[rnd.IntN(top+2000)] ^= 1 << rnd.IntN(8) // the header
		case 2:
			bad = bad[:rnd.IntN(len(bad))]
		case 3:
			bad = append(bad, byte(i))
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "new")
		_, err := Restore(ctx, bytes.NewReader(bad), dir, k, RestoreOptions{})
		if err == nil {
			t.Fatalf("damage %d is not found", i)
		}
		saidOnce(t, err)
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	}
	// A frame left out, and two exchanged: same sizes, other places.
	const frame = 4 + backupPiece + sealRest
	start := top
	for !frameAt(data, start) {
		start++
	}
	if len(data) < start+3*frame {
		t.Fatal("the backup is too small for this test")
	}
	less := append(bytes.Clone(data[:start]), data[start+frame:]...)
	swapped := bytes.Clone(data)
	copy(swapped[start:], data[start+frame:start+2*frame])
	copy(swapped[start+frame:], data[start:start+frame])
	for _, bad := range [][]byte{less, swapped} {
		if _, err := VerifyBackup(ctx, bytes.NewReader(bad), k, t.TempDir()); !errors.Is(err, ErrBackup) {
			t.Errorf("frames moved: %v", err)
		} else {
			saidOnce(t, err)
		}
	}
}

// saidOnce checks that an error tells a person what it is, and does not say it twice.
func saidOnce(t *testing.T, err error) {
	t.Helper()
	for _, kind := range []error{ErrBackup, ErrCorrupt, ErrFull} {
		if errors.Is(err, kind) && strings.Count(err.Error(), kind.Error()) != 1 {
			t.Errorf("doubled words: %v", err)
		}
	}
}

func frameAt(data []byte, at int) bool {
	n := backupPiece + sealRest
	return bytes.Equal(data[at:at+4], []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestIncrementalBackup: a second backup leaves out what the first has, and is restored with it; alone
// it is restored too, but for those entries.
func TestIncrementalBackup(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	k := newTestKeys(t)
	s := open(t, t.TempDir(), k)
	for n := range 200 {
		mustSave(t, s, n, "x")
	}
	if err := s.Roll(ctx); err != nil {
		t.Fatal(err)
	}
	first, info := backup(t, s, BackupOptions{})
	for n := range 100 {
		mustSave(t, s, 200+n, "x")
	}
	if err := s.Roll(ctx); err != nil {
		t.Fatal(err)
	}
	var have []SegmentID
	for _, g := range info.Segments {
		have = append(have, g.ID())
	}
	second, info := backup(t, s, BackupOptions{Have: have})
	if len(info.Skipped) != 1 || len(info.Segments) != 1 {
		t.Fatalf("left out %d, put in %d", len(info.Skipped), len(info.Segments))
	}
	if _, err := VerifyBackup(ctx, bytes.NewReader(second), k, t.TempDir()); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "both")
	if _, err := Restore(ctx, bytes.NewReader(second), dir, k, RestoreOptions{By: nurse, Earlier: []io.Reader{bytes.NewReader(first)}}); err != nil {
		t.Fatal(err)
	}
	whole(t, open(t, dir, k), 300)
	dir = filepath.Join(t.TempDir(), "alone")
	if _, err := Restore(ctx, bytes.NewReader(second), dir, k, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, k)
	if bad := r.Stats().Damaged; len(bad) != 1 || bad[0].From != 0 {
		t.Errorf("damaged: %v", bad)
	}
	for n := range 300 {
		if _, ok := read(t, r, n); !ok {
			t.Fatalf("row %d is missing", n)
		}
	}
	report, err := r.Scrub(ctx, 0)
	if err != nil || len(report.Findings) != 1 || report.Findings[0].To != info.Skipped[0].To {
		t.Errorf("scrub: %+v, %v", report, err)
	}
}

// TestBackupFaults: a destination that fails, and a disk without room for the copy.
func TestBackupFaults(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	mustSave(t, s, 0, "x")
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	for _, after := range []int{0, 2000, 20_000} {
		if _, err := s.Backup(context.Background(), &failing{after, full}, BackupOptions{}); !errors.Is(err, full) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Backup(ctx, &bytes.Buffer{}, BackupOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, fileNew+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if n := count(t, s, ActionBackup); n != 0 {
		t.Errorf("%d entries about backups that failed", n)
	}
	mustSave(t, s, 1, "y")
	whole(t, s, 2)
}

// failing is a writer that fails after so many bytes.
type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// FuzzBackup: no stream makes the reader do anything but say that it is no backup.
func FuzzBackup(f *testing.F) {
	f.Add([]byte(backupMagic))
	f.Add([]byte(backupMagic + "\x00\x00\x00\x02{}"))
	f.Add([]byte(backupMagic + "\x00\x00\x00\x0c{\"Format\":1}\x00\x00\x00\x1c"))
	k := newTestKeys(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := unpack(context.Background(), bytes.NewReader(data), k, t.TempDir(), func(string) bool { return true })
		if err == nil {
			t.Error("it was taken for a backup")
		}
	})
}
