package store

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"sync/atomic"

	"pinward/store/audit"
)

// held are the Keys in use; [Store.Rewrap] replaces them.
type held struct{ now atomic.Pointer[Keys] }

func hold(k Keys) *held {
	h := &held{}
	h.now.Store(&k)
	return h
}

func (h *held) keys() Keys { return *h.now.Load() }

// Wrap implements Keys.
func (h *held) Wrap(ctx context.Context, b []byte) ([]byte, error) { return h.keys().Wrap(ctx, b) }

// Unwrap implements Keys.
func (h *held) Unwrap(ctx context.Context, b []byte) ([]byte, error) { return h.keys().Unwrap(ctx, b) }

// SignHead implements Keys.
func (h *held) SignHead(ctx context.Context, note []byte) ([]byte, error) {
	return h.keys().SignHead(ctx, note)
}

// Signer implements Keys.
func (h *held) Signer() *ecdsa.PublicKey { return h.keys().Signer() }

// Counter implements Keys.
func (h *held) Counter(ctx context.Context) (uint64, error) { return h.keys().Counter(ctx) }

// Anchor implements Keys.
func (h *held) Anchor(ctx context.Context, note [32]byte) ([]byte, error) {
	return h.keys().Anchor(ctx, note)
}

// Rewrap wraps the keyring under another root key and uses k from then on, for heads as well. It is
// durable when Rewrap returns nil: only then may the old root key be given up. If it fails, the old
// keys stay in use; after a crash either may open the store, so both must be there for the next Open.
func (s *Store) Rewrap(ctx context.Context, by audit.Actor, k Keys) error {
	if k == nil || k.Signer() == nil {
		return fmt.Errorf("rewrap keyring: no keys")
	}
	s.heading.Lock() // no head under the old signer once the new one is in the log
	defer s.heading.Unlock()
	known, err := s.signers()
	if err != nil {
		return err
	}
	fingerprint := audit.Fingerprint(k.Signer())
	err = s.update(ctx, &Tx{actor: by}, func(tx *Tx) error {
		tx.keys, tx.ringNew = k, true
		if err := tx.Record(Entry{Action: ActionRewrapped, Outcome: OK}); err != nil {
			return err
		}
		if len(known) > 0 && audit.Fingerprint(known[len(known)-1].key) == fingerprint {
			return nil
		}
		return tx.newSigner(k.Signer())
	})
	if err != nil {
		return fmt.Errorf("rewrap keyring: %w", err)
	}
	return nil
}
