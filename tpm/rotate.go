package tpm

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// RotateOptions are the choices when the root key is replaced.
type RotateOptions struct {
	// Passphrase is for ModeTPMPassphrase and ModeOperator: the present one or a new one, at least 12 characters.
	Passphrase string
	// Holders are those of the new kit, as in CommissionOptions.
	Holders [kitShares]string

	iterations int
}

// Format implements fmt.Formatter: whatever the verb, no passphrase.
func (o RotateOptions) Format(f fmt.State, _ rune) { io.WriteString(f, "tpm.RotateOptions(withheld)") }

// LogValue implements slog.LogValuer.
func (o RotateOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// RotateRoot makes a new root key and a new recovery kit and seals the key to dev in the present mode. Signing key, counter
// and authorisation values stay; a suspension ends. The order of what follows loses nothing, wherever it breaks off:
//
//  1. Print the kit and have two holders pass a Drill with the State returned. Until the next step everything is as it was,
//     and the old kit counts.
//  2. SaveState. From now on the new kit counts. The Keys returned wrap with the new root key and unwrap with either, after
//     a restart too: the State holds the old one under the new one (State.Rotating).
//  3. The store wraps its keyring anew with these Keys.
//  4. Retire, SaveState, close the old Keys. Backups of before still need the old kit and the old State.
func RotateRoot(ctx context.Context, dev *Device, k *Keys, st State, o RotateOptions) (State, Kit, *Keys, error) {
	st, kit, keys, err := rotate(ctx, dev, k, st, o)
	if err != nil {
		return State{}, Kit{}, nil, fmt.Errorf("rotate root key: %w", err)
	}
	return st, kit, keys, nil
}

func rotate(ctx context.Context, dev *Device, k *Keys, st State, o RotateOptions) (State, Kit, *Keys, error) {
	if st.Rotating() {
		return State{}, Kit{}, nil, ErrRotating
	}
	old, seed, err := k.secrets(st)
	if err != nil {
		return State{}, Kit{}, nil, err
	}
	defer clear(old)
	defer clear(seed)
	root := make([]byte, rootSize)
	rand.Read(root)
	defer clear(root)
	st, kit, err := found(st, root, seed, o.Holders)
	if err != nil {
		return State{}, Kit{}, nil, err
	}
	if st.OldRoot, err = sealUnder(root, "old root", st.BoxID, old); err != nil {
		return State{}, Kit{}, nil, err
	}
	st, err = settle(ctx, dev, st, root, seed, ResealOptions{
		Mode: st.Mode, Passphrase: o.Passphrase, PCRs: pcrIndices(st.Seal.PCRs), iterations: o.iterations,
	})
	if err != nil {
		return State{}, Kit{}, nil, err
	}
	keys, err := unseal(ctx, dev, st, o.Passphrase)
	if err != nil {
		return State{}, Kit{}, nil, fmt.Errorf("prove that the seal opens: %w", err)
	}
	return st, kit, keys, nil
}

// Rotating tells whether a rotation is under way: the store may still hold keys wrapped under the root key of before.
func (st State) Rotating() bool { return len(st.OldRoot) != 0 }

// Retire ends a rotation once the store has confirmed that all it keeps is wrapped under the new root key: it takes the old
// one out of st, which the caller saves, and out of k, so that what is still wrapped under it becomes ErrUnwrap.
// Retired twice is as good as once.
func Retire(st State, k *Keys) (State, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.root == nil {
		return State{}, fmt.Errorf("retire former root key: %w", ErrClosed)
	}
	if subtle.ConstantTimeCompare(k.state.Commitment, st.Commitment) != 1 {
		return State{}, errors.New("retire former root key: these keys are not those of the tpm state")
	}
	k.old, k.state.OldRoot, st.OldRoot = nil, nil, nil
	return st, nil
}
