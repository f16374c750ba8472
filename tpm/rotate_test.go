package tpm

import (
	"errors"
	"testing"
)

func TestRotateRoot(t *testing.T) {
	const passphrase = "three blind mice 9"
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, kit, keys := commissioned(t, d, CommissionOptions{Mode: ModeTPMPassphrase, Passphrase: passphrase, iterations: 1000})
	if err := keys.Own(ctx); err != nil {
		t.Fatal(err)
	}
	wrapped, err := keys.Wrap(ctx, []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	counter, err := keys.Counter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rotated, newKit, fresh, err := RotateRoot(ctx, d, keys, st, RotateOptions{Passphrase: passphrase, iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if fresh.Same(keys) || !fresh.Signer().Equal(keys.Signer()) || !rotated.Rotating() || newKit.ID() == kit.ID() {
		t.Fatal("not another root key and kit with the same signer")
	}
	if n, err := fresh.Counter(ctx); err != nil || n != counter {
		t.Fatalf("counter %d, %v; was %d", n, err, counter)
	}
	// Crash before the new state is saved: all is as it was.
	if again, err := unsealed(ctx, d, st, passphrase); err != nil || !again.Same(keys) {
		t.Fatalf("old state: %v", err)
	}
	if r, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(2)}); err != nil || !r.Same(keys) {
		t.Fatalf("old kit: %v", err)
	}
	// Crash after saving, before the store has wrapped anew: by TPM and by kit, the old wrapping opens.
	c.restart()
	d = c.open()
	again, err := unsealed(ctx, d, rotated, passphrase)
	if err != nil || !again.Same(fresh) {
		t.Fatalf("new state: %v", err)
	}
	byKit, err := Recover(ctx, rotated, []string{newKit.Share(2), newKit.Share(3)})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Keys{fresh, again, byKit} {
		if got, err := k.Unwrap(ctx, wrapped); err != nil || string(got) != "keyring" {
			t.Fatalf("wrapped before the rotation: %v", err)
		}
	}
	if _, err := Recover(ctx, rotated, []string{kit.Share(1), kit.Share(2)}); !errors.Is(err, ErrShare) {
		t.Fatalf("old kit with the new state: got %v, want ErrShare", err)
	}
	if _, _, _, err := RotateRoot(ctx, d, again, rotated, RotateOptions{Passphrase: passphrase, iterations: 1000}); !errors.Is(err, ErrRotating) {
		t.Fatalf("a second rotation: got %v, want ErrRotating", err)
	}
	// Crash after the store has wrapped anew, before Retire: both open.
	rewrapped, err := again.Wrap(ctx, []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Unwrap(ctx, rewrapped); !errors.Is(err, ErrUnwrap) {
		t.Fatalf("the old root key opens what the new one wrapped: %v", err)
	}
	if _, err := byKit.Unwrap(ctx, rewrapped); err != nil {
		t.Fatal(err)
	}
	done, err := Retire(rotated, again)
	if err != nil || done.Rotating() {
		t.Fatalf("Retire: %v", err)
	}
	if twice, err := Retire(done, again); err != nil || !twice.Equal(done) {
		t.Fatalf("Retire twice: %v", err)
	}
	if _, err := again.Unwrap(ctx, wrapped); !errors.Is(err, ErrUnwrap) {
		t.Fatalf("after Retire: got %v, want ErrUnwrap", err)
	}
	last, err := unsealed(ctx, d, done, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := last.Unwrap(ctx, rewrapped); err != nil || string(got) != "keyring" {
		t.Fatalf("after Retire: %v", err)
	}
	if _, err := last.Unwrap(ctx, wrapped); !errors.Is(err, ErrUnwrap) {
		t.Fatalf("after Retire and a restart: got %v, want ErrUnwrap", err)
	}
	// The next rotation may come.
	if _, _, _, err := RotateRoot(ctx, d, last, done, RotateOptions{Passphrase: passphrase, iterations: 1000}); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, d)
}

func TestRotateRefuses(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	other, _, otherKeys := commissioned(t, newChip(t).open(), CommissionOptions{})
	if _, _, _, err := RotateRoot(ctx, d, keys, other, RotateOptions{}); err == nil {
		t.Error("rotated with the state of other keys")
	}
	if _, err := Retire(st, otherKeys); err == nil {
		t.Error("retired with the state of other keys")
	}
	if _, _, _, err := RotateRoot(ctx, d, keys, st, RotateOptions{Holders: [3]string{"Ann", "ann ", "Cy"}}); err == nil {
		t.Error("one person holds two shares")
	}
	extend(t, d, 7) // another TPM than that of the state is never sealed to
	elsewhere := newChip(t).open()
	if _, _, _, err := RotateRoot(ctx, elsewhere, keys, st, RotateOptions{}); !errors.Is(err, ErrCleared) {
		t.Errorf("on another TPM: got %v, want ErrCleared", err)
	}
	keys.Close()
	if _, _, _, err := RotateRoot(ctx, d, keys, st, RotateOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed keys: got %v, want ErrClosed", err)
	}
	if _, err := Retire(st, keys); !errors.Is(err, ErrClosed) {
		t.Errorf("closed keys: got %v, want ErrClosed", err)
	}
}
