package daemon

import (
	"context"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/store"
)

// How records that are over are deleted: a round goes through each table in steps. A step looks through some of it in a View, which
// holds nobody up, and then deletes what it found in one short transaction with its own entry. If we crash between two steps
// nothing is half done, and the next round begins at the beginning.
const (
	retainFirst = time.Minute   // after the start
	retainEvery = 6 * time.Hour // from the end of a round to the next: ages are days, and appointments have no order of time
	retainPause = time.Second   // between two steps
	retainLook  = 2000          // records that a step looks at
	retainMost  = 200           // and deletes
	// clockJump is by how much the clock may have been set since the round before. After more nothing is deleted for clockRest: a
	// clock that was set ahead by mistake can be set back by then.
	clockJump = time.Hour
	clockRest = 24 * time.Hour
)

// agingKind is a kind of records that are deleted by age.
type agingKind struct {
	name string
	days func(retention) int
	old  func(tx *store.Tx, from []byte, look, most int, age store.Age) (keys [][]byte, next []byte, err error)
	end  func(tx *store.Tx, keys [][]byte, age store.Age) (int, error)
}

var agingKinds = []agingKind{
	{"messages", func(r retention) int { return r.MessagesDays }, outbox.Old, outbox.Forget},
	{"appointments", func(r retention) int { return r.AppointmentsDays }, contact.OldAppointments, contact.ForgetAppointments},
	{"work items", func(r retention) int { return r.WorkItemsDays }, consent.OldItems, consent.ForgetItems},
}

// age says what is old enough now.
func (k agingKind) age(tx *store.Tx) (store.Age, error) {
	r, err := retentionOf(tx)
	if err != nil {
		return store.Age{}, err
	}
	held, err := holding(tx)
	return store.Age{Before: tx.Now().Add(-time.Duration(k.days(r)) * day), Held: held}, err
}

// holding gives what tells whether a hold covers some of a time, by the holds of now.
func holding(tx *store.Tx) (func(from, to time.Time) bool, error) {
	list, err := record.Holds(tx)
	if err != nil {
		return nil, err
	}
	return func(from, to time.Time) bool { return record.Covered(list, from, to) }, nil
}

// unheld is a sweep that leaves alone what is under a hold.
func unheld(sweep func(*store.Tx, func(from, to time.Time) bool) error) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		held, err := holding(tx)
		if err != nil {
			return err
		}
		return sweep(tx, held)
	}
}

// retain makes its rounds until ctx ends.
func (h *house) retain(ctx context.Context) {
	round := time.NewTimer(retainFirst)
	defer round.Stop()
	before := time.Now()
	var rest time.Time // nothing is deleted until then
	for {
		select {
		case <-ctx.Done():
			return
		case <-round.C:
		}
		now := time.Now()
		if set := now.Round(0).Sub(before.Round(0)) - now.Sub(before); set.Abs() > clockJump {
			h.log.Warn("the clock was set: nothing that is over is deleted for a day", "by", set.Round(time.Minute))
			rest = now.Add(clockRest)
		}
		before = now
		for _, k := range agingKinds {
			if !now.After(rest) {
				break
			}
			if err := h.retainKind(ctx, k); err != nil && ctx.Err() == nil {
				h.log.Error("delete what is over", "what", k.name, "error", err)
			}
		}
		round.Reset(retainEvery)
	}
}

// retainKind goes through one kind of records.
func (h *house) retainKind(ctx context.Context, k agingKind) error {
	pause := time.NewTicker(retainPause)
	defer pause.Stop()
	var at []byte
	for {
		next, _, err := h.retainStep(ctx, k, at)
		if err != nil || next == nil {
			return err
		}
		at = next
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// retainStep looks through some records and deletes what it found; next is nil at the end.
func (h *house) retainStep(ctx context.Context, k agingKind, at []byte) (next []byte, deleted int, err error) {
	var keys [][]byte
	err = h.store.View(ctx, func(tx *store.Tx) error {
		age, err := k.age(tx)
		if err != nil {
			return err
		}
		keys, next, err = k.old(tx, at, retainLook, retainMost, age)
		return err
	})
	if err != nil || len(keys) == 0 {
		return next, 0, err
	}
	err = h.store.Update(ctx, self, func(tx *store.Tx) error {
		age, err := k.age(tx) // a hold may have come
		if err != nil {
			return err
		}
		deleted, err = k.end(tx, keys, age)
		return err
	})
	return next, deleted, err
}

// sweepNumbers forgets what is kept of numbers for answers that come no more, and texts that were held until they were of no use: a
// few at a time, round and round.
func sweepNumbers() func(*store.Tx) error {
	var answers [2][]byte
	var questions, held []byte
	return func(tx *store.Tx) (err error) {
		if answers, err = consent.SweepNumbers(tx, answers, retainMost); err != nil {
			return err
		}
		if questions, err = notice.SweepQuestions(tx, questions, retainMost); err != nil {
			return err
		}
		held, err = intake.SweepHeld(tx, held, retainMost)
		return err
	}
}
