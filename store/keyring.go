package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"sync"
	"time"
)

// Keys is what the store asks of whoever holds the root key and the signing key: verbs, never a key.
// Package tpm has the real ones. All must be safe for concurrent use.
type Keys interface {
	// Wrap encrypts and authenticates the keyring under the root key.
	Wrap(ctx context.Context, secret []byte) ([]byte, error)
	// Unwrap is the inverse of Wrap; it fails on anything that Wrap did not return.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
	// SignHead signs the text of a head, at most 1,024 bytes: ASN.1 ECDSA over its SHA-256.
	SignHead(ctx context.Context, note []byte) (asn1sig []byte, err error)
	// Signer is the public key of SignHead, on P-256.
	Signer() *ecdsa.PublicKey
	// Counter reads the monotonic counter. Keys without one return [errors.ErrUnsupported]; a counter
	// that is not there any more, or not ours, is [ErrCounterGone].
	Counter(ctx context.Context) (uint64, error)
	// Anchor has the counter raised by one and certified together with the hash of a head's note: a
	// TPM2B_ATTEST and a TPMT_SIGNATURE, which [audit.ParseAnchor] reads. [ErrAnchorSoon] if the last
	// time is less than an hour ago, and nothing was done; any other error leaves open what was done.
	Anchor(ctx context.Context, noteHash [32]byte) (attestation []byte, err error)
}

// The purposes of keys, as they stand in entries.
const (
	purposeData  = "data"
	purposeAudit = "audit"
	purposeCode  = "code"
)

// maxSeals is the number of values and entries after which the data key and the audit key are replaced
// within their month: SP 800-38D allows 2^32 random nonces a key.
const maxSeals = 1 << 30

// codeDays is how many days a code key outlives its own: a code lives ten minutes at most, so this
// leaves room for a clock that was set back and for somebody who asks what happened yesterday.
const codeDays = 2

// ring is the keyring, opened. It is never changed: a new key makes a new ring, so that a View may
// read one without a lock.
type ring struct {
	index *macKey
	data  []*sealKey // oldest first; the last one seals
	audit []*sealKey
	code  map[uint32]*macKey // by day
}

// sealKey is one epoch's AES-256-GCM key.
type sealKey struct {
	epoch  uint32 // counts from 1
	period uint32 // the month it was made for, see month
	key    []byte
	aead   cipher.AEAD
}

// macKey is an HMAC-SHA-256 key with ready-made states, since keying costs as much as a short input.
type macKey struct {
	key  []byte
	pool sync.Pool // of *macState
}

type macState struct {
	hash hash.Hash
	in   []byte
}

func newMacKey(key []byte) *macKey {
	k := &macKey{key: key}
	k.pool.New = func() any { return &macState{hash: hmac.New(sha256.New, key)} }
	return k
}

// sum is the HMAC over parts, joined as they are.
func (k *macKey) sum(dst []byte, parts ...[]byte) []byte {
	s := k.pool.Get().(*macState)
	s.in = s.in[:0]
	for _, p := range parts {
		s.in = append(s.in, p...)
	}
	s.hash.Reset()
	s.hash.Write(s.in)
	dst = s.hash.Sum(dst)
	clear(s.in) // it may be a number
	k.pool.Put(s)
	return dst
}

func newSealKey(epoch, period uint32, key []byte) (*sealKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return &sealKey{epoch, period, key, aead}, nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return key
}

// month and day are the periods of keys, both in UTC.
func month(t time.Time) uint32 { y, m, _ := t.Date(); return uint32(y)*12 + uint32(m) - 1 }
func day(t time.Time) uint32   { return uint32(t.Unix() / 86400) }

// commitment lets an auditor who is given a key later check that it is the one that was in use: GCM
// does not commit to its key.
func commitment(key []byte) string {
	out, err := hkdf.Expand(sha256.New, key, "commit", sha256.Size)
	if err != nil {
		return "" // not reached: the length is constant and allowed
	}
	sum := sha256.Sum256(out)
	return hex.EncodeToString(sum[:])
}

// find returns the key of an epoch; keys are in order of their epochs.
func find(keys []*sealKey, epoch uint32) *sealKey {
	i, ok := slices.BinarySearchFunc(keys, epoch, func(k *sealKey, e uint32) int { return int(k.epoch) - int(e) })
	if !ok {
		return nil
	}
	return keys[i]
}

func last(keys []*sealKey) *sealKey {
	if len(keys) == 0 {
		return nil
	}
	return keys[len(keys)-1]
}

func stale(keys []*sealKey, period uint32) bool {
	k := last(keys)
	return k == nil || k.period != period
}

// withNext returns keys and one more.
func withNext(keys []*sealKey, period uint32) ([]*sealKey, error) {
	epoch := uint32(1)
	if k := last(keys); k != nil {
		epoch = k.epoch + 1
	}
	k, err := newSealKey(epoch, period, randomKey())
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(keys), k), nil
}

// withCode returns a ring with a key for the day and without those that are too old.
func (r *ring) withCode(today uint32) *ring {
	n := *r
	n.code, _ = r.liveCodes(today)
	n.code[today] = newMacKey(randomKey())
	return &n
}

// liveCodes copies the code keys that are not too old today and lists the days of the others.
func (r *ring) liveCodes(today uint32) (live map[uint32]*macKey, dead []uint32) {
	live = maps.Clone(r.code)
	for d := range r.code {
		if d+codeDays < today {
			delete(live, d)
			dead = append(dead, d)
		}
	}
	slices.Sort(dead)
	return live, dead
}

// ringFile is the keyring as it is wrapped.
type ringFile struct {
	Version int
	Index   []byte
	Data    []sealKeyFile
	Audit   []sealKeyFile
	Code    map[uint32][]byte
}

type sealKeyFile struct {
	Epoch, Period uint32
	Key           []byte
}

const ringVersion = 1

// wrap encodes and wraps the ring, and clears the plain copy.
func (r *ring) wrap(ctx context.Context, k Keys) ([]byte, error) {
	f := ringFile{Version: ringVersion, Index: r.index.key, Code: map[uint32][]byte{}}
	for d, k := range r.code {
		f.Code[d] = k.key
	}
	for _, k := range r.data {
		f.Data = append(f.Data, sealKeyFile{k.epoch, k.period, k.key})
	}
	for _, k := range r.audit {
		f.Audit = append(f.Audit, sealKeyFile{k.epoch, k.period, k.key})
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode keyring: %w", err)
	}
	defer clear(plain)
	wrapped, err := k.Wrap(ctx, plain)
	if err != nil {
		return nil, fmt.Errorf("wrap keyring: %w", err)
	}
	return wrapped, nil
}

// unwrapRing is the inverse of wrap.
func unwrapRing(ctx context.Context, k Keys, wrapped []byte) (*ring, error) {
	plain, err := k.Unwrap(ctx, wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	defer clear(plain)
	var f ringFile
	if err := json.Unmarshal(plain, &f); err != nil || len(f.Index) != 32 {
		return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
	}
	if f.Version > ringVersion {
		return nil, ErrNewer
	}
	r := &ring{index: newMacKey(f.Index), code: map[uint32]*macKey{}}
	for d, key := range f.Code {
		r.code[d] = newMacKey(key)
	}
	for _, set := range []struct {
		from []sealKeyFile
		to   *[]*sealKey
	}{{f.Data, &r.data}, {f.Audit, &r.audit}} {
		for _, k := range set.from {
			key, err := newSealKey(k.Epoch, k.Period, k.Key)
			if err != nil {
				return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
			}
			*set.to = append(*set.to, key)
		}
	}
	return r, nil
}
