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

// maxSeals is the number of values or entries after which a key is replaced within its time: SP 800-38D allows 2^32 random nonces a key.
const maxSeals = 1 << 30

// codeDays is how many days a code key outlives its own: a code lives ten minutes at most, so this
// leaves room for a clock that was set back and for somebody who asks what happened yesterday.
const codeDays = 2

// ring is the keyring, opened. It is never changed: a new key makes a new ring, so that a View may
// read one without a lock.
type ring struct {
	index  *macKey
	keys   [purposes][]*sealKey // oldest first; the last one seals
	code   map[uint32]*macKey   // by day
	backup []byte               // wraps the keys of backups; nil before the first
	covers []*coverKey          // the file's, and during a rotation of the index the next one's
}

// sealKey is one epoch's AES-256-GCM key.
type sealKey struct {
	epoch  uint32 // counts from 1
	period uint32 // the time it was made for, see Purpose.period
	seen   uint32 // the day on which a live value was last known to be under it
	key    []byte // nil: it was shredded
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
	return &sealKey{epoch, period, 0, key, aead}, nil
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

// withNext returns a ring with a new key of a purpose.
func (r *ring) withNext(p Purpose, now time.Time) (*ring, error) {
	epoch := uint32(1)
	if k := last(r.keys[p]); k != nil {
		epoch = k.epoch + 1
	}
	k, err := newSealKey(epoch, p.period(now), randomKey())
	if err != nil {
		return nil, err
	}
	k.seen = day(now)
	n := *r
	n.keys[p] = append(slices.Clip(r.keys[p]), k)
	return &n, nil
}

// with returns a ring in which a key is another one, or none.
func (r *ring) with(p Purpose, old, k *sealKey) *ring {
	n := *r
	n.keys[p] = nil
	for _, o := range r.keys[p] {
		if o != old {
			n.keys[p] = append(n.keys[p], o)
		} else if k != nil {
			n.keys[p] = append(n.keys[p], k)
		}
	}
	return &n
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
