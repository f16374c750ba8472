package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// seedSize is the length of the secret from which all authorisation values come.
const seedSize = 32

// authorities are our authorisation values in the TPM. They stay when the root key is rotated, because a TPM lets nobody
// change that of an index in place; the signing key and the counter need the TPM at hand besides them.
type authorities struct {
	ak, nv         []byte // of the signing key and of the two NV indices
	owner, lockout []byte // of the TPM's hierarchies
}

func deriveAuths(seed []byte) (a authorities, err error) {
	for use, to := range map[string]*[]byte{
		"signing key authorisation": &a.ak,
		"counter authorisation":     &a.nv,
		"owner authorisation":       &a.owner,
		"lockout authorisation":     &a.lockout,
	} {
		value, err := derive(seed, use, authSize)
		if err != nil {
			return authorities{}, err
		}
		*to = authValue(value)
	}
	return a, nil
}

func (a authorities) clone() authorities {
	return authorities{
		ak: bytes.Clone(a.ak), nv: bytes.Clone(a.nv),
		owner: bytes.Clone(a.owner), lockout: bytes.Clone(a.lockout),
	}
}

func (a authorities) clear() {
	for _, v := range [][]byte{a.ak, a.nv, a.owner, a.lockout} {
		clear(v)
	}
}

// Own sets the TPM's owner and lockout authorisation to values of this box, so that no other program deletes the counter
// or clears the TPM; whoever sits at the firmware's menu still can. Values of other programs are left as they are.
//
// Call it once the State with these Keys is saved, and at each start: what is set already is checked and left. If we crash
// before, or midway, the next call finishes; the values come from the State, which two shares of the recovery kit open.
// ErrOwned means that another program has set the owner's value since commissioning.
func (k *Keys) Own(ctx context.Context) error {
	auths, err := k.authorities()
	if err != nil {
		return fmt.Errorf("own tpm: %w", err)
	}
	_, err = withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) (struct{}, error) {
		return struct{}{}, s.own(srk, k.state, auths)
	})
	if err != nil {
		return fmt.Errorf("own tpm: %w", err)
	}
	return nil
}

func (s *sequence) own(srk parent, st State, auths authorities) error {
	is, err := s.permanent()
	if err != nil {
		return err
	}
	switch {
	case !is.ownerAuthSet:
		if err := s.setAuth(srk, tpm2.TPMRHOwner, auths.owner); err != nil {
			return fmt.Errorf("set owner authorisation: %w", err)
		}
	case !st.Foreign.Owner:
		if err := s.checkOwner(srk, st.Counter, auths.owner); err != nil {
			return fmt.Errorf("check owner authorisation: %w", err)
		}
	}
	// One that is set cannot be checked: each wrong try would count. The owner's was set before it, so it is ours.
	if !is.lockoutAuthSet {
		if err := s.setAuth(srk, tpm2.TPMRHLockout, auths.lockout); err != nil {
			return fmt.Errorf("set lockout authorisation: %w", err)
		}
	}
	return nil
}

// setAuth sets a hierarchy's empty authorisation value. The empty one authorises, the salted session encrypts the new one.
// Sent twice, the second one is refused and nothing is lost.
func (s *sequence) setAuth(srk parent, hierarchy tpm2.TPMHandle, value []byte) error {
	sess, end, err := s.session(srk, encryptIn, nil)
	if err != nil {
		return err
	}
	defer end()
	s.noResend = true
	defer func() { s.noResend = false }()
	_, err = tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		NewAuth:    tpm2.TPM2BAuth{Buffer: value},
	}.Execute(s, sess)
	return owned(err)
}

// checkOwner reads the counter as the owner, which harms nothing and counts nowhere.
func (s *sequence) checkOwner(srk parent, st CounterState, owner []byte) error {
	x, _, err := s.index(st.Index, tpm2.TPMNTCounter)
	if err != nil {
		return err
	}
	sess, end, err := s.session(srk, encryptNone, owner)
	if err != nil {
		return err
	}
	defer end()
	_, err = tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: sess}, NVIndex: x.named(), Size: nvSize,
	}.Execute(s)
	return owned(err)
}

// Release gives the TPM back, when a box is taken out of service: the counter is deleted, owner and lockout authorisation
// are empty again. The State opens until then and after, but Own, Counter and Anchor have nothing to work with: the
// counter's absence is ErrCleared. Whatever is gone already is left.
func (k *Keys) Release(ctx context.Context) error {
	auths, err := k.authorities()
	if err != nil {
		return fmt.Errorf("release tpm: %w", err)
	}
	_, err = withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) (struct{}, error) {
		return struct{}{}, s.releaseTPM(srk, k.state, auths)
	})
	if err != nil {
		return fmt.Errorf("release tpm: %w", err)
	}
	return nil
}

func (s *sequence) releaseTPM(srk parent, st State, auths authorities) error {
	is, err := s.permanent()
	if err != nil {
		return err
	}
	// The lockout value first: while the owner's is there, a call that broke off can be begun again.
	if is.lockoutAuthSet && !st.Foreign.Lockout {
		if err := s.emptyAuth(srk, tpm2.TPMRHLockout, auths.lockout); err != nil {
			return fmt.Errorf("empty lockout authorisation: %w", err)
		}
	}
	if is.ownerAuthSet {
		if st.Foreign.Owner {
			return ErrOwned
		}
		s.owner = auths.owner
	}
	for index, kind := range map[uint32]tpm2.TPMNT{st.Counter.Index: tpm2.TPMNTCounter, st.Counter.Clock: tpm2.TPMNTOrdinary} {
		if err := s.undefine(srk, index, kind); err != nil && !errors.Is(err, ErrCleared) {
			return fmt.Errorf("delete counter: %w", err)
		}
	}
	if is.ownerAuthSet {
		if err := s.emptyAuth(srk, tpm2.TPMRHOwner, auths.owner); err != nil {
			return fmt.Errorf("empty owner authorisation: %w", err)
		}
	}
	return nil
}

func (s *sequence) undefine(srk parent, index uint32, kind tpm2.TPMNT) error {
	x, _, err := s.index(index, kind)
	if err != nil {
		return err
	}
	sess, end, err := s.session(srk, encryptNone, s.owner)
	if err != nil {
		return err
	}
	defer end()
	_, err = tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: sess}, NVIndex: x.named(),
	}.Execute(s)
	return owned(err)
}

// emptyAuth sets a hierarchy's authorisation value back to the empty one. The session is bound to the hierarchy: its key
// holds the old value, so that command and answer, which are under different values, have the same key.
func (s *sequence) emptyAuth(srk parent, hierarchy tpm2.TPMHandle, old []byte) error {
	sess, end, err := s.session(srk, encryptNone, nil, tpm2.Bound(hierarchy, tpm2.HandleName(hierarchy), old))
	if err != nil {
		return err
	}
	defer end()
	s.noResend = true
	defer func() { s.noResend = false }()
	_, err = tpm2.HierarchyChangeAuth{AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: sess}}.Execute(s)
	return owned(err)
}

// ResetLockout ends the TPM's dictionary-attack lockout, into which other programs' keys can bring it. If the lockout
// authorisation is another program's this is ErrOwned, and that program has to do it.
func (k *Keys) ResetLockout(ctx context.Context) error {
	auths, err := k.authorities()
	if err != nil {
		return fmt.Errorf("reset lockout: %w", err)
	}
	if k.state.Foreign.Lockout {
		return fmt.Errorf("reset lockout: %w", ErrOwned)
	}
	_, err = withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) (struct{}, error) {
		is, err := s.permanent()
		if err != nil {
			return struct{}{}, err
		}
		var auth []byte
		if is.lockoutAuthSet {
			auth = auths.lockout
		}
		return struct{}{}, s.resetLockout(srk, auth)
	})
	if err != nil {
		return fmt.Errorf("reset lockout: %w", err)
	}
	return nil
}

// owned explains the refusal that is seen where another program has set a hierarchy's authorisation value.
func owned(err error) error {
	if errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) {
		return fmt.Errorf("%w (%w)", ErrOwned, err)
	}
	return err
}
