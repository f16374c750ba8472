package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/store/audit"
)

// KeyInfo describes a key on the ring; the key itself never leaves it.
type KeyInfo struct {
	Purpose  Purpose
	Epoch    uint32
	From, To time.Time // the time for which it was made
	Seen     time.Time // the day on which it was last known to be in use, within a week
	Shredded bool
}

// KeyInfos lists the sealing keys, by purpose and epoch.
func (s *Store) KeyInfos() (list []KeyInfo) {
	r := s.durable.Load().ring
	for p := range purposes {
		for _, k := range r.keys[p] {
			list = append(list, k.info(p))
		}
	}
	return list
}

func (k *sealKey) info(p Purpose) KeyInfo {
	from, to := p.span(k.period)
	return KeyInfo{
		Purpose: p, Epoch: k.epoch, From: from, To: to,
		Seen: time.Unix(int64(k.seen)*86400, 0).UTC(), Shredded: k.key == nil,
	}
}

// ErrKept means that a key has to be kept: it is in use, its time is not over, or it is held.
var ErrKept = errors.New("key has to be kept")

// Shred drops the key of a month's entries for good: their bodies cannot be read any more, by anybody,
// while their headers and the proof that nothing was altered or removed stay. It answers [ErrKept]
// before Options.Keep is over since the key's month, and where held objects; a refusal is an entry as
// well. held, which may be nil, says in an error what holds the key; it runs in the same transaction.
//
// Two things are left to the caller: copies of the keyring in backups, which live until those are
// destroyed, and the wrapped keyring on the disk, which can be recovered until the root key is
// rotated ([Store.Rewrap]).
func (s *Store) Shred(ctx context.Context, by audit.Actor, p Purpose, epoch uint32, held func(*Tx, KeyInfo) error) error {
	var refused error
	err := s.update(ctx, &Tx{actor: by}, func(tx *Tx) error {
		if p != PurposeAudit {
			return fmt.Errorf("%w: those of purpose %s end by themselves", ErrKept, p)
		}
		k := find(tx.ring.keys[p], epoch)
		if k == nil || k.key == nil {
			return ErrKeyGone
		}
		if refused = s.mayShred(tx, p, k, held); refused != nil {
			return tx.Record(keyEntry(ActionKeyDropped, audit.Refused, p.String(), epoch))
		}
		gone := &sealKey{epoch: k.epoch, period: k.period, seen: k.seen}
		tx.ring, tx.ringNew = tx.ring.with(p, k, gone), true
		return tx.Record(keyEntry(ActionKeyDropped, audit.OK, p.String(), epoch))
	})
	if err = errors.Join(err, refused); err != nil {
		return fmt.Errorf("shred key: %w", err)
	}
	return nil
}

func (s *Store) mayShred(tx *Tx, p Purpose, k *sealKey, held func(*Tx, KeyInfo) error) error {
	info := k.info(p)
	if k == last(tx.ring.keys[p]) || tx.now.Before(info.To.Add(s.keepFor)) {
		return fmt.Errorf("%w: until %s", ErrKept, info.To.Add(s.keepFor).Format(time.DateOnly))
	}
	if slices.ContainsFunc(tx.store.batch.entries, func(e pendingEntry) bool { return e.key == k }) {
		return fmt.Errorf("%w: it is in use", ErrKept)
	}
	if held != nil {
		if err := held(tx, info); err != nil {
			return fmt.Errorf("%w: %w", ErrKept, err)
		}
	}
	return nil
}
