package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCutWhileItRuns: a live file that is cut under an open store ends the store, so that the next
// start can say what is wrong, and puts no wrong value into anybody's hands.
func TestCutWhileItRuns(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	const rows = 400
	for n := range rows {
		mustSave(t, s, n, "a name that makes the file some pages long")
	}
	if err := os.Truncate(filepath.Join(dir, fileName), 8192); err != nil {
		t.Fatal(err)
	}
	for n := range rows {
		err := s.View(context.Background(), func(tx *Tx) error {
			v, ok, err := testRows.Get(tx, num(n))
			if err == nil && (!ok || v.Count != n) {
				t.Errorf("row %d reads %v, %v", n, v, ok)
			}
			return err
		})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("row %d: %v", n, err)
		}
	}
	select {
	case <-s.Failed():
	case <-time.After(10 * time.Second):
		t.Fatal("the store goes on without its file")
	}
	if err := save(s, 0, "more"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a later transaction: %v", err)
	}
}

// TestHeadThatCannotBeSigned is told until one can.
func TestHeadThatCannotBeSigned(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	mustSave(t, s, 0, "x")
	if s.Unsigned() != nil {
		t.Fatal("nothing went wrong yet")
	}
	why := errors.New("the chip is silent")
	s.noteHead(why)
	first := s.Unsigned()
	s.noteHead(why)
	if now := s.Unsigned(); now == nil || !now.Since.Equal(first.Since) || !errors.Is(now.Err, why) {
		t.Fatalf("after two failures: %+v, first %+v", now, first)
	}
	s.noteHead(s.signHead(context.Background()))
	if s.Unsigned() != nil {
		t.Fatal("a head was signed, and it is still told")
	}
}
