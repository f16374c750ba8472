package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pinward/modem/line"
)

// SendAll gives the parts of one text to the network, in order. A handset joins parts only by sender and reference, so they must
// leave by one SIM (reference 9): the SIM is asked for its number after each part, and a modem that has restarted or holds another
// SIM gets no further one.
//
// The parts that the network took are returned also beside an error. The error is Send's where no part was taken. Behind a part that
// was taken it is never ErrNotSent: the text as a whole is unknown, to be sent again whole, under a new reference, or not at all.
// ErrRefused stays what it is.
//
// A text of one part costs nothing more than Send. For several the modem is asked to keep the channel between them (+CMMS=1, 27.005,
// 3.5.6), and never otherwise.
func (m *Modem) SendAll(ctx context.Context, parts []TPDU) ([]Sent, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("%w: no parts", ErrNotSent)
	}
	h, err := m.hold()
	if err != nil {
		return nil, err
	}
	if len(parts) > 1 {
		// Best effort. A line that it leaves dirty refuses the part, which says more than this error does.
		_, _ = h.s.l.Do(ctx, line.Cmd{Text: "+CMMS=1", Class: line.Code}, m.o.Timing.Step)
	}
	var sent []Sent
	for i, part := range parts {
		one, err := m.send(ctx, h, part)
		if err != nil {
			return sent, behind(sent, err)
		}
		sent = append(sent, one)
		if len(parts) == 1 {
			break
		}
		err = h.same(ctx)
		if errors.Is(err, errMoved) || err != nil && i < len(parts)-1 {
			return sent, fmt.Errorf("outcome unknown: after part %d of %d: %w", i+1, len(parts), err)
		}
	}
	return sent, nil
}

// behind makes the error of a later part one of the whole text.
func behind(sent []Sent, err error) error {
	if len(sent) == 0 || !errors.Is(err, ErrNotSent) {
		return err
	}
	var cms *CMSError
	if errors.As(err, &cms) {
		return fmt.Errorf("outcome unknown: %d parts left, the next did not: %w", len(sent), cms)
	}
	return fmt.Errorf("outcome unknown: %d parts left, the next did not: %v", len(sent), err)
}

// errMoved says that parts of a text may have left by two SIMs, or would.
var errMoved = errors.New("the modem restarted, or holds another SIM")

// hold is what must not change while the parts of a text leave.
type hold struct {
	m             *Modem
	s             *session
	life, giveUps int
	sim           simIdentity
}

// simIdentity is what tells one SIM from another, and how to ask for it.
type simIdentity struct {
	cmd, value string // "" where the modem tells neither ICCID nor IMSI
	iccid      string
}

// hold takes note of the SIM in a modem that is ready.
func (m *Modem) hold() (hold, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur == nil || m.status.Phase != PhaseReady {
		return hold{}, fmt.Errorf("%w: modem is %s", ErrNotSent, m.status.Phase)
	}
	return hold{m, m.cur, m.lives, m.giveUps, m.identity}, nil
}

// same asks the SIM who it is: one short command.
func (h hold) same(ctx context.Context) error {
	if !h.lasts() {
		return errMoved
	}
	if h.sim.cmd == "" {
		return nil
	}
	info, err := h.s.l.Do(ctx, line.Cmd{Text: h.sim.cmd, Class: line.Code, Answers: h.s.profile().Answers[h.sim.cmd]}, h.m.o.Timing.Step)
	if err != nil {
		if h.s.l.Dirty() {
			signal(h.s.kick)
		}
		return fmt.Errorf("ask for the SIM: %w", err)
	}
	if digits(info) != h.sim.value || !h.lasts() {
		signal(h.s.sim)
		return errMoved
	}
	return nil
}

// lasts says that the modem has not been brought up anew.
func (h hold) lasts() bool {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return h.m.cur == h.s && h.m.lives == h.life
}

// send is Send of one part under a hold.
func (m *Modem) send(ctx context.Context, h hold, t TPDU) (Sent, error) {
	if err := m.awaitCall(ctx, h.s); err != nil {
		return Sent{}, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	m.mu.Lock()
	phase := m.status.Phase
	same, given := m.cur == h.s && m.lives == h.life, m.giveUps != h.giveUps
	m.mu.Unlock()
	switch {
	case !same || phase != PhaseReady:
		return Sent{}, fmt.Errorf("%w: modem is %s", ErrNotSent, phase)
	case given:
		return Sent{}, fmt.Errorf("%w: given up for another message", ErrNotSent)
	}
	start := time.Now()
	cmd, pdu := t.AT()
	timing := m.o.Timing
	info, err := h.s.l.SMS(ctx, line.Cmd{Text: cmd, Class: line.Code}, pdu, timing.Prompt, timing.Answer)
	sent, err := result(info, err)
	if ctx.Err() == nil || errors.Is(err, ErrNotSent) {
		m.account(h.s, t.to, err)
	}
	if err == nil {
		sent.ICCID, sent.Took = h.sim.iccid, time.Since(start)
	}
	return sent, err
}
