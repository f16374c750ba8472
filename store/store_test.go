package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"pinward/store/audit"
)

type row struct {
	Name  string
	Count int
}

var (
	testRows   = NewTable[row]("test.rows")
	testIndex  = NewTable[struct{}]("test.index")
	testCursor = NewTable[int]("test.cursor", Bookkeeping("a test's cursor"))
)

var nurse = audit.Actor{Kind: audit.KindUser, ID: "nurse-one"}

func open(t testing.TB, dir string, k Keys) *Store {
	t.Helper()
	return openWith(t, dir, Options{Keys: k, Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.DiscardHandler)})
}

func openWith(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func plenty(string) (free, total uint64, err error) { return 1 << 40, 1 << 40, nil }

func num(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// save puts one row and records it.
func save(s *Store, n int, name string) error {
	return s.Update(context.Background(), nurse, func(tx *Tx) error {
		if err := testRows.Put(tx, num(n), row{Name: name, Count: n}); err != nil {
			return err
		}
		return tx.Record(Entry{Action: "test.saved", Outcome: OK, Object: fmt.Sprint(n)})
	})
}

func mustSave(t testing.TB, s *Store, n int, name string) {
	t.Helper()
	if err := save(s, n, name); err != nil {
		t.Fatal(err)
	}
}

// read gets one row in a View.
func read(t testing.TB, s *Store, n int) (v row, ok bool) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) (err error) {
		v, ok, err = testRows.Get(tx, num(n))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, ok
}

func TestUpdateIsThereAfterReopen(t *testing.T) {
	dir, k := t.TempDir(), newTestKeys(t)
	s := open(t, dir, k)
	mustSave(t, s, 1, "one")
	if v, ok := read(t, s, 1); !ok || v.Name != "one" {
		t.Fatalf("read %v, %v", v, ok)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, k)
	if v, ok := read(t, s, 1); !ok || v.Name != "one" || v.Count != 1 {
		t.Fatalf("after reopening read %v, %v", v, ok)
	}
	var got []Record
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(0, func(r Record) error { got = append(got, r); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Action{ActionKeyMade, ActionKeyMade, ActionCreated, ActionSigner, "test.saved"}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Entry.Action != want[i] || r.Seq != uint64(i) {
			t.Errorf("entry %d is %s with sequence %d, want %s", i, r.Entry.Action, r.Seq, want[i])
		}
	}
	if last := got[4]; last.Actor != nurse || last.Entry.Object != "1" || last.Time.Unix() != last.Header.Second {
		t.Errorf("the saved entry reads %#v by %#v", last, last.Actor)
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	var wg sync.WaitGroup
	errs := make(chan error, 32)
	for w := range 16 {
		wg.Go(func() {
			for i := range 50 {
				if err := save(s, w*1000+i, "x"); err != nil {
					errs <- err
					return
				}
				// Read your own write: durable means seen.
				err := s.View(context.Background(), func(tx *Tx) error {
					_, ok, err := testRows.Get(tx, num(w*1000+i))
					if err == nil && !ok {
						err = errors.New("a durable row is not seen")
					}
					return err
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if got := s.Stats().Entries; got != 16*50+4 {
		t.Errorf("%d entries, want %d", got, 16*50+4)
	}
}

// TestRisingIDs: ids of later instants sort later, down to a nanosecond; those of one instant differ.
func TestRisingIDs(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 4, 5, 999_999_900, time.UTC)
	last := ""
	for range 300 { // over the end of a microsecond, a millisecond and a second
		tx := &Tx{now: at}
		id, twin := tx.RisingID(), tx.RisingID()
		if len(id) != 32 || id == twin {
			t.Fatalf("ids %q and %q", id, twin)
		}
		if min(id, twin) <= last {
			t.Fatalf("%s at %v is not after %s", min(id, twin), at, last)
		}
		last = max(id, twin)
		at = at.Add(time.Nanosecond)
	}
}
