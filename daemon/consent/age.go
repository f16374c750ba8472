package consent

import (
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// ActionPurge is recorded for work items that were deleted, since they were closed long ago. It tells how many.
const ActionPurge store.Action = "work.purge"

// OldItems collects the keys of closed work items that are to be deleted, in a View: it goes on from where an earlier call came to, as
// [store.Table.Collect] does. They are in the order in which they were opened, so it ends at the first that is too young.
func OldItems(tx *store.Tx, from []byte, look, most int, age store.Age) (keys [][]byte, next []byte, err error) {
	keys, next, err = items.Collect(tx, from, look, most, func(_ []byte, w WorkItem) (bool, error) {
		if !w.Opened.Before(age.Before) {
			return false, store.Stop
		}
		return w.past(age), nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for old work items: %w", err)
	}
	return keys, next, nil
}

// ForgetItems deletes of the work items that OldItems collected those that still are old, and says how many.
func ForgetItems(tx *store.Tx, keys [][]byte, age store.Age) (n int, err error) {
	for _, key := range keys {
		w, ok, err := items.Get(tx, key)
		if err == nil && ok && w.past(age) {
			err = items.Delete(tx, key)
			n++
		}
		if err != nil {
			return n, fmt.Errorf("delete old work items: %w", err)
		}
	}
	if n == 0 {
		return 0, nil
	}
	return n, tx.Record(store.Entry{Action: ActionPurge, Outcome: store.OK, Attrs: []store.Attr{attr("count", fmt.Sprint(n))}})
}

// past tells whether a work item is closed for so long that it is to be deleted. An open one waits for a person, however old it is.
func (w WorkItem) past(age store.Age) bool { return !w.Closed.IsZero() && age.Past(w.Opened, w.Closed) }

// lastLife is how long the text that went to a number last is kept: longer than anybody asks for it.
const lastLife = 31 * 24 * time.Hour

// SweepNumbers forgets what was kept of numbers for their answers and serves no more: which text went to them last, and how often they
// were answered of late. It looks at no more than n of each, beginning at cursors (nil is the beginning), and returns where to go on.
// What they chose stays.
func SweepNumbers(tx *store.Tx, cursors [2][]byte, n int) (next [2][]byte, err error) {
	now := tx.Now()
	next[0], err = sweepFrom(tx, lasts, cursors[0], n, func(l Last) bool { return now.Sub(l.At) > lastLife })
	if err != nil {
		return next, fmt.Errorf("forget last texts: %w", err)
	}
	next[1], err = sweepFrom(tx, replies, cursors[1], n, func(r replied) bool {
		late := func(h heard) bool { return now.Sub(h.At) < replySpan }
		return now.Sub(r.Unread) >= replySpan && !slices.ContainsFunc(r.Heard, late)
	})
	if err != nil {
		return next, fmt.Errorf("forget answers: %w", err)
	}
	return next, nil
}

func sweepFrom[T any](tx *store.Tx, t *store.Table[T], from []byte, n int, old func(T) bool) ([]byte, error) {
	keys, next, err := t.Collect(tx, from, n, n, func(_ []byte, v T) (bool, error) { return old(v), nil })
	for _, key := range keys {
		if err := t.Delete(tx, key); err != nil {
			return nil, err
		}
	}
	return next, err
}
