package store

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// headLoop signs heads, takes old code keys off the ring, and tells of entries that could not be written, until ctx is done.
func (s *Store) headLoop(ctx context.Context) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failed:
			return
		case <-s.sign:
		case <-tick.C:
			s.tellGap(ctx) // not at once: where there is space for some commits and not for others it would fill the rest
			if err := s.dropCodes(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("code keys not dropped", "error", err)
			}
		}
		err := s.signHead(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("head not signed", "error", err)
		}
		s.noteHead(err)
	}
}

// Unsigned says since when no head could be signed, and why.
type Unsigned struct {
	Since time.Time
	Err   error
}

// noteHead remembers the first of the failures since the last head.
func (s *Store) noteHead(err error) {
	if err == nil {
		s.unsigned.Store(nil)
		return
	}
	first := &Unsigned{Since: time.Now(), Err: err}
	if was := s.unsigned.Load(); was != nil {
		first.Since = was.Since
	}
	s.unsigned.Store(first)
}

// Unsigned tells since when no head could be signed; nil if the last one could.
func (s *Store) Unsigned() *Unsigned { return s.unsigned.Load() }

// Headed is signalled when a head was signed.
var Headed = NewTopic("store.headed")

// Sign signs a head over all that is durable, now rather than within [Options.HeadEvery]: for somebody
// who waits for it, such as a witness at set-up.
func (s *Store) Sign(ctx context.Context) error { return s.signHead(ctx) }

// signHead signs the log as it is now, unless that is signed already. The signature is made outside
// of every lock: a TPM takes its time.
func (s *Store) signHead(ctx context.Context) error {
	s.heading.Lock()
	defer s.heading.Unlock()
	d := s.durable.Load()
	if d.head.size == d.size {
		return nil
	}
	h := audit.Head{Origin: s.origin, Size: d.size, Root: d.edge.Root()}
	if d.head.note != nil {
		h.Prev = audit.NoteHash(d.head.note)
	}
	sig, err := s.keys.SignHead(ctx, h.Text())
	if err != nil {
		return fmt.Errorf("sign head: %w", err)
	}
	note, err := h.Note(s.keys.Signer(), sig)
	if err != nil {
		return err
	}
	// If we crash before this is durable, the next head names the same one before it: both are true.
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		tx.raw = append(tx.raw, rawPut{bucketHeads, binary.BigEndian.AppendUint64(nil, h.Size), note})
		tx.Signal(Headed)
		return nil
	})
}

func readHead(note []byte) (signedHead, error) {
	h, _, _, err := audit.ParseNote(note)
	if err != nil {
		return signedHead{}, fmt.Errorf("%w: a head: %w", ErrCorrupt, err)
	}
	return signedHead{note, h.Size, h.Root}, nil
}

// signer is a key that came into use with an entry.
type signer struct {
	since uint64 // sequence of the entry that says so
	key   *ecdsa.PublicKey
}

// signers reads the keys that came into use, oldest first.
func (s *Store) signers() (keys []signer, err error) {
	err = guard(func() error {
		return s.durable.Load().file.db.View(func(tx *bolt.Tx) error {
			keys, err = readSigners(tx)
			return err
		})
	}, func() {})
	return keys, err
}

func readSigners(tx *bolt.Tx) (keys []signer, err error) {
	err = tx.Bucket(bucketSigners).ForEach(func(since, spki []byte) error {
		key, err := audit.ParseKey(spki)
		if err != nil || len(since) != 8 {
			return fmt.Errorf("%w: a signer's key", ErrCorrupt)
		}
		keys = append(keys, signer{binary.BigEndian.Uint64(since), key})
		return nil
	})
	return keys, err
}

// signersUsed are the keys that signed a head over at least from and at most size entries, in order,
// none twice in a row: one that was replaced before it signed anything is not among them.
func (s *Store) signersUsed(ctx context.Context, from, size uint64) (used []*ecdsa.PublicKey, err error) {
	err = s.inPieces(ctx, func(p *span, _ *ring) (bool, error) {
		all, err := readSigners(p.live)
		if err != nil {
			return false, err
		}
		for i, k := range all {
			end := size
			if i+1 < len(all) {
				end = min(size, all[i+1].since)
			}
			at, note, err := p.head(max(from, k.since+1))
			if err != nil {
				return false, err
			}
			if note != nil && at <= end && (len(used) == 0 || !used[len(used)-1].Equal(k.key)) {
				used = append(used, k.key)
			}
		}
		return true, nil
	})
	return used, err
}

// HeadSince is the latest signed head, and the proof that it only appends to the log of old entries
// (RFC 6962), for somebody who kept the head over those. The proof is empty if old is 0 or all there
// is; the note is nil if no head was signed yet.
func (tx *Tx) HeadSince(old uint64) (note []byte, proof []tlog.Hash, err error) {
	if err := tx.use(); err != nil {
		return nil, nil, err
	}
	p, err := tx.span()
	if err != nil {
		return nil, nil, err
	}
	head := tx.store.durable.Load().head
	if old > head.size {
		return nil, nil, fmt.Errorf("prove consistency: %w of %d entries", ErrNoHead, old)
	}
	if old == 0 || old == head.size {
		return head.note, nil, nil
	}
	if proof, err = tlog.ProveTree(int64(head.size), int64(old), p); err != nil {
		return nil, nil, fmt.Errorf("prove consistency: %w", err)
	}
	return head.note, proof, nil
}

// ErrNoHead means that no head covers as many entries as were asked for.
var ErrNoHead = errors.New("there is no head")

// Signer is the SubjectPublicKeyInfo of the key that signs heads now, DER.
func (s *Store) Signer() ([]byte, error) { return audit.MarshalKey(s.keys.Signer()) }
