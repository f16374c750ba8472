package store

import (
	"context"
	"errors"
	"time"

	"pinward/store/audit"
)

// anchorLoop anchors the log each hour, also when nothing happened, so that a gap shows; and watches
// the clock. Trouble with the TPM holds up nothing but the anchors: it is tried again, and after two
// hours it is an entry and shows in health.
func (s *Store) anchorLoop(ctx context.Context) {
	tick := time.NewTicker(anchorTick)
	defer tick.Stop()
	watch := newClockWatch(time.Now())
	var tried, told time.Time
	done := time.Now() // by the monotonic clock: the last anchor of this run
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failed:
			return
		case <-tick.C:
		}
		s.noteClock(ctx, &watch)
		st := s.Anchors()
		if !st.Counted {
			continue
		}
		now := s.instant()
		if since := now.Sub(later(st.At, later(told, s.since))); since > audit.AnchorLate {
			told = now
			s.noteLate(ctx, st)
		}
		if now.Sub(st.At) < audit.AnchorEvery && time.Since(done) < audit.AnchorEvery || time.Since(tried) < anchorRetry {
			continue
		}
		tried = time.Now()
		err := s.anchor(ctx)
		if err == nil {
			done = time.Now()
		}
		if ctx.Err() == nil {
			s.noteTrouble(err)
		}
	}
}

// instant is the time of a transaction that would begin now.
func (s *Store) instant() time.Time { return later(time.Now().UTC().Round(0), s.durable.Load().last) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// noteTrouble keeps why an anchor failed; the log hears of it once.
func (s *Store) noteTrouble(err error) {
	if errors.Is(err, ErrAnchorSoon) {
		err = nil // no trouble: the TPM's clock runs a little slower than ours
	}
	st := s.Anchors()
	if err != nil && st.Trouble == nil {
		s.log.Warn("head not anchored", "error", err)
	}
	st.Trouble = err
	s.anchored.Store(&st)
}

// noteLate records that there was no anchor for two hours.
func (s *Store) noteLate(ctx context.Context, st AnchorStatus) {
	err := s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		return tx.Record(audit.Entry{Action: audit.ActionAnchorLate, Outcome: audit.Failed, Attrs: []audit.Attr{
			{Key: "last", Value: st.At.UTC().Format(time.RFC3339)},
		}})
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("late anchor not recorded", "error", err)
	}
}

// clockStep is how far the clock has to be off to count as set; a time server slews what is less.
const clockStep = 5 * time.Second

// clockWatch compares the wall clock with the monotonic one.
type clockWatch struct{ wall, mono time.Time }

func newClockWatch(now time.Time) clockWatch { return clockWatch{now.Round(0), now} }

// step returns by how much the wall clock was set since the last call, 0 if it was not. A machine that
// slept shows as a step forward.
func (w *clockWatch) step(now time.Time) time.Duration {
	by := now.Round(0).Sub(w.wall) - now.Sub(w.mono)
	*w = newClockWatch(now)
	if by.Abs() < clockStep {
		return 0
	}
	return by.Round(time.Second)
}

// noteClock records that the clock was set.
func (s *Store) noteClock(ctx context.Context, w *clockWatch) {
	by := w.step(time.Now())
	if by == 0 {
		return
	}
	s.log.Warn("clock was set", "by", by)
	err := s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		return tx.Record(audit.Entry{Action: audit.ActionClock, Outcome: audit.OK, Attrs: []audit.Attr{{Key: "by", Value: by.String()}}})
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("step of the clock not recorded", "error", err)
	}
}
