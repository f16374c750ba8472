package modem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"pinward/modem/line"
)

// Sent is what the network's acceptance says.
type Sent struct {
	Ref   byte          // TP-MR, by which a Report names this part. One octet: it wraps, and some modems repeat it.
	ICCID string        // of the SIM by which it left; "" where the modem does not tell
	Took  time.Duration // from the first byte, or from the wait for the line, to the network's answer
}

// String shows nothing of the SIM.
func (s Sent) String() string { return fmt.Sprintf("sent, reference %d", s.Ref) }

// GoString shows nothing of the SIM.
func (s Sent) GoString() string { return s.String() }

// LogValue shows nothing of the SIM.
func (s Sent) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Send gives one TPDU to the network and waits for what the network says: seconds, or up to 300 s after the PDU.
//
//	nil            the service centre took it
//	ErrNotSent     proved: no PDU left, or the network did not take it; try elsewhere, or again
//	ErrRefused     the network refuses this recipient: never again
//	anything else  unknown: it may have left, and may still arrive
//
// With errors.As a *CMSError gives the code where the modem gave one. When ctx ends before the first byte the error is ErrNotSent;
// when it ends later Send returns its cause at once (unknown), but the modem stays with the message until its answer, the 300 s,
// or GiveUp. Sends of several callers run one after the other. The parts of a longer text belong into one SendAll.
func (m *Modem) Send(ctx context.Context, t TPDU) (Sent, error) {
	h, err := m.hold()
	if err != nil {
		return Sent{}, err
	}
	return m.send(ctx, h, t)
}

// result reads the answer to +CMGS.
func result(info []string, err error) (Sent, error) {
	var r *line.ResultError
	refused := errors.As(err, &r)
	switch {
	case err == nil:
		ref, err := strconv.ParseUint(fields(field(info, "+CMGS"))[0], 10, 8)
		if err != nil {
			// A prompt that was left also ends with OK (27.005, 3.5.1): without a reference nothing is proved.
			return Sent{}, errors.New("read +CMGS: OK without a message reference")
		}
		return Sent{Ref: byte(ref)}, nil
	case errors.Is(err, line.ErrNotStarted), errors.Is(err, line.ErrNoPrompt):
		if refused && r.Kind != "ERROR" {
			return Sent{}, fmt.Errorf("%w: %w", ErrNotSent, cmsError(r))
		}
		return Sent{}, fmt.Errorf("%w: %w", ErrNotSent, err)
	case refused:
		return Sent{}, cmsError(r).outcome()
	}
	return Sent{}, fmt.Errorf("outcome unknown: %w", err)
}

// cmsError sorts a refusal. A bare ERROR after the PDU is ambiguous.
func cmsError(r *line.ResultError) *CMSError {
	e := &CMSError{Kind: r.Kind, Code: r.Code, Class: ClassAmbiguous}
	switch {
	case r.Code >= 0:
		e.Class = classOf(r.Kind, r.Code)
	case strings.EqualFold(r.Words, "no network service"):
		e.Class = ClassTransient
	case strings.HasPrefix(strings.ToUpper(r.Words), "SIM "):
		e.Class = ClassSIM
	}
	return e
}

// quarantineAfter is how many sends in a row may fail (smstools: blockafter 3).
const quarantineAfter = 3

// account draws the consequences of an outcome for the modem: a message that was left without an answer, a SIM that was refused,
// a storage that is full, too many failures in a row. to is the recipient's address field.
func (m *Modem) account(s *session, to string, err error) {
	var e *CMSError
	errors.As(err, &e)
	if s.l.Dirty() && s.l.Err() == nil {
		m.update(func(st *Status) { // at once: nobody may take a message for it now
			if st.Phase == PhaseReady {
				st.set(PhaseStarting, unproved, AlarmNone)
			}
		})
	}
	switch {
	case m.rejects(to, e, err == nil): // with one recipient after another it is the SIM
	case err == nil, errors.Is(err, ErrRefused), e != nil && e.Class == ClassFault:
		// The modem is well; the recipient is not, or we are not.
		m.mu.Lock()
		m.failures, m.penalty = 0, 0
		m.mu.Unlock()
		return
	case errors.Is(err, line.ErrTimeout) && !errors.Is(err, ErrNotSent):
		signal(s.kick)
		return
	case errors.Is(err, line.ErrNotStarted), errors.Is(err, line.ErrAborted), errors.Is(err, line.ErrClosed):
		return // says nothing of the network; the session sees to the rest
	}
	if e != nil && e.Class == ClassStorage {
		signal(s.look)
	}
	signal(s.regs)
	m.mu.Lock()
	m.failures++
	sim := e != nil && e.Class == ClassSIM
	rejected := len(m.rejected) >= quarantineAfter
	if m.failures < quarantineAfter && !sim && !rejected {
		m.mu.Unlock()
		return
	}
	m.failures, m.rejected = 0, nil
	m.penalty = min(max(2*m.penalty, m.o.Timing.Quarantine), time.Hour)
	m.barred.until = time.Now().Add(m.penalty)
	m.barred.cause, m.barred.alarm = fmt.Sprintf("%d sends in a row failed", quarantineAfter), AlarmSending
	switch {
	case sim:
		m.barred.cause, m.barred.alarm = "the network refuses the SIM: "+e.Error(), simAlarm(e)
	case rejected:
		m.barred.cause = fmt.Sprintf("the network refused %d recipients in a row: credit, or what the SIM's contract bars", quarantineAfter)
	}
	bar := m.barred
	m.mu.Unlock()
	m.update(func(st *Status) {
		if st.Phase == PhaseReady {
			st.set(PhaseQuarantined, bar.cause, bar.alarm)
			st.Until = bar.until
		}
	})
	signal(s.credit)
}

// rejects says whether so many recipients were refused in a row, and for a reason that may as well be the SIM's, that they cannot
// all be at fault: some carriers answer so for an empty balance (reference 5.2). One recipient counts once, however often it is
// tried. e is nil for what the network did not refuse.
func (m *Modem) rejects(to string, e *CMSError, taken bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if taken {
		m.rejected = nil
	}
	if e == nil || !e.Doubtful() {
		return false
	}
	if m.rejected == nil {
		m.rejected = map[string]bool{}
	}
	m.rejected[to] = true
	return len(m.rejected) >= quarantineAfter
}

// checkCredit asks for the balance of a SIM whose sends fail: an empty one fails in any way there is (reference 5.2). It runs
// beside the session, because the network takes its time.
func (s *session) checkCredit() {
	p := s.p
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		release, err := s.m.one(s.ctx)
		if err != nil {
			return
		}
		defer release()
		amount, err := s.balance(s.ctx, p)
		if err != nil || !spent(amount) {
			return // not the reason, or the carrier does not tell: the cause stays as it is
		}
		s.m.mu.Lock()
		s.m.barred.cause, s.m.barred.alarm = "the SIM has no credit left", AlarmNoCredit
		s.m.mu.Unlock()
		signal(s.regs)
	}()
}

// quarantine is a time without sends, for a modem that fails; it outlives the session.
type quarantine struct {
	until time.Time
	cause string
	alarm Alarm
}

// GiveUp frees a modem that does not answer a send, for a code that waits and no other modem to take it: ESC, resync, restart. The
// running Send returns at once: unknown. Between two parts of a SendAll the text ends there, and the modem needs no restart. Without
// a running send it does nothing.
func (m *Modem) GiveUp() {
	m.mu.Lock()
	s := m.cur
	m.giveUps++
	m.mu.Unlock()
	if s == nil || !s.l.Sending() {
		return
	}
	s.l.Abort()
	signal(s.kick)
}

// Query asks a modem one of the questions that its profile lists, for an operator. cmd is without "AT".
func (m *Modem) Query(ctx context.Context, cmd string) ([]string, error) {
	m.mu.Lock()
	s, name := m.cur, m.status.Profile
	m.mu.Unlock()
	p := profiles()[name]
	if !p.allows(cmd) {
		return nil, ErrQuery
	}
	if s == nil {
		return nil, fmt.Errorf("query modem: %w", ErrNotUp)
	}
	return s.l.Do(ctx, line.Cmd{Text: cmd, Class: line.Rest, Answers: p.Answers[cmd]}, m.o.Timing.Step)
}
