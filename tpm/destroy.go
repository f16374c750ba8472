package tpm

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// ErrNotCleared says that the TPM cannot be cleared by us, so that a copy of the State opens on this machine as before.
var ErrNotCleared = errors.New("the TPM was not cleared: clear it in the firmware's menu before the machine leaves the house")

// Destroy clears the TPM (TPM2_Clear, TPM 2.0 Part 3, section 24.6), at the end of a box: with its storage seed goes all that
// was ever sealed to it, by us and by every other program, so that neither this State nor any copy of it opens here again. The
// keys in memory stay as they are; Close drops them.
//
// A TPM that does not hold our keys is none that opens anything: that is no error, and Destroy may be called again.
// ErrNotCleared says that another program owns the lockout authorisation, or the firmware forbids it.
func (k *Keys) Destroy(ctx context.Context) error {
	auths, err := k.authorities()
	if err != nil {
		return fmt.Errorf("destroy keys: %w", err)
	}
	_, err = withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) (struct{}, error) {
		return struct{}{}, s.clearTPM(srk, k.state, auths)
	})
	if err = withCause(err); err != nil && !errors.Is(err, ErrCleared) {
		return fmt.Errorf("destroy keys: %w", err)
	}
	return nil
}

func (s *sequence) clearTPM(srk parent, st State, auths authorities) error {
	is, err := s.permanent()
	if err != nil {
		return err
	}
	if is.lockoutAuthSet && st.Foreign.Lockout {
		return fmt.Errorf("%w (its lockout authorisation is another program's)", ErrNotCleared)
	}
	s.noResend = true
	defer func() { s.noResend = false }()
	auth := tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}
	if is.lockoutAuthSet {
		// As in emptyAuth: the answer is under the emptied value, and the session's key is the same for both.
		sess, end, err := s.session(srk, encryptNone, nil, tpm2.Bound(tpm2.TPMRHLockout, tpm2.HandleName(tpm2.TPMRHLockout), auths.lockout))
		if err != nil {
			return err
		}
		defer end()
		auth.Auth = sess
	}
	_, err = tpm2.Clear{AuthHandle: auth}.Execute(s)
	if errors.Is(err, tpm2.TPMRCDisabled) || errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) || errors.Is(err, tpm2.TPMRCLockout) {
		return fmt.Errorf("%w (%w)", ErrNotCleared, err)
	}
	return err
}
