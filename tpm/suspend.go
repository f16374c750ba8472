package tpm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/google/go-tpm/tpm2"
)

// maxResets bounds what SuspendOptions.Resets may ask for.
const maxResets = 8

// SuspendOptions are the choices at a suspension.
type SuspendOptions struct {
	// Passphrase is the present one, for ModeTPMPassphrase.
	Passphrase string
	// Resets is for how many resets of the TPM the suspension lasts, 1 to 8; 0 is 1. Each start of the machine is one. A
	// firmware that starts itself again while it is updated needs more; its maker's notes say so.
	Resets int
}

// Format implements fmt.Formatter: whatever the verb, no passphrase.
func (o SuspendOptions) Format(f fmt.State, _ rune) {
	io.WriteString(f, "tpm.SuspendOptions(withheld)")
}

// LogValue implements slog.LogValuer.
func (o SuspendOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Suspend prepares one boot whose measurements are not known, as before a firmware update: it seals the root key a second
// time, without boot measurements, and returns the State to save before the update. The next Unseal that meets other
// measurements uses that once, seals to the new ones, and returns a State without it, which the caller saves before the box opens.
//
// Until then the box is protected by less: whoever takes it, or can read its disk on this board, opens the root key with
// any system he boots (in ModeTPMPassphrase he needs the passphrase still). The TPM itself ends it, used or not: the second
// seal is bound to the TPM's reset count, and opens in this boot and the next one, never after, for a copy of the State neither.
//
// If we crash before the State is saved, nothing is suspended. If the process ends between Unseal and saving, the next start
// does the same again. If the power fails just there, the boot that was meant is over: the recovery kit opens the box.
// k and st must belong together; the audit entry is the caller's.
func Suspend(ctx context.Context, k *Keys, st State, o SuspendOptions) (State, error) {
	after, err := suspend(ctx, k, st, o)
	if err != nil {
		return State{}, fmt.Errorf("suspend: %w", err)
	}
	return after, nil
}

func suspend(ctx context.Context, k *Keys, st State, o SuspendOptions) (State, error) {
	switch {
	case k.dev == nil:
		return State{}, ErrNoTPM
	case !st.Mode.pcrs():
		return State{}, fmt.Errorf("unseal mode %q is bound to no boot measurements: update the firmware as you are", st.Mode)
	case o.Resets < 0 || o.Resets > maxResets:
		return State{}, fmt.Errorf("a suspension may last 1 to %d resets", maxResets)
	}
	root, seed, err := k.secrets(st)
	if err != nil {
		return State{}, err
	}
	clear(seed)
	auth, err := st.passphraseAuth(o.Passphrase)
	if err != nil {
		clear(root)
		return State{}, err
	}
	lasts := uint32(max(o.Resets, 1))
	// root is the sequence's own from here on: it can outlive this call.
	made, err := withSRK(ctx, k.dev, st.SRK, func(s *sequence, srk parent) (SuspensionState, error) {
		if st.Mode.passphrase() {
			// A mistyped passphrase would show only after the update, when it is too late.
			opened, err := s.unseal(srk, st.Mode, st.Seal, auth)
			if err != nil {
				return SuspensionState{}, fmt.Errorf("check passphrase: %w", err)
			}
			clear(opened)
		}
		now, err := s.timeInfo()
		if err != nil {
			return SuspensionState{}, err
		}
		sus := SuspensionState{Since: now.ResetCount, Until: now.ResetCount + lasts}
		policy, err := suspensionPolicy(st.Mode, sus.Until)
		if err != nil {
			return SuspensionState{}, err
		}
		sus.Private, sus.Public, err = s.sealObject(srk, root, auth, policy)
		return sus, err
	})
	if err != nil {
		return State{}, err
	}
	clear(root)
	st.Suspension = &made
	return st, nil
}

// suspensionPolicy is PolicyCounterTimer over the reset count, then PolicyAuthValue where the mode has a passphrase.
func suspensionPolicy(mode Mode, until uint32) ([]byte, error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, fmt.Errorf("reckon policy: %w", err)
	}
	if err := reckonResets(policy, until); err != nil {
		return nil, fmt.Errorf("reckon reset policy: %w", err)
	}
	if mode.passphrase() {
		if err := (tpm2.PolicyAuthValue{}).Update(policy); err != nil {
			return nil, fmt.Errorf("reckon passphrase policy: %w", err)
		}
	}
	return policy.Hash().Digest, nil
}

// resume opens the suspension of st and seals to what is booted now. changed is why the seal itself did not open.
func resume(ctx context.Context, dev *Device, st State, passphrase string, changed error) (State, *Keys, error) {
	auth, err := st.passphraseAuth(passphrase)
	if err != nil {
		return State{}, nil, fmt.Errorf("unseal root key: %w", err)
	}
	root, err := withSRK(ctx, dev, st.SRK, func(s *sequence, srk parent) ([]byte, error) {
		return s.unsealSuspended(srk, st.Mode, *st.Suspension, auth)
	})
	switch {
	case errors.Is(err, errSuspensionOver):
		return State{}, nil, fmt.Errorf("%w (key suspend was in force, but this is not the boot that it was for)", changed)
	case err != nil:
		return State{}, nil, fmt.Errorf("unseal suspended root key: %w", err)
	}
	keys, err := newKeys(dev, st, root)
	if err != nil {
		return State{}, nil, fmt.Errorf("unseal suspended root key: %w", err)
	}
	defer keys.Close()
	after, fresh, err := reseal(ctx, dev, keys, st, ResealOptions{
		Mode: st.Mode, Passphrase: passphrase, PCRs: pcrIndices(st.Seal.PCRs), iterations: st.Seal.Iterations,
	})
	if err != nil {
		return State{}, nil, fmt.Errorf("reseal after suspension: %w", err)
	}
	return after, fresh, nil
}

// errSuspensionOver is TPM_RC_POLICY in answer to TPM2_PolicyCounterTimer.
var errSuspensionOver = errors.New("suspension is over")

func (s *sequence) unsealSuspended(srk parent, mode Mode, sus SuspensionState, auth []byte) ([]byte, error) {
	root, err := s.unsealObject(srk, sus.Private, sus.Public, auth, func(sess tpm2.TPMHandle) error {
		err := s.policyResets(sess, sus.Until)
		if errors.Is(err, tpm2.TPMRCPolicy) {
			return errSuspensionOver
		}
		if err != nil {
			return fmt.Errorf("apply reset policy: %w", err)
		}
		return s.policyPassphrase(mode, sess)
	})
	switch {
	case errors.Is(err, tpm2.TPMRCPolicyFail): // Until was altered in the file
		return nil, errSuspensionOver
	case errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail):
		return nil, ErrPassphrase
	}
	return root, err
}

// withoutSuspension takes a suspension out of st that has no boot left. If the TPM does not tell, it stays for now: the TPM ends it.
func withoutSuspension(ctx context.Context, dev *Device, st State) State {
	now, err := do(ctx, dev, func(s *sequence) (tpm2.TPMSClockInfo, error) { return s.timeInfo() })
	if err == nil && now.ResetCount >= st.Suspension.Until {
		st.Suspension = nil
	}
	return st
}
