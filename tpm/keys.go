package tpm

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/google/go-tpm/tpm2"
)

const (
	// rootSize is the root key's length in bytes.
	rootSize = 32
	// wrapVersion is the first byte of what Wrap returns.
	wrapVersion = 1
)

// Keys is the opened root key: verbs, never the key. It is safe for concurrent use; Wrap and Unwrap work in memory,
// the other verbs take their turn at the TPM and can take a second.
type Keys struct {
	state  State
	signer *ecdsa.PublicKey
	dev    *Device // nil for keys recovered from shares

	// mu guards what Close takes away, and old, which Retire takes away.
	mu    sync.RWMutex
	root  []byte
	wrap  cipher.AEAD
	old   cipher.AEAD // of the root key before, while a rotation is under way; opens only
	auths authorities
}

// newKeys takes root over and wipes it at Close.
func newKeys(dev *Device, st State, root []byte) (_ *Keys, err error) {
	defer func() {
		if err != nil {
			clear(root)
		}
	}()
	if len(root) != rootSize {
		return nil, errors.New("root key has a wrong length")
	}
	// Who exchanged the blob for another one's would have us wrap under a key that he knows.
	c, err := commitment(root)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(c, st.Commitment) != 1 {
		return nil, errors.New("tpm state is damaged: the root key in it is not the one it names, restore it from the backup")
	}
	k := &Keys{state: st, dev: dev, root: root}
	if k.signer, err = st.signer(); err != nil {
		return nil, err
	}
	if k.wrap, err = wrapper(root); err != nil {
		return nil, err
	}
	seed, err := openUnder(root, "authorities", st.BoxID, st.Auths)
	if err != nil {
		return nil, fmt.Errorf("open authorisation values in the tpm state: %w", err)
	}
	defer clear(seed)
	if k.auths, err = deriveAuths(seed); err != nil {
		return nil, err
	}
	if len(st.OldRoot) == 0 {
		return k, nil
	}
	before, err := openUnder(root, "old root", st.BoxID, st.OldRoot)
	if err != nil {
		return nil, fmt.Errorf("open former root key in the tpm state: %w", err)
	}
	defer clear(before)
	k.old, err = wrapper(before)
	return k, err
}

// derive gives each use of the root key a key of its own (HKDF-Expand, RFC 5869: the root is uniformly random).
func derive(root []byte, use string, size int) ([]byte, error) {
	key, err := hkdf.Expand(sha256.New, root, "pinward root v1\x00"+use, size)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

func wrapper(root []byte) (cipher.AEAD, error) { return gcm(root, "wrap") }

// gcm is AES-256-GCM under a key derived for one use. The module makes the nonces.
func gcm(root []byte, use string) (cipher.AEAD, error) {
	key, err := derive(root, use, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make wrapping cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealUnder and openUnder keep the room's own secrets in the State.
func sealUnder(root []byte, use, boxID string, secret []byte) ([]byte, error) {
	aead, err := gcm(root, use)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, secret, []byte(boxID)), nil
}

func openUnder(root []byte, use, boxID string, sealed []byte) ([]byte, error) {
	aead, err := gcm(root, use)
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, nil, sealed, []byte(boxID))
	if err != nil {
		return nil, fmt.Errorf("%w (the tpm state is damaged)", ErrUnwrap)
	}
	return secret, nil
}

// commitmentSize is the length of State.Commitment.
const commitmentSize = 32

// commitment is what a State says of its root key.
func commitment(root []byte) ([]byte, error) { return derive(root, "commitment", commitmentSize) }

// Wrap encrypts a key under the root key: a version byte, nonce, ciphertext and tag, 29 bytes longer than secret.
// What it returns opens on any TPM and after recovery, as long as the root key is the same.
func (k *Keys) Wrap(ctx context.Context, secret []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.root == nil {
		return nil, fmt.Errorf("wrap key: %w", ErrClosed)
	}
	return k.wrap.Seal([]byte{wrapVersion}, nil, secret, k.label()), nil
}

// Unwrap opens what Wrap returned; while a rotation is under way, also what Wrap returned under the root key before.
// Everything else is ErrUnwrap.
func (k *Keys) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.root == nil {
		return nil, fmt.Errorf("unwrap key: %w", ErrClosed)
	}
	if len(wrapped) == 0 || wrapped[0] != wrapVersion {
		return nil, fmt.Errorf("unwrap key: %w", ErrUnwrap)
	}
	secret, err := k.wrap.Open(nil, nil, wrapped[1:], k.label())
	if err != nil && k.old != nil {
		secret, err = k.old.Open(nil, nil, wrapped[1:], k.label())
	}
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", ErrUnwrap)
	}
	return secret, nil
}

// label is the additional data of what is wrapped.
func (k *Keys) label() []byte {
	return append([]byte{wrapVersion}, "pinward wrapped key\x00"+k.state.BoxID...)
}

// SignHead signs an audit head: ECDSA P-256 over SHA-256(note), ASN.1 DER, by a key that never leaves the TPM. note has
// 1 to 1024 bytes. The signature was verified before it is returned.
func (k *Keys) SignHead(ctx context.Context, note []byte) ([]byte, error) {
	if len(note) == 0 || len(note) > maxNote {
		return nil, fmt.Errorf("sign head: note has %d bytes, allowed are 1 to %d", len(note), maxNote)
	}
	auths, err := k.authorities()
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	sig, err := withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) (*tpm2.TPMTSignature, error) {
		return s.sign(srk, k.state.AK, auths.ak, note)
	})
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	der, err := encodeSignature(k.signer, note, sig)
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	return der, nil
}

// Signer is the public key that SignHead and Anchor sign for. For keys recovered from shares it is the lost TPM's,
// against which the heads so far verify.
func (k *Keys) Signer() *ecdsa.PublicKey { return k.signer }

// Counter reads the TPM's counter. It grows by one with each Anchor and never goes back, whatever happens to the files.
// ErrCleared means that it is gone or not ours any more: somebody cleared the TPM or tampers.
func (k *Keys) Counter(ctx context.Context) (uint64, error) {
	auths, err := k.authorities()
	if err != nil {
		return 0, fmt.Errorf("read counter: %w", err)
	}
	n, err := withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) (uint64, error) {
		return s.read(srk, k.state.Counter.Index, tpm2.TPMNTCounter, auths.nv)
	})
	if err != nil {
		return 0, fmt.Errorf("read counter: %w", err)
	}
	return n, nil
}

// Anchor raises the TPM's counter and returns the TPM's signed statement that binds its new value, its clock and reset
// count to noteHash, the SHA-256 of an audit head; ParseAnchor reads it. Within an hour of power since the last increment,
// the one at commissioning included, it is ErrAnchorTooSoon and nothing happens, also over restarts of the daemon.
//
// Any other error leaves open whether the counter was raised: read it.
func (k *Keys) Anchor(ctx context.Context, noteHash [32]byte) ([]byte, error) {
	auths, err := k.authorities()
	if err != nil {
		return nil, fmt.Errorf("anchor head: %w", err)
	}
	attestation, err := withSRK(ctx, k.dev, k.state.SRK, func(s *sequence, srk parent) ([]byte, error) {
		return s.anchor(srk, k.state, auths, noteHash)
	})
	if err != nil {
		return nil, fmt.Errorf("anchor head: %w", err)
	}
	if _, err := ParseAnchor(k.signer, attestation); err != nil {
		return nil, fmt.Errorf("anchor head: %w", err)
	}
	return attestation, nil
}

// Same tells whether two Keys hold the same root key.
func (k *Keys) Same(other *Keys) bool {
	mine, theirs := k.commitment(), other.commitment()
	return mine != nil && subtle.ConstantTimeCompare(mine, theirs) == 1
}

// commitment lets Same compare without holding two locks at once; it is nil after Close.
func (k *Keys) commitment() []byte {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.root == nil {
		return nil
	}
	return k.state.Commitment
}

// Close wipes the root key. Verbs fail with ErrClosed from then on; one that the TPM has begun finishes. The Device stays open.
func (k *Keys) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.root)
	k.auths.clear()
	k.root, k.wrap, k.old = nil, nil, nil
	return nil
}

// authorities copies the authorisation values for one visit to the TPM, which may outlive Close.
func (k *Keys) authorities() (authorities, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.root == nil:
		return authorities{}, ErrClosed
	case k.dev == nil:
		return authorities{}, ErrNoTPM
	}
	return k.auths.clone(), nil
}

// rootCopy copies the root key, to seal it anew.
func (k *Keys) rootCopy() ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.root == nil {
		return nil, ErrClosed
	}
	return bytes.Clone(k.root), nil
}

// Format implements fmt.Formatter: whatever the verb, no key.
func (k *Keys) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// String shows no key.
func (k *Keys) String() string { return "tpm.Keys(withheld)" }

// LogValue implements slog.LogValuer.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// withSRK runs fn as one sequence with the pinned storage root key.
func withSRK[T any](ctx context.Context, d *Device, st SRKState, fn func(*sequence, parent) (T, error)) (T, error) {
	return do(ctx, d, func(s *sequence) (T, error) {
		srk, release, err := s.pinnedSRK(st)
		if err != nil {
			var none T
			return none, err
		}
		defer release()
		return fn(s, srk)
	})
}
