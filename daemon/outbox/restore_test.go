package outbox

import (
	"testing"
	"time"

	"pinward/store"
)

// TestAfterRestore: what waited is unknown and never goes out, lanes are held, and a second call does
// nothing more.
func TestAfterRestore(t *testing.T) {
	b := newBox(t)
	m := b.put(code(1))
	at := time.Now().Add(time.Minute)
	for round, want := range []int{1, 0} {
		b.do(func(tx *store.Tx) error {
			n, err := AfterRestore(tx, at)
			if n != want {
				t.Errorf("round %d: %d messages", round, n)
			}
			for _, l := range []Lane{OTP, Notice, Bulk} {
				if on, err := isPaused(tx, l); err != nil || !on {
					t.Errorf("lane %s goes on, %v", l, err)
				}
			}
			return err
		})
	}
	b.state(m.ID, Unknown)
	b.coherent()
}
