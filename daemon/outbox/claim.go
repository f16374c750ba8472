package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// Claims is signalled when a message was given to an idle sender by the transaction that accepted it.
var Claims = store.NewTopic("outbox.claims")

// claim gives a new code to an idle sender at once, in the transaction that accepts it, so that one
// commit and not two lie before the modem. Only where nobody waits: else the order of the line decides.
// Of several idle senders the one that has rested longest gets it.
//
// The text is not rendered here, as the code must not stand anywhere; the sender does that when it
// finds its claim (Claimed, or Next). If we crash before it does, Recover takes the message as unknown,
// as it cannot tell; a code is then sent again.
func (y *yard) claim(r *record, c class) (bool, error) {
	if r.Lane != OTP || c.Shadow {
		return false, nil
	}
	if paused, err := isPaused(y.tx, OTP); paused || err != nil {
		return false, err
	}
	if n, err := waits(y.tx, OTP); n > 0 || err != nil {
		return false, err
	}
	all, err := y.all()
	if err != nil {
		return false, err
	}
	idle := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return !m.Ready || !m.Claims || m.Hand != "" || !m.can(OTP, c) })
	slices.SortStableFunc(idle, func(a, b *member) int { return a.Last.Compare(b.Last) })
	for _, m := range idle {
		if fits, err := y.fits(m, OTP, c, r.Due); err != nil {
			return false, err
		} else if !fits {
			continue
		}
		if well, err := y.well(m, OTP, c.parts()); err != nil {
			return false, err
		} else if !well {
			continue
		}
		m.Claim = true
		y.tx.Signal(Claims)
		_, _, err := give(y, m, r, Rendered{Report: true})
		return err == nil, err
	}
	return false, nil
}

// Claimed finds the message that the sender was given by the transaction that accepted it, and renders
// it; false if there is none. It changes nothing, so it may run in a View, beside the writer. ErrAskNext
// is its answer to all that is not as simple.
func Claimed(tx *store.Tx, name string, src Sources) (Job, bool, error) {
	y := look(tx)
	m, err := y.named(name)
	if err != nil || m == nil || !m.Claim {
		return Job{}, false, err
	}
	r, err := load(tx, m.Hand)
	if err != nil || m.Attempt >= len(r.Attempts) || r.Attempts[m.Attempt].Outcome != Sending {
		return Job{}, false, ErrAskNext
	}
	if why, err := y.unclaimable(m, r); why != "" || err != nil {
		return Job{}, false, ErrAskNext
	}
	text, err := render(tx, r, src)
	if err != nil || text.Parts > 1 || !text.Report {
		return Job{}, false, ErrAskNext
	}
	return y.claimedJob(m, r, text)
}

func (y *yard) claimedJob(m *member, r *record, text Rendered) (Job, bool, error) {
	u, err := y.used(m) // its last reference is ours: a SIM has one text in hand
	if err != nil {
		return Job{}, false, err
	}
	return Job{Message: r.Message, Rendered: text, Attempt: m.Attempt, ConcatRef: u.Concat}, true, nil
}

// unclaimable says why a claim is not to be sent any more, or "".
func (y *yard) unclaimable(m *member, r *record) (why string, err error) {
	live, held, err := allowed(y.tx, r)
	switch {
	case err != nil:
		return "", err
	case !m.Ready:
		return "the modem is not ready", nil
	case r.Attempts[m.Attempt].SIM != m.SIM:
		return "the modem has another SIM now", nil
	case r.Stopped:
		return "canceled", nil
	case !y.now.Before(r.Expires):
		return "its time is over", nil
	case !live:
		return held, nil
	}
	return "", nil
}

// pickUp is Claimed for Next. A claim that its sender cannot send after all is settled as not sent,
// and goes on at once.
func (y *yard) pickUp(m *member, src Sources) (Job, bool, error) {
	r, err := load(y.tx, m.Hand)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, store.ErrCorrupt),
		err == nil && (m.Attempt >= len(r.Attempts) || r.Attempts[m.Attempt].Outcome != Sending):
		m.Hand, m.Attempt, m.Since, m.Claim = "", 0, time.Time{}, false
		return Job{}, false, y.keep(m)
	case err != nil:
		return Job{}, false, err
	}
	why, err := y.unclaimable(m, r)
	if err != nil {
		return Job{}, false, err
	}
	if why != "" {
		return Job{}, false, y.settle(r, m.Attempt, Result{Outcome: NotSent, Cause: why})
	}
	text, err := render(y.tx, r, src)
	if err != nil {
		if err := y.settle(r, m.Attempt, Result{Outcome: NotSent, Cause: "cannot be rendered"}); err != nil {
			return Job{}, false, err
		}
		if err := unfile(y.tx, r.ID); err != nil {
			return Job{}, false, err
		}
		return Job{}, false, unrendered(y.tx, r, err)
	}
	r.Parts = max(1, text.Parts)
	if more := r.Parts - r.Attempts[m.Attempt].Planned; more > 0 {
		if room, err := y.well(m, OTP, more); err != nil {
			return Job{}, false, err
		} else if !room {
			return Job{}, false, y.settle(r, m.Attempt, Result{Outcome: NotSent, Cause: "the SIM has no room for all its parts"})
		}
	}
	m.Claim = false
	if err := y.keep(m); err != nil {
		return Job{}, false, err
	}
	if err := y.correct(m, r, text); err != nil {
		return Job{}, false, err
	}
	return y.claimedJob(m, r, text)
}

// correct writes into the attempt what a claim could not know: it is for one part with a receipt.
func (y *yard) correct(m *member, r *record, text Rendered) error {
	a := &r.Attempts[m.Attempt]
	more := max(1, text.Parts) - a.Planned
	if more == 0 && a.Report == text.Report {
		return nil
	}
	if _, err := charge(y, m.SIM, r.Lane, y.now, more); err != nil {
		return err
	}
	a.Planned, a.Report = a.Planned+more, text.Report
	if err := save(y.tx, r); err != nil {
		return fmt.Errorf("correct claim: %w", err)
	}
	return note(y.tx, r, ActionSending, store.OK, a.attrs(m.Attempt)...)
}
