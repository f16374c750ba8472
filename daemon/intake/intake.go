package intake

import (
	"context"
	"log/slog"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/store"
)

// Listener is what is set for one MLLP port.
type Listener struct {
	Name string         // as in the configuration; part of the actor of all entries
	Mode contact.Mode   // the strictest of it, the site's and what MSH-11 says holds
	Zone *time.Location // of times that carry no zone; nil is the site's
	ACK  string         // "" or "original", "enhanced" (HL7 v2.5.1 section 2.9)
}

// Options say what an Intake works with.
type Options struct {
	Store    *store.Store
	Log      *slog.Logger // nil is slog.Default
	Listener Listener
	Rules    []Rule // nil is Shipped
}

// Rule says what a message means.
type Rule struct{}

// Intake handles the messages of one listener. It is safe for concurrent use.
type Intake struct{ o Options }

// New makes the Intake of a listener.
func New(o Options) *Intake { return &Intake{o} }

// Handle takes one message and gives the acknowledgment that it earns; it is an mllp.Handler.
func (in *Intake) Handle(ctx context.Context, p hl7.Peer, frame []byte) ([]byte, error) {
	return nil, nil
}

// Explanation is what became of one message.
type Explanation struct {
	At   time.Time `json:"at"`
	Type string    `json:"type"`
	Ack  string    `json:"ack"`
	Rule string    `json:"rule"`
	Did  string    `json:"did"`
	Why  string    `json:"why"`
}

// Explain tells what became of the messages with a control ID.
func Explain(tx *store.Tx, listener, controlID string) ([]Explanation, error) { return nil, nil }

// Sweep forgets messages whose repetition is not to be expected any more.
func Sweep(tx *store.Tx) error { return nil }
