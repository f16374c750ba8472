package store

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestSegmentList: the note of all segments says what the notes of each say. Where it is missing, altered, or
// was left behind by an older program that rolled, those decide; where they are altered, nothing opens.
func TestSegmentList(t *testing.T) {
	base, k := t.TempDir(), newTestKeys(t)
	s := open(t, base, k)
	var older []byte
	for n := range 4 {
		mustSave(t, s, n, "x")
		if err := s.Roll(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			err := s.durable.Load().file.db.View(func(tx *bolt.Tx) error {
				older = bytes.Clone(tx.Bucket(bucketMeta).Get(keySegments))
				return nil
			})
			if err != nil || older == nil {
				t.Fatal("no list", err)
			}
		}
	}
	want := s.Stats().Segments
	closeStore(t, s)
	note := func(v []byte) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySegments, v) }
	}
	for name, with := range map[string]func(*bolt.Tx) error{
		"as it is": func(*bolt.Tx) error { return nil },
		"missing":  func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keySegments) },
		"altered":  flip(bucketMeta, keySegments, 3),
		"older":    note(older),
		"cut":      note(older[:20]),
	} {
		dir := t.TempDir()
		copyStore(t, base, dir)
		tamper(t, filepath.Join(dir, fileName), with)
		s := open(t, dir, k)
		if got := s.Stats().Segments; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		whole(t, s, 4)
		closeStore(t, s)
	}
	dir := t.TempDir()
	copyStore(t, base, dir)
	tamper(t, filepath.Join(dir, fileName), func(tx *bolt.Tx) error {
		return errors.Join(tx.Bucket(bucketMeta).Delete(keySegments), flip(bucketSegments, []byte{0, 0, 0, 2}, 3)(tx))
	})
	if _, err := tryOpen(dir, k); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with neither: %v", err)
	}
}
