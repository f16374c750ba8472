package tpm

import (
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func tryClear(t testing.TB, d *Device, auth []byte) error {
	_, err := do(testContext(t), d, func(s *sequence) (*tpm2.ClearResponse, error) {
		return tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(auth)}}.Execute(s)
	})
	return err
}

func setAuthTo(t testing.TB, d *Device, hierarchy tpm2.TPMHandle, old, value string) {
	t.Helper()
	run(t, d, func(s *sequence) (*tpm2.HierarchyChangeAuthResponse, error) {
		return tpm2.HierarchyChangeAuth{
			AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth([]byte(old))},
			NewAuth:    tpm2.TPM2BAuth{Buffer: []byte(value)},
		}.Execute(s)
	})
}

func owns(t testing.TB, keys *Keys) {
	t.Helper()
	if err := keys.Own(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// Once the box owns its TPM, no other program clears it or deletes the counter. Own may be called at each start.
func TestOwnKeepsOthersOut(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, kit, keys := commissioned(t, d, CommissionOptions{})
	owns(t, keys)
	owns(t, keys)
	if info, err := d.Info(ctx); err != nil || !info.OwnerAuthSet || !info.LockoutAuthSet || info.EndorsementAuthSet {
		t.Fatalf("%+v, %v", info, err)
	}
	_, err := withSRK(ctx, d, st.SRK, func(s *sequence, srk parent) (struct{}, error) {
		return struct{}{}, s.undefine(srk, st.Counter.Index, tpm2.TPMNTCounter)
	})
	if !errors.Is(err, ErrOwned) {
		t.Fatalf("delete the counter with the empty owner authorisation: %v", err)
	}
	c.restart()
	d = c.open()
	again, err := unsealed(ctx, d, st, "")
	if err != nil {
		t.Fatal(err)
	}
	owns(t, again)
	// The kit still gives the values: with it the box can be sealed anew and the TPM given back.
	recovered, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(3)})
	if err != nil {
		t.Fatal(err)
	}
	_, resealed, err := Reseal(ctx, d, recovered, st, ResealOptions{Mode: ModeTPM})
	if err != nil {
		t.Fatal(err)
	}
	if err := resealed.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if err := resealed.Release(ctx); err != nil {
		t.Fatalf("twice: %v", err)
	}
	if _, err := resealed.Counter(ctx); !errors.Is(err, ErrCleared) {
		t.Fatalf("counter of a released TPM: %v", err)
	}
	if err := tryClear(t, d, nil); err != nil {
		t.Fatalf("a released TPM cannot be cleared: %v", err)
	}
	wantEmpty(t, d)
}

// TPM2_Clear takes the lockout authorisation, which is empty until the box owns its TPM.
func TestClearNeedsOurLockoutAuth(t *testing.T) {
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	owns(t, keys)
	if err := tryClear(t, d, nil); !errors.Is(err, tpm2.TPMRCBadAuth) && !errors.Is(err, tpm2.TPMRCAuthFail) {
		t.Fatalf("clear with the empty lockout authorisation: %v", err)
	}
	if _, err := unsealed(testContext(t), d, st, ""); err != nil {
		t.Fatalf("afterwards: %v", err)
	}
}

// Our own storage key was evicted although the owner's value is ours: the kit makes it again.
func TestOwnedTPMWithoutStorageKey(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, kit, keys := commissioned(t, d, CommissionOptions{})
	owns(t, keys)
	run(t, d, func(s *sequence) (*tpm2.EvictControlResponse, error) {
		return tpm2.EvictControl{
			Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(keys.auths.owner)},
			ObjectHandle:     tpm2.NamedHandle{Handle: srkHandle, Name: tpm2.TPM2BName{Buffer: st.SRK.Name}},
			PersistentHandle: tpm2.TPMIDHPersistent(srkHandle),
		}.Execute(s)
	})
	if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
		t.Fatalf("got %v, want ErrCleared", err)
	}
	recovered, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(2)})
	if err != nil {
		t.Fatal(err)
	}
	moved, again, err := Reseal(ctx, d, recovered, st, ResealOptions{Mode: ModeTPM, NewTPM: true})
	if err != nil {
		t.Fatal(err)
	}
	if !again.Signer().Equal(keys.Signer()) || moved.Counter != st.Counter {
		t.Error("signing key or counter were made anew, though the TPM had them")
	}
	wantEmpty(t, d)
}

// A crash after the owner's value and before the lockout's: the next call finishes.
func TestOwnIsFinishedAfterACrash(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	_, _, keys := commissioned(t, d, CommissionOptions{})
	changes := 0
	b.intercept(func(command []byte) []byte {
		if code(command) == tpm2.TPMCCHierarchyChanegAuth {
			if changes++; changes == 2 {
				return refuse(tpm2.TPMRCFailure)
			}
		}
		return nil
	}, nil)
	if err := keys.Own(ctx); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	b.intercept(nil, nil)
	owns(t, keys)
	// Done but reported failed: the value is set, the answer lost.
	if err := keys.Release(ctx); err != nil {
		t.Fatal(err)
	}
	b.intercept(nil, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCHierarchyChanegAuth {
			return nil
		}
		return response
	})
	keys.Own(ctx) // fails or not: what counts is the next one
	b.intercept(nil, nil)
	if info, err := d.Info(ctx); err != nil || !info.OwnerAuthSet {
		t.Fatalf("%+v, %v", info, err)
	}
}

func TestLockoutIsResetWithOurValue(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	owns(t, keys)
	lockOut(t, d, keys.auths.owner)
	if info, err := d.Info(ctx); err != nil || !info.InLockout || info.LockoutCounter < info.MaxTries {
		t.Fatalf("%+v, %v", info, err)
	}
	if err := keys.ResetLockout(ctx); err != nil {
		t.Fatal(err)
	}
	if info, err := d.Info(ctx); err != nil || info.InLockout || info.LockoutCounter != 0 {
		t.Fatalf("after the reset: %+v, %v", info, err)
	}
	wantEmpty(t, d)
}

// Another program has taken ownership of the TPM: the error says so, and with its value the box can be set up, and leaves it.
func TestCommissionInOwnedTPM(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	for _, hierarchy := range []tpm2.TPMHandle{tpm2.TPMRHOwner, tpm2.TPMRHEndorsement} {
		d := newChip(t).open()
		setAuthTo(t, d, hierarchy, "", "theirs")
		_, _, _, err := Commission(ctx, d, CommissionOptions{Mode: ModeTPM, BoxID: "clinic-7"})
		if !errors.Is(err, ErrOwned) {
			t.Errorf("hierarchy %#x: got %v, want ErrOwned", hierarchy, err)
		}
		wantEmpty(t, d)
	}
	for name, there := range map[string]bool{"with a storage key": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			c := newChip(t)
			d := c.open()
			if there {
				persist(t, d, tpm2.RSASRKTemplate)
			}
			setAuthTo(t, d, tpm2.TPMRHOwner, "", "theirs")
			setAuthTo(t, d, tpm2.TPMRHLockout, "", "theirs too")
			for _, wrong := range []string{"", "guessed", "zero\x00byte"} {
				if _, _, _, err := Commission(ctx, d, CommissionOptions{Mode: ModeTPM, BoxID: "clinic-7", OwnerAuth: wrong}); err == nil {
					t.Errorf("owner authorisation %q: commissioned", wrong)
				}
			}
			st, _, keys := commissioned(t, d, CommissionOptions{OwnerAuth: "theirs"})
			if !st.Foreign.Owner || !st.Foreign.Lockout {
				t.Fatal("their values pass for ours")
			}
			owns(t, keys)
			if err := keys.ResetLockout(ctx); !errors.Is(err, ErrOwned) {
				t.Errorf("ResetLockout: got %v, want ErrOwned", err)
			}
			setAuthTo(t, d, tpm2.TPMRHOwner, "theirs", "theirs") // still theirs
			setAuthTo(t, d, tpm2.TPMRHLockout, "theirs too", "theirs too")
			c.restart()
			d = c.open()
			again, err := unsealed(ctx, d, st, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := again.SignHead(ctx, []byte("note")); err != nil {
				t.Fatal(err)
			}
			if err := again.Release(ctx); !errors.Is(err, ErrOwned) {
				t.Errorf("Release: got %v, want ErrOwned", err)
			}
			wantEmpty(t, d)
		})
	}
}

// Somebody took ownership between commissioning and Own.
func TestOwnAfterSomebodyElse(t *testing.T) {
	d := newChip(t).open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	setAuthTo(t, d, tpm2.TPMRHOwner, "", "theirs")
	if err := keys.Own(testContext(t)); !errors.Is(err, ErrOwned) {
		t.Fatalf("got %v, want ErrOwned", err)
	}
	wantEmpty(t, d)
}
