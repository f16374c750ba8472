package record

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"pinward/store"
)

// cursor is how far a follower has come.
type cursor struct {
	Next uint64    `json:"next"` // sequence number of the first entry that it has not seen
	At   time.Time `json:"at"`
	// Trouble is why the last try to go on failed, and Since when the tries began to fail.
	Trouble string    `json:"trouble,omitzero"`
	Since   time.Time `json:"since,omitzero"`
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

// Begin makes a follower that never was begin with the next entry to come, and
// not with the first: who asks for news from today on is not told of the years
// before. Of one that is known it changes nothing.
func Begin(tx *store.Tx, name string) error {
	_, known, err := cursors.Get(tx, []byte(name))
	if err != nil {
		return fmt.Errorf("read follower: %w", err)
	}
	if known {
		return nil
	}
	end, err := tx.Size()
	if err != nil {
		return err
	}
	return put(tx, name, cursor{Next: end, At: tx.Now()})
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
	return put(tx, name, cursor{Next: next, At: tx.Now()})
}

// ActionAgain is the entry of a follower that a person sent back.
const ActionAgain store.Action = "audit.again"

// Again sends a follower back to an entry, so that it gets it and all after it
// once more: one that lost what it had. A follower that has not come so far
// stays where it is.
func Again(tx *store.Tx, name string, from uint64) error {
	c, err := at(tx, name)
	if err != nil || c.Next <= from {
		return err
	}
	if err := put(tx, name, cursor{Next: from, At: tx.Now()}); err != nil {
		return err
	}
	return tx.Record(store.Entry{Action: ActionAgain, Outcome: store.OK, Object: name, Attrs: []store.Attr{
		{Key: "from", Value: strconv.FormatUint(from, 10)}, {Key: "to", Value: strconv.FormatUint(c.Next, 10)},
	}})
}

// stuck notes why a follower does not go on.
func stuck(tx *store.Tx, name, why string) error {
	c, err := at(tx, name)
	if err != nil || c.Trouble == why {
		return err
	}
	if c.Trouble = why; c.Since.IsZero() {
		c.Since = tx.Now()
	}
	return put(tx, name, c)
}

func put(tx *store.Tx, name string, c cursor) error {
	if err := cursors.Put(tx, []byte(name), c); err != nil {
		return fmt.Errorf("advance follower: %w", err)
	}
	return nil
}

// ForgetFollowers drops the cursors whose names begin with prefix and are not
// to be kept: one that is named again later begins anew.
func ForgetFollowers(tx *store.Tx, prefix string, keep func(name string) bool) error {
	return cursors.Each(tx, store.Range{Prefix: []byte(prefix)}, func(name []byte, _ cursor) error {
		if keep(string(name)) {
			return nil
		}
		return cursors.Delete(tx, name)
	})
}

// Backlog is how many entries a follower has yet to see.
func Backlog(tx *store.Tx, name string) (uint64, error) {
	c, err := at(tx, name)
	if err != nil {
		return 0, err
	}
	end, err := tx.Size()
	if err != nil {
		return 0, err
	}
	return end - min(end, c.Next), nil
}

// FollowerStatus is how a follower stands. It holds nothing of an entry.
type FollowerStatus struct {
	Next    uint64    `json:"next"`            // the first entry that it has not
	Backlog uint64    `json:"backlog"`         // how many it has not
	Oldest  time.Time `json:"oldest,omitzero"` // when the first of these was recorded
	At      time.Time `json:"at,omitzero"`     // when it last went on
	Trouble string    `json:"trouble,omitzero"`
	Since   time.Time `json:"since,omitzero"` // since when it does not go on
}

// StatusOf tells how a follower stands.
func StatusOf(tx *store.Tx, name string) (FollowerStatus, error) {
	c, err := at(tx, name)
	if err != nil {
		return FollowerStatus{}, err
	}
	st := FollowerStatus{Next: c.Next, At: c.At, Trouble: c.Trouble, Since: c.Since}
	if st.Backlog, err = Backlog(tx, name); err != nil || st.Backlog == 0 {
		return st, err
	}
	r, ok, err := one(tx, c.Next)
	if ok {
		st.Oldest = r.Time
	}
	return st, err
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
	return follow(ctx, s, by, name, func(ctx context.Context, records []store.Record) (int, error) {
		if err := fn(ctx, records); err != nil {
			return 0, err
		}
		return len(records), nil
	})
}

// Give takes entries, oldest first, and tells how many of them need not come
// again: all of them, or with an error those before the one that failed.
type Give func(ctx context.Context, records []store.Record) (done int, err error)

func follow(ctx context.Context, s *store.Store, by store.Actor, name string, give Give) error {
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
			done, failed := give(ctx, records)
			// What is given is given, also when the box is stopping: else it goes twice.
			if done > 0 {
				next := records[done-1].Seq + 1
				err := s.Update(context.WithoutCancel(ctx), by, func(tx *store.Tx) error {
					if c, err := at(tx, name); err != nil || c.Next != records[0].Seq {
						return err // it was sent back meanwhile
					}
					return Advance(tx, name, next)
				})
				if err != nil {
					return err
				}
			}
			if failed != nil {
				return fmt.Errorf("follow audit as %s: %w", name, failed)
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

// How long a follower that failed waits before it tries again: longer each time,
// until one entry has gone.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// Deliver feeds give every entry in order until ctx ends, over whatever fails:
// it tries again with growing pauses, and notes meanwhile why it is behind, for
// [StatusOf]. The text of an error of give is kept and logged, and must hold
// nothing of an entry. What if we crash after give has done its work: the
// entries come again.
func Deliver(ctx context.Context, s *store.Store, by store.Actor, name string, give Give, log *slog.Logger) {
	pause := firstPause
	for {
		gone := false
		err := follow(ctx, s, by, name, func(ctx context.Context, records []store.Record) (int, error) {
			done, err := give(ctx, records)
			gone = gone || done > 0
			return done, err
		})
		if ctx.Err() != nil {
			return
		}
		if gone {
			pause = firstPause
		}
		why := strings.ToValidUTF8(err.Error(), "?")
		if pause == firstPause {
			log.Warn("entries wait", "follower", name, "error", why)
		}
		if err := s.Update(ctx, by, func(tx *store.Tx) error { return stuck(tx, name, why) }); err != nil && ctx.Err() == nil {
			log.Error("note trouble of follower", "follower", name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}
