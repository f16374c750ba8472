package store

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// self is the actor of what the store does by itself.
var self = audit.Actor{Kind: audit.KindDaemon, ID: "store"}

// The store's own actions.
const (
	// ActionCreated is the first entry of a log. Attribute origin.
	ActionCreated audit.Action = "store.created"
	// ActionSigner says which key signs heads from here on. Attribute fingerprint.
	ActionSigner audit.Action = "store.signer"
	// ActionKeyMade says that a key came into use. Attributes purpose, epoch, commitment.
	ActionKeyMade audit.Action = "store.key.made"
	// ActionKeyDropped says that a key was taken off the ring. Attributes purpose, epoch.
	ActionKeyDropped audit.Action = "store.key.dropped"
	// ActionRewrapped says that the keyring was wrapped under another root key.
	ActionRewrapped audit.Action = "store.root.rotated"
	// ActionScrubbed says that all was read. Attributes values, entries, findings.
	ActionScrubbed audit.Action = "store.scrubbed"
	// ActionBackup says that a backup was written. Attributes entries, segments, bytes.
	ActionBackup audit.Action = "store.backup"
	// ActionRestored says that what follows goes on from a backup. Attributes head (hash of the last one before),
	// signer (fingerprint), entries, made.
	ActionRestored audit.Action = "store.restored"
	// ActionLifted says that an operator let everything go on after a restore.
	ActionLifted audit.Action = "store.restore.lifted"
	// ActionDamaged says that a segment cannot be read any more. Attributes segment, from, to.
	ActionDamaged audit.Action = "store.segment.damaged"
	// ActionUnwritten says that entries could not be written, on the next chance to say so. Attributes since, until (of the
	// commits that found no space). What they told did not happen either.
	ActionUnwritten audit.Action = "store.unwritten"
	// ActionWritten follows ActionUnwritten: entries are written again.
	ActionWritten audit.Action = "store.written"
	// ActionRolled says that a part of the log was frozen. Attributes segment, from, to.
	ActionRolled audit.Action = "store.rolled"
)

func (tx *Tx) keyMade(purpose string, k *sealKey) error {
	return tx.keyEntry(purpose, k.epoch, k.key)
}

func (tx *Tx) keyEntry(purpose string, epoch uint32, key []byte) error {
	e := keyEntry(ActionKeyMade, audit.OK, purpose, epoch)
	e.Attrs = append(e.Attrs, audit.Attr{Key: "commitment", Value: commitment(key)})
	return tx.record(self, e)
}

func (tx *Tx) keyDropped(purpose string, epoch uint32) error {
	return tx.record(self, keyEntry(ActionKeyDropped, audit.OK, purpose, epoch))
}

// keysDropped records the days whose code keys are no longer on the ring.
func (tx *Tx) keysDropped(days []uint32) error {
	for _, d := range days {
		if err := tx.keyDropped(purposeCode, d); err != nil {
			return err
		}
	}
	return nil
}

func keyEntry(a audit.Action, o audit.Outcome, purpose string, epoch uint32) audit.Entry {
	return audit.Entry{Action: a, Outcome: o, Attrs: []audit.Attr{
		{Key: "purpose", Value: purpose},
		{Key: "epoch", Value: strconv.FormatUint(uint64(epoch), 10)},
	}}
}

// begin records that the store was made and who signs, where that is news.
func (s *Store) begin(ctx context.Context) error {
	known, err := s.signers()
	if err != nil {
		return err
	}
	if err := errors.Join(s.tellRolls(ctx), s.dropCovers(ctx, self)); err != nil {
		return err
	}
	fingerprint := s.Fingerprint()
	fresh := s.durable.Load().size == 0
	if len(known) > 0 && audit.Fingerprint(known[len(known)-1].key) == fingerprint {
		return nil
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		if fresh {
			err := tx.Record(audit.Entry{Action: ActionCreated, Outcome: audit.OK, Attrs: []audit.Attr{{Key: "origin", Value: s.origin}}})
			if err != nil {
				return err
			}
		}
		return tx.newSigner(s.keys.Signer())
	})
}

// newSigner says which key signs heads from here on.
func (tx *Tx) newSigner(key *ecdsa.PublicKey) error {
	spki, err := audit.MarshalKey(key)
	if err != nil {
		return tx.fail(err)
	}
	tx.raw = append(tx.raw, rawPut{bucketSigners, seqKey(tx.seq), spki})
	return tx.Record(audit.Entry{Action: ActionSigner, Outcome: audit.OK, Attrs: []audit.Attr{
		{Key: "fingerprint", Value: audit.Fingerprint(key)},
	}})
}

// dropCodes takes code keys that are too old off the ring.
func (s *Store) dropCodes(ctx context.Context) error {
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		live, dead := tx.ring.liveCodes(day(tx.now))
		if len(dead) == 0 {
			return nil
		}
		n := *tx.ring
		n.code = live
		tx.ring, tx.ringNew = &n, true
		return tx.keysDropped(dead)
	})
}

// pseudonym is what stands for an actor in an entry's header.
func (s *Store) pseudonym(r *ring, a audit.Actor) audit.Pseudonym {
	key := [2]string{string(a.Kind), a.ID}
	p, ok := s.names[key]
	if !ok {
		if len(s.names) >= 4096 {
			clear(s.names) // patients are many; the cache need not be
		}
		p = audit.Pseudonym(r.blind("audit/actor/"+key[0], key[1]))
		s.names[key] = p
	}
	return p
}

// tellRolls records the rolls that have no entry yet: the last one, or that before which the process
// was killed.
func (s *Store) tellRolls(ctx context.Context) error {
	f := s.durable.Load().file
	told := uint32(0)
	err := guard(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			if v := tx.Bucket(bucketMeta).Get(keyTold); len(v) == 4 {
				told = binary.BigEndian.Uint32(v)
			}
			return nil
		})
	}, func() {})
	if err != nil || int(told) >= len(f.segments) {
		return err
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		tx.raw = append(tx.raw, rawPut{bucketMeta, keyTold, binary.BigEndian.AppendUint32(nil, uint32(len(f.segments)))})
		for _, g := range f.segments[told:] {
			err := tx.Record(audit.Entry{Action: ActionRolled, Outcome: audit.OK, Attrs: []audit.Attr{
				{Key: "segment", Value: string(g.ID())},
				{Key: "from", Value: strconv.FormatUint(g.From, 10)},
				{Key: "to", Value: strconv.FormatUint(g.To-1, 10)},
			}})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
