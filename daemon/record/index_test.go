package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pinward/daemon/contact"
	"pinward/store"
)

// TestIndexOverEras: stretches come newest first over the borders of eras, cut at the end asked for, and a
// walk that is told to stop goes into no older era.
func TestIndexOverEras(t *testing.T) {
	b := newBox(t)
	q := Query{Subject: contact.SubjectID{Authority: "RIV", MRN: "42"}}
	marked := []uint64{0, 1, perEra - 1, perEra, 2*perEra - 1, 5 * perEra, 5*perEra + 7}
	const known = 5*perEra + 100
	err := b.store.Update(context.Background(), portal, func(tx *store.Tx) error {
		var errs []error
		for _, n := range marked {
			errs = append(errs, index.Put(tx, indexKey(tx.Blind(bySubject, q.Subject.Key()), n), struct{}{}))
			errs = append(errs, index.Put(tx, indexKey(tx.Blind(bySubject, "RIV|43"), n+2), struct{}{}))
		}
		return errors.Join(append(errs, Advance(tx, indexer, known*chunk))...)
	})
	if err != nil {
		t.Fatal(err)
	}
	walk := func(end uint64, most int) (got []string) {
		err := b.store.View(context.Background(), func(tx *store.Tx) error {
			return q.stretchesBelow(tx, end, func(from, to uint64) error {
				got = append(got, fmt.Sprintf("%d-%d", from, to))
				if len(got) == most {
					return store.Stop
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, store.Stop) {
			t.Fatal(err)
		}
		return got
	}
	for _, end := range []uint64{1, chunk, chunk + 1, perEra * chunk, perEra*chunk + 1, 2 * perEra * chunk, 4 * perEra * chunk, 5*perEra*chunk + 9, known * chunk} {
		var want []string
		for _, n := range slices.Backward(marked) {
			if n*chunk < end {
				want = append(want, fmt.Sprintf("%d-%d", n*chunk, min((n+1)*chunk, end)))
			}
		}
		if got := walk(end, 100); !slices.Equal(got, want) {
			t.Errorf("below %d: %v, want %v", end, got, want)
		}
		if got := walk(end, 1); !slices.Equal(got, want[:1]) {
			t.Errorf("below %d, the first: %v", end, got)
		}
		if got := walk(end, len(want)); !slices.Equal(got, want) {
			t.Errorf("below %d, stopped at the last: %v", end, got)
		}
	}
	// What the index has not come to yet is read whole, before what it knows.
	if got := walk((known+2)*chunk, 4); !slices.Equal(got[:2], []string{
		fmt.Sprintf("%d-%d", (known+1)*chunk, (known+2)*chunk), fmt.Sprintf("%d-%d", known*chunk, (known+1)*chunk),
	}) {
		t.Errorf("beyond the index: %v", got)
	}
}
