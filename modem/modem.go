package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"pinward/modem/line"
	"pinward/modem/port"
)

// Options say what a modem is called and how it is treated; the zero value is right for a real modem.
type Options struct {
	// Name is for logs and status. It is no identity: IMEI and ICCID are.
	Name string
	// PIN gives the SIM's PIN when it asks for one; nil if no PIN is kept. It is called once for each PIN that the SIM takes or
	// refuses: a refused PIN is never tried again.
	PIN func(ctx context.Context) (string, error)
	// PINs is what is kept of PINs beyond this process.
	PINs PINLog
	// Log gets changes of phase and what a person should know; nil is slog.Default(). No number and no text is logged.
	Log *slog.Logger
	// Trace is told the name of each command, like "AT+CMGS", just before its first byte is written. Never an argument. It must
	// not block. Benchmarks measure with it.
	Trace func(event string)
	// ICCID is the SIM that should be in the modem; "" expects the first one that is seen. Another one is told by Event.Swap and
	// AlarmSIMSwapped.
	ICCID string
	// BalanceCode is asked for the USSD code by which the carrier of a SIM (by ICCID) tells its balance, as "*100#"; "" and nil are
	// the profile's choice.
	BalanceCode func(iccid string) string
	// Settings are for a module or SIM that does not send as it comes.
	Settings Settings
	// Audio opens the modem's PCM port (8 kHz, mono, 16 bit) for one call, already emptied of old input; nil if there is none. It is opened once at bring-up, to see whether it can be. A write
	// to it may fail with os.ErrDeadlineExceeded where it has SetWriteDeadline: see voice.NewPacer.
	Audio      func(ctx context.Context) (io.ReadWriteCloser, error)
	Timing     Timing
	CallTiming CallTiming
}

// Timing are the times of a modem; zero values are replaced by the defaults named here. Tests shorten them.
type Timing struct {
	Resync      time.Duration // 10 s: a modem that ran before must answer by its IMEI
	Boot        time.Duration // 60 s: a modem that was just opened or restarted must
	Step        time.Duration // 5 s for one command of bring-up and of the polls
	SIM         time.Duration // 20 s for a SIM that is busy after power-on
	Prompt      time.Duration // 10 s
	PromptDelay time.Duration // 100 ms between prompt and PDU; a profile may say otherwise
	Answer      time.Duration // 300 s from the PDU to +CMGS (reference 5.1)
	Status      time.Duration // 30 s between two looks at registration and signal; 2 s while not registered
	Storage     time.Duration // 60 s between two looks at the storage, at +CNMI and at which SIM it is
	Settings    time.Duration // 1 h between two looks at the other settings of SMS
	Service     time.Duration // 60 s for what the network answers: USSD, call forwarding
	Backoff     time.Duration // 1 s after the first failure, doubled up to BackoffMax
	BackoffMax  time.Duration // 60 s
	ResetWait   time.Duration // 0: what the profile says
	Quarantine  time.Duration // 60 s, doubled up to an hour
	ResetsHour  int           // 4 resets an hour at most
	WriteLimit  time.Duration // 5 s for one write to the port
}

func (t Timing) withDefaults() Timing {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Resync, 10 * time.Second}, {&t.Boot, time.Minute}, {&t.Step, 5 * time.Second}, {&t.SIM, 20 * time.Second},
		{&t.Prompt, 10 * time.Second}, {&t.PromptDelay, 100 * time.Millisecond}, {&t.Answer, 300 * time.Second},
		{&t.Status, 30 * time.Second}, {&t.Storage, time.Minute}, {&t.Backoff, time.Second}, {&t.BackoffMax, time.Minute},
		{&t.Settings, time.Hour}, {&t.Service, time.Minute}, {&t.Quarantine, time.Minute}, {&t.WriteLimit, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if t.ResetsHour == 0 {
		t.ResetsHour = 4
	}
	return t
}

// eventRoom is how many events may wait to be taken. A text beyond it stays in the SIM; a report or a ring beyond it is lost and
// counted.
const eventRoom = 256

// Modem is one modem. Its methods may be called from any goroutine, before, while and after Run runs.
type Modem struct {
	o       Options
	open    func(ctx context.Context) (io.ReadWriteCloser, error)
	events  chan Event
	changed chan struct{}

	trace  trace
	orders chan struct{}   // taken by the operator's order that runs
	wake   chan struct{}   // ends the pause between two sessions
	resets chan chan error // an operator's Reset, for Run's goroutine

	// ladder, lost and restarted belong to Run.
	ladder    ladder
	lost      lost
	restarted map[string]bool // settings that had their restart

	mu       sync.Mutex // guards what follows
	status   Status
	cur      *session                // the session that is brought up, nil between sessions
	lives    int                     // how often a session was brought up
	giveUps  int                     // how often GiveUp was called
	inCall   *calling                // the call that is up or being made
	identity simIdentity             // of the SIM in cur
	inbox    map[[32]byte]inboxState // texts that were offered, by hash
	failures int                     // sends that failed in a row
	rejected map[string]bool         // recipients that were doubtfully refused since a text was taken, at most quarantineAfter
	barred   quarantine
	penalty  time.Duration // the last quarantine
	expected string        // ICCID
	told     string        // ICCID of the last Event.Swap
	days     days
	typed    *pinOrder        // a PIN that an operator typed, until it is used
	badPIN   map[usedPIN]bool // PINs that were refused: none of them is tried again
}

// New makes a modem on the port that open opens: open is called again whenever the port was lost. Nothing happens before Run.
func New(open func(ctx context.Context) (io.ReadWriteCloser, error), o Options) *Modem {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Timing, o.CallTiming = o.Timing.withDefaults(), o.CallTiming.withDefaults()
	warm()
	return &Modem{
		o:        o,
		open:     open,
		events:   make(chan Event, eventRoom),
		changed:  make(chan struct{}, 1),
		orders:   make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		resets:   make(chan chan error),
		expected: o.ICCID, restarted: map[string]bool{},
		inbox:  map[[32]byte]inboxState{},
		badPIN: map[usedPIN]bool{},
		status: Status{Name: o.Name, Phase: PhaseDown, Cause: "not started", Since: time.Now(), Registration: RegUnread,
			Profile: generic().Name},
	}
}

// Run drives the modem until ctx ends: it opens the port, brings the modem up, watches it, and opens or resets it again when it
// fails. A modem that cannot be had is a state, not an error; Run returns nil after every goroutine and the port are closed.
func (m *Modem) Run(ctx context.Context) error {
	lost := ""
	for ctx.Err() == nil {
		m.ladder.started = time.Now()
		typed := m.waitingPIN()
		err := m.once(ctx)
		if ctx.Err() != nil {
			break
		}
		wait := m.ladder.after(err, m.o.Timing)
		cause, phase := plain(err), PhaseDown
		if errors.Is(err, errReset) || errors.Is(err, errRebooted) && cause != m.ladder.why {
			cause = m.ladder.begun(cause)
		}
		// A PIN that came after the SIM had refused the one before it is for the next session, which begins at once.
		if !isSIM(err) || m.waitingPIN() == typed {
			m.answerPIN(fmt.Errorf("%w: %s", ErrNotUp, cause))
		}
		if isSIM(err) {
			phase = PhaseBlocked
		}
		m.trouble(phase, cause, alarmOf(err))
		if text := err.Error(); text != lost { // not each second while a stick lies on the table
			lost = text
			m.o.Log.Info("modem lost", "modem", m.o.Name, "error", err, "again_in", wait)
		}
		m.pause(ctx, wait)
	}
	m.phase(PhaseDown, "stopped")
	m.ladder.answer(ErrNotUp)
	m.answerPIN(ErrNotUp)
	return nil
}

// once is one life of the port.
func (m *Modem) once(ctx context.Context) error {
	rw, err := m.open(ctx)
	if err != nil {
		m.ladder.answer(err)
		return fmt.Errorf("open modem: %w", err)
	}
	s := newSession(m, rw)
	defer s.close()
	err = s.run(ctx)
	switch {
	case errors.Is(err, errReset):
		m.lost = lost{} // we sent it away
	case s.served && s.l.Err() != nil:
		m.lost = lost{imei: m.Status().IMEI, at: time.Now()}
	}
	m.ladder.limbo = s.l.Limbo() && !errors.Is(err, errReset) && !errors.Is(err, port.ErrUnplugged)
	return err
}

// pause waits before the port is opened again. An operator's Reset ends it, the next session begins with a restart; and so does a
// PIN that an operator typed.
func (m *Modem) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-m.wake:
	case done := <-m.resets:
		m.ladder.order(done)
	}
}

// Status is a snapshot.
func (m *Modem) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.figures()
	return m.status
}

// figures brings up to date what changes by time alone. It needs mu.
func (m *Modem) figures() {
	now := time.Now()
	m.status.ResetsDay, m.status.RebootsDay = m.days.resets.count(now), m.days.reboots.count(now)
	m.status.Alarms = m.status.standing()
}

// Changed gets a value when Status has changed; at most one waits.
func (m *Modem) Changed() <-chan struct{} { return m.changed }

// Events gives what comes in: reports and texts in the order in which the modem told them. It is never closed.
func (m *Modem) Events() <-chan Event { return m.events }

// update changes the status and tells those who watch.
func (m *Modem) update(f func(*Status)) {
	m.mu.Lock()
	before := m.status
	f(&m.status)
	m.status.Ready = m.status.Phase == PhaseReady
	m.figures()
	if m.status.Phase != before.Phase {
		m.status.Since = time.Now()
	}
	after := m.status
	m.mu.Unlock()
	if after == before {
		return
	}
	if after.Phase != before.Phase || after.Cause != before.Cause {
		m.o.Log.Info("modem "+string(after.Phase), "modem", m.o.Name, "cause", after.Cause)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *Modem) phase(p Phase, cause string) {
	m.trouble(p, cause, AlarmNone)
}

// trouble is phase with the name of what is wrong.
func (m *Modem) trouble(p Phase, cause string, a Alarm) {
	m.update(func(s *Status) {
		s.Phase, s.Cause, s.Alarm = p, cause, a
		if p != PhaseQuarantined {
			s.Until = time.Time{}
		}
	})
}

// plain says the cause of a failure in words for whoever stands in front of the box.
func plain(err error) string {
	var sim *simError
	var refused *line.ResultError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &sim):
		return sim.cause
	case errors.Is(err, port.ErrBusy):
		return "another program uses the port"
	case errors.Is(err, port.ErrUnplugged):
		return "no modem at the port: unplugged, without power, or restarting"
	case errors.Is(err, errReset):
		return "modem is restarting"
	case errors.Is(err, errRebooted):
		return "modem restarted by itself"
	case errors.Is(err, errSilent):
		return "modem does not answer"
	case errors.Is(err, port.ErrStuck), errors.Is(err, line.ErrStuck):
		return "modem does not take commands"
	}
	if errors.As(err, &refused) {
		return "modem refuses to be set up: " + refused.Error()
	}
	return "connection to the modem lost"
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
