package modem

import (
	"errors"
	"strings"
	"time"

	"pinward/modem/line"
)

// simError is a trouble with the SIM that a person must end. Its cause is for that person.
type simError struct {
	cause string
	alarm Alarm
}

func (e *simError) Error() string { return e.cause }

func isSIM(err error) bool {
	var e *simError
	return errors.As(err, &e)
}

// noSIM tells a refusal that is the SIM's fault from others: some modems say READY to +CPIN? with no SIM in them.
func noSIM(err error) error {
	var r *line.ResultError
	if !errors.As(err, &r) {
		return err
	}
	if r.Kind == "CMS" && r.Code == 310 || r.Kind == "CME" && r.Code == 10 || strings.EqualFold(r.Words, "SIM not inserted") {
		return &simError{"no SIM in the modem", AlarmSIMRemoved}
	}
	return err
}

// unlock waits for the SIM, and gives it its PIN if it asks for it and enough tries are left. A PIN that was refused is never
// tried again; a PUK is for a person.
func (s *session) unlock() error {
	end := time.Now().Add(s.m.o.Timing.SIM)
	entered := false
	for {
		state, err := s.simState()
		switch {
		case err != nil:
			return err
		case state == "READY":
			return nil
		case state == "SIM PIN" && !entered:
			if err := s.enterPIN(); err != nil {
				return err
			}
			entered, end = true, time.Now().Add(s.m.o.Timing.SIM)
			continue
		case state == "SIM PUK", state == "SIM PUK2":
			return &simError{"the SIM is blocked and needs its PUK, entered by a person", AlarmLocked}
		case state == "NOT INSERTED" && time.Now().After(end):
			return &simError{"no SIM in the modem", AlarmSIMRemoved}
		case time.Now().After(end):
			return &simError{"the SIM does not become ready", AlarmSIMFault}
		}
		sleep(s.ctx, min(time.Second, s.m.o.Timing.Step))
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
	}
}

// simState is the <code> of +CPIN? (27.007, 8.3), or what a +CME ERROR says instead of it.
func (s *session) simState() (string, error) {
	info, err := s.do("+CPIN?")
	return simStateIn(info, err)
}

func simStateIn(info []string, err error) (string, error) {
	if err == nil {
		return strings.Trim(field(info, "+CPIN"), `"`), nil
	}
	var r *line.ResultError
	if !errors.As(err, &r) {
		return "", err
	}
	switch {
	case r.Code == 10, strings.EqualFold(r.Words, "SIM not inserted"):
		return "NOT INSERTED", nil
	case r.Code == 11, strings.EqualFold(r.Words, "SIM PIN required"):
		return "SIM PIN", nil
	case r.Code == 12, strings.EqualFold(r.Words, "SIM PUK required"):
		return "SIM PUK", nil
	}
	return "BUSY", nil
}

// checkSIM looks at the SIM of a modem that is up: it may have been taken out or changed, with or without a word from the modem.
func (s *session) checkSIM() error {
	state, err := s.simState()
	switch {
	case err != nil:
		return err
	case state == "NOT INSERTED":
		return &simError{"no SIM in the modem", AlarmSIMRemoved}
	case state == "SIM PIN", state == "SIM PUK":
		return errChanged
	case state != "READY":
		s.lookedAt() // busy: it tells when it is ready
		return nil
	}
	_, iccid, err := askICCID(s.p, s.ask)
	if known := s.m.Status().ICCID; err == nil && iccid == "" && known != "" {
		sleep(s.ctx, min(time.Second, s.m.o.Timing.Step)) // it may only be busy
		_, iccid, err = askICCID(s.p, s.ask)
	}
	if err != nil {
		return err
	}
	if iccid != s.m.Status().ICCID {
		return errChanged
	}
	s.lookedAt()
	return nil
}

// lookedAt goes back to the phase that the modem has, if it waited for the SIM to be looked at.
func (s *session) lookedAt() {
	if s.m.Status().Phase == PhaseStarting {
		signal(s.regs)
	}
}

// noticeSIM holds the SIM that is in the modem against the one that should be.
func (m *Modem) noticeSIM(iccid string) {
	var swap *Swap
	m.update(func(st *Status) {
		switch {
		case iccid == "":
			return
		case m.expected == "":
			m.expected = iccid
		}
		st.Swapped = iccid != m.expected
		if st.Swapped && m.told != iccid {
			swap = &Swap{Old: m.expected, New: iccid}
		}
		m.told = ""
		if st.Swapped {
			m.told = iccid
		}
	})
	if swap != nil {
		m.o.Log.Warn("another SIM is in the modem", "modem", m.o.Name)
		m.offer(Event{Swap: swap, Done: func(error) {}})
	}
}
