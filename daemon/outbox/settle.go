package outbox

import (
	"errors"
	"fmt"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Result is what became of one hand-over.
type Result struct {
	// Outcome is Sent (the network took every part), NotSent (proved: nothing left the modem), Refused
	// (never again for this recipient) or Unknown. Of a call it is Delivered (somebody pressed the key and
	// heard it), Undelivered (nobody did: the route goes on), NotSent or Unknown.
	Outcome State
	Parts   []Part // those that the network took, with their references
	Code    int    // +CMS or +CME ERROR, 0 for none
	// Unheard says of a call that is Undelivered that there was nobody who could have heard it: the line was engaged, nobody answered, the
	// telephone was off. Only then may the same message call once more.
	Unheard bool
	Class   string // the modem room's class of Code; SIMClass refuses the SIM and not the recipient
	Cause   string // in plain words, without values
}

// SIMClass is a Result's Class when the error is of the SIM or its subscription (27.005 3.2.5: 8,
// 50, 310 to 318 ...), so that the message is to go elsewhere.
const SIMClass = "sim"

// Settle keeps what became of a hand-over and decides what follows from it. Once for each attempt:
// ErrSettled after that.
func Settle(tx *store.Tx, id string, attempt int, res Result) error {
	r, err := load(tx, id)
	if err != nil {
		return err
	}
	if attempt < 0 || attempt >= len(r.Attempts) || r.Attempts[attempt].Outcome != Sending {
		return ErrSettled
	}
	if err := res.check(r.Route[r.Attempts[attempt].Step].Channel); err != nil {
		return err
	}
	return look(tx).settle(r, attempt, res.bySIM())
}

func (res Result) check(ch Channel) error {
	switch res.Outcome {
	case NotSent, Unknown:
		return nil
	case Sent, Refused:
		if ch == SMS {
			return nil
		}
	case Delivered, Undelivered:
		if ch == Call {
			return nil
		}
	}
	return &InvalidError{Of: "result", Field: "outcome", Reason: "is none that a hand-over on this channel has"}
}

// bySIM takes a refusal of the SIM as what it is for the message: not sent.
func (res Result) bySIM() Result {
	if res.Outcome == Refused && res.Class == SIMClass {
		res.Outcome = NotSent
	}
	return res
}

// Recover settles as unknown what was in hand when the process ended, and returns how much that was.
// It runs once at the start, before any sender does.
func Recover(tx *store.Tx) (int, error) {
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, m := range all {
		if m.Hand == "" {
			continue
		}
		err := Settle(tx, m.Hand, m.Attempt, Result{Outcome: Unknown, Cause: "the daemon ended during the hand-over"})
		switch {
		case err == nil:
			n++
		case errors.Is(err, ErrSettled), errors.Is(err, ErrNotFound), errors.Is(err, store.ErrCorrupt):
			// The hand is all that is left of it: it must not keep the sender from work for ever.
			m.Hand, m.Attempt, m.Since, m.Claim = "", 0, time.Time{}, false
			if err := y.keep(m); err != nil {
				return n, err
			}
		default:
			return n, err
		}
	}
	return n, nil
}

func (y *yard) settle(r *record, attempt int, res Result) error {
	a := &r.Attempts[attempt]
	a.Settled, a.Outcome, a.Code, a.Cause = y.now, res.Outcome, res.Code, res.Cause
	planned := a.Planned
	if a.add(res.Parts); a.Planned > planned { // the modem made more of the text than its Source told
		if _, err := charge(y, a.SIM, r.Lane, a.At, a.Planned-planned); err != nil {
			return err
		}
	}
	if err := y.free(r.ID, a); err != nil {
		return err
	}
	if err := y.learn(r, attempt); err != nil {
		return err
	}
	v, step, err := y.decide(r, a, res.Unheard)
	if err != nil {
		return err
	}
	if err := y.attempted(r, attempt, res, v == stays || v == over); err != nil {
		return err
	}
	if err := y.follow(r, a, v, step); err != nil {
		return err
	}
	return y.early(r, attempt)
}

// free takes the message out of the sender's hand.
func (y *yard) free(id string, a *Attempt) error {
	m, err := y.named(a.Sender)
	if m == nil || m.Hand != id || err != nil {
		return err
	}
	m.Hand, m.Attempt, m.Since, m.Claim = "", 0, time.Time{}, false
	y.tx.Signal(Due)
	return y.keep(m)
}

// learn keeps what an outcome teaches: the SIM that the recipient knows now, the receipt to expect,
// the budget that was not used.
func (y *yard) learn(r *record, attempt int) error {
	switch a := &r.Attempts[attempt]; a.Outcome {
	case Sent:
		if err := contact.Used(y.tx, r.To, a.SIM); err != nil {
			return fmt.Errorf("note SIM of contact: %w", err)
		}
		return y.expect(r, attempt)
	case NotSent:
		_, err := charge(y, a.SIM, r.Lane, a.At, -a.Planned)
		return err
	}
	return nil
}

// attempted leaves the entry of the outcome of one attempt. final says that it is the message's too,
// unless a receipt changes it.
func (y *yard) attempted(r *record, attempt int, res Result, final bool) error {
	a := r.Attempts[attempt]
	action, outcome := ActionSent, store.OK
	switch a.Outcome {
	case NotSent:
		action, outcome = ActionNotSent, store.Failed
	case Refused:
		action, outcome = ActionRefused, store.Failed
	case Unknown:
		action, outcome = ActionUnknown, store.Failed
	case Delivered:
		action = ActionDelivered
	case Undelivered:
		action, outcome = ActionUndelivered, store.Failed
	}
	attrs := a.attrs(attempt)
	if r.Route[a.Step].Channel == Call {
		attrs = append(attrs, attr("channel", Call))
	}
	if a.Late || !a.Settled.Equal(y.now) {
		attrs = append(attrs, attr("late", true))
	}
	if res.Code != 0 {
		attrs = append(attrs, attr("code", res.Code))
	}
	if a.Outcome != Sent && a.Outcome != Delivered {
		attrs = append(attrs, attr("final", final))
	}
	attrs = append(attrs, attr("class", res.Class), attr("cause", res.Cause))
	return note(y.tx, r, action, outcome, attrs...)
}

func (a Attempt) attrs(i int) []store.Attr {
	return []store.Attr{attr("attempt", i+1), attr("sender", a.Sender), attr("sim", a.SIM),
		attr("carrier", a.Carrier), attr("parts", a.Planned)}
}

// verdict is what follows for the message from the outcome of an attempt.
type verdict uint8

const (
	stays    verdict = iota // a receipt of an earlier attempt has decided it
	over                    // the attempt's outcome is the message's
	out                     // the network has it
	goesOn                  // by another step
	tryAgain                // the same, elsewhere or later
	redials                 // the same call, after its pause
	canceled
	expired
)

func (y *yard) decide(r *record, a *Attempt, unheard bool) (v verdict, step int, err error) {
	late := !y.now.Before(r.Expires)
	switch {
	case r.State != Sending:
		return stays, 0, nil
	case a.Outcome == Sent:
		return out, 0, nil
	case a.Outcome == Undelivered:
		return y.notReached(r, late, unheard)
	case a.Outcome != Refused && r.outLate():
		return out, 0, nil
	case a.Outcome == NotSent && r.Stopped:
		return canceled, 0, nil
	case a.Outcome == NotSent && late:
		return expired, 0, nil
	case a.Outcome == NotSent:
		return tryAgain, 0, nil
	case a.Outcome == Refused && !r.Stopped && !late && a.doubtful() && r.refusals() == 1 && (len(a.Parts) == 0 || r.repeatable()):
		if other, err := y.another(r, a); other || err != nil {
			return tryAgain, 0, err
		}
		fallthrough
	case a.Outcome == Refused && !r.Stopped && !late:
		// Another text would be refused as well, but a landline takes calls.
		step, ok, err := y.stepAhead(r, Call, false)
		if ok {
			return goesOn, step, err
		}
		return over, 0, err
	case a.Outcome == Unknown && !r.Stopped && !late && r.repeatable():
		return tryAgain, 0, nil
	}
	return over, 0, nil
}

// notReached decides after a call that nobody took. Where the network had a text before, that may still be
// read: its receipt decides.
func (y *yard) notReached(r *record, late, unheard bool) (verdict, int, error) {
	if !r.Stopped && !late {
		if step, ok, err := y.stepAhead(r, "", false); ok || err != nil {
			return goesOn, step, err
		}
		if unheard && r.Unheard() <= r.Redials && y.now.Add(r.RedialAfter).Before(r.Expires) {
			return redials, 0, nil
		}
	}
	if r.lastSent() != nil {
		return out, 0, nil
	}
	return over, 0, nil
}

// doubtful tells whether a refusal may as well be one of the SIM: +CMS ERROR 10 is also a service that
// its contract bars, 21 also an empty balance (modem reference 5.2). Where nothing was sent one more SIM is
// asked; what two refuse is refused. A part that the network had taken before may not go out twice.
func (a *Attempt) doubtful() bool { return a.Outcome == Refused && (a.Code == 10 || a.Code == 21) }

func (r *record) refusals() (n int) {
	for _, a := range r.Attempts {
		if a.Outcome == Refused {
			n++
		}
	}
	return n
}

// another tells whether a SIM that has not refused the message could take it now, by a text.
func (y *yard) another(r *record, a *Attempt) (bool, error) {
	all, err := y.all()
	if err != nil {
		return false, err
	}
	c := r.stepClass(r.Step)
	for _, m := range all {
		if m.Ready && m.SIM != a.SIM && m.can(r.Lane, c) {
			return true, nil
		}
	}
	return false, nil
}

func (y *yard) follow(r *record, a *Attempt, v verdict, step int) error {
	switch v {
	case out:
		return y.sent(r)
	case goesOn:
		if a.Outcome == Undelivered {
			return y.moveOn(r, step, false, a.Cause)
		}
		return y.moveOn(r, step, false, "refused")
	case tryAgain:
		return y.again(r, a, "last attempt: "+string(a.Outcome))
	case redials:
		return y.redial(r, a.Cause)
	case canceled:
		return end(y.tx, r, Canceled, "canceled")
	case expired:
		return end(y.tx, r, Expired, "its time is over")
	case over: // the attempt's entry has said it
		r.State, r.Cause = a.Outcome, a.Cause
	}
	return save(y.tx, r)
}

// repeatable tells whether the message may go out again although it may have gone out before.
func (r *record) repeatable() bool {
	n := 0
	for _, a := range r.Attempts {
		if a.Outcome == Unknown {
			n++
		}
	}
	return (r.Lane == OTP || r.Repeat) && n < maxUnknown
}

// sent keeps that the network took the message; the route goes on later, or at once where a person
// asked for it.
func (y *yard) sent(r *record) error {
	r.State, r.Cause = Sent, ""
	if r.Forced && r.Step+1 < len(r.Route) && !r.Stopped {
		if step, ok, err := y.stepAhead(r, "", false); err != nil {
			return err
		} else if ok {
			return y.moveOn(r, step, true, "asked for")
		}
	}
	if r.open(y.now) {
		r.Due = y.now.Add(r.Route[r.Step].wait())
	}
	return save(y.tx, r)
}
