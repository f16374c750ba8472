package outbox

import (
	"fmt"
	"time"

	"pinward/store"
)

// AfterRestore ends what was under way in a backup that was made before at: whether the box of then
// sent it, nobody here knows, so each such message becomes unknown and goes no further way. All lanes
// are held until an operator resumes them. It returns how many messages there were, and may be called
// again.
func AfterRestore(tx *store.Tx, at time.Time) (int, error) {
	var open []record
	err := messages.Each(tx, store.Range{}, func(_ []byte, r record) error {
		if !r.State.Final() && r.Created.Before(at) {
			open = append(open, r)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read messages: %w", err)
	}
	for i := range open {
		r := &open[i]
		r.Stopped = true
		if err := end(tx, r, Unknown, "the box was restored from a backup"); err != nil {
			return i, fmt.Errorf("end message: %w", err)
		}
	}
	for _, l := range []Lane{OTP, Notice, Bulk} {
		if on, err := isPaused(tx, l); err != nil || on {
			if err != nil {
				return len(open), err
			}
			continue
		}
		if err := Pause(tx, l); err != nil {
			return len(open), err
		}
	}
	return len(open), nil
}
