package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"pinward/store"
)

// sweepAtOnce bounds how many timers of each lane one Expire sees to.
const sweepAtOnce = 256

// timerKey orders timers by lane and time. A timer is only a reason to look: one that is no longer
// needed is not searched for, it finds nothing to do when it comes.
func timerKey(l Lane, at time.Time, id string) []byte {
	return append(append([]byte{byte(l)}, instant(at)...), id...)
}

// setTimer notes when to look at a message next, if ever.
func setTimer(tx *store.Tx, r *record) error {
	var next time.Time
	consider := func(at time.Time) {
		if at.After(tx.Now()) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	switch {
	case r.State == Queued:
		consider(r.Due)
		consider(r.Expires)
		if r.Lane == OTP && r.picky { // idle senders must look again when they may take what waits for another
			consider(r.Due.Add(stickFor(OTP)))
			consider(r.Due.Add(avoidFor(OTP)))
		}
		if r.callAhead() {
			consider(r.half())
		}
	case r.open(tx.Now()):
		consider(r.Due)
		if r.callAhead() {
			consider(r.half())
		}
	}
	if a := r.last(); a != nil && next.IsZero() {
		consider(a.At.Add(ReceiptsFor))
	}
	if next.IsZero() {
		return nil
	}
	if err := timers.Put(tx, timerKey(r.Lane, next, r.ID), struct{}{}); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return nil
}

// wake sees to the timers that are due, at most so many of each lane, and tells whether it saw to
// all.
func wake(y *yard, most int) (all bool, err error) {
	all = true
	for _, l := range lanes {
		var due [][]byte
		err := timers.Each(y.tx, store.Range{Prefix: []byte{byte(l)}}, func(key []byte, _ struct{}) error {
			if bytes.Compare(key[1:9], instant(y.now)) > 0 {
				return store.Stop
			}
			if len(due) == most {
				all = false
				return store.Stop
			}
			due = append(due, key)
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("read timers: %w", err)
		}
		for _, key := range due {
			if err := timers.Delete(y.tx, key); err != nil {
				return false, fmt.Errorf("forget timer: %w", err)
			}
			r, err := load(y.tx, string(key[9:]))
			if errors.Is(err, ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
				continue // Next says so when it comes to a damaged one
			}
			if err == nil {
				err = y.advance(r)
			}
			if err != nil {
				return false, err
			}
		}
	}
	return all, nil
}

// advance does for a message what time alone brings about.
func (y *yard) advance(r *record) error {
	late := !y.now.Before(r.half()) && r.callAhead() && !r.Stopped
	switch {
	case r.State == Queued && !y.now.Before(r.Expires):
		return y.expired(r)
	case r.State == Queued && late, r.open(y.now) && late:
		if step, ok, err := y.stepAhead(r, Call, false); err != nil {
			return err
		} else if ok {
			return y.moveOn(r, step, false, "half of its life is over")
		}
	case r.State.Final() && !r.open(y.now):
		return y.forget(r)
	}
	if r.Due.After(y.now) || r.State == Sending {
		return setTimer(y.tx, r)
	}
	if r.State == Queued {
		if err := y.join(r); err != nil {
			return err
		}
		return setTimer(y.tx, r)
	}
	return y.overdue(r)
}

// join files a message whose time has come. One that is in line already is only made known again:
// those that left it to another sender may take it now.
func (y *yard) join(r *record) error {
	_, filed, err := places.Get(y.tx, []byte(r.ID))
	if err != nil {
		return fmt.Errorf("read place: %w", err)
	}
	if filed {
		r.picky = true
		y.tx.Signal(Due)
		return nil
	}
	return file(y.tx, r, "")
}

// overdue sees to a text that went out and whose receipt should be there. Silence means something
// only where receipts are proven; else the route waits for half of the life.
func (y *yard) overdue(r *record) error {
	a := r.lastSent()
	proven, err := y.proven(a, r)
	if err != nil {
		return err
	}
	if proven {
		if step, ok, err := y.stepAhead(r, "", false); err != nil {
			return err
		} else if ok {
			return y.moveOn(r, step, false, "no receipt")
		}
	}
	return setTimer(y.tx, r)
}

// forget takes the attempts of a message that is over out of the index for receipts, once none can
// come any more.
func (y *yard) forget(r *record) error {
	if a := r.last(); a == nil || y.now.Sub(a.At) < ReceiptsFor {
		return setTimer(y.tx, r)
	}
	for i := range r.Attempts {
		if err := handed.Delete(y.tx, handedKey(y.tx, r, i)); err != nil {
			return fmt.Errorf("forget hand-over: %w", err)
		}
	}
	return nil
}

// Expire sees to everything that time alone brings about: messages that become due, whose route goes
// on, or that are too late. It does a bounded amount and signals Due if there is more; NextDue says
// when it has work. The daemon's sweep calls it each second.
func Expire(tx *store.Tx) error {
	y := look(tx)
	all, err := wake(y, sweepAtOnce)
	if err != nil {
		return err
	}
	if !all {
		tx.Signal(Due)
	}
	return y.judge()
}

// NextDue is the next time at which a message may become due for a sender, or room in a budget; false
// if there is none. It may be past, when Expire has not seen to it yet.
func NextDue(tx *store.Tx) (time.Time, bool, error) {
	var next time.Time
	consider := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return next, false, err
	}
	for _, l := range lanes {
		err := timers.Each(tx, store.Range{Prefix: []byte{byte(l)}}, func(key []byte, _ struct{}) error {
			consider(keyTime(key[1:9]))
			return store.Stop
		})
		if err != nil {
			return next, false, fmt.Errorf("read timers: %w", err)
		}
		err = lines.Each(tx, store.Range{Prefix: []byte{byte(l)}}, func(_ []byte, ln line) error {
			parts := ln.Class.parts()
			for _, m := range all {
				if !m.Ready || m.Hand != "" || !m.can(l, ln.Class) {
					continue
				}
				u, err := y.used(m)
				if err != nil {
					return err
				}
				if !u.room(m, l, y.now, parts) {
					consider(u.release(m, l, y.now, parts))
				}
			}
			return nil
		})
		if err != nil {
			return next, false, fmt.Errorf("read budgets: %w", err)
		}
	}
	return next, !next.IsZero(), nil
}
