package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// refreshAtOnce is how many values one transaction seals anew: what a caller may have to wait for.
	refreshAtOnce = 64
	// seenSteps is how coarsely it is kept when a key was last in use, in days: the keyring is wrapped
	// again when it changes.
	seenSteps = 7
)

// use is which keys live values are under.
type use [purposes]map[uint32]bool

// Refresh seals anew what is under a key of yesterday's queue, in an older schema, or under a key of
// another purpose, and then drops the keys that have had no live value for their time. The store does
// so by itself once a day. Callers go on beside it.
//
// If we crash in the middle, what was sealed anew stays, and the next Refresh does the rest: no key is
// dropped before a whole pass has seen no value under it.
func (s *Store) Refresh(ctx context.Context) error {
	// A key of today for each purpose that is in use, before the walk: what is sealed from here on is
	// under that or a later one, so the walk misses no value under an older one.
	err := s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		for _, p := range []Purpose{PurposeQueue, PurposePolicy, PurposeConsent} {
			if len(tx.ring.keys[p]) > 0 {
				if err := tx.keyFor(p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = s.merged(nil) // the walk reads the tables alone; what gets into the journal from here on is under these keys
	}
	if err != nil {
		return fmt.Errorf("refresh keys: %w", err)
	}
	used, err := s.refreshTables(ctx)
	if err != nil {
		return fmt.Errorf("seal anew: %w", err)
	}
	if err := s.dropIdle(ctx, used); err != nil {
		return fmt.Errorf("drop keys: %w", err)
	}
	return nil
}

// refreshTables seals anew what is stale and tells which keys the rest is under.
func (s *Store) refreshTables(ctx context.Context) (*use, error) {
	used := &use{}
	for p := range used {
		used[p] = map[uint32]bool{}
	}
	names, err := s.tableBuckets(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t := tableOf(name)
		var generation uint32 // that from is of
		for from := []byte{}; from != nil; {
			var stale [][]byte
			err := s.inPieces(ctx, func(p *span, r *ring) (bool, error) {
				b := p.live.Bucket([]byte(name))
				if b == nil {
					from = nil
					return true, nil
				}
				cover := p.file.cover
				if cover.generation() != generation {
					generation, from = cover.generation(), []byte{} // another order: begin again
				}
				at := cover.of(name)
				c := b.Cursor()
				k, v := c.Seek(from)
				for n := 0; k != nil && n < pieceSize && len(stale) < refreshAtOnce; n++ {
					m, _, ok := cutSealed(v)
					if ok && t != nil && isStale(t, r, m) {
						stale = append(stale, cover.lifted(at, bytes.Clone(k)))
					} else if ok {
						used[m.purpose][m.epoch] = true
					}
					k, v = c.Next()
				}
				from = bytes.Clone(k)
				return true, nil
			})
			if err != nil {
				return nil, err
			}
			if err := s.sealAnew(ctx, t, stale, used); err != nil {
				return nil, err
			}
		}
	}
	return used, nil
}

// isStale reports whether a value has to be sealed anew. A queue's are, once their day is over; others
// stay under their key, which is kept for them.
func isStale(t *tableInfo, r *ring, m sealMark) bool {
	return m.purpose != t.purpose || m.schema < t.schema || t.purpose == PurposeQueue && m.epoch != epochOf(r, PurposeQueue)
}

// sealAnew writes values as they are, through the same door as everybody. One that does not open stays,
// for the scrub to report, and so does its key.
func (s *Store) sealAnew(ctx context.Context, t *tableInfo, keys [][]byte, used *use) error {
	if len(keys) == 0 {
		return nil
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		for _, key := range keys {
			value, sealed, err := tx.get(t, key)
			if err != nil {
				return err
			}
			if value == nil || !sealed {
				continue // gone, or being written anew anyway
			}
			plain, schema, err := tx.ring.unseal(&s.id, t.bucket, key, t.schema, value, t.name)
			if err == nil {
				plain, err = t.forward(plain, schema)
			}
			if m, _, ok := cutSealed(value); errors.Is(err, ErrCorrupt) {
				if ok {
					used[m.purpose][m.epoch] = true
				}
				continue
			}
			if err != nil {
				return err
			}
			must := tx.must
			if err := tx.put(t, key, plain); err != nil {
				return err
			}
			tx.must = must // it says what it said before, so it needs no entry
		}
		return nil
	})
}

// dropIdle notes which keys are in use and drops those that were not for long enough.
func (s *Store) dropIdle(ctx context.Context, used *use) error {
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		today := day(tx.now)
		for p := range purposes {
			idle := p.idle(s.keepFor)
			if idle == 0 {
				continue
			}
			for _, k := range slices.Clone(tx.ring.keys[p]) {
				switch {
				case k == last(tx.ring.keys[p]) || used[p][k.epoch]:
					if step := uint32(min(seenSteps, idle)); today >= k.seen+step {
						n := *k
						n.seen = today
						tx.ring, tx.ringNew = tx.ring.with(p, k, &n), true
					}
				case today >= k.seen+idle+min(seenSteps, idle): // seen is that much too early at most
					tx.ring, tx.ringNew = tx.ring.with(p, k, nil), true
					if err := tx.keyDropped(p.String(), k.epoch); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// refreshIfDue refreshes once a day.
func (s *Store) refreshIfDue(ctx context.Context, now time.Time) error {
	if day(now) == s.refreshed {
		return nil
	}
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	s.refreshed = day(now)
	return nil
}

// tableBuckets lists the buckets of tables, also of those that no room declares any more.
func (s *Store) tableBuckets(ctx context.Context) (names []string, err error) {
	err = s.inPieces(ctx, func(p *span, _ *ring) (bool, error) {
		return true, p.live.ForEach(func(name []byte, _ *bolt.Bucket) error {
			if bytes.HasPrefix(name, []byte("t/")) {
				names = append(names, string(name))
			}
			return nil
		})
	})
	return names, err
}

// tableOf finds the table of a bucket, nil if no room declares it.
func tableOf(bucket string) *tableInfo {
	tables.Lock()
	defer tables.Unlock()
	return tables.by[bucket[len("t/"):]]
}
