package modem

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Options say what a modem is called and how it is treated; the zero value is right for a real modem.
type Options struct {
	Name string // for logs and status; not an identity: IMEI and ICCID are
	PIN  func(ctx context.Context) (string, error)
	Log  *slog.Logger
	// Trace is told the name of each command, like "AT+CMGS", just before its first byte is written. Never an argument.
	Trace func(event string)
}

// Modem is one modem.
type Modem struct {
	o      Options
	open   func(ctx context.Context) (io.ReadWriteCloser, error)
	events chan Event
}

// New makes a modem; Run drives it.
func New(open func(ctx context.Context) (io.ReadWriteCloser, error), o Options) *Modem {
	return &Modem{o: o, open: open, events: make(chan Event)}
}

// Run supervises the modem until ctx ends.
func (m *Modem) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Status is a snapshot.
func (m *Modem) Status() Status { return Status{Name: m.o.Name, Phase: PhaseDown} }

// Changed gets a value, at most one waiting, when Status has changed.
func (m *Modem) Changed() <-chan struct{} { return nil }

// Events gives what comes in.
func (m *Modem) Events() <-chan Event { return m.events }

// Sent is what the network's acceptance says.
type Sent struct {
	Ref byte // TP-MR, by which a Report names this part
}

// Send sends one TPDU.
func (m *Modem) Send(ctx context.Context, t TPDU) (Sent, error) {
	return Sent{}, fmt.Errorf("%w: modem is not ready", ErrNotSent)
}

// GiveUp frees a modem that has not answered a send.
func (m *Modem) GiveUp() {}
