package tpm

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ResealOptions are the choices when the root key is sealed anew.
type ResealOptions struct {
	// Mode, Passphrase, PCRs and OwnerAuth mean what they mean in CommissionOptions.
	Mode       Mode
	Passphrase string
	PCRs       []int
	OwnerAuth  string
	// NewTPM says that a person knows the TPM to have been replaced or reset. Only then is another storage key pinned than
	// the one of before, and the root key handed to it; without it that is ErrCleared. Who sits on the wires to the chip could
	// otherwise make himself the new TPM.
	NewTPM bool

	iterations int
}

// Format implements fmt.Formatter: whatever the verb, no passphrase.
func (o ResealOptions) Format(f fmt.State, _ rune) { io.WriteString(f, "tpm.ResealOptions(withheld)") }

// LogValue implements slog.LogValuer.
func (o ResealOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Reseal seals the root key of k anew, to dev's TPM in its present boot state, and returns the State to save and Keys that
// belong to dev; k stays as it is, and open. st is the State as saved last. Signing key and counter are kept where dev still
// has them and made anew where not (with NewTPM only): then Keys.Signer is another one, which the caller has to record, and
// the old one is in State.Signers. The recovery kit stays valid; a suspension ends. Own comes after saving.
//
// The old State opens what it opened until the caller has saved the new one: a crash in between loses nothing.
func Reseal(ctx context.Context, dev *Device, k *Keys, st State, o ResealOptions) (State, *Keys, error) {
	st, keys, err := reseal(ctx, dev, k, st, o)
	if err != nil {
		return State{}, nil, fmt.Errorf("reseal: %w", err)
	}
	return st, keys, nil
}

func reseal(ctx context.Context, dev *Device, k *Keys, st State, o ResealOptions) (State, *Keys, error) {
	root, seed, err := k.secrets(st)
	if err != nil {
		return State{}, nil, err
	}
	defer clear(root)
	defer clear(seed)
	st, err = settle(ctx, dev, st, root, seed, o)
	if err != nil {
		return State{}, nil, err
	}
	keys, err := unseal(ctx, dev, st, o.Passphrase)
	if err != nil {
		return State{}, nil, fmt.Errorf("prove that the seal opens: %w", err)
	}
	return st, keys, nil
}

// secrets copies the root key of k and opens the seed in st, which must be a State of that root key.
func (k *Keys) secrets(st State) (root, seed []byte, err error) {
	if err := st.check(); err != nil {
		return nil, nil, err
	}
	if root, err = k.rootCopy(); err != nil {
		return nil, nil, err
	}
	if subtle.ConstantTimeCompare(k.commitment(), st.Commitment) != 1 {
		clear(root)
		return nil, nil, errors.New("these keys are not those of the tpm state")
	}
	if seed, err = openUnder(root, "authorities", st.BoxID, st.Auths); err != nil {
		clear(root)
		return nil, nil, fmt.Errorf("open authorisation values in the tpm state: %w", err)
	}
	return root, seed, nil
}

// PassphraseChange is a new passphrase and what allows to set it: the old one, or two shares of the kit.
type PassphraseChange struct {
	Old    string
	Shares []string
	// New has at least 12 characters.
	New string

	iterations int
}

// Format implements fmt.Formatter: whatever the verb, no passphrase and no share.
func (c PassphraseChange) Format(f fmt.State, _ rune) {
	io.WriteString(f, "tpm.PassphraseChange(withheld)")
}

// LogValue implements slog.LogValuer.
func (c PassphraseChange) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// ChangePassphrase seals the root key under another passphrase, otherwise as it was, and returns the State to save. The
// old passphrase opens until it is saved, and whoever kept a copy of the old State can use the old one with it at this TPM
// ever after: where that matters, rotate the root key. A wrong old passphrase is ErrPassphrase and counts nowhere in the TPM.
func ChangePassphrase(ctx context.Context, dev *Device, st State, c PassphraseChange) (State, error) {
	after, err := changePassphrase(ctx, dev, st, c)
	if err != nil {
		return State{}, fmt.Errorf("change passphrase: %w", err)
	}
	return after, nil
}

func changePassphrase(ctx context.Context, dev *Device, st State, c PassphraseChange) (State, error) {
	if err := st.check(); err != nil {
		return State{}, err
	}
	if !st.Mode.passphrase() {
		return State{}, fmt.Errorf("unseal mode %q has no passphrase", st.Mode)
	}
	var keys *Keys
	var err error
	if len(c.Shares) > 0 {
		keys, err = Recover(ctx, st, c.Shares)
	} else {
		keys, err = unseal(ctx, dev, st, c.Old)
	}
	if err != nil {
		return State{}, err
	}
	defer keys.Close()
	after, fresh, err := reseal(ctx, dev, keys, st, ResealOptions{
		Mode: st.Mode, Passphrase: c.New, PCRs: pcrIndices(st.Seal.PCRs), iterations: c.iterations,
	})
	if err != nil {
		return State{}, err
	}
	return after, fresh.Close()
}
