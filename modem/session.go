package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pinward/modem/line"
)

// What ends a session, besides the errors of the port.
var (
	errSilent   = errors.New("modem does not answer")
	errReset    = errors.New("modem was restarted")
	errRebooted = errors.New("modem rebooted by itself")
	errChanged  = errors.New("the SIM was changed")
	errOrdered  = errors.New("restart ordered")
)

// session is one life of an open port. Its main goroutine is Run's; watch is the only other one that lives as long as it does.
type session struct {
	m  *Modem
	l  *line.Line
	wg sync.WaitGroup

	ctx    context.Context // ends with the session
	cancel context.CancelFunc

	rebooted  chan struct{}   // from watch: the modem told that it started
	starts    atomic.Int64    // how often it told so
	caught    chan func()     // to watch, from catchUp
	kick      chan struct{}   // the line is dirty
	look      chan struct{}   // look at the storage
	regs      chan struct{}   // look at the registration
	sim       chan struct{}   // look at the SIM
	credit    chan struct{}   // sends fail: is there credit?
	ordered   chan chan error // an operator's Reset, from watch
	ussd      chan string     // what stands behind +CUSD:, the last one
	leaveUSSD chan struct{}   // end the USSD dialogue
	cure      chan string     // a call leaves the module in need of a restart: why

	// Owned by Run's goroutine.
	p       profile
	mem     string          // where the modem keeps texts that come in
	back    string          // the command that selected it
	extra   map[string]bool // other memories in which it announced something
	pending []string        // settings that count from the next start
	others  []string        // further memories, until they were found empty after the start
	reports bool            // it gives status reports
	served  bool            // it was brought up
	ways    []way           // to play into a call; written before the session is the modem's current one

	ring ringState // owned by watch

	mu      sync.Mutex    // guards what follows
	mems    []string      // memories named by +CMTI and +CDSI, for extra
	hanging chan struct{} // open while the hang-up of a call that rang is on its way, else nil
}

func newSession(m *Modem, rw io.ReadWriteCloser) *session {
	s := &session{
		m:         m,
		rebooted:  make(chan struct{}, 1),
		caught:    make(chan func()),
		kick:      make(chan struct{}, 1),
		look:      make(chan struct{}, 1),
		regs:      make(chan struct{}, 1),
		sim:       make(chan struct{}, 1),
		credit:    make(chan struct{}, 1),
		ordered:   make(chan chan error, 1),
		ussd:      make(chan string, 1),
		leaveUSSD: make(chan struct{}, 1),
		cure:      make(chan string, 1),
		p:         generic(),
		extra:     map[string]bool{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.l = line.New(rw, line.Options{WriteTimeout: m.o.Timing.WriteLimit, PromptDelay: m.o.Timing.PromptDelay, Trace: m.o.Trace, Tap: m.trace.add,
		Gap: firstGap})
	s.wg.Add(1)
	go s.watch()
	return s
}

// firstGap is the pause between commands while the make is not known: no module is known to need more.
const firstGap = 20 * time.Millisecond

// close ends the session and waits for all of it. A running send ends with line.ErrClosed: unknown.
func (s *session) close() {
	s.m.mu.Lock()
	if s.m.cur == s {
		s.m.cur = nil
	}
	s.m.mu.Unlock()
	s.cancel()
	s.l.Close()
	s.wg.Wait()
	select {
	case done := <-s.ordered: // nothing came of it in this session
		s.m.ladder.order(done)
	default:
	}
	stats := s.l.Stats()
	s.m.update(func(st *Status) { st.Dropped += stats.URCsDropped + stats.Orphans + stats.LinesDropped })
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run brings the modem up and serves it until the session must end; it never returns nil while ctx lasts.
func (s *session) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.cancel)()
	if done := s.m.ladder.asked; done != nil {
		s.m.ladder.asked = nil
		return s.obey(done)
	}
	if s.m.ladder.restart && s.m.Status().IMEI != "" {
		if err := s.reset("opening the port again did not help"); err != nil {
			return err
		}
	}
	for boots := 0; ; boots++ {
		s.m.phase(PhaseStarting, s.m.ladder.begun("starting"))
		err := s.bringUp()
		if err == nil {
			s.begin()
			s.m.answerPIN(ErrNoPINWanted)
			err = s.serve()
		}
		s.end()
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		select {
		case <-s.rebooted: // whatever the commands in flight made of it
			if boots < maxBoots && s.l.Err() == nil {
				continue
			}
			return errRebooted
		case done := <-s.ordered:
			return s.obey(done)
		default:
		}
		if errors.Is(err, errChanged) && boots < maxBoots {
			continue
		}
		return err
	}
}

// maxBoots is how many reboots in one session are answered by bringing the modem up again; more is a modem without enough power.
const maxBoots = 10

func (s *session) begin() {
	s.served = true
	s.m.ladder.why = ""
	s.m.mu.Lock()
	s.m.cur = s
	s.m.lives++
	s.m.mu.Unlock()
}

func (s *session) end() {
	s.m.mu.Lock()
	s.m.cur = nil
	s.m.mu.Unlock()
}

// serve looks after a modem that is up. Sends run beside it, in the line's own order.
func (s *session) serve() error {
	t := s.m.o.Timing
	status, storage, settings := time.NewTimer(0), time.NewTimer(0), time.NewTimer(t.Settings)
	defer status.Stop()
	defer storage.Stop()
	defer settings.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-s.l.Ended():
			return s.l.Err()
		case <-s.kick:
		case <-s.regs:
			err = s.readStatus()
		case <-status.C:
			err = s.readStatus()
			status.Reset(s.nextStatus())
		case <-s.look:
			err = s.sweep()
		case <-storage.C:
			if err = s.sweep(); err == nil {
				err = s.checkRouting()
			}
			if err == nil {
				err = s.checkSIM() // one that was changed without a word
			}
			if err == nil {
				err = s.readVoice()
			}
			storage.Reset(t.Storage)
		case <-s.sim:
			err = s.checkSIM()
		case <-settings.C:
			err = s.checkSettings()
			settings.Reset(t.Settings)
		case <-s.leaveUSSD:
			err = s.try("+CUSD=2")
		case <-s.credit:
			s.checkCredit()
		case why := <-s.cure:
			err = s.reset(why)
		}
		if err == nil && s.l.Dirty() {
			err = line.ErrDirty
		}
		if err != nil {
			if err = s.recover(err); err != nil {
				return err
			}
		}
	}
}

// nextStatus is when to look again: soon while there is no network, and when a quarantine ends.
func (s *session) nextStatus() time.Duration {
	st, t := s.m.Status(), s.m.o.Timing
	switch st.Phase {
	case PhaseReady:
		return t.Status
	case PhaseQuarantined:
		return max(min(time.Until(st.Until), t.Status), time.Millisecond)
	}
	return min(2*time.Second, t.Status)
}

// recover is the lowest step of the ladder: after an error of a command, prove that the line is clean. A command that was only
// refused needs nothing.
func (s *session) recover(err error) error {
	var refused *line.ResultError
	switch {
	case len(s.ordered) > 0:
		return errOrdered
	case errors.As(err, &refused) && !s.l.Dirty():
		return nil
	case errors.Is(err, errReset), errors.Is(err, errSilent), errors.Is(err, errRebooted), errors.Is(err, errChanged), isSIM(err):
		return err // a higher step of the ladder was taken already, or is due
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case s.l.Err() != nil:
		return s.l.Err()
	case len(s.rebooted) > 0:
		return errRebooted
	case s.l.Limbo():
		return s.leaveLimbo()
	}
	s.m.phase(PhaseStarting, unproved)
	if err := s.resync(s.m.o.Timing.Resync); err != nil {
		return err
	}
	signal(s.regs) // back to the phase that it has
	return nil
}

// unproved is the cause while a line is dirty.
const unproved = "an answer did not come; the connection is checked"

// resync proves that the modem we know answers, and that nothing late can meet the next command.
func (s *session) resync(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	known := s.m.Status().IMEI
	imei, err := s.l.Resync(ctx, known)
	switch {
	case errors.Is(err, line.ErrOtherModem):
		// Another modem at the same port: it is brought up as what it is.
		s.m.update(func(st *Status) { st.IMEI, st.ICCID, st.IMSI, st.Number = "", "", "", "" })
		return fmt.Errorf("%w: %w", errSilent, err)
	case err != nil && s.ctx.Err() == nil && s.l.Err() == nil:
		return fmt.Errorf("%w: %w", errSilent, err)
	case err != nil:
		return err
	}
	if known != imei {
		s.m.update(func(st *Status) { st.IMEI = imei })
	}
	if was := s.m.lost; was.imei == imei && time.Since(was.at) < returnLimit {
		s.m.rebooted() // it left the bus and came back
	}
	s.m.lost = lost{}
	return nil
}

// leaveLimbo ends a send without an answer: the modem is restarted, because an answer that comes late would be taken for the next
// message's (defect 4). Where no restart is left this hour, a resync has to do.
func (s *session) leaveLimbo() error {
	s.m.phase(PhaseStarting, "a send was not answered; the modem is restarted")
	if err := s.resync(s.m.o.Timing.Resync); err != nil && (s.ctx.Err() != nil || s.l.Err() != nil) {
		return err
	}
	return s.reset("a send was not answered")
}

// reset restarts the module, if one is left this hour, and waits for it. It returns errReset: the port must be opened again.
func (s *session) reset(why string) error {
	t := s.m.o.Timing
	if !s.m.ladder.mayReset(t) {
		s.m.o.Log.Warn("modem not restarted: too many restarts this hour", "modem", s.m.o.Name, "why", why)
		if s.l.Dirty() {
			return errSilent
		}
		return errRebooted // bring it up again as it is
	}
	return s.restart(why)
}

// obey restarts the module for an operator, whatever the cap says.
func (s *session) obey(done chan error) error {
	s.m.ladder.taken()
	err := s.restart("ordered by an operator")
	if errors.Is(err, errReset) {
		done <- nil
	} else {
		done <- err
	}
	return err
}

func (s *session) restart(why string) error {
	t := s.m.o.Timing
	s.m.o.Log.Warn("modem is restarted", "modem", s.m.o.Name, "why", why)
	s.m.update(func(st *Status) {
		st.Resets++
		s.m.days.resets.add(time.Now())
		st.set(PhaseStarting, s.m.ladder.begun("modem is restarting"), AlarmNone)
	})
	select {
	case <-s.rebooted: // of a start before this one
	default:
	}
	if err := s.l.Reset(s.ctx, s.profile().Reset, t.Step); err != nil && (s.ctx.Err() != nil || errors.Is(err, line.ErrStuck)) {
		return err
	}
	// Any other error says nothing: a module on USB leaves the bus with its answer.
	wait := t.ResetWait
	if wait == 0 {
		wait = time.Duration(s.profile().ResetWait)
	}
	s.awaitBoot(wait)
	return fmt.Errorf("%w: %s", errReset, why)
}

// bootRest is how long a module that told of its start is left alone: the first commands of a start get lost (reference 3).
const bootRest = 2 * time.Second

// awaitBoot waits for a module that was sent into a restart. One that stays at its port tells when it has started; one that leaves
// the bus does not, and its port must not be opened before it has gone.
func (s *session) awaitBoot(limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	case <-s.rebooted:
		sleep(s.ctx, min(bootRest, limit))
	}
}
