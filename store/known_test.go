package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

var onceRows = NewTable[*row]("test.once", DecodedOnce())

// TestDecodedOnce: in one transaction a value is the same at every read, what was put is read, what was
// deleted is gone, and nothing of it is seen by another transaction, nor after the end.
func TestDecodedOnce(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	get := func(tx *Tx, i int) *row {
		t.Helper()
		v, ok, err := onceRows.Get(tx, num(i))
		if err != nil || !ok {
			t.Fatalf("row %d: %v, %v", i, ok, err)
		}
		return v
	}
	missing := func(tx *Tx, i int) {
		t.Helper()
		if v, ok, err := onceRows.Get(tx, num(i)); ok || err != nil {
			t.Errorf("row %d is %v, %v", i, v, err)
		}
	}
	update := func(fn func(tx *Tx) error) error {
		return s.Update(context.Background(), nurse, func(tx *Tx) error {
			if err := tx.Record(Entry{Action: "test.once", Outcome: OK}); err != nil {
				return err
			}
			return fn(tx)
		})
	}
	put := func(tx *Tx, i, count int) {
		t.Helper()
		if err := onceRows.Put(tx, num(i), &row{Count: count}); err != nil {
			t.Fatal(err)
		}
	}
	if err := update(func(tx *Tx) error {
		for i := range 3 * maxKnown {
			put(tx, i, i)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var over *Tx
	if err := update(func(tx *Tx) error {
		over = tx
		if first := get(tx, 1); get(tx, 1) != first {
			t.Error("one row was decoded twice")
		}
		put(tx, 1, 100)
		if n := get(tx, 1).Count; n != 100 {
			t.Errorf("row 1 counts %d after it was put", n)
		}
		if err := onceRows.Delete(tx, num(2)); err != nil {
			return err
		}
		missing(tx, 2)
		for i := range 3 * maxKnown { // more than are kept
			if i > 2 && get(tx, i).Count != i {
				t.Errorf("row %d counts %d", i, get(tx, i).Count)
			}
		}
		if n := get(tx, 1).Count; n != 100 {
			t.Errorf("row 1 counts %d after others were read", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := onceRows.Get(over, num(1)); !errors.Is(err, errTxDone) {
		t.Errorf("read after the end: %v", err)
	}
	if err := update(func(tx *Tx) error {
		put(tx, 3, 333)
		return fmt.Errorf("undone")
	}); err == nil {
		t.Fatal("the transaction did not fail")
	}
	if err := s.View(context.Background(), func(tx *Tx) error {
		if n := get(tx, 3).Count; n != 3 {
			t.Errorf("row 3 counts %d after a transaction that failed", n)
		}
		missing(tx, 2)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
