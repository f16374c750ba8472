package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/store"
)

// self is the actor of what the daemon does by itself: it hands messages over, reads receipts, and
// ends what is over.
var self = store.Actor{Kind: "daemon", ID: "pinwardd"}

const (
	// onAirPatience is how long a part on air may keep a modem from a code that waits for it; after
	// it the hand-over is given up and counts as unknown (DESIGN section 4).
	onAirPatience = 45 * time.Second
	// codePatience is how long a code waits for the answer to its hand-over before another sender may
	// take it too; the same code twice harms nobody. A part seldom needs longer (modem reference 5.1).
	codePatience = 15 * time.Second
	// stopPatience is how long a part on air may go on when the daemon stops. The unit's own limit
	// is 10 s; what is cut off becomes unknown, as after a crash.
	stopPatience = 5 * time.Second
	// partAtMost and callAtMost are how long a hand-over may be silent: what the modem's own limits add up to, and
	// some. A network may take 300 s to answer for a part; a call rings for 75 s and talks for four minutes at most, with its end.
	partAtMost = 6 * time.Minute
	callAtMost = 8 * time.Minute
	// firstPartTime is what a part is taken to need before this modem has shown it (5.1 of the
	// modem reference: about 3 s, seldom 14 s).
	firstPartTime = 4 * time.Second
)

// sender is one modem that takes messages when it is idle. Its goroutine alone gives the modem
// messages, and it holds at most one; all else stays in the outbox.
type sender struct {
	port    ModemPort
	modem   *modem.Modem
	wiring  *wiring
	store   *store.Store
	sources outbox.Sources
	speech  *atomic.Pointer[recordings]
	log     *slog.Logger
	pulse   *pulse // told at each turn of the loop, for the watchdog
	figures figures

	fit      fitted        // owned by run: the device and the SIM that belong to this name
	proof    knownProof    // owned by run: when this modem with this SIM was last heard in a call
	partTime time.Duration // owned by run: moving average of the hand-over of one part
}

// run takes messages until ctx ends, and returns when the last hand-over is settled.
func (s *sender) run(ctx context.Context) error {
	defer s.pulse.end()
	due, stop := s.store.Watch(outbox.Due)
	defer stop()
	claims, stopClaims := s.store.Watch(outbox.Claims)
	defer stopClaims()
	s.partTime = firstPartTime
	for {
		s.pulse.beat()
		next, err := s.turn(ctx)
		if ctx.Err() != nil {
			return s.leave(ctx)
		}
		if err != nil {
			// The store failed or is full; both end elsewhere. Wait, so as not to spin.
			s.log.Error("take message", "modem", s.port.Name, "error", err)
			next = time.Now().Add(time.Second)
		}
		s.rest(ctx, next, due, claims)
	}
}

// rest waits until there may be something to do. A code that was given to this sender by the
// transaction that accepted it is handed over from here.
func (s *sender) rest(ctx context.Context, until time.Time, due, claims <-chan struct{}) {
	timer := time.NewTimer(max(0, time.Until(until)))
	defer timer.Stop()
	turn := time.NewTicker(beatEvery)
	defer turn.Stop()
	for {
		select {
		case <-turn.C:
			s.pulse.beat()
			continue
		case <-ctx.Done():
		case <-due:
		case <-s.modem.Changed():
		case <-timer.C:
		case <-claims:
			if !s.takeClaim(ctx) {
				continue
			}
		}
		return
	}
}

// takeClaim hands over what was given to this sender. It reports whether a turn should follow: to look
// for more, or because the claim is not to be sent as it is.
func (s *sender) takeClaim(ctx context.Context) bool {
	var job outbox.Job
	var found bool
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		job, found, err = outbox.Claimed(tx, s.port.Name, s.sources)
		return err
	})
	st := s.modem.Status()
	switch {
	case errors.Is(err, outbox.ErrAskNext):
		return true
	case err != nil:
		if ctx.Err() == nil {
			s.log.Error("look for a claim", "modem", s.port.Name, "error", err)
		}
		return true
	case !found:
		return false
	case !st.Ready || s.fit.news(st) || st.ICCID != job.Message.Attempts[job.Attempt].SIM:
		return true // the turn gives it back
	}
	if err := s.handOver(ctx, job); err != nil {
		s.log.Error("hand over", "modem", s.port.Name, "error", err)
	}
	return true
}

// turn reports the modem's state and hands messages over while there are any; it returns when to
// look again at the latest.
func (s *sender) turn(ctx context.Context) (time.Time, error) {
	for ctx.Err() == nil {
		st := s.modem.Status()
		var job outbox.Job
		var found bool
		var next time.Time
		fit := s.fit
		err := s.store.Update(ctx, self, func(tx *store.Tx) error {
			next = tx.Now().Add(reportEvery)
			var err error
			if s.fit.news(st) {
				if fit, err = meet(tx, s.port.Name, st); err != nil {
					return err
				}
			}
			if err := s.learnProof(tx, st); err != nil {
				return err
			}
			if err := outbox.Report(tx, s.state(st)); err != nil {
				return err
			}
			// A modem that is not ready gets nothing, and gives back what it was given meanwhile.
			if job, found, err = outbox.Next(tx, s.port.Name, s.sources); err != nil || found || !st.Ready {
				return err
			}
			if at, ok, err := outbox.NextDue(tx); err != nil {
				return err
			} else if ok && at.Before(next) {
				// Due already, and still not ours: another sender's, or held back. Do not spin.
				next = at
				if wait := tx.Now().Add(idleRetry); next.Before(wait) {
					next = wait
				}
			}
			return nil
		})
		if err != nil {
			return next, err
		}
		if s.fit = fit; !found {
			return next, nil
		}
		if err := s.handOver(ctx, job); err != nil {
			return next, err
		}
	}
	return time.Time{}, ctx.Err()
}

// reportEvery is how often a sender reports its state at the least.
const reportEvery = 5 * time.Second

// idleRetry bounds how often a sender looks again for a message that is due but not for it.
const idleRetry = 250 * time.Millisecond

func (s *sender) state(st modem.Status) outbox.Sender {
	return outbox.Sender{
		Name: s.port.Name, SIM: st.ICCID, Network: st.Operator, Ready: st.Ready, Voice: s.speaks(st), Proven: s.proof.holds(st), Cause: st.Cause, Claims: true, PartTime: s.partTime,
	}
}

// speaks tells whether this sender takes calls: its modem can, and there is something to say.
func (s *sender) speaks(st modem.Status) bool {
	r := s.speech.Load()
	return r.plays(st) && len(r.usable()) > 0
}

// leave tells the outbox that this sender takes nothing any more.
func (s *sender) leave(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return s.store.Update(ctx, self, func(tx *store.Tx) error {
		st := s.state(s.modem.Status())
		st.Ready, st.Cause = false, "the daemon stops"
		if err := outbox.Report(tx, st); err != nil {
			return err
		}
		_, _, err := outbox.Next(tx, s.port.Name, s.sources) // gives back what it was given meanwhile
		return err
	})
}

// handOver gives every part of a message to the modem and settles the outcome. If we crash between
// the two, the message is still marked sending, and the next start makes it unknown.
//
// A code does not wait as long as its modem has to: after codePatience without an answer the attempt
// counts as unknown, another sender may take the same code, and this one stays out of the line until
// its modem has answered or was given up.
func (s *sender) handOver(ctx context.Context, job outbox.Job) error {
	defer s.pulse.free()
	if job.Message.Route[job.Message.Step].Channel == outbox.Call {
		s.pulse.busy(callAtMost)
		return s.callOut(ctx, job)
	}
	s.pulse.busy(partAtMost)
	air, cancel := s.airtime(ctx)
	defer cancel()
	var submitting sync.WaitGroup
	done := make(chan outbox.Result, 1)
	submitting.Go(func() { done <- s.submit(air, job) })
	defer submitting.Wait()
	var doubt <-chan time.Time
	if job.Message.Lane == outbox.OTP {
		t := time.NewTimer(codePatience)
		defer t.Stop()
		doubt = t.C
	}
	select {
	case r := <-done:
		s.figures.count(r)
		// The turn that follows would report the same in a commit of its own.
		if st := s.modem.Status(); !s.fit.news(st) {
			now := s.state(st)
			return s.settle(ctx, job, r, &now)
		}
		return s.settle(ctx, job, r, nil)
	case <-doubt:
	}
	held := s.state(s.modem.Status())
	held.Ready, held.Cause = false, noAnswer
	err := s.settle(ctx, job, outbox.Result{Outcome: outbox.Unknown, Cause: "no answer within " + codePatience.String()}, &held)
	// If we crash while it is awaited the attempt stays unknown, which is what is known of it.
	late := <-done
	s.figures.count(late)
	return errors.Join(err, s.amend(ctx, job, late))
}

// noAnswer is why a modem that is well takes nothing.
const noAnswer = "the network has not answered for the last message"

// amend keeps the answer that came after all; what is still unknown was said before.
func (s *sender) amend(ctx context.Context, job outbox.Job, late outbox.Result) error {
	if late.Outcome == outbox.Unknown && len(late.Parts) == 0 {
		return nil
	}
	return s.store.Update(context.WithoutCancel(ctx), self, func(tx *store.Tx) error {
		return outbox.Amend(tx, job.Message.ID, job.Attempt, late)
	})
}

// settle keeps the outcome, and in the same transaction the sender's state where that has changed.
func (s *sender) settle(ctx context.Context, job outbox.Job, r outbox.Result, state *outbox.Sender) error {
	return s.store.Update(context.WithoutCancel(ctx), self, func(tx *store.Tx) error {
		if state != nil {
			if err := outbox.Report(tx, *state); err != nil {
				return err
			}
		}
		return outbox.Settle(tx, job.Message.ID, job.Attempt, r)
	})
}

// airtime is the time that a hand-over has: as long as the network needs, and when the daemon stops
// a little longer than that.
func (s *sender) airtime(ctx context.Context) (context.Context, context.CancelFunc) {
	air, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var timer *time.Timer
	var mu sync.Mutex
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(stopPatience, func() { cancel(errors.New("the daemon stops")) })
	})
	return air, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
		cancel(nil)
	}
}

// submit hands all parts over by one SIM; the first that fails ends it, because a handset cannot
// reassemble parts of different attempts.
func (s *sender) submit(ctx context.Context, job outbox.Job) outbox.Result {
	parts, err := s.modem.Encode(modem.SMS{
		To: job.Message.To.E164(), Text: job.Rendered.Text, Validity: job.Rendered.Validity,
		Replace: replaceType(job.Rendered.Replace), Report: job.Rendered.Report, ConcatRef: job.ConcatRef,
	})
	if err != nil {
		return outbox.Result{Outcome: outbox.Refused, Cause: err.Error()}
	}
	s.pulse.busy(time.Duration(len(parts)) * partAtMost)
	relent := s.relentIfCodeWaits(ctx)
	defer relent()
	sent, err := s.modem.SendAll(ctx, parts)
	var done []outbox.Part
	for _, part := range sent {
		s.learn(part.Took)
		done = append(done, outbox.Part{Ref: part.Ref, State: outbox.Sent})
	}
	if err != nil {
		return failed(err, done)
	}
	return outbox.Result{Outcome: outbox.Sent, Parts: done}
}

// replaceType is the TP-PID of "replace short message type n" (23.040 9.2.3.9), 0 for none.
func replaceType(n uint8) uint8 {
	if n == 0 {
		return 0
	}
	return 0x40 | n
}

func failed(err error, done []outbox.Part) outbox.Result {
	r := outbox.Result{Outcome: outbox.Unknown, Parts: done, Cause: err.Error()}
	switch {
	case errors.Is(err, modem.ErrRefused):
		r.Outcome = outbox.Refused
	case errors.Is(err, modem.ErrNotSent) && len(done) == 0:
		r.Outcome = outbox.NotSent
	}
	if cms, ok := errors.AsType[*modem.CMSError](err); ok {
		r.Code, r.Class = cms.Code, fmt.Sprint(cms.Class)
	}
	return r
}

// learn keeps the moving average that admission reckons with.
func (s *sender) learn(took time.Duration) {
	if s.partTime == firstPartTime {
		s.partTime = took
		return
	}
	s.partTime += (took - s.partTime) / 8
}

// relentIfCodeWaits gives the part on air up, after onAirPatience, if a code waits that no other
// sender could take. The returned function ends the watch and waits for it.
func (s *sender) relentIfCodeWaits(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		wait := onAirPatience
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			wait = time.Second
			if s.codeWaits(ctx) {
				s.modem.GiveUp()
				return
			}
		}
	})
	return func() { cancel(); watch.Wait() }
}

func (s *sender) codeWaits(ctx context.Context) bool {
	var waits bool
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		waits, err = outbox.CodeWaits(tx)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.log.Error("look for waiting codes", "error", err)
	}
	return waits
}
