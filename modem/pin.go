package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
		left = tries(e.Left) + " left"
	}
	if e.Refused {
		return "the SIM refused the PIN: " + left
	}
	return "PIN not given to the SIM: " + left + "; enter it in a telephone"
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// PINLog is what must be known of PINs after the process has ended: a wrong one that each start gives once reaches the PUK by a
// crash loop, where the module does not tell the tries left. It must hold no PIN in clear. The zero value keeps nothing.
type PINLog struct {
	// Begin is asked before the PIN that is kept for a SIM is given to it, and keeps that this happens. left are the tries left, -1
	// where the modem does not tell. false: it was refused before, or too many were given without success. A PIN that an operator
	// types is not asked for.
	Begin func(ctx context.Context, sim, pin string, left int) (bool, error)
	// End keeps what the SIM said to a PIN, of whomever. After a crash between the two it is not called.
	End func(ctx context.Context, sim, pin string, taken bool) error
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

// waitingPIN is the order that nobody has taken yet.
func (m *Modem) waitingPIN() *pinOrder {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.typed
}

// answerPIN ends the wait for a PIN that was not used.
func (m *Modem) answerPIN(err error) {
	if order := m.takePIN(); order != nil {
		order.done <- err
	}
}
