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

// minTries is how many PIN tries must be left for us to use one: the last one belongs to a person with a telephone (callpilot#112).
const minTries = 2

// ErrNoPINWanted says that the SIM does not ask for its PIN.
var ErrNoPINWanted = errors.New("the SIM does not ask for its PIN")

// PINError says that a PIN was not taken. It never holds the PIN.
type PINError struct {
	Refused bool // the SIM refused it, and a try is used up; false: it was not given to the SIM
	Left    int  // tries left; -1 where the modem does not tell
}

func (e *PINError) Error() string {
	left := "the modem does not tell how many tries are left"
	if e.Left >= 0 {
		left = fmt.Sprintf("%d tries left", e.Left)
	}
	if e.Refused {
		return "the SIM refused the PIN: " + left
	}
	return "PIN not given to the SIM: " + left
}

// usedPIN is a PIN that was given to the SIM in a modem.
type usedPIN struct {
	imei string
	hash [32]byte
}

// pinOrder is a PIN that an operator typed; done has room for one answer.
type pinOrder struct {
	pin  string
	done chan error
}

// EnterPIN gives the SIM the PIN that an operator typed: once, only while the SIM asks for it, and only while at least two tries are
// left. It wakes a modem in PhaseBlocked. nil says that the SIM took it. A *PINError tells the tries that are left; ErrNoPINWanted
// and ErrNotUp say that it was not used, any other error says why the SIM could not be asked. The PIN is not kept: after a power
// loss the SIM asks again.
func (m *Modem) EnterPIN(ctx context.Context, pin string) error {
	if !validPIN(pin) {
		return errors.New("enter PIN: not 4 to 8 digits")
	}
	order := &pinOrder{pin, make(chan error, 1)}
	m.mu.Lock()
	switch {
	case m.typed != nil:
		m.mu.Unlock()
		return errors.New("enter PIN: another one is being entered")
	case m.cur != nil: // a SIM that asks for its PIN in mid-session ends it
		m.mu.Unlock()
		return fmt.Errorf("enter PIN: %w", ErrNoPINWanted)
	}
	m.typed = order
	m.mu.Unlock()
	signal(m.wake)
	select {
	case err := <-order.done:
		if err != nil {
			return fmt.Errorf("enter PIN: %w", err)
		}
		return nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.typed == order {
		m.typed = nil // not used, and never will be
	}
	return fmt.Errorf("enter PIN: %w", context.Cause(ctx))
}

func validPIN(pin string) bool {
	return len(pin) >= 4 && len(pin) <= 8 && strings.Trim(pin, "0123456789") == ""
}

// takePIN is the PIN that an operator typed, and takes it: whoever takes it uses it or answers it.
func (m *Modem) takePIN() *pinOrder {
	m.mu.Lock()
	defer m.mu.Unlock()
	order := m.typed
	m.typed = nil
	return order
}

// answerPIN ends the wait for a PIN that was not used.
func (m *Modem) answerPIN(err error) {
	if order := m.takePIN(); order != nil {
		order.done <- err
	}
}

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
		return &simError{fmt.Sprintf("the SIM has %d PIN tries left: a person must enter it in a telephone", left), AlarmPIN}
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
// left are read again before the next.
func (s *session) givePIN(pin string) error {
	_, err := s.l.Do(context.WithoutCancel(s.ctx), line.Cmd{Text: `+CPIN="` + pin + `"`, Class: line.Rest}, s.m.o.Timing.SIM)
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	used := usedPIN{s.m.status.IMEI, sha256.Sum256([]byte(pin))}
	var r *line.ResultError
	switch {
	case errors.As(err, &r):
		s.m.badPIN[used] = true
		return errPINRefused
	case err == nil:
		delete(s.m.badPIN, used) // it was another SIM's
	}
	return err
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
