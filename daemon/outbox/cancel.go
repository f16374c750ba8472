package outbox

import (
	"errors"
	"fmt"

	"pinward/store"
)

// Cancel stops a message: one that waits never goes out, of one that is out or on its way no further
// step follows. ErrNotFound, or ErrOver when there is nothing to stop.
func Cancel(tx *store.Tx, id string) error {
	r, err := load(tx, id)
	if err != nil {
		return err
	}
	switch {
	case r.State == Queued:
		return end(tx, r, Canceled, "canceled")
	case r.State == Sending && !r.Stopped, r.open(tx.Now()):
		r.Stopped = true
		if err := save(tx, r); err != nil {
			return err
		}
		return note(tx, r, ActionCanceled, store.OK, attr("state", r.State), attr("cause", "no further step"))
	}
	return ErrOver
}

// CancelRef stops all messages that were made for a record, and returns how many there were to stop.
func CancelRef(tx *store.Tx, ref string) (int, error) {
	ids, err := idsOf(tx, ref)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, id := range ids {
		switch err := Cancel(tx, id); {
		case err == nil:
			n++
		case !errors.Is(err, ErrOver) && !errors.Is(err, ErrNotFound):
			return n, err
		}
	}
	return n, nil
}

// Hasten makes the next step of the route due now, because a person asked for it ("call instead"). A
// message that is not due yet, or waits out a pause on its last step, is due at once. One that is being handed over
// goes on as soon as that is settled. ErrNotFound, ErrOver, or ErrNoStep.
func Hasten(tx *store.Tx, id string) error {
	r, err := load(tx, id)
	if err != nil {
		return err
	}
	now := tx.Now()
	switch {
	case r.State == Delivered, r.State == Canceled, r.State == Expired, r.Stopped, !now.Before(r.Expires):
		return ErrOver
	}
	y := look(tx)
	step, ok, err := y.stepAhead(r, "", false)
	if err != nil {
		return err
	}
	waiting := r.State == Queued && r.Due.After(now)
	switch {
	case waiting && (!ok || r.failedInRow() == 0):
		r.Due, r.Forced = now, true
		if err := file(tx, r, ""); err != nil {
			return err
		}
		if err := save(tx, r); err != nil {
			return err
		}
		return note(tx, r, ActionStep, store.OK, attr("step", r.Step+1), attr("forced", true), attr("cause", "asked for"))
	case ok && r.State == Sending:
		r.Forced = true
		if err := save(tx, r); err != nil {
			return err
		}
		return note(tx, r, ActionStep, store.OK, attr("step", step+1), attr("forced", true), attr("cause", "asked for"))
	case ok:
		return y.moveOn(r, step, true, "asked for")
	}
	return ErrNoStep
}

// held tells which lanes an operator holds.
var held = store.NewTable[struct{}]("outbox.paused")

// Pause holds a lane: nothing of it is handed over until Resume. What is on air goes on, and what has
// its time expires.
func Pause(tx *store.Tx, l Lane) error { return hold(tx, l, true) }

// Resume lets a lane go on.
func Resume(tx *store.Tx, l Lane) error { return hold(tx, l, false) }

func hold(tx *store.Tx, l Lane, on bool) error {
	if l < OTP || l > Bulk {
		return &InvalidError{Of: "message", Field: "lane", Reason: "is none of otp, notice, bulk"}
	}
	action, change := ActionResume, held.Delete
	if on {
		action, change = ActionPause, func(tx *store.Tx, key []byte) error { return held.Put(tx, key, struct{}{}) }
	}
	if err := change(tx, []byte{byte(l)}); err != nil {
		return fmt.Errorf("hold lane: %w", err)
	}
	tx.Signal(Due)
	tx.Signal(Changed)
	return tx.Record(store.Entry{Action: action, Outcome: store.OK, Object: l.String()})
}

// Held lists the lanes that are held, the most urgent first.
func Held(tx *store.Tx) (list []Lane, err error) {
	for _, l := range lanes {
		on, err := isPaused(tx, l)
		if err != nil {
			return nil, err
		}
		if on {
			list = append(list, l)
		}
	}
	return list, nil
}

func isPaused(tx *store.Tx, l Lane) (bool, error) {
	_, on, err := held.Get(tx, []byte{byte(l)})
	if err != nil {
		return false, fmt.Errorf("read held lanes: %w", err)
	}
	return on, nil
}
