package modem

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
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

// minTries is how many PIN tries must be left for us to use one: the last one belongs to a person (callpilot#112).
const minTries = 2

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
			return &simError{"the SIM is blocked and needs its PUK, entered by a person", AlarmPIN}
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

// enterPIN gives the PIN once.
func (s *session) enterPIN() error {
	if s.m.o.PIN == nil {
		return &simError{"the SIM asks for a PIN and none is kept for it", AlarmPIN}
	}
	tries, known, err := s.pinTries()
	switch {
	case err != nil:
		return err
	case known && tries < minTries:
		return &simError{fmt.Sprintf("the SIM has %d PIN tries left: a person must enter it", tries), AlarmPIN}
	}
	pin, err := s.m.o.PIN(s.ctx)
	if err != nil {
		return fmt.Errorf("read PIN: %w", err)
	}
	if len(pin) < 4 || len(pin) > 8 || strings.Trim(pin, "0123456789") != "" {
		return &simError{"the PIN kept for the SIM is not 4 to 8 digits", AlarmPIN}
	}
	imei, hash := s.m.Status().IMEI, sha256.Sum256([]byte(pin))
	s.m.mu.Lock()
	bad := s.m.badPIN[imei] == hash
	s.m.mu.Unlock()
	if bad {
		return &simError{"the SIM refused its PIN; it is not tried again", AlarmPIN}
	}
	// If we crash between here and the answer, a try is used and nobody knows: the tries left are read again before the next.
	_, err = s.l.Do(context.WithoutCancel(s.ctx), line.Cmd{Text: `+CPIN="` + pin + `"`, Class: line.Rest}, s.m.o.Timing.SIM)
	var r *line.ResultError
	if errors.As(err, &r) {
		s.m.mu.Lock()
		s.m.badPIN[imei] = hash
		s.m.mu.Unlock()
		return &simError{"the SIM refused its PIN; it is not tried again", AlarmPIN}
	}
	return err
}

// pinTries asks how often the PIN may still be tried; not every modem tells.
func (s *session) pinTries() (tries int, known bool, err error) {
	for _, cmd := range s.p.PINTries {
		info, err := s.tryFor(cmd, s.m.o.Timing.Step)
		if err != nil {
			return 0, false, err
		}
		for _, l := range info {
			if n, ok := triesIn(l); ok {
				return n, true, nil
			}
		}
	}
	return 0, false, nil
}

// triesIn reads the tries of PIN1 from the answers of the vendors:
//
//	+CPINR: SIM PIN,3,3        27.007, 8.65
//	+QPINC: "SC",3,10          Quectel
//	+SPIC: 3,10,3,10           SIMCom: PIN1 first
//	^CPIN: READY,,10,3,10,3    Huawei: code, times, PUK, PIN, ...
//	#PCT: 3                    Telit: of what +CPIN? asks for
func triesIn(l string) (int, bool) {
	name, rest, ok := strings.Cut(l, ":")
	if !ok {
		return 0, false
	}
	f := fields(rest)
	at := -1
	switch strings.TrimSpace(name) {
	case "+CPINR":
		if len(f) > 0 && f[0] == "SIM PIN" {
			at = 1
		}
	case "+QPINC":
		if len(f) > 0 && f[0] == "SC" {
			at = 1
		}
	case "+SPIC", "#PCT":
		at = 0
	case "^CPIN":
		at = 3
	}
	if at < 0 || at >= len(f) {
		return 0, false
	}
	n, err := strconv.Atoi(f[at])
	return n, err == nil
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
	iccid, err := s.readICCID()
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
