package record

import (
	"context"
	"fmt"
	"time"

	"pinward/store"
)

// cursor is how far a follower has come.
type cursor struct {
	Next uint64    `json:"next"` // sequence number of the first entry that it has not seen
	At   time.Time `json:"at"`
}

var cursors = store.NewTable[cursor]("record.cursors",
	store.Bookkeeping("how far each follower of the audit has come"))

// followEvery is how often a follower looks for new entries.
const followEvery = time.Second

// batch is how many entries a follower gets at once.
const batch = 256

// Next returns the entries that the named follower has not seen, oldest first,
// at most limit of them. A follower that never was begins with the first entry.
func Next(tx *store.Tx, name string, limit int) ([]store.Record, error) {
	c, err := at(tx, name)
	if err != nil {
		return nil, err
	}
	return between(tx, c.Next, c.Next+uint64(max(limit, 0)))
}

// Advance notes that the follower has seen all entries below next. It never
// goes back.
func Advance(tx *store.Tx, name string, next uint64) error {
	c, err := at(tx, name)
	if err != nil {
		return err
	}
	if next <= c.Next {
		return nil
	}
	if err := cursors.Put(tx, []byte(name), cursor{Next: next, At: tx.Now()}); err != nil {
		return fmt.Errorf("advance follower: %w", err)
	}
	return nil
}

// Backlog is how many entries a follower has yet to see.
func Backlog(tx *store.Tx, name string) (uint64, error) {
	c, err := at(tx, name)
	if err != nil {
		return 0, err
	}
	end, err := size(tx)
	if err != nil {
		return 0, err
	}
	return end - min(end, c.Next), nil
}

func at(tx *store.Tx, name string) (cursor, error) {
	c, _, err := cursors.Get(tx, []byte(name))
	if err != nil {
		return cursor{}, fmt.Errorf("read follower: %w", err)
	}
	return c, nil
}

// Follow feeds fn every entry in order until ctx ends or something fails. The
// cursor moves after fn has returned nil: if we crash between the two, fn gets
// the same entries again, so what it does must bear that.
func Follow(ctx context.Context, s *store.Store, by store.Actor, name string, fn func(context.Context, []store.Record) error) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		var records []store.Record
		err := s.View(ctx, func(tx *store.Tx) (err error) {
			records, err = Next(tx, name, batch)
			return err
		})
		if err != nil {
			return err
		}
		if len(records) > 0 {
			if err := fn(ctx, records); err != nil {
				return fmt.Errorf("follow audit as %s: %w", name, err)
			}
			next := records[len(records)-1].Seq + 1
			if err := s.Update(ctx, by, func(tx *store.Tx) error { return Advance(tx, name, next) }); err != nil {
				return err
			}
		}
		if len(records) == batch {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
