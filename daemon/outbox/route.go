package outbox

import (
	"fmt"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

const (
	// ReceiptsFor is how long after its hand-over an attempt can be found by a receipt.
	ReceiptsFor = 72 * time.Hour
	// maxUnknown is after how many unknown outcomes a message that may be repeated is given up.
	maxUnknown = 3
	// maxAttempts bounds what one message may cost.
	maxAttempts = 50
)

// stepClass says which senders could take a step of the route, by what the step asks for alone.
func (r *record) stepClass(step int) class {
	c := class{Channel: r.Route[step].Channel, SIM: r.SIM, Essential: r.Essential}
	if r.Parts > 1 && c.Channel == SMS {
		c.Parts = r.Parts
	}
	if !r.Route[step].OtherCarrier {
		return c
	}
	for i := len(r.Attempts) - 1; i >= 0; i-- {
		if a := r.Attempts[i]; a.Step != step {
			if c.AvoidCarrier = a.Carrier; a.Carrier == "" {
				c.AvoidSIM = a.SIM
			}
			break
		}
	}
	return c
}

// takers tells whether a sender could take the step: one that is ready, or any that is still there.
func (y *yard) takers(r *record, step int, now bool) (bool, error) {
	c := r.stepClass(step)
	if c.Channel == Call {
		may, err := contact.MayCall(y.tx, r.To)
		if err != nil {
			return false, fmt.Errorf("look up contact: %w", err)
		}
		if !may {
			return false, nil
		}
	}
	all, err := y.all()
	if err != nil {
		return false, err
	}
	for _, m := range all {
		if !m.can(r.Lane, c) || c.AvoidSIM != "" && c.AvoidSIM == m.SIM || y.now.Sub(m.Seen) > goneAfter {
			continue
		}
		if m.Ready || !now {
			return true, nil
		}
	}
	return false, nil
}

// stepAhead finds the next step of the route that a sender can take: first one that is ready, and
// unless that is asked for, then one that could be. ch restricts it to one channel.
func (y *yard) stepAhead(r *record, ch Channel, onlyReady bool) (int, bool, error) {
	for _, now := range []bool{true, false} {
		if onlyReady && !now {
			break
		}
		for i := r.Step + 1; i < len(r.Route); i++ {
			if ch != "" && r.Route[i].Channel != ch {
				continue
			}
			if ok, err := y.takers(r, i, now); ok || err != nil {
				return i, ok, err
			}
		}
	}
	return 0, false, nil
}

// callAhead tells whether the route still holds a call and has not come to one.
func (r *record) callAhead() bool {
	if r.Route[r.Step].Channel == Call {
		return false
	}
	for _, s := range r.Route[r.Step+1:] {
		if s.Channel == Call {
			return true
		}
	}
	return false
}

// half is when a route that holds a call comes to it at the latest.
func (r *record) half() time.Time { return r.Born.Add(r.Expires.Sub(r.Born) / 2) }

// open tells whether another step may follow what is out already.
func (r *record) open(now time.Time) bool {
	return r.State == Sent && !r.Stopped && r.Step+1 < len(r.Route) && now.Before(r.Expires)
}

// moveOn makes the message due for another step of its route.
func (y *yard) moveOn(r *record, step int, forced bool, cause string) error {
	if err := unfile(y.tx, r.ID); err != nil {
		return err
	}
	r.State, r.Step, r.Due, r.Forced, r.Cause = Queued, step, y.now, forced, cause
	if err := file(y.tx, r, ""); err != nil {
		return err
	}
	if err := save(y.tx, r); err != nil {
		return err
	}
	return note(y.tx, r, ActionStep, store.OK, attr("step", step+1), attr("channel", r.Route[step].Channel),
		attr("forced", forced), attr("cause", cause))
}

// again tries the message another time after an attempt that failed: by a further text step that a
// sender can take now, on another SIM, by any further step that one can take now; and when all that
// is not to be had, after a pause that grows. One bad number or SIM so never becomes a busy loop.
func (y *yard) again(r *record, a *Attempt, cause string) error {
	if len(r.Attempts) >= maxAttempts {
		return end(y.tx, r, Refused, "given up after too many attempts")
	}
	if step, ok, err := y.stepAhead(r, r.Route[r.Step].Channel, true); err != nil {
		return err
	} else if ok {
		return y.moveOn(r, step, false, cause)
	}
	all, err := y.all()
	if err != nil {
		return err
	}
	row, other := r.failedInRow(), 0
	for _, m := range all {
		if m.Ready && m.SIM != a.SIM && m.can(r.Lane, r.stepClass(r.Step)) {
			other++
		}
	}
	r.State, r.Due, r.Cause = Queued, y.now, cause
	avoid := a.SIM
	if row > other {
		if step, ok, err := y.stepAhead(r, "", true); err != nil {
			return err
		} else if ok {
			return y.moveOn(r, step, false, cause)
		}
		r.Due, avoid = y.now.Add(r.pause(row)), ""
	}
	if !r.Due.After(y.now) {
		if err := file(y.tx, r, avoid); err != nil {
			return err
		}
	}
	return save(y.tx, r)
}

// failedInRow counts the attempts of the present step that failed, back from the last.
func (r *record) failedInRow() int {
	n := 0
	for i := len(r.Attempts) - 1; i >= 0; i-- {
		if a := r.Attempts[i]; a.Step != r.Step || a.Outcome != NotSent && a.Outcome != Refused && a.Outcome != Unknown {
			break
		}
		n++
	}
	return n
}

// pause is the wait after n failures in a row. For what is not urgent the id adds up to a quarter,
// so that messages put off by one fault do not all come back in one moment.
func (r *record) pause(n int) time.Duration {
	first, most := 2*time.Second, 30*time.Second
	if r.Lane != OTP {
		first, most = 15*time.Second, 30*time.Minute
	}
	d := min(most, first<<min(n-1, 10))
	if r.Lane != OTP {
		d += d / 4 * time.Duration(r.ID[len(r.ID)-1]%16) / 16
	}
	return d
}

// end brings a message to a state in which no sender will get it any more.
func end(tx *store.Tx, r *record, s State, cause string, attrs ...store.Attr) error {
	if err := unfile(tx, r.ID); err != nil {
		return err
	}
	r.State, r.Cause = s, cause
	if err := save(tx, r); err != nil {
		return err
	}
	action, outcome := ActionCanceled, store.OK
	switch s {
	case Refused:
		action, outcome = ActionRefused, store.Failed
	case Expired:
		action, outcome = ActionExpired, store.Failed
	case Unknown:
		action, outcome = ActionUnknown, store.Failed
	case Undelivered:
		action, outcome = ActionUndelivered, store.Failed
	}
	attrs = append(attrs, attr("attempts", len(r.Attempts)), attr("cause", cause))
	return note(tx, r, action, outcome, attrs...)
}
