package outbox

import (
	"slices"

	"pinward/store"
)

// Amend takes the answer to a hand-over that came after all, when the attempt had been settled as
// unknown because patience ran out. The references of its parts are known then, so that receipts find
// them, and the message follows the answer where nothing newer says otherwise: one that is out is not
// tried again, one that never left is. For an attempt that has another outcome, an answer that came
// twice or that a receipt overtook, it does nothing.
func Amend(tx *store.Tx, id string, attempt int, res Result) error {
	r, err := load(tx, id)
	if err != nil {
		return err
	}
	if err := res.check(SMS); err != nil { // a call's end is always proved
		return err
	}
	switch {
	case attempt < 0 || attempt >= len(r.Attempts), r.Attempts[attempt].Outcome == Sending:
		return &InvalidError{Of: "attempt", Field: "outcome", Reason: "is not there yet: Settle it"}
	case r.Attempts[attempt].Outcome != Unknown:
		return nil
	}
	return look(tx).amend(r, attempt, res.bySIM())
}

func (y *yard) amend(r *record, attempt int, res Result) error {
	a := &r.Attempts[attempt]
	if res.Outcome == NotSent && len(a.Parts) > 0 {
		return nil // a receipt has proved that it left
	}
	known := len(a.Parts)
	a.add(res.Parts)
	if res.Outcome == Unknown {
		if len(a.Parts) == known {
			return nil
		}
		if err := save(y.tx, r); err != nil {
			return err
		}
		return y.attempted(r, attempt, res, false)
	}
	a.Settled, a.Outcome, a.Code, a.Cause, a.Late = y.now, res.Outcome, res.Code, res.Cause, true
	if err := y.learn(r, attempt); err != nil {
		return err
	}
	follow, over := y.amended(r, attempt)
	if err := y.attempted(r, attempt, res, over); err != nil {
		return err
	}
	return follow()
}

// amended decides what follows from a late answer, and whether the message ends with it.
func (y *yard) amended(r *record, attempt int) (follow func() error, over bool) {
	a := &r.Attempts[attempt]
	rest := func() error { return save(y.tx, r) }
	waits := r.State == Queued && !r.Forced && r.Route[r.Step].Channel == SMS
	switch {
	case a.Outcome == Sent && r.outranked(attempt):
		return rest, false
	case a.Outcome == Sent && (waits || r.State.Final() && r.State != Sent && r.State != Delivered && r.State != Undelivered):
		return func() error { return y.outAfterAll(r, a) }, false
	case attempt != len(r.Attempts)-1 || r.State != Unknown && !waits:
		return rest, false
	case a.Outcome == NotSent && r.State == Unknown && r.Stopped:
		return func() error { return end(y.tx, r, Canceled, "canceled") }, false
	case a.Outcome == NotSent && r.State == Unknown && !y.now.Before(r.Expires):
		return func() error { return end(y.tx, r, Expired, "its time is over") }, false
	case a.Outcome == NotSent && r.State == Unknown:
		return func() error { return y.again(r, a, "nothing had left") }, false
	case a.Outcome == Refused:
		if step, ok, err := y.stepAhead(r, Call, false); err != nil {
			return func() error { return err }, false
		} else if ok && !r.Stopped && y.now.Before(r.Expires) {
			return func() error { return y.moveOn(r, step, false, "refused") }, false
		}
		return func() error {
			if err := unfile(y.tx, r.ID); err != nil {
				return err
			}
			r.State, r.Cause = Refused, a.Cause
			return save(y.tx, r)
		}, true
	}
	return rest, false
}

// outAfterAll takes a message that was given up, or is to be tried again, as sent by the attempt.
func (y *yard) outAfterAll(r *record, a *Attempt) error {
	if err := unfile(y.tx, r.ID); err != nil {
		return err
	}
	if r.State == Canceled {
		r.Stopped = true // it is out, and nothing more is to follow
	}
	if r.State == Queued {
		r.Step = a.Step
	}
	return y.sent(r)
}

// outranked tells whether a newer attempt says more than that this one is out: the network took it as
// well, gave it up, or refused it.
func (r *record) outranked(attempt int) bool {
	return slices.ContainsFunc(r.Attempts[attempt+1:], func(a Attempt) bool { return a.Outcome.tells() })
}

// tells says whether an attempt with this outcome is known to have met the network.
func (s State) tells() bool { return s == Sent || s == Delivered || s == Undelivered || s == Refused }

// outLate tells whether a late answer said that the message is out, and nothing after it otherwise.
func (r *record) outLate() bool {
	for _, a := range slices.Backward(r.Attempts) {
		if a.Outcome.tells() {
			return a.Late && a.Outcome == Sent
		}
	}
	return false
}

// lastSent is the latest attempt that the network took and that no receipt has decided, or nil.
func (r *record) lastSent() *Attempt {
	for i := range slices.Backward(r.Attempts) {
		if r.Attempts[i].Outcome == Sent {
			return &r.Attempts[i]
		}
	}
	return nil
}

// add keeps the parts that the network took and whose references were not known yet.
func (a *Attempt) add(parts []Part) {
	known := slices.Clone(a.Parts)
	for _, p := range parts {
		if i := slices.IndexFunc(known, func(k Part) bool { return k.Ref == p.Ref }); i >= 0 {
			known = slices.Delete(known, i, i+1) // a receipt brought it; the same reference may come twice
			continue
		}
		a.Parts = append(a.Parts, Part{Ref: p.Ref, State: Sent})
	}
	a.Planned = max(a.Planned, len(parts))
}
