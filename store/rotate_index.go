package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/store/audit"
)

// purposeIndex is in the entries about covers.
const purposeIndex = "index"

// IndexInfo says how blinded values stand in the keys of the live file.
type IndexInfo struct {
	Generation uint32    // counts from 1; 0 in a store of before there were covers, until its first rotation
	Since      time.Time // the day on which its key was made; zero in generation 0
}

// Index tells which generation of the index the live file is in.
func (s *Store) Index() IndexInfo {
	k := s.durable.Load().file.cover.key
	if k == nil {
		return IndexInfo{}
	}
	return IndexInfo{k.generation, time.Unix(int64(k.made)*86400, 0).UTC()}
}

// RotateIndex makes the live file one from which a keyring of before gives nothing away: blinded values
// in keys are covered anew, and values are sealed anew, under keys that no keyring had until now. It
// rewrites the file as [Store.Compact] does: transactions go on meanwhile but for a short pause.
//
// What stays: the HMAC key of [Tx.Blind] itself, since what it made is known to people (a token's MAC) and
// stands within sealed values; pseudonyms in the headers of entries, since they are what the tree was
// made of; and what the log held until then, with its search index, in the live file and the frozen
// segments, as both are under the keys of their months, until those are shredded. So whoever has an old
// keyring still reads the entries of before, and what old files and segments hold.
//
// It is all or nothing: until the new file has the old one's name, the old one is as it was, and the new
// cover is dropped, at the next start if we crash. From then on the new one is whole, and the old cover
// is dropped. Making and dropping are entries, in the name of by.
//
// Errors to branch on: [ErrBusy], [ErrFull], after which all is as before.
func (s *Store) RotateIndex(ctx context.Context, by audit.Actor) error {
	if err := s.rotateIndex(ctx, by); err != nil {
		return fmt.Errorf("rotate index: %w", err)
	}
	return nil
}

func (s *Store) rotateIndex(ctx context.Context, by audit.Actor) (err error) {
	if !s.rewrites.TryLock() {
		return ErrBusy
	}
	defer s.rewrites.Unlock()
	if err := s.dropCovers(ctx, by); err != nil { // what one that failed has left
		return err
	}
	w, err := s.beginRewrite(true)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.abandon()
		}
		// Also after a failure: one of the two covers is of no use then.
		err = errors.Join(err, s.dropCovers(context.WithoutCancel(ctx), by))
	}()
	key, err := s.makeCover(ctx, by)
	if err != nil {
		return err
	}
	w.cover, w.anew = w.cover.next(key), true
	if err := s.at("made"); err != nil {
		return err
	}
	if err := w.nearly(ctx); err != nil {
		return err
	}
	if err := s.at("copied"); err != nil {
		return err
	}
	return s.between(w.replace)
}

// makeCover puts the next cover on the ring, and the keys under which all is sealed from here on.
func (s *Store) makeCover(ctx context.Context, by audit.Actor) (key *coverKey, err error) {
	err = s.update(ctx, &Tx{actor: by}, func(tx *Tx) error {
		now := s.durable.Load().file.cover.key
		generation := uint32(1)
		for _, k := range tx.ring.covers {
			generation = max(generation, k.generation+1)
		}
		if key, err = newCoverKey(generation, day(tx.now), randomKey()); err != nil {
			return err
		}
		tx.ring, tx.ringNew = tx.ring.withCovers(now, key), true
		var made []Purpose
		for p := range purposes { // before the first entry: that is sealed under the key that is current then
			if len(tx.ring.keys[p]) == 0 {
				continue
			}
			if tx.ring, err = tx.ring.withNext(p, tx.now); err != nil {
				return err
			}
			made = append(made, p)
		}
		n := *tx.ring
		n.backup = nil // the next backup makes one
		tx.ring = &n
		e := keyEntry(ActionKeyMade, audit.OK, purposeIndex, generation)
		e.Attrs = append(e.Attrs, audit.Attr{Key: "commitment", Value: commitment(key.key)})
		if err := tx.Record(e); err != nil {
			return err
		}
		for _, p := range made {
			if err := tx.keyMade(p.String(), last(tx.ring.keys[p])); err != nil {
				return err
			}
		}
		return nil
	})
	return key, err
}

// dropCovers takes the covers off the ring that the live file does not need: that of before after a
// rotation, the new one of a rotation that came to nothing.
func (s *Store) dropCovers(ctx context.Context, by audit.Actor) error {
	now := s.durable.Load().file.cover.key
	if covers := s.durable.Load().ring.covers; !slices.ContainsFunc(covers, func(k *coverKey) bool { return k != now }) {
		return nil
	}
	return s.update(ctx, &Tx{own: true, actor: by}, func(tx *Tx) error {
		for _, k := range tx.ring.covers {
			if k == now {
				continue
			}
			if err := tx.Record(keyEntry(ActionKeyDropped, audit.OK, purposeIndex, k.generation)); err != nil {
				return err
			}
		}
		tx.ring, tx.ringNew = tx.ring.withCovers(now), true
		return nil
	})
}
