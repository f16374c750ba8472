package store

import (
	"errors"
	"time"
)

// Age says which records are old enough to be deleted. Whoever owns it makes it anew for each
// transaction, as a hold may come between two.
type Age struct {
	Before time.Time                     // what was over before it
	Held   func(from, to time.Time) bool // that a hold covers some of a time; nil is none
}

// Past tells whether a record that was made at from, and was over at to, is to be deleted.
func (a Age) Past(from, to time.Time) bool {
	return to.Before(a.Before) && (a.Held == nil || !a.Held(from, to))
}

// Collect goes on through a table from where an earlier call came to (nil is its beginning), looks at no more
// than look values, and returns up to most keys of those that pick takes. next is where to go on, nil at
// the end; pick ends the walk by [Stop]. It is for a View, so that looking through a large table holds no decision up: what
// was collected has to be looked at again by whoever changes it. A damaged value is passed over, for it would end
// each walk for ever; the scrub tells of it.
func (t *Table[T]) Collect(tx *Tx, from []byte, look, most int, pick func(key []byte, v T) (bool, error)) (keys [][]byte, next []byte, err error) {
	err = tx.each(t.info, Range{From: from}, func(key, value []byte, sealed bool) error {
		if look--; look < 0 || len(keys) == most {
			next = key
			return Stop
		}
		v, err := t.open(tx, key, value, sealed)
		if errors.Is(err, ErrCorrupt) {
			return nil
		}
		if err != nil {
			return err
		}
		take, err := pick(key, v)
		if take && err == nil {
			keys = append(keys, key)
		}
		return err
	})
	if errors.Is(err, Stop) {
		err = nil
	}
	return keys, next, err
}
