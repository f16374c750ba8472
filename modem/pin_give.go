package modem

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pinward/modem/line"
)

// enterPIN gives the SIM its PIN once: the one that an operator has just typed, or else the one that is kept for it.
func (s *session) enterPIN() error {
	if s.m.o.PIN == nil && !s.m.hasPIN() {
		return &simError{"the SIM asks for a PIN and none is kept for it", AlarmPIN}
	}
	left, err := s.pinTries()
	if err != nil {
		return err
	}
	if left >= 0 && left < minTries {
		s.m.answerPIN(&PINError{Left: left})
		return &simError{"the SIM's PIN has " + tries(left) + " left, which belongs to a person with a telephone", AlarmLocked}
	}
	if order := s.m.takePIN(); order != nil {
		err := s.givePIN(order.pin)
		order.done <- s.told(err)
		return err
	}
	pin, err := s.m.o.PIN(s.ctx)
	if err != nil {
		return fmt.Errorf("read PIN: %w", err)
	}
	if !validPIN(pin) {
		return &simError{"the PIN kept for the SIM is not 4 to 8 digits", AlarmPIN}
	}
	if s.m.refusedPIN(pin) {
		return errPINRefused
	}
	if may, err := s.mayGive(pin, left); err != nil {
		return fmt.Errorf("give PIN: %w", err)
	} else if !may {
		return errPINRefused
	}
	return s.givePIN(pin)
}

// errPINRefused blocks a modem until a person has done something about it.
var errPINRefused = &simError{"the SIM refused its PIN; it is not tried again", AlarmPIN}

// told is what the operator hears of givePIN's error.
func (s *session) told(err error) error {
	if !errors.Is(err, errPINRefused) {
		return err
	}
	left, err := s.pinTries()
	if err != nil {
		left = -1
	}
	return &PINError{Refused: true, Left: left}
}

// givePIN uses up a try if the PIN is wrong. If we crash between here and the answer, nobody knows that a try is used: the tries
// left are read again before the next, and PINLog.Begin knows of it.
func (s *session) givePIN(pin string) error {
	_, err := s.l.Do(context.WithoutCancel(s.ctx), line.Cmd{Text: `+CPIN="` + pin + `"`, Class: line.Rest}, s.m.o.Timing.SIM)
	var r *line.ResultError
	switch {
	case errors.As(err, &r):
		s.usedPIN(pin, false)
		return errPINRefused
	case err == nil:
		s.usedPIN(pin, true)
	}
	return err
}

// usedPIN keeps what the SIM said to a PIN. What cannot be kept for the next start is in the log, and holds in this one.
func (s *session) usedPIN(pin string, taken bool) {
	used := usedPIN{s.m.Status().IMEI, sha256.Sum256([]byte(pin))}
	s.m.mu.Lock()
	s.m.badPIN[used] = !taken // a taken one that was refused before was another SIM's
	s.m.mu.Unlock()
	if s.m.o.PINs.End == nil {
		return
	}
	if err := s.m.o.PINs.End(context.WithoutCancel(s.ctx), s.lockedSIM(), pin, taken); err != nil {
		s.m.o.Log.Error("keep what became of a PIN", "modem", s.m.o.Name, "error", err)
	}
}

// mayGive asks whether a kept PIN may be given; left is -1 where the modem does not tell the tries left.
func (s *session) mayGive(pin string, left int) (bool, error) {
	if s.m.o.PINs.Begin == nil {
		return true, nil
	}
	return s.m.o.PINs.Begin(s.ctx, s.lockedSIM(), pin, left)
}

// lockedSIM names the SIM that waits for its PIN: its ICCID, which most modules tell before the PIN, or else the IMEI of the modem
// that it is in.
func (s *session) lockedSIM() string {
	if _, iccid, err := askICCID(s.p, s.ask); err == nil && iccid != "" {
		return iccid
	}
	return s.m.Status().IMEI
}

// refusedPIN says that this PIN was refused in this modem before.
func (m *Modem) refusedPIN(pin string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.badPIN[usedPIN{m.status.IMEI, sha256.Sum256([]byte(pin))}]
}

func (m *Modem) hasPIN() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.typed != nil
}

// pinTries asks how often the PIN may still be tried; -1 where the modem does not tell.
func (s *session) pinTries() (left int, err error) {
	for _, cmd := range s.p.PINTries {
		info, err := s.ask(cmd)
		if err != nil {
			return -1, err
		}
		for _, l := range info {
			if n, ok := triesIn(l); ok {
				return n, nil
			}
		}
	}
	return -1, nil
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
