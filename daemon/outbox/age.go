package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// ActionPurge is recorded for messages that were deleted, since they were over for long. It tells how many.
const ActionPurge store.Action = "message.purge"

// LeastAge is how long a message is kept at least after it was over: what was made by it can be looked up for a week.
const LeastAge = 8 * 24 * time.Hour

// Old collects the keys of messages that are to be deleted, in a View: it goes on from where an earlier call came to, as
// [store.Table.Collect] does. The ids rise with the time of Put, so the walk ends at the first message that is too young, and meets
// besides the old ones only those that were put long before they are due.
func Old(tx *store.Tx, from []byte, look, most int, age store.Age) (keys [][]byte, next []byte, err error) {
	keys, next, err = messages.Collect(tx, from, look, most, func(_ []byte, r record) (bool, error) {
		if !r.Created.Before(age.Before) {
			return false, store.Stop
		}
		return r.past(age), nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for old messages: %w", err)
	}
	return keys, next, nil
}

// Forget deletes of the messages that Old collected those that still are old, with all that finds them, and says how many.
// What they did stays in the audit; what was learned of SIMs, and who writes to whom, is kept apart from them.
// A timer of theirs may be left: it finds nothing to do.
func Forget(tx *store.Tx, keys [][]byte, age store.Age) (n int, err error) {
	for _, key := range keys {
		r, err := load(tx, string(key))
		if errors.Is(err, ErrNotFound) || err == nil && !r.past(age) {
			continue
		}
		if err == nil {
			err = forget(tx, r)
		}
		if err != nil {
			return n, fmt.Errorf("delete old messages: %w", err)
		}
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, tx.Record(store.Entry{Action: ActionPurge, Outcome: store.OK, Attrs: []store.Attr{attr("count", n)}})
}

func forget(tx *store.Tx, r *record) error {
	for i := range r.Attempts {
		if err := errors.Join(handed.Delete(tx, handedKey(tx, r, i)), earlies.Delete(tx, earlyKey(r.ID, i))); err != nil {
			return err
		}
	}
	if r.Ref != "" {
		if err := refs.Delete(tx, refKey(tx, r.Ref, r.ID)); err != nil {
			return err
		}
	}
	return messages.Delete(tx, []byte(r.ID))
}

// past tells whether a message is over for so long that it is to be deleted.
func (r *record) past(age store.Age) bool {
	return r.State.Final() && !slices.ContainsFunc(r.Attempts, func(a Attempt) bool { return a.Outcome == Sending }) &&
		age.Past(r.Created, r.over())
}

// over is when nobody had anything to expect of a message any more: no receipt, and, unless it was canceled, no use. It is only
// for one that is in a final state.
func (r *record) over() time.Time {
	at := r.Ended
	if a := r.last(); a != nil {
		at = latest(at, a.At.Add(ReceiptsFor))
	}
	if r.State != Canceled || r.Ended.IsZero() { // zero: it ended under a version that did not keep it
		at = latest(at, r.Expires)
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
