package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
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

// Intake handles the messages of one listener. It is safe for concurrent use.
type Intake struct {
	store    *store.Store
	log      *slog.Logger
	listener Listener
	rules    rules
	ground   atomic.Pointer[ground]
	reading  sync.Mutex // held by the one that reads the ground anew
	counts   counters
}

// New makes the Intake of a listener.
func New(o Options) *Intake {
	if o.Rules == nil {
		o.Rules = Shipped()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Intake{store: o.Store, log: o.Log, listener: o.Listener, rules: newRules(o.Rules)}
}

// Counts is what became of the messages since the start, for metrics.
type Counts struct {
	Messages   uint64 // with an answer, or rightly without one
	Duplicates uint64 // of these, repeats
	Acted      uint64 // matched a rule
	Ignored    uint64 // AA, nothing to do
	Refused    uint64 // AE and AR
	Failed     uint64 // not taken: trouble of our own, the connection was closed
}

type counters struct{ messages, duplicates, acted, ignored, refused, failed atomic.Uint64 }

// Counts returns the figures of this listener.
func (in *Intake) Counts() Counts {
	c := &in.counts
	return Counts{
		Messages: c.messages.Load(), Duplicates: c.duplicates.Load(), Acted: c.acted.Load(),
		Ignored: c.ignored.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
	}
}

// ground is what a message is read by: the site and its policy, of at most a second ago. A View for
// each message would wait for the commit that is under way; what a decision hangs on (mode, consent,
// limits) the verbs read in the transaction.
type ground struct {
	site   contact.Site
	policy Policy
	zone   *time.Location
	read   time.Time
}

const groundLife = time.Second

func (in *Intake) standOn(ctx context.Context) (*ground, error) {
	old := in.ground.Load()
	switch {
	case old != nil && time.Since(old.read) < groundLife:
		return old, nil
	case old == nil:
		in.reading.Lock()
	case !in.reading.TryLock():
		return old, nil // another is at it; this message came hardly later than the last
	}
	defer in.reading.Unlock()
	g := &ground{read: time.Now()}
	err := in.store.View(ctx, func(tx *store.Tx) (err error) {
		if g.site, err = contact.SiteOf(tx); err != nil {
			return err
		}
		g.policy, err = PolicyOf(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	if g.zone = in.listener.Zone; g.zone == nil {
		g.zone = g.site.Location()
	}
	in.ground.Store(g)
	return g, nil
}

// Zone is that of the times in the answers, nil where no message has come yet and the listener has no
// zone of its own.
func (in *Intake) Zone() *time.Location {
	if g := in.ground.Load(); g != nil {
		return g.zone
	}
	return in.listener.Zone
}

// Handle takes one message and gives the acknowledgment that it earns; it is an mllp.Handler. A nil
// reply without an error means that none is wanted: for an acknowledgment, and for MSH-15 = NE. When
// it returns a reply, all that the message did is durable.
func (in *Intake) Handle(ctx context.Context, _ hl7.Peer, frame []byte) ([]byte, error) {
	m, wrong := hl7.Parse(frame)
	if m.IsAck() {
		in.counts.messages.Add(1)
		return nil, nil
	}
	g, err := in.standOn(ctx)
	if err != nil {
		in.counts.failed.Add(1)
		return nil, err
	}
	rd := in.read(g, m, frame, wrong)
	out, err := in.accept(ctx, rd)
	if err != nil {
		in.counts.failed.Add(1)
		return nil, err
	}
	in.counts.messages.Add(1)
	return in.reply(m, out, g.zone), nil
}

// accept does what was read, once, in one transaction.
func (in *Intake) accept(ctx context.Context, rd *reading) (out outcome, err error) {
	again := false
	err = in.store.Accept(ctx, in.actor(rd.m), func(tx *store.Tx) error {
		before, kind, err := lookUp(tx, in.listener.Name, rd)
		if err != nil {
			return err
		}
		if again = kind == repeated; again {
			out = before
			return nil
		}
		w := &work{tx: tx, reading: rd}
		if kind == reused {
			w.because("the control id was used before, for another message")
		}
		if err := w.run(); err != nil {
			return err
		}
		out = w.outcome()
		// What if we crash here: nothing happened, and nothing was answered.
		return keepOutcome(tx, in.listener.Name, rd, out)
	})
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		return outcome{}, errors.Join(err, in.recordBusy(ctx, rd, busy))
	}
	if err != nil {
		return outcome{}, fmt.Errorf("accept message: %w", err)
	}
	switch {
	case again:
		in.counts.duplicates.Add(1)
	case out.Wrong != nil:
		in.counts.refused.Add(1)
	case out.Rule == "":
		in.counts.ignored.Add(1)
	default:
		in.counts.acted.Add(1)
	}
	return out, nil
}

// recordBusy keeps that a code was asked for and could not be taken; the transaction in which that
// was found out is undone, as the engine will bring the whole message again.
func (in *Intake) recordBusy(ctx context.Context, rd *reading, busy *busyError) error {
	return in.store.Accept(ctx, in.actor(rd.m), func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: ActionMessage, Outcome: store.Refused, Object: clip(rd.control),
			Subject: rd.person.id.Key(), Attrs: []store.Attr{{Key: "type", Value: rd.kind}, {Key: "why", Value: busy.Error()}}})
	})
}

// actor is the sender as entries name it: the listener, and what the message calls its sender, which
// proves nothing. EVN-5 is the person at whose hand it came about, where the engine says so.
func (in *Intake) actor(m *hl7.Message) store.Actor {
	id := in.listener.Name + "/" + safe(m.SendingApp().Name()) + "^" + safe(m.SendingFacility().Name())
	return store.Actor{Kind: "peer", ID: id, OnBehalfOf: safe(m.Segment("EVN", 1).Field(5).Comp(1).String())}
}

// safe cuts a name down to what names consist of, and to a length.
func safe(s string) string {
	const most = 64
	b := []byte(s[:min(len(s), most)])
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			b[i] = '_'
		}
	}
	return string(b)
}
