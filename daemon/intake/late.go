package intake

import (
	"fmt"
	"time"

	"pinward/store"
)

// late tells whether a text that is held is of no use any more, whoever releases it.
func (h held) late(now time.Time) bool {
	expires := h.Text.Expires
	if expires.IsZero() {
		expires = h.Text.At.Add(24 * time.Hour) // as notice.Send has it
	}
	return !now.Before(expires)
}

// SweepHeld drops held texts that are too late by now: nobody has to come for that, and none is kept longer than it is of use. It
// looks at no more than n, beginning at cursor (nil is the beginning), and returns where to go on. Where none of a rule is left its
// breaker closes, as after Drop.
func SweepHeld(tx *store.Tx, cursor []byte, n int) (next []byte, err error) {
	dropped := map[string]int{}
	keys, next, err := helds.Collect(tx, cursor, n, n, func(_ []byte, h held) (bool, error) {
		if !h.late(tx.Now()) {
			return false, nil
		}
		dropped[h.Rule]++
		return true, h.gone(tx, "too late")
	})
	for _, key := range keys {
		if err := helds.Delete(tx, key); err != nil {
			return nil, fmt.Errorf("drop late texts: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("drop late texts: %w", err)
	}
	for rule, n := range dropped {
		if err := endLate(tx, rule, n); err != nil {
			return nil, fmt.Errorf("drop late texts: %w", err)
		}
	}
	return next, nil
}

func endLate(tx *store.Tx, rule string, dropped int) error {
	left := false
	err := helds.Each(tx, store.Range{Prefix: heldPrefix(tx, rule)}, func([]byte, held) error {
		left = true
		return store.Stop
	})
	if err != nil {
		return err
	}
	if !left {
		if err := closeBreaker(tx, rule, 0); err != nil {
			return err
		}
	}
	return recordEnd(tx, ActionDrop, rule, 0, dropped)
}
