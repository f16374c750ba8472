package tpm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/go-tpm/tpm2"
)

// CommissionOptions are the choices at set-up.
type CommissionOptions struct {
	// Mode is what a start needs. ModeTPM is ErrSecureBoot unless Secure Boot is on.
	Mode Mode
	// Passphrase is for ModeTPMPassphrase and ModeOperator: at least 12 characters.
	Passphrase string
	// PCRs of the SHA-256 bank to bind to, ascending, 0 to 23; nil is PCR 7. Not used in ModeOperator.
	PCRs []int
	// BoxID names the box on the shares: 1 to 32 letters, digits, dots, hyphens, underscores.
	BoxID string
	// Holders are the names of those who get the shares, in order, to be printed on them; all three or none.
	Holders [kitShares]string
	// OwnerAuth is the TPM's owner authorisation where another program has set one that the operator knows. It is used for
	// this call only, and left as it is.
	OwnerAuth string

	// iterations stretch the passphrase; 0 is passphraseIterations. Tests take fewer.
	iterations int
}

// Format implements fmt.Formatter: whatever the verb, no passphrase.
func (o CommissionOptions) Format(f fmt.State, _ rune) {
	io.WriteString(f, "tpm.CommissionOptions(withheld)")
}

// LogValue implements slog.LogValuer.
func (o CommissionOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Commission makes a new root key, seals it to dev, makes the signing key, the counter and the recovery kit, and proves
// that the seal opens. The caller prints the kit, has two holders pass a Drill, saves the State with SaveState, and only
// then uses the Keys, first for Own.
//
// The first key found in the TPM is trusted and pinned: commission where nobody else has his hands in the box.
// If we crash before SaveState, nothing but a few bytes of the TPM's memory are lost: commission again.
func Commission(ctx context.Context, dev *Device, o CommissionOptions) (State, Kit, *Keys, error) {
	st, kit, keys, err := commission(ctx, dev, o)
	if err != nil {
		return State{}, Kit{}, nil, fmt.Errorf("commission tpm: %w", err)
	}
	return st, kit, keys, nil
}

func commission(ctx context.Context, dev *Device, o CommissionOptions) (State, Kit, *Keys, error) {
	if err := checkBoxID(o.BoxID); err != nil {
		return State{}, Kit{}, nil, err
	}
	root, seed := make([]byte, rootSize), make([]byte, seedSize)
	rand.Read(root)
	rand.Read(seed)
	defer clear(root)
	defer clear(seed)
	st, kit, err := found(State{BoxID: o.BoxID}, root, seed, o.Holders)
	if err != nil {
		return State{}, Kit{}, nil, err
	}
	st, err = settle(ctx, dev, st, root, seed, ResealOptions{
		Mode: o.Mode, Passphrase: o.Passphrase, PCRs: o.PCRs, NewTPM: true, OwnerAuth: o.OwnerAuth, iterations: o.iterations,
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

// found writes into st what hangs on the root key and on no TPM: its commitment, the seed of authorisations, a new kit.
func found(st State, root, seed []byte, holders [kitShares]string) (State, Kit, error) {
	kit, kitState, err := newKit(st.BoxID, root, holders)
	if err != nil {
		return State{}, Kit{}, err
	}
	st.Version, st.Kit, st.LastDrill = stateVersion, kitState, nil
	if st.Commitment, err = commitment(root); err != nil {
		return State{}, Kit{}, err
	}
	if st.Auths, err = sealUnder(root, "authorities", st.BoxID, seed); err != nil {
		return State{}, Kit{}, err
	}
	return st, kit, nil
}

// checkSeal fills in the default registers and refuses what cannot be.
func checkSeal(dev *Device, o ResealOptions) ([]int, error) {
	switch o.Mode {
	case ModeTPM, ModeTPMPassphrase, ModeOperator:
	default:
		return nil, fmt.Errorf("unseal mode %q is unknown, want %q, %q or %q", o.Mode, ModeTPM, ModeTPMPassphrase, ModeOperator)
	}
	if o.Mode.passphrase() && utf8.RuneCountInString(o.Passphrase) < minPassphrase {
		return nil, fmt.Errorf("passphrase needs at least %d characters", minPassphrase)
	}
	if !o.Mode.passphrase() && o.Passphrase != "" {
		return nil, fmt.Errorf("unseal mode %q takes no passphrase", o.Mode)
	}
	if bytes.IndexByte([]byte(o.OwnerAuth), 0) >= 0 {
		return nil, errors.New("owner authorisation may not hold a zero byte")
	}
	if o.Mode == ModeTPM {
		if boot, detail := SecureBoot(dev.sysfs); boot != SecureBootOn {
			return nil, fmt.Errorf("%w (%s)", ErrSecureBoot, detail)
		}
	}
	if !o.Mode.pcrs() {
		return nil, nil
	}
	pcrs := o.PCRs
	if len(pcrs) == 0 {
		pcrs = defaultPCRs
	}
	return slices.Clone(pcrs), checkPCRs(pcrs)
}

// settle seals root to dev and gives st a signing key and a counter there: those of st, if it has some and dev has them
// still. A suspension ends.
func settle(ctx context.Context, dev *Device, st State, root, seed []byte, o ResealOptions) (State, error) {
	pcrs, err := checkSeal(dev, o)
	if err != nil {
		return State{}, err
	}
	seal, sealAuth, err := newSealState(o.Mode, o.Passphrase, o.iterations)
	if err != nil {
		return State{}, err
	}
	auths, err := deriveAuths(seed)
	if err != nil {
		return State{}, err
	}
	// The sequence can outlive this call, when ctx ends, and can be begun twice: it has a root key of its own and leaves
	// what it was given as it was.
	root = slices.Clone(root)
	before := st
	after, err := do(ctx, dev, func(s *sequence) (State, error) {
		st := before
		is, err := s.permanent()
		if err != nil {
			return State{}, err
		}
		st.Foreign = foreign(is, o.OwnerAuth != "", before.Foreign)
		s.owner = nil
		switch {
		case is.ownerAuthSet && o.OwnerAuth != "":
			s.owner = []byte(o.OwnerAuth)
		case is.ownerAuthSet:
			s.owner = auths.owner
		}
		srk, release, err := s.settleSRK(&st, o.NewTPM)
		if err != nil {
			return State{}, err
		}
		defer release()
		st.Mode, st.Suspension = o.Mode, nil
		if st.Seal, err = s.seal(srk, root, o.Mode, seal, sealAuth, pcrs); err != nil {
			return State{}, err
		}
		if there, err := s.serves(srk, st, auths.nv); err != nil || there {
			return st, err
		}
		if !o.NewTPM {
			return State{}, fmt.Errorf("%w (signing key or counter is gone)", ErrCleared)
		}
		if st.AK, err = s.createAK(srk, auths.ak); err != nil {
			return State{}, err
		}
		if st.Counter, err = s.defineCounter(srk, auths.nv); err != nil {
			return State{}, err
		}
		return st, nil
	})
	clear(sealAuth)
	if err != nil {
		return State{}, err
	}
	after.Seal.Events = measured(dev.sysfs, after.Seal.PCRs)
	return after.succeeds(before)
}

// succeeds notes the signing key of before where st has another one.
func (st State) succeeds(before State) (State, error) {
	if len(before.AK.Public) == 0 || bytes.Equal(before.AK.Public, st.AK.Public) {
		return st, nil
	}
	old, err := before.signer()
	if err != nil {
		return State{}, err
	}
	entry, err := signerState(old, time.Now())
	if err != nil {
		return State{}, err
	}
	st.Signers = append(slices.Clip(st.Signers), entry)
	return st, nil
}

// foreign tells whose the hierarchies' authorisation values are. Ours were there before only where the owner's is ours.
func foreign(is permanent, ownerGiven bool, before ForeignState) ForeignState {
	if is.ownerAuthSet && !ownerGiven {
		return before
	}
	return ForeignState{Owner: is.ownerAuthSet, Lockout: is.lockoutAuthSet}
}

// settleSRK returns the storage root key and pins it in st: the one pinned already if this TPM has it, else, where that is
// allowed, what is there.
func (s *sequence) settleSRK(st *State, newTPM bool) (parent, func(), error) {
	if st.SRK.pinned() {
		srk, release, err := s.pinnedSRK(st.SRK)
		if err == nil && srk.handle != tpm2.TPMHandle(st.SRK.Handle) {
			// It was evicted and is made anew: from now on it is kept again, or a start would lack the owner's authorisation.
			defer release()
			if err := s.persist(srk, tpm2.TPMHandle(st.SRK.Handle)); err != nil {
				return parent{}, nil, fmt.Errorf("keep storage root key: %w", err)
			}
			srk.handle, release = tpm2.TPMHandle(st.SRK.Handle), func() {}
		}
		if !newTPM || !errors.Is(err, ErrCleared) {
			return srk, release, err
		}
	}
	srk, pinned, release, err := s.findSRK()
	st.SRK = pinned
	return srk, release, err
}

// serves tells whether this TPM still has the signing key and the counter of st.
func (s *sequence) serves(srk parent, st State, nvAuth []byte) (bool, error) {
	if len(st.AK.Public) == 0 { // commissioning
		return false, nil
	}
	_, err := s.read(srk, st.Counter.Index, tpm2.TPMNTCounter, nvAuth)
	if err == nil {
		_, err = s.read(srk, st.Counter.Clock, tpm2.TPMNTOrdinary, nvAuth)
	}
	if err == nil {
		var release func()
		if _, release, err = s.loadAK(srk, st.AK); err == nil {
			release()
		}
	}
	switch err = withCause(err); {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrCleared):
		return false, nil
	}
	return false, err
}
