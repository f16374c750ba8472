package tpm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Unseal opens the root key of st with dev's TPM. It returns st, or, after a suspension, another State: unless they are
// Equal the caller saves it before the box opens. The errors to branch on are ErrPCRChanged, ErrCleared, ErrLockout,
// ErrPassphrase, ErrSecureBoot and ErrUnreachable; each says what to do next. Nothing is changed in the TPM.
func Unseal(ctx context.Context, dev *Device, st State, passphrase string) (State, *Keys, error) {
	if err := st.check(); err != nil {
		return State{}, nil, fmt.Errorf("unseal: %w", err)
	}
	keys, err := unseal(ctx, dev, st, passphrase)
	switch {
	case st.Suspension == nil && err == nil:
		return st, keys, nil
	case st.Suspension == nil:
		return State{}, nil, err
	case err == nil:
		return withoutSuspension(ctx, dev, st), keys, nil
	case !errors.Is(err, ErrPCRChanged):
		return State{}, nil, err
	}
	return resume(ctx, dev, st, passphrase, err)
}

func unseal(ctx context.Context, dev *Device, st State, passphrase string) (*Keys, error) {
	auth, err := st.passphraseAuth(passphrase)
	if err != nil {
		return nil, fmt.Errorf("unseal root key: %w", err)
	}
	// auth is not cleared: the sequence can outlive this call, when ctx ends.
	root, err := withSRK(ctx, dev, st.SRK, func(s *sequence, srk parent) ([]byte, error) {
		return s.unseal(srk, st.Mode, st.Seal, auth)
	})
	var changed *PCRChangedError
	if errors.As(err, &changed) {
		// Made anew: an error that wraps another has its text from the beginning.
		err = fmt.Errorf("unseal root key: %w", &PCRChangedError{PCRs: changed.PCRs, Causes: causes(dev.sysfs, st.Seal, changed.PCRs)})
	}
	if err != nil {
		return nil, err
	}
	return newKeys(dev, st, root)
}

// passphraseAuth is the authorisation value of the sealed object, nil where the mode has no passphrase.
func (st State) passphraseAuth(passphrase string) ([]byte, error) {
	if !st.Mode.passphrase() {
		return nil, nil
	}
	if passphrase == "" {
		return nil, ErrPassphrase
	}
	return stretch(passphrase, st.Seal.Salt, st.Seal.Iterations)
}

// Recover restores the root key from two shares of the kit, as typed from paper, with no TPM. The Keys wrap and unwrap;
// to sign and count they need Reseal. Errors about the shares are ErrShare.
func Recover(ctx context.Context, st State, shares []string) (*Keys, error) {
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("recover root key: %w", err)
	}
	root, _, err := openKit(st, shares)
	if err != nil {
		return nil, fmt.Errorf("recover root key: %w", err)
	}
	return newKeys(nil, st, root)
}

// CheckShare tells whether one share, as typed from paper, is intact and of the kit of st, and which number it has. That it
// opens anything shows only with a second one. Errors are ErrShare.
func CheckShare(st State, text string) (number int, err error) {
	s, err := kitShare(st, text)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrShare, err)
	}
	return s.number, nil
}

// Drill proves that two shares, as typed from paper, open the root key that st names. No TPM is asked and nothing is opened.
// It returns st with the date of the drill and the numbers of the shares, for the caller to save. Errors about the shares
// are ErrShare.
func Drill(st State, shares []string, at time.Time) (State, error) {
	if err := st.check(); err != nil {
		return State{}, fmt.Errorf("drill recovery: %w", err)
	}
	root, numbers, err := openKit(st, shares)
	if err != nil {
		return State{}, fmt.Errorf("drill recovery: %w", err)
	}
	// Everything a recovery would need from the State is opened, not only the key.
	keys, err := newKeys(nil, st, root)
	if err != nil {
		return State{}, fmt.Errorf("drill recovery: %w", err)
	}
	st.LastDrill = &DrillState{At: at.UTC().Truncate(time.Second), Shares: numbers}
	return st, keys.Close()
}
