package store

import (
	"context"
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"
)

// behindFor is how long a clock may stand before the last time that something was done each month; then
// its own time counts.
const behindFor = 30 * 24 * time.Hour

// monthly reports whether it is time again for what was last done at since. As a rule over decides.
//
// A clock that stands before since was set back, or had stood too far ahead at since. Calendars say
// nothing then: a step back and forth over the end of a month must not do it twice, and one far back must
// not keep it from being done for years. So from when that was first seen, which is kept across
// restarts, thirty days by that clock are a month.
func (s *Store) monthly(ctx context.Context, what string, now, since time.Time, over func() bool) (bool, error) {
	key := []byte("behind/" + what)
	seen, err := s.readBehind(key)
	if err != nil {
		return false, err
	}
	if !now.Before(since) {
		if !seen.IsZero() {
			err = s.noteBehind(ctx, key, time.Time{})
		}
		return over(), err
	}
	if seen.IsZero() || now.Before(seen) {
		return false, s.noteBehind(ctx, key, now)
	}
	return now.Sub(seen) >= behindFor, nil
}

// readBehind is when the clock was first seen to be behind; zero if it is not.
func (s *Store) readBehind(key []byte) (seen time.Time, err error) {
	err = guard(func() error {
		return s.durable.Load().file.db.View(func(tx *bolt.Tx) error {
			if v := tx.Bucket(bucketMeta).Get(key); len(v) == 8 && binary.BigEndian.Uint64(v) != 0 {
				seen = time.Unix(int64(binary.BigEndian.Uint64(v)), 0).UTC()
			}
			return nil
		})
	}, func() {})
	return seen, err
}

func (s *Store) noteBehind(ctx context.Context, key []byte, now time.Time) error {
	v := make([]byte, 8)
	if !now.IsZero() {
		binary.BigEndian.PutUint64(v, uint64(now.Unix()))
	}
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		tx.raw = append(tx.raw, rawPut{bucketMeta, key, v})
		return nil
	})
}
