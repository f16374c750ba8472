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
	// TwoPersons keeps it in shadow until two people said live (GoLive), whatever Mode says.
	TwoPersons bool
	// MaxBytes is the largest message; 0 is hl7.DefaultMaxBytes.
	MaxBytes int
	// Peers are who may send. None lets in whoever the port does, as one peer of the listener's name.
	Peers []Peer
}

// Options say what an Intake works with.
type Options struct {
	Store    *store.Store
	Log      *slog.Logger // nil is slog.Default
	Listener Listener
}

// Intake handles the messages of one listener. It is safe for concurrent use.
type Intake struct {
	store    *store.Store
	log      *slog.Logger
	listener Listener
	ground   atomic.Pointer[ground]
	reading  sync.Mutex // held by the one that reads the ground anew
	counts   counters

	acks      acks
	tally     tally
	strangers strangers
	alerting  sync.Mutex // held by the alert that is being written
	alerts    sync.WaitGroup
}

// New makes the Intake of a listener.
func New(o Options) *Intake {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Intake{store: o.Store, log: o.Log, listener: o.Listener}
}

// Counts is what became of the messages since the start, for metrics.
type Counts struct {
	Messages   uint64 `json:"messages"`   // with an answer, or rightly without one
	Duplicates uint64 `json:"duplicates"` // of these, repeats
	Acted      uint64 `json:"acted"`      // matched a rule
	Ignored    uint64 `json:"ignored"`    // AA, nothing to do
	Refused    uint64 `json:"refused"`    // AE and AR
	Failed     uint64 `json:"failed"`     // not taken: trouble of our own, the connection was closed
}

func (c *Counts) add(o Counts) {
	c.Messages += o.Messages
	c.Duplicates += o.Duplicates
	c.Acted += o.Acted
	c.Ignored += o.Ignored
	c.Refused += o.Refused
	c.Failed += o.Failed
}

// Counts returns the figures of this listener.
func (in *Intake) Counts() Counts {
	in.counts.mu.Lock()
	defer in.counts.mu.Unlock()
	return in.counts.n
}

type counters struct {
	mu sync.Mutex
	n  Counts // under mu
}

// ground is what a message is read by: the site and its policy, of at most a second ago. A View for
// each message would wait for the commit that is under way; what a decision hangs on (mode, consent,
// limits) the verbs read in the transaction.
type ground struct {
	site   contact.Site
	policy Policy
	zone   *time.Location
	read   time.Time

	mode    contact.Mode // of the listener
	from    string       // the source that it is
	senders []*sender
	rules   rules
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
	g := &ground{read: time.Now(), from: in.listener.source()}
	err := in.store.View(ctx, func(tx *store.Tx) (err error) {
		if g.site, err = contact.SiteOf(tx); err != nil {
			return err
		}
		if g.mode, err = in.listener.modeOf(tx); err != nil {
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
	g.senders, g.rules = in.listener.senders(g.policy), newRules(g.policy.Rules())
	in.ground.Store(g)
	return g, nil
}

// Refresh makes a change of the policy hold for the next message, and not within a second.
func (in *Intake) Refresh() { in.ground.Store(nil) }

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
func (in *Intake) Handle(ctx context.Context, conn hl7.Peer, frame []byte) ([]byte, error) {
	began := time.Now()
	o := hl7.Options{MaxBytes: in.listener.MaxBytes}
	m, wrong := o.Parse(frame)
	if m.IsAck() {
		in.counted("", func(s *PeerState) { s.Messages++ })
		return nil, nil
	}
	g, err := in.standOn(ctx)
	if err != nil {
		in.failed("", began, err)
		return nil, err
	}
	who := g.recognise(conn, m)
	if who == nil {
		in.counted("", func(s *PeerState) { s.Refused++ })
		in.acks.count(stranger.AckCode(), true)
		return in.turnAway(ctx, conn, m, g.zone)
	}
	if o.Charset = who.Charset; o.Charset != "" {
		m, wrong = o.Parse(frame) // names are ASCII: the peer is the same
	}
	rd := in.read(g, who, m, frame, wrong)
	out, err := in.accept(ctx, rd)
	if err != nil {
		in.failed(who.Name, began, err)
		return nil, err
	}
	reply := in.reply(rd, out)
	in.acks.count(out.Ack, reply != nil)
	if in.log.Enabled(ctx, slog.LevelDebug) {
		in.log.Debug("hl7 message", "listener", in.listener.Name, "peer", who.Name, "ack", string(out.Ack), "took", time.Since(began))
	}
	return reply, nil
}

// counted counts for the listener, and for the peer where there is one.
func (in *Intake) counted(peer string, change func(*PeerState)) {
	var news PeerState
	change(&news)
	in.counts.mu.Lock()
	in.counts.n.add(news.Counts)
	in.counts.mu.Unlock()
	if peer != "" {
		in.tally.count(peer, func(s *PeerState) { s.add(news) })
	}
}

// failed counts trouble of our own. Its text is of our own making, but may name files: only that it was
// is told of a peer.
func (in *Intake) failed(peer string, at time.Time, err error) {
	why := "trouble of the box itself; its log says more"
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		why = busy.Error()
	}
	in.counted(peer, func(s *PeerState) { s.Failed, s.Error, s.ErrorWhy = 1, at, why })
}

// accept does what was read, once, in one transaction.
func (in *Intake) accept(ctx context.Context, rd *reading) (out outcome, err error) {
	again, opened, reasons := false, "", []string(nil)
	err = in.store.Accept(ctx, in.actor(rd.sender.Name, rd.m), func(tx *store.Tx) error {
		before, kind, err := lookUp(tx, rd)
		if err != nil {
			return err
		}
		if again = kind == repeated && !pardoned(before, rd); again {
			out = before
			return nil
		}
		w := &work{tx: tx, reading: rd}
		if kind == reused {
			if w.because("the control id was used before, for another message"); rd.sender.Reused == "AE" {
				rd.refuse(errReused)
			}
		}
		if err := w.run(); err != nil {
			return err
		}
		if out, reasons = w.outcome(), w.why; w.opened {
			opened = w.ruleName()
		}
		// What if we crash here: nothing happened, and nothing was answered.
		return keepOutcome(tx, rd, out)
	})
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		return outcome{}, errors.Join(err, in.recordBusy(ctx, rd, busy))
	}
	if err != nil {
		return outcome{}, fmt.Errorf("accept message: %w", err)
	}
	if opened != "" {
		in.log.Error("a rule would text far more than its usual; its texts are held: see pinward hl7 held", "rule", opened, "peer", rd.sender.Name)
	}
	in.counted(rd.sender.Name, func(s *PeerState) {
		s.Messages, s.Last, s.LastType = 1, time.Now(), rd.kind
		switch {
		case again:
			s.Duplicates = 1
			return
		case out.Wrong != nil:
			s.Refused, s.Error, s.ErrorWhy = 1, s.Last, out.Why
		case out.Rule == "":
			s.Ignored = 1
		default:
			s.Acted = 1
		}
		for _, why := range reasons {
			s.because(why, 1)
		}
	})
	return out, nil
}

// pardoned tells whether a message that was refused, and so did nothing, would not be any more: somebody has mended
// what was set, and the engine sends what it could not get rid of, byte by byte.
func pardoned(before outcome, rd *reading) bool {
	return before.Wrong != nil && rd.wrong == nil && (before.Wrong.Code != hl7.CodeDuplicateKey || rd.sender.Reused != "AE")
}

// errReused is what a site's rule says to a control ID that is used for another message.
var errReused = &hl7.Error{Code: hl7.CodeDuplicateKey, Segment: "MSH", Seq: 1, Field: 10, Reason: "the control id was used before, for another message"}

// recordBusy keeps that a code was asked for and could not be taken; the transaction in which that
// was found out is undone, as the engine will bring the whole message again.
func (in *Intake) recordBusy(ctx context.Context, rd *reading, busy *busyError) error {
	return in.store.Accept(ctx, in.actor(rd.sender.Name, rd.m), func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: ActionMessage, Outcome: store.Refused, Object: clip(rd.control),
			Subject: rd.person.id.Key(), Attrs: []store.Attr{{Key: "type", Value: rd.kind}, {Key: "why", Value: busy.Error()}}})
	})
}

// actor is the sender as entries name it: the listener, the peer where it has several, and what the message calls its sender, which
// proves nothing.
func (in *Intake) actor(peer string, m *hl7.Message) store.Actor {
	id := in.listener.Name
	if peer != id {
		id += "/" + peer
	}
	id += "/" + safe(m.SendingApp().Name()) + "^" + safe(m.SendingFacility().Name())
	return store.Actor{Kind: "peer", ID: id, OnBehalfOf: onBehalfOf(m)}
}

// onBehalfOf is the person at whose hand a message came about, where the engine says so: the operator of the
// event, who entered the appointment or the order, or who gave the order.
func onBehalfOf(m *hl7.Message) string {
	for _, at := range []struct {
		segment string
		field   int
	}{{"EVN", 5}, {"SCH", 20}, {"ORC", 10}, {"ORC", 12}} {
		if id := safe(m.Segment(at.segment, 1).Field(at.field).Comp(1).String()); id != "" {
			return id
		}
	}
	return ""
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
