package tpm

import (
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// TestDestroy: after it the State, of which somebody has kept a copy, opens on this TPM no more, although the control, a
// release, leaves it so that it does.
func TestDestroy(t *testing.T) {
	ctx := testContext(t)
	for _, owned := range []bool{true, false} {
		d := openAt(t, newBus(t, newChip(t)).path)
		st, _, keys := commissioned(t, d, CommissionOptions{})
		if owned {
			owns(t, keys)
		}
		if _, again, err := Unseal(ctx, d, st, ""); err != nil {
			t.Fatal(err)
		} else if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 { // what is destroyed may be destroyed again: a crash has it done twice
			if err := keys.Destroy(ctx); err != nil {
				t.Fatalf("owned %t: %v", owned, err)
			}
		}
		if _, _, err := Unseal(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
			t.Errorf("owned %t: a copy of the state: %v, want ErrCleared", owned, err)
		}
		wantEmpty(t, d)
	}
}

// TestDestroyFaults: failed and not done, and done but reported failed: a second call ends it.
func TestDestroyFaults(t *testing.T) {
	ctx := testContext(t)
	for name, done := range map[string]bool{"not done": false, "done": true} {
		b := newBus(t, newChip(t))
		d := openAt(t, b.path)
		st, _, keys := commissioned(t, d, CommissionOptions{})
		owns(t, keys)
		if done {
			b.intercept(nil, func(command, response []byte) []byte {
				if code(command) == tpm2.TPMCCClear {
					return nil
				}
				return response
			})
		} else {
			b.intercept(func(command []byte) []byte {
				if code(command) == tpm2.TPMCCClear {
					return refuse(tpm2.TPMRCFailure)
				}
				return nil
			}, nil)
		}
		if err := keys.Destroy(ctx); err == nil && !done { // where the answer alone was lost it finds out by itself
			t.Errorf("%s: no error", name)
		}
		b.intercept(nil, nil)
		if err := keys.Destroy(ctx); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
		if _, _, err := Unseal(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
			t.Errorf("%s: %v, want ErrCleared", name, err)
		}
	}
}

// TestDestroyRefused: where the firmware forbids it nobody is told that it was done.
func TestDestroyRefused(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	_, _, keys := commissioned(t, d, CommissionOptions{})
	b.intercept(func(command []byte) []byte {
		if code(command) == tpm2.TPMCCClear {
			return refuse(tpm2.TPMRCDisabled)
		}
		return nil
	}, nil)
	if err := keys.Destroy(ctx); !errors.Is(err, ErrNotCleared) {
		t.Errorf("%v, want ErrNotCleared", err)
	}
}
