package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

const (
	// scrubPace is how long the monthly scrub rests after each piece.
	scrubPace = 200 * time.Millisecond
	// scrubKeep is after how many pieces its place is kept.
	scrubKeep = 64
	// scrubEvery is the time from one scrub to the next.
	scrubEvery = 30 * 24 * time.Hour
)

// Check reads the whole store at once, segments as well: every value and every entry must open, and
// every kept hash and every signed head must fit the entries. bbolt has no checksums but on two pages,
// so this is how a bit that rotted is found before it is needed. It reads in short pieces, beside
// everything else that goes on.
func (s *Store) Check(ctx context.Context) error {
	report, err := s.examine(ctx, nil)
	if err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return fmt.Errorf("%w: %d findings, the first: %s", ErrCorrupt, len(report.Findings), report.Findings[0].What)
	}
	return nil
}

// examine is Check with all that it finds.
func (s *Store) examine(ctx context.Context, skip func(SegmentInfo) bool) (ScrubReport, error) {
	c := &scrub{Store: s, skip: skip, tables: true, ScrubReport: ScrubReport{Started: time.Now().UTC()}}
	if err := s.merged(nil); err != nil {
		return c.ScrubReport, err
	}
	size := s.durable.Load().size
	for {
		done, err := c.step(ctx, size)
		if done || err != nil {
			c.Finished = time.Now().UTC()
			return c.ScrubReport, err
		}
	}
}

// Scrub is Check in the background: it rests after each piece, goes on where the last one was
// interrupted, also by a restart, and goes on behind what is damaged. What it found is kept for
// [Store.LastScrub] and recorded. The store scrubs itself each month.
func (s *Store) Scrub(ctx context.Context, pace time.Duration) (ScrubReport, error) {
	if !s.scrubbing.TryLock() {
		return ScrubReport{}, errors.New("scrub store: it is being scrubbed already")
	}
	defer s.scrubbing.Unlock()
	c := &scrub{Store: s}
	if err := s.readScrub(&c.ScrubReport); err != nil {
		return c.ScrubReport, fmt.Errorf("scrub store: %w", err)
	}
	if c.Started.IsZero() || !c.Finished.IsZero() {
		c.ScrubReport = ScrubReport{Started: time.Now().UTC().Round(0)}
		c.tables = true
	} else {
		c.tables = c.At.Table != ""
	}
	// Of what comes later a change in the journal is read when it is merged and the cursor comes to it.
	if err := s.merged(nil); err != nil {
		return c.ScrubReport, fmt.Errorf("scrub store: %w", err)
	}
	size := s.durable.Load().size
	for n := 1; ; n++ {
		done, err := c.step(ctx, size)
		if err != nil {
			return c.ScrubReport, fmt.Errorf("scrub store: %w", err)
		}
		if done {
			c.Finished = time.Now().UTC().Round(0)
		}
		if done || n%scrubKeep == 0 {
			if err := s.keepScrub(ctx, &c.ScrubReport); err != nil {
				return c.ScrubReport, fmt.Errorf("scrub store: %w", err)
			}
		}
		if done {
			return c.ScrubReport, nil
		}
		if pace > 0 {
			select {
			case <-time.After(pace):
			case <-ctx.Done():
				return c.ScrubReport, ctx.Err()
			}
		}
	}
}

// LastScrub is the report of the last scrub, finished or under way; it is empty before the first.
func (s *Store) LastScrub() (r ScrubReport, err error) {
	err = s.readScrub(&r)
	return r, err
}

func (s *Store) readScrub(r *ScrubReport) error {
	d := s.durable.Load()
	return guard(func() error {
		return d.file.db.View(func(tx *bolt.Tx) error {
			if v := tx.Bucket(bucketMeta).Get(keyScrub); v != nil {
				return d.ring.vouched(&s.id, string(keyScrub), v, r)
			}
			return nil
		})
	}, func() {})
}

// keepScrub keeps the report, and records it when it is finished.
func (s *Store) keepScrub(ctx context.Context, r *ScrubReport) error {
	return s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		v, err := tx.ring.vouch(&s.id, string(keyScrub), r)
		if err != nil {
			return err
		}
		tx.raw = append(tx.raw, rawPut{bucketMeta, keyScrub, v})
		if r.Finished.IsZero() {
			return nil
		}
		e := Entry{Action: ActionScrubbed, Outcome: OK, Attrs: []audit.Attr{
			{Key: "values", Value: strconv.FormatUint(r.Values, 10)},
			{Key: "entries", Value: strconv.FormatUint(r.Entries, 10)},
			{Key: "findings", Value: strconv.Itoa(len(r.Findings))},
		}}
		if len(r.Findings) > 0 {
			e.Outcome = Failed
			s.log.Error("scrub found damage", "findings", len(r.Findings), "first", r.Findings[0].What)
		}
		return tx.Record(e)
	})
}

// scrubIfDue scrubs each month, in a goroutine of the upkeep, since it takes hours at its pace.
func (s *Store) scrubIfDue(ctx context.Context, now time.Time) error {
	last, err := s.LastScrub()
	if err != nil {
		return err
	}
	since := last.Finished // not Started: one that was interrupted for weeks would be followed by the next at once
	if since.IsZero() {
		since = s.began
	}
	due := !last.Started.IsZero() && last.Finished.IsZero()
	if !due {
		if due, err = s.monthly(ctx, "scrub", now, since, func() bool { return now.Sub(since) >= scrubEvery }); err != nil || !due {
			return err
		}
	}
	if !s.scrubOnce.CompareAndSwap(false, true) {
		return nil // it is under way
	}
	s.wg.Go(func() {
		defer s.scrubOnce.Store(false)
		if _, err := s.Scrub(ctx, scrubPace); err != nil && ctx.Err() == nil {
			s.log.Warn("upkeep of the store failed", "what", "scrub", "error", err)
		}
	})
	return nil
}

// inPieces calls piece with snapshots until it says that it is done.
func (s *Store) inPieces(ctx context.Context, piece func(*span, *ring) (done bool, err error)) error {
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		tx := &Tx{store: s, view: true}
		err := guard(func() (err error) {
			if err = s.settle(tx); err != nil {
				return err
			}
			p, err := tx.span()
			if err != nil {
				return err
			}
			done, err = piece(p, tx.ring)
			return err
		}, tx.end)
		if err != nil {
			return err
		}
	}
	return nil
}
