package tpm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"unicode/utf8"

	"github.com/google/go-tpm/tpm2"
)

// CommissionOptions are the choices at set-up.
type CommissionOptions struct {
	// Mode is what a start needs. The caller refuses ModeTPM where Secure Boot is off.
	Mode Mode
	// Passphrase is for ModeTPMPassphrase and ModeOperator: at least 12 characters.
	Passphrase string
	// PCRs of the SHA-256 bank to bind to, ascending, 0 to 23; nil is PCR 7. Not used in ModeOperator.
	PCRs []int
	// BoxID names the box on the shares: 1 to 32 letters, digits, dots, hyphens, underscores.
	BoxID string

	// iterations stretch the passphrase; 0 is passphraseIterations. Tests take fewer.
	iterations int
}

// ResealOptions are the choices when the root key is sealed anew.
type ResealOptions struct {
	// Mode, Passphrase and PCRs mean what they mean in CommissionOptions.
	Mode       Mode
	Passphrase string
	PCRs       []int
	// NewTPM says that a person knows the TPM to have been replaced or reset. Only then is another storage key pinned than
	// the one of before, and the root key handed to it; without it that is ErrCleared. Who sits on the wires to the chip could
	// otherwise make himself the new TPM.
	NewTPM bool

	iterations int
}

// Format implements fmt.Formatter: whatever the verb, no passphrase.
func (o CommissionOptions) Format(f fmt.State, _ rune) {
	io.WriteString(f, "tpm.CommissionOptions(withheld)")
}

// LogValue implements slog.LogValuer.
func (o CommissionOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Format implements fmt.Formatter: whatever the verb, no passphrase.
func (o ResealOptions) Format(f fmt.State, _ rune) { io.WriteString(f, "tpm.ResealOptions(withheld)") }

// LogValue implements slog.LogValuer.
func (o ResealOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// checkSeal fills in the default registers and refuses what cannot be.
func checkSeal(mode Mode, passphrase string, pcrs []int) ([]int, error) {
	switch mode {
	case ModeTPM, ModeTPMPassphrase, ModeOperator:
	default:
		return nil, fmt.Errorf("unseal mode %q is unknown, want %q, %q or %q", mode, ModeTPM, ModeTPMPassphrase, ModeOperator)
	}
	if mode.passphrase() && utf8.RuneCountInString(passphrase) < minPassphrase {
		return nil, fmt.Errorf("passphrase needs at least %d characters", minPassphrase)
	}
	if !mode.passphrase() && passphrase != "" {
		return nil, fmt.Errorf("unseal mode %q takes no passphrase", mode)
	}
	if !mode.pcrs() {
		return nil, nil
	}
	if len(pcrs) == 0 {
		pcrs = defaultPCRs
	}
	return slices.Clone(pcrs), checkPCRs(pcrs)
}

// Commission makes a new root key, seals it to dev, makes the signing key, the counter and the recovery kit, and proves
// that the seal opens. The caller prints the kit, saves the State with SaveState, and only then uses the Keys.
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
	root := make([]byte, rootSize)
	rand.Read(root)
	defer clear(root)
	kit, kitState, err := newKit(o.BoxID, root)
	if err != nil {
		return State{}, Kit{}, nil, err
	}
	st := State{Version: stateVersion, BoxID: o.BoxID, Kit: kitState}
	st, err = settle(ctx, dev, st, root, ResealOptions{
		Mode: o.Mode, Passphrase: o.Passphrase, PCRs: o.PCRs, NewTPM: true, iterations: o.iterations,
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

// Unseal opens the root key of st with dev's TPM. The errors to branch on are ErrPCRChanged, ErrCleared, ErrLockout,
// ErrPassphrase and ErrUnreachable; each says what to do next. Nothing is changed in the TPM.
func Unseal(ctx context.Context, dev *Device, st State, passphrase string) (*Keys, error) {
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return unseal(ctx, dev, st, passphrase)
}

func unseal(ctx context.Context, dev *Device, st State, passphrase string) (*Keys, error) {
	var auth []byte
	if st.Mode.passphrase() {
		if passphrase == "" {
			return nil, fmt.Errorf("unseal root key: %w", ErrPassphrase)
		}
		var err error
		if auth, err = stretch(passphrase, st.Seal.Salt, st.Seal.Iterations); err != nil {
			return nil, err
		}
	}
	root, err := withSRK(ctx, dev, st.SRK, func(s *sequence, srk parent) ([]byte, error) {
		return s.unseal(srk, st.Mode, st.Seal, auth)
	})
	if err != nil {
		return nil, err
	}
	return newKeys(dev, st, root)
}

// Recover restores the root key from two shares of the kit, as typed from paper, with no TPM. The Keys wrap and unwrap;
// to sign and count they need Reseal. Without Reseal it is the recovery drill: compare with Keys.Same, then Close.
// Errors about the shares are ErrShare.
func Recover(ctx context.Context, st State, shares []string) (*Keys, error) {
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("recover root key: %w", err)
	}
	root, err := openKit(st, shares)
	if err != nil {
		return nil, fmt.Errorf("recover root key: %w", err)
	}
	return newKeys(nil, st, root)
}

// Reseal seals the root key of k anew, to dev's TPM in its present boot state, and returns the State to save and Keys that
// belong to dev; k stays as it is, and open. Signing key and counter are kept where dev still has them and made anew
// where not (with NewTPM only): then Keys.Signer is another one, which the caller has to record. The recovery kit stays valid.
//
// The old State opens what it opened until the caller has saved the new one: a crash in between loses nothing.
func Reseal(ctx context.Context, dev *Device, k *Keys, o ResealOptions) (State, *Keys, error) {
	root, err := k.rootCopy()
	if err != nil {
		return State{}, nil, fmt.Errorf("reseal: %w", err)
	}
	defer clear(root)
	st, err := settle(ctx, dev, k.state, root, o)
	if err != nil {
		return State{}, nil, fmt.Errorf("reseal: %w", err)
	}
	keys, err := unseal(ctx, dev, st, o.Passphrase)
	if err != nil {
		return State{}, nil, fmt.Errorf("reseal: prove that the seal opens: %w", err)
	}
	return st, keys, nil
}

// settle seals root to dev and gives st a signing key and a counter there: those of st, if it has some and dev has them still.
func settle(ctx context.Context, dev *Device, st State, root []byte, o ResealOptions) (State, error) {
	pcrs, err := checkSeal(o.Mode, o.Passphrase, o.PCRs)
	if err != nil {
		return State{}, err
	}
	seal, sealAuth, err := newSealState(o.Mode, o.Passphrase, o.iterations)
	if err != nil {
		return State{}, err
	}
	akAuth, nvAuth, err := deriveAuths(root)
	if err != nil {
		return State{}, err
	}
	// The sequence can outlive this call, when ctx ends, and can be begun twice: it has a root key of its own and leaves
	// what it was given as it was.
	root = slices.Clone(root)
	before := st
	return do(ctx, dev, func(s *sequence) (State, error) {
		st := before
		srk, release, err := s.settleSRK(&st, o.NewTPM)
		if err != nil {
			return State{}, err
		}
		defer release()
		st.Mode = o.Mode
		if st.Seal, err = s.seal(srk, root, o.Mode, seal, sealAuth, pcrs); err != nil {
			return State{}, err
		}
		if there, err := s.serves(srk, st, nvAuth); err != nil || there {
			return st, err
		}
		if st.AK, err = s.createAK(srk, akAuth); err != nil {
			return State{}, err
		}
		if st.Counter, err = s.defineCounter(srk, nvAuth); err != nil {
			return State{}, err
		}
		return st, nil
	})
}

// settleSRK returns the storage root key and pins it in st: the one pinned already if this TPM has it, else, where that is
// allowed, what is there.
func (s *sequence) settleSRK(st *State, newTPM bool) (parent, func(), error) {
	if st.SRK.pinned() {
		srk, release, err := s.pinnedSRK(st.SRK)
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
