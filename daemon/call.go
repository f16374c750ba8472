package daemon

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/store"
)

// errOver ends a call that nobody waits for any more.
var errOver = errors.New("the call is not wanted any more")

// callOut makes one call and settles what became of it. It lasts five minutes at most, which the modem sees to. If we
// crash between the two the message is still marked sending: the next start makes it unknown, and the modem's bring-up
// hangs up what is left of the call.
func (s *sender) callOut(ctx context.Context, job outbox.Job) error {
	air, cancel := s.airtime(ctx)
	defer cancel()
	began := s.modem.Status()
	r, err := s.dial(air, job)
	res := callResult(r, err)
	s.figures.count(res)
	if err != nil {
		s.log.Warn("make call", "modem", s.port.Name, "message", job.Message.ID, "error", err)
	}
	return s.store.Update(context.WithoutCancel(ctx), self, func(tx *store.Tx) error {
		if r.Outcome == modem.CallDeclined {
			// First, so that the outcome meets a message of which no further step follows.
			if err := declined(tx, job.Message); err != nil {
				return err
			}
		}
		if r.Outcome == modem.CallConfirmed && r.Talk.Heard() && r.ICCID == began.ICCID {
			if err := s.proved(tx, began, r); err != nil {
				return err
			}
		}
		if st := s.modem.Status(); !s.fit.news(st) {
			if err := outbox.Report(tx, s.state(st)); err != nil {
				return err
			}
		}
		if res.Outcome == outbox.Delivered {
			if err := learnLine(tx, job.Message.ID); err != nil {
				return err
			}
		}
		return outbox.Settle(tx, job.Message.ID, job.Attempt, res)
	})
}

// learnLine notes what a call that was heard tells of the text before it: one that was refused, was reported as not
// delivered, or had no receipt where receipts are proven.
func learnLine(tx *store.Tx, id string) error {
	m, _, err := outbox.Get(tx, id)
	if err != nil {
		return err
	}
	missed := false
	for i, a := range m.Attempts {
		if m.Route[a.Step].Channel != outbox.SMS {
			continue
		}
		switch a.Outcome {
		case outbox.Delivered:
			return nil
		case outbox.Refused, outbox.Undelivered:
			missed = true
		case outbox.Sent:
			proven, err := outbox.ReceiptsProven(tx, m, i)
			if err != nil {
				return err
			}
			missed = missed || proven
		}
	}
	if !missed {
		return nil
	}
	return contact.TextMissed(tx, m.To)
}

// declined does what key 9 was pressed for.
func declined(tx *store.Tx, m outbox.Message) error {
	switch m.Kind {
	case otp.Kind:
		return otp.Deny(tx, m.Ref)
	case notice.Kind:
		return notice.RefuseCalls(tx, m.Ref)
	}
	return nil
}

func (s *sender) dial(ctx context.Context, job outbox.Job) (modem.CallResult, error) {
	say := job.Rendered.Call
	if onlySpeaks(s.modem.Status()) {
		say.Langs = []string{moduleLanguage}
	}
	script, err := compose(s.speech.Load(), say)
	if err != nil {
		return modem.CallResult{}, errors.Join(modem.ErrNotCalled, err)
	}
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	var taken atomic.Bool
	stop := s.hangUpIfOver(ctx, job.Message.ID, func() {
		if !taken.Load() { // who has answered is told to the end
			hangUp(errOver)
		}
	})
	defer stop()
	return s.modem.Dial(ctx, modem.Call{To: job.Message.To.E164(), Script: script, Progress: func(p modem.Progress) {
		if p == modem.ProgressAnswered {
			taken.Store(true)
		}
	}})
}

// hangUpIfOver watches whether a message was canceled, or is known to have arrived by another way, while its call
// rings: a person who has typed the code of a late text is not to be rung. The returned function ends the watch and
// waits for it.
func (s *sender) hangUpIfOver(ctx context.Context, id string, hangUp func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	changed, unwatch := s.store.Watch(outbox.Changed)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer unwatch()
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			over := false
			err := s.store.View(ctx, func(tx *store.Tx) error {
				m, ok, err := outbox.Get(tx, id)
				over = ok && (m.Stopped || m.State != outbox.Sending)
				return err
			})
			if err != nil && ctx.Err() == nil {
				s.log.Error("look whether a call is over", "modem", s.port.Name, "error", err)
			}
			if over {
				hangUp()
				return
			}
		}
	})
	return func() { cancel(); watch.Wait() }
}

// callResult says what a call means for its message.
//
//	the code was heard                       delivered
//	busy, no answer, rejected, unreachable,
//	answered without a key, declined         undelivered: the route goes on, and a text before it still counts
//	nobody was called, the network failed    not sent: another modem may
//	cut off in the middle                    unknown: the same code may be said again
//
// Of those that are undelivered nobody heard a word where it was busy, rang in vain or was unreachable: a notice then calls once more.
func callResult(r modem.CallResult, err error) outbox.Result {
	switch {
	case errors.Is(err, modem.ErrNotCalled):
		return outbox.Result{Outcome: outbox.NotSent, Cause: "nobody was called"}
	case r.Outcome == modem.CallConfirmed && r.Talk.Heard():
		return outbox.Result{Outcome: outbox.Delivered, Code: r.Cause}
	case r.Outcome == modem.CallDeclined:
		return outbox.Result{Outcome: outbox.Undelivered, Code: r.Cause, Cause: string(r.Outcome)}
	case err != nil:
		return outbox.Result{Outcome: outbox.Unknown, Code: r.Cause, Cause: "the call was lost"}
	}
	switch r.Outcome {
	case modem.CallFailed, modem.CallCanceled:
		return outbox.Result{Outcome: outbox.NotSent, Code: r.Cause, Cause: string(r.Outcome)}
	case modem.CallConfirmed:
		return outbox.Result{Outcome: outbox.Undelivered, Code: r.Cause, Cause: "hung up before the code was said"}
	case modem.CallAnswered:
		return outbox.Result{Outcome: outbox.Undelivered, Code: r.Cause, Cause: "answered, unconfirmed"}
	}
	unheard := r.Outcome == modem.CallBusy || r.Outcome == modem.CallNoAnswer || r.Outcome == modem.CallUnreachable
	return outbox.Result{Outcome: outbox.Undelivered, Code: r.Cause, Cause: string(r.Outcome), Unheard: unheard}
}
