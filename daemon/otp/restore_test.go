package otp

import (
	"testing"
	"time"

	"pinward/store"
)

// TestAfterRestore: a pending verification of the backup is expired, and stays so.
func TestAfterRestore(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	for round, want := range []int{1, 0} {
		b.Do(func(tx *store.Tx) error {
			n, err := AfterRestore(tx, time.Now().Add(time.Minute))
			if n != want {
				t.Errorf("round %d: %d verifications", round, n)
			}
			return err
		})
	}
	if got := b.get(v.ID); got.State != Expired {
		t.Errorf("it is %s", got.State)
	}
}
