package otp

import (
	"fmt"
	"time"

	"pinward/store"
)

// AfterRestore expires every verification that began before at and is pending in a backup: its code's
// key is gone, and the person may have used it long ago. It returns how many there were, and may be
// called again.
func AfterRestore(tx *store.Tx, at time.Time) (int, error) {
	var open []Verification
	err := verifications.Each(tx, store.Range{}, func(_ []byte, v Verification) error {
		if v.State == Pending && v.Created.Before(at) {
			open = append(open, v)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read verifications: %w", err)
	}
	for i, v := range open {
		v, err := end(tx, v, Expired)
		if err == nil {
			err = record(tx, v, ActionEnd, store.OK, attr("cause", "the box was restored from a backup"))
		}
		if err != nil {
			return i, fmt.Errorf("expire verification: %w", err)
		}
	}
	return len(open), nil
}
