package tpm

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// update is a boot after which PCR 7 has another value.
func (c *chip) update(t testing.TB) *Device {
	t.Helper()
	c.restart()
	d := c.open()
	extend(t, d, 7)
	return d
}

func suspended(t testing.TB, keys *Keys, st State, o SuspendOptions) State {
	t.Helper()
	after, err := Suspend(testContext(t), keys, st, o)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

func TestSuspendForOneBoot(t *testing.T) {
	const passphrase = "three blind mice 9"
	for name, o := range map[string]CommissionOptions{
		"tpm":            {Mode: ModeTPM, PCRs: []int{4, 7}},
		"tpm+passphrase": {Mode: ModeTPMPassphrase, Passphrase: passphrase, iterations: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			c := newChip(t)
			before, kit, keys := commissioned(t, c.open(), o)
			if err := keys.Own(ctx); err != nil {
				t.Fatal(err)
			}
			st := suspended(t, keys, before, SuspendOptions{Passphrase: o.Passphrase})
			if st.Suspension == nil || st.Suspension.Until != st.Suspension.Since+1 || before.Suspension != nil {
				t.Fatal("not suspended for one boot")
			}

			// A restart of the daemon in the same boot needs no suspension and leaves it.
			if _, err := unsealed(ctx, keys.dev, st, o.Passphrase); err != nil {
				t.Fatal(err)
			}

			d := c.update(t)
			if _, _, err := Unseal(ctx, d, before, o.Passphrase); !errors.Is(err, ErrPCRChanged) {
				t.Fatalf("without suspension: got %v, want ErrPCRChanged", err)
			}
			if o.Passphrase != "" {
				if _, _, err := Unseal(ctx, d, st, "three blind mice 8"); !errors.Is(err, ErrPassphrase) {
					t.Fatalf("got %v, want ErrPassphrase", err)
				}
			}
			after, again, err := Unseal(ctx, d, st, o.Passphrase)
			if err != nil {
				t.Fatal(err)
			}
			if after.Suspension != nil || !again.Same(keys) || !again.Signer().Equal(keys.Signer()) || after.Counter != st.Counter {
				t.Fatal("the suspension is still there, or something else changed")
			}
			if len(after.Seal.PCRs) != len(st.Seal.PCRs) || after.Mode != st.Mode {
				t.Fatal("sealed to other registers")
			}
			if _, err := again.SignHead(ctx, []byte("note")); err != nil {
				t.Fatal(err)
			}
			wantEmpty(t, d)

			// Crash before the caller has saved: the same boot does the same again.
			if _, _, err := Unseal(ctx, d, st, o.Passphrase); err != nil {
				t.Fatalf("again in the same boot: %v", err)
			}
			// The next boot opens what was saved, and a copy of the old state nothing.
			d = c.update(t)
			if _, err := unsealed(ctx, d, after, o.Passphrase); err != nil {
				t.Fatal(err)
			}
			_, _, err = Unseal(ctx, d, st, o.Passphrase)
			if !errors.Is(err, ErrPCRChanged) || !strings.Contains(err.Error(), "not the boot that it was for") {
				t.Fatalf("a copy of the old state: got %v", err)
			}
			if r, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(2)}); err != nil || !r.Same(keys) {
				t.Fatalf("kit: %v", err)
			}
		})
	}
}

// The boot that it was for passes without an update: the suspension is over all the same.
func TestSuspensionDiesUnused(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	before, _, keys := commissioned(t, c.open(), CommissionOptions{})
	st := suspended(t, keys, before, SuspendOptions{})
	c.restart()
	after, _, err := Unseal(ctx, c.open(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	if after.Suspension != nil {
		t.Fatal("the boot is over, the suspension not")
	}
	if _, _, err := Unseal(ctx, c.update(t), st, ""); !errors.Is(err, ErrPCRChanged) {
		t.Fatalf("one boot too late: got %v, want ErrPCRChanged", err)
	}
}

// A machine that goes down without power between saving and the update, or resets itself while updating, has more resets.
func TestSuspendForSeveralResets(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	before, _, keys := commissioned(t, c.open(), CommissionOptions{})
	st := suspended(t, keys, before, SuspendOptions{Resets: 3})
	c.restart() // nothing was updated yet
	after, err := unsealed(ctx, c.open(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	after.Close()
	c.restart()
	if _, _, err := Unseal(ctx, c.update(t), st, ""); err != nil {
		t.Fatalf("third reset: %v", err)
	}
	if _, _, err := Unseal(ctx, c.update(t), st, ""); !errors.Is(err, ErrPCRChanged) {
		t.Fatalf("fourth reset: got %v, want ErrPCRChanged", err)
	}
}

// Who can write the file cannot make the suspension last: the TPM holds to what was sealed.
func TestSuspensionCannotBeStretched(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	before, _, keys := commissioned(t, c.open(), CommissionOptions{})
	st := suspended(t, keys, before, SuspendOptions{})
	st.Suspension.Until += 10
	if _, _, err := Unseal(ctx, c.update(t), st, ""); !errors.Is(err, ErrPCRChanged) {
		t.Fatalf("got %v, want ErrPCRChanged", err)
	}
}

// The power fails before the state is saved: nothing was suspended. It fails after: the next boot is the one.
func TestSuspendPowerCuts(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	before, _, keys := commissioned(t, c.open(), CommissionOptions{})
	_ = suspended(t, keys, before, SuspendOptions{})
	c.restart()
	d := c.open()
	if _, err := unsealed(ctx, d, before, ""); err != nil {
		t.Fatalf("not saved: %v", err)
	}
	var st State
	if keys, err := unsealed(ctx, d, before, ""); err != nil {
		t.Fatal(err)
	} else {
		st = suspended(t, keys, before, SuspendOptions{})
	}
	// The answer to the reseal is lost and the call fails, in the boot after: the next call does it.
	c.restart()
	b := newBus(t, c)
	d = openAt(t, b.path)
	extend(t, d, 7)
	lost := false
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	b.intercept(nil, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCCreate && !lost {
			lost = true
			cancel()
			return nil
		}
		return response
	})
	if _, _, err := Unseal(short, d, st, ""); err == nil || !lost {
		t.Fatalf("lost %v: %v", lost, err)
	}
	b.intercept(nil, nil)
	after, _, err := Unseal(ctx, d, st, "")
	if err != nil || after.Suspension != nil {
		t.Fatalf("after a lost answer: %v", err)
	}
	wantEmpty(t, d)
}

// The update switched Secure Boot off: the key is not sealed to that.
func TestSuspensionDoesNotSwitchSecureBootOff(t *testing.T) {
	c := newChip(t)
	before, _, keys := commissioned(t, c.open(), CommissionOptions{})
	st := suspended(t, keys, before, SuspendOptions{})
	d := c.update(t)
	setVariable(t, d.sysfs, varSecureBoot, 6, 0, 0, 0, 0)
	if _, _, err := Unseal(testContext(t), d, st, ""); !errors.Is(err, ErrSecureBoot) {
		t.Fatalf("got %v, want ErrSecureBoot", err)
	}
}

func TestSuspendRefuses(t *testing.T) {
	const passphrase = "three blind mice 9"
	ctx := testContext(t)
	d := newChip(t).open()
	st, kit, keys := commissioned(t, d, CommissionOptions{Mode: ModeTPMPassphrase, Passphrase: passphrase, iterations: 1000})
	for _, wrong := range []string{"", "three blind mice 8"} {
		if _, err := Suspend(ctx, keys, st, SuspendOptions{Passphrase: wrong}); !errors.Is(err, ErrPassphrase) {
			t.Errorf("wrong passphrase: got %v", err)
		}
	}
	if _, err := Suspend(ctx, keys, st, SuspendOptions{Passphrase: passphrase, Resets: maxResets + 1}); err == nil {
		t.Error("too many resets: accepted")
	}
	recovered, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(2)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Suspend(ctx, recovered, st, SuspendOptions{Passphrase: passphrase}); !errors.Is(err, ErrNoTPM) {
		t.Errorf("keys without a TPM: got %v", err)
	}
	other, _, otherKeys := commissioned(t, d, CommissionOptions{Mode: ModeOperator, Passphrase: passphrase, iterations: 1000})
	if _, err := Suspend(ctx, otherKeys, other, SuspendOptions{Passphrase: passphrase}); err == nil || !strings.Contains(err.Error(), "bound to no boot measurements") {
		t.Errorf("operator mode: got %v", err)
	}
	if _, err := Suspend(ctx, keys, other, SuspendOptions{Passphrase: passphrase}); err == nil {
		t.Error("another box's state: accepted")
	}
	wantEmpty(t, d)
}
