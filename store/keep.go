package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// keepEvery is how often the store looks whether there is something to do for its own upkeep.
	keepEvery = time.Minute
	// keepAgain is how long it waits after a piece of upkeep failed.
	keepAgain = time.Hour
	// rollBytes is the size at which the live file is frozen before its month is over, if it holds
	// rollEntries: what the tables take would be as large in the next file.
	rollBytes   = 4 << 30
	rollEntries = 1 << 20
	// compactBytes is the least that a compaction has to free.
	compactBytes = 64 << 20
)

// chore is one piece of upkeep: does it if it is due.
type chore struct {
	name string
	do   func(ctx context.Context, now time.Time) error
	rest time.Time // not before this, after it failed
}

// keepLoop does the upkeep until ctx is done. What fails is logged and tried again; nobody waits for
// any of it.
func (s *Store) keepLoop(ctx context.Context) {
	chores := []*chore{
		{name: "roll", do: s.rollIfDue}, {name: "compaction", do: s.compactIfDue},
		{name: "refresh", do: s.refreshIfDue},
		{name: "scrub", do: s.scrubIfDue}, {name: "damage", do: s.tellDamage},
	}
	tick := time.NewTicker(s.upkeep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failed:
			return
		case <-tick.C:
		}
		now := time.Now().UTC().Round(0)
		for _, c := range chores {
			if now.Before(c.rest) {
				continue
			}
			if err := c.do(ctx, now); err != nil && ctx.Err() == nil && !errors.Is(err, ErrBusy) {
				s.log.Warn("upkeep of the store failed", "what", c.name, "error", err)
				c.rest = now.Add(keepAgain)
			}
		}
	}
}

// rollIfDue rolls when the month (UTC) in which the live file began is over, or the file is large.
func (s *Store) rollIfDue(ctx context.Context, now time.Time) error {
	d := s.durable.Load()
	since := d.file.place.Since
	if since.IsZero() {
		since = s.began
	}
	grown := d.size - d.file.place.Base
	if grown == 0 {
		return nil
	}
	over, err := s.monthly(ctx, "roll", now, since, func() bool { return month(now) > month(since) })
	if err != nil {
		return err
	}
	if large := s.fileSize() >= s.rollAt && grown >= s.rollLeast; !over && !large {
		return nil
	}
	return s.Roll(ctx)
}

// compactIfDue rewrites the live file when more than half of it is free, and that is worth it: a
// commit writes the list of free pages each time, and a file never shrinks by itself.
func (s *Store) compactIfDue(ctx context.Context, _ time.Time) error {
	if s.hasRetired() {
		return s.Compact(ctx)
	}
	db := s.durable.Load().file.db
	free, size := int64(db.Stats().FreePageN)*int64(db.Info().PageSize), usedSize(db)
	if free < s.compactAt || free < size/2 {
		return nil
	}
	return s.Compact(ctx)
}

// hasRetired reports whether the live file holds a table of an older program.
func (s *Store) hasRetired() (yes bool) {
	indexName.Lock()
	names := indexName.retired
	indexName.Unlock()
	_ = guard(func() error {
		return s.durable.Load().file.db.View(func(tx *bolt.Tx) error {
			for _, n := range names {
				yes = yes || tx.Bucket([]byte("t/"+n)) != nil
			}
			return nil
		})
	}, func() {})
	return yes
}

// liveBytes is about how much a copy of the live file without its free pages takes.
func (s *Store) liveBytes() uint64 {
	db := s.durable.Load().file.db
	return uint64(max(0, usedSize(db)-int64(db.Stats().FreePageN)*int64(db.Info().PageSize)))
}

// usedSize is how far the file is in use; it is allocated in larger steps.
func usedSize(db *bolt.DB) (n int64) {
	_ = db.View(func(tx *bolt.Tx) error { n = tx.Size(); return nil })
	return n
}

// Compact rewrites the live file without its free pages. The store does so by itself when it is worth
// it. Transactions go on meanwhile but for a short pause.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.rewriteFile(ctx, true); err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	return nil
}

// tellDamage looks for segments that were cut or taken away, and records those that are out of use since
// the store was opened.
func (s *Store) tellDamage(ctx context.Context, _ time.Time) error {
	for _, g := range s.durable.Load().file.segments {
		if g.look(); g.bad.Load() == nil || g.told {
			continue
		}
		err := s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
			return tx.Record(Entry{Action: ActionDamaged, Outcome: Failed, Attrs: []Attr{
				{Key: "segment", Value: string(g.ID())}, {Key: "from", Value: decimal(g.From)}, {Key: "to", Value: decimal(g.To - 1)},
			}})
		})
		if err != nil {
			return err
		}
		g.told = true
	}
	return nil
}
