package tpm

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	// passphraseIterations is OWASP's figure for PBKDF2-HMAC-SHA-256: a quarter of a second on a small box.
	passphraseIterations = 600_000
	// maxIterations keeps a damaged state from stalling a start.
	maxIterations = 10_000_000
	// minPassphrase is in characters. A passphrase that unseals has no lockout, only the TPM's own slowness.
	minPassphrase = 12
	// authSize is the length of an authorisation value in bytes of entropy; as hexadecimal it is twice that, which is
	// the most that an object with a SHA-256 name takes.
	authSize = 16
)

// authValue writes an authorisation value so that go-tpm and the TPM agree on it: in ASCII. go-tpm v0.9.8 cuts a value
// at its first zero byte for the HMAC, the TPM strips only trailing ones, so one random value in eight would fail.
func authValue(secret []byte) []byte {
	return []byte(hex.EncodeToString(secret))
}

// stretch turns a passphrase into an authorisation value.
func stretch(passphrase string, salt []byte, iterations int) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, passphrase, salt, iterations, authSize)
	if err != nil {
		return nil, fmt.Errorf("stretch passphrase: %w", err)
	}
	defer clear(key)
	return authValue(key), nil
}

// sealPolicy reckons the policy digest: PolicyPCR, then PolicyAuthValue, each where the mode has it.
func sealPolicy(mode Mode, pcrs []PCRState) ([]byte, error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, fmt.Errorf("reckon policy: %w", err)
	}
	if mode.pcrs() {
		step := tpm2.PolicyPCR{
			PcrDigest: tpm2.TPM2BDigest{Buffer: pcrDigest(pcrs)},
			Pcrs:      pcrSelection(pcrIndices(pcrs)...),
		}
		if err := step.Update(policy); err != nil {
			return nil, fmt.Errorf("reckon PCR policy: %w", err)
		}
	}
	if mode.passphrase() {
		if err := (tpm2.PolicyAuthValue{}).Update(policy); err != nil {
			return nil, fmt.Errorf("reckon passphrase policy: %w", err)
		}
	}
	return policy.Hash().Digest, nil
}

// newSealState makes the part of a seal that needs no TPM: the passphrase's salt and the authorisation value it gives.
func newSealState(mode Mode, passphrase string, iterations int) (st SealState, auth []byte, err error) {
	if !mode.passphrase() {
		return SealState{}, nil, nil
	}
	if iterations == 0 {
		iterations = passphraseIterations
	}
	st = SealState{Salt: make([]byte, 16), Iterations: iterations}
	rand.Read(st.Salt)
	auth, err = stretch(passphrase, st.Salt, st.Iterations)
	return st, auth, err
}

// seal puts the root key into an object that opens under the policy alone (no userWithAuth), bound to this TPM and parent,
// outside the TPM's lockout logic: its strength is the policy, and power cuts must not lock a hospital out.
func (s *sequence) seal(srk parent, root []byte, mode Mode, st SealState, auth []byte, indices []int) (SealState, error) {
	var err error
	if mode.pcrs() {
		if st.PCRs, err = s.readPCRs(srk, indices); err != nil {
			return SealState{}, err
		}
	}
	policy, err := sealPolicy(mode, st.PCRs)
	if err != nil {
		return SealState{}, err
	}
	st.Private, st.Public, err = s.sealObject(srk, root, auth, policy)
	return st, err
}

// sealObject makes the sealed object; its private and public areas are what is kept.
func (s *sequence) sealObject(srk parent, root, auth, policy []byte) (private, public []byte, err error) {
	sess, end, err := s.session(srk, encryptIn, nil)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	rsp, err := tpm2.Create{
		ParentHandle: srk.auth(sess),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: root}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type:             tpm2.TPMAlgKeyedHash,
			NameAlg:          tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		}),
	}.Execute(s)
	if err != nil {
		return nil, nil, fmt.Errorf("seal root key: %w", err)
	}
	return rsp.OutPrivate.Buffer, rsp.OutPublic.Bytes(), nil
}

// load loads a blob under p, in a session that p's owner authorises. The caller runs release.
func (s *sequence) load(p parent, sess tpm2.Session, private, public []byte) (tpm2.NamedHandle, func(), error) {
	contents, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return tpm2.NamedHandle{}, nil, errors.New("public area in the tpm state is damaged")
	}
	name, err := nameOf(contents)
	if err != nil {
		return tpm2.NamedHandle{}, nil, err
	}
	rsp, err := tpm2.Load{
		ParentHandle: p.auth(sess),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](public),
	}.Execute(s)
	if err != nil {
		return tpm2.NamedHandle{}, nil, err
	}
	return tpm2.NamedHandle{Handle: rsp.ObjectHandle, Name: *name}, func() { s.flush(rsp.ObjectHandle) }, nil
}

// unseal opens what seal made.
func (s *sequence) unseal(srk parent, mode Mode, st SealState, auth []byte) ([]byte, error) {
	root, err := s.unsealObject(srk, st.Private, st.Public, auth, func(sess tpm2.TPMHandle) error {
		if err := s.policyPCRs(mode, sess, st.PCRs); err != nil {
			return err
		}
		return s.policyPassphrase(mode, sess)
	})
	switch {
	case err == nil:
		return root, nil
	case errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail):
		return nil, fmt.Errorf("unseal root key: %w", ErrPassphrase)
	case mode.pcrs() && (errors.Is(err, tpm2.TPMRCPolicyFail) || errors.Is(err, errPCRPolicy)):
		moved, pcrErr := s.changedPCRs(srk, st.PCRs)
		if pcrErr != nil {
			return nil, fmt.Errorf("unseal root key: %w", pcrErr)
		}
		return nil, fmt.Errorf("unseal root key: %w", &PCRChangedError{PCRs: moved})
	}
	return nil, fmt.Errorf("unseal root key: %w", err)
}

// errPCRPolicy is TPM_RC_VALUE in answer to TPM2_PolicyPCR: the registers do not have the expected digest.
// (TPM_RC_POLICY_FAIL comes from TPM2_Unseal, where the state was altered.)
var errPCRPolicy = errors.New("PCR values are not the expected ones")

// unsealObject loads the sealed object, satisfies its policy and unseals it. When it returns, the TPM holds nothing of it.
func (s *sequence) unsealObject(srk parent, private, public, auth []byte, satisfy func(tpm2.TPMHandle) error) ([]byte, error) {
	object, release, err := s.loadSealed(srk, private, public)
	if err != nil {
		return nil, fmt.Errorf("load sealed object: %w", err)
	}
	defer release()
	sess, end, err := s.policySession(srk, encryptOut, auth)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := satisfy(sess.Handle()); err != nil {
		return nil, err
	}
	rsp, err := tpm2.Unseal{
		ItemHandle: tpm2.AuthHandle{Handle: object.Handle, Name: object.Name, Auth: sess},
	}.Execute(s)
	if err != nil {
		return nil, err
	}
	return rsp.OutData.Buffer, nil
}

// policyPCRs applies PolicyPCR where the mode has it.
func (s *sequence) policyPCRs(mode Mode, session tpm2.TPMHandle, pcrs []PCRState) error {
	if !mode.pcrs() {
		return nil
	}
	_, err := tpm2.PolicyPCR{
		PolicySession: session,
		PcrDigest:     tpm2.TPM2BDigest{Buffer: pcrDigest(pcrs)},
		Pcrs:          pcrSelection(pcrIndices(pcrs)...),
	}.Execute(s)
	switch {
	case errors.Is(err, tpm2.TPMRCValue):
		return fmt.Errorf("%w (%w)", errPCRPolicy, err)
	case err != nil:
		return fmt.Errorf("apply PCR policy: %w", err)
	}
	return nil
}

// policyPassphrase applies PolicyAuthValue where the mode has it.
func (s *sequence) policyPassphrase(mode Mode, session tpm2.TPMHandle) error {
	if !mode.passphrase() {
		return nil
	}
	if _, err := (tpm2.PolicyAuthValue{PolicySession: session}).Execute(s); err != nil {
		return fmt.Errorf("apply passphrase policy: %w", err)
	}
	return nil
}

func (s *sequence) loadSealed(srk parent, private, public []byte) (tpm2.NamedHandle, func(), error) {
	sess, end, err := s.session(srk, encryptIn, nil)
	if err != nil {
		return tpm2.NamedHandle{}, nil, err
	}
	defer end()
	return s.load(srk, sess, private, public)
}
