package contact

import (
	"fmt"
	"time"

	"pinward/store"
)

// Contact is what was learned about a phone number, whoever holds it.
type Contact struct {
	Phone       Phone
	WrongNumber bool     // somebody there said so; nothing goes to it until it is proven again
	NoVoice     bool     // calls are unwanted or never answered
	Slow        bool     // whoever is called there needs slower speech and longer pauses
	Type        LineType // as somebody said, or was learned from sends; LineUnknown leaves it to the plan. LineOf tells what holds
	TypeSource  string   // who said so: "desk", "api:...", "hl7:...", SourceNetwork
	TypeSince   time.Time
	Source      string // who flagged it last
	Changed     time.Time

	FirstSeen time.Time // when the first message went there; zero is never
	LastSIM   string    // ICCID of the SIM that wrote last, so that one person sees one sender
}

// Flags are what can be learned about a number; nil leaves a flag as it is.
type Flags struct {
	WrongNumber, NoVoice, Slow *bool
	Type                       *LineType
}

// ActionFlag is recorded when something was learned about a number.
const ActionFlag store.Action = "contact.flag"

// flags holds what was decided about a number; trail what every send touches.
var (
	flags = store.NewTable[Contact]("contact.contacts", store.Blinded(0))
	trail = store.NewTable[trace]("contact.trail", store.Blinded(0),
		store.Bookkeeping("which SIM wrote to a number last, and texts that did not come; the messages have entries"))
)

type trace struct {
	FirstSeen time.Time
	LastSIM   string
	Missed    int // codes in a row whose text did not come, and whose call was heard
}

// Of returns what is known of a number; nothing known is no error.
func Of(tx *store.Tx, p Phone) (Contact, error) {
	key := p.blind(tx)
	c, _, err := flags.Get(tx, key)
	if err != nil {
		return Contact{}, fmt.Errorf("read contact: %w", err)
	}
	t, _, err := trail.Get(tx, key)
	if err != nil {
		return Contact{}, fmt.Errorf("read contact trail: %w", err)
	}
	c.Phone, c.FirstSeen, c.LastSIM = p, t.FirstSeen, t.LastSIM
	return c, nil
}

// Flag keeps what was learned about a number, by whom ("patient", SourceNetwork, "desk"). A type that a person said stands
// against what a feed says, and that against what sends have shown. Nothing new is not written and leaves no entry.
func Flag(tx *store.Tx, p Phone, f Flags, source string) error {
	old, err := Of(tx, p)
	if err != nil {
		return err
	}
	c := old
	attrs := []store.Attr{{Key: "phone", Value: p.E164()}, {Key: "source", Value: source}}
	for _, b := range []struct {
		name string
		from *bool
		to   *bool
	}{{"wrong_number", f.WrongNumber, &c.WrongNumber}, {"no_voice", f.NoVoice, &c.NoVoice}, {"slow", f.Slow, &c.Slow}} {
		if b.from != nil && *b.from != *b.to {
			*b.to = *b.from
			attrs = append(attrs, store.Attr{Key: b.name, Value: fmt.Sprint(*b.to)})
		}
	}
	if f.Type != nil && c.takesType(*f.Type, source) {
		c.Type, c.TypeSource, c.TypeSince = *f.Type, source, tx.Now()
		if c.Type == LineUnknown {
			c.TypeSource = "" // anybody may say it anew
		}
		attrs = append(attrs, store.Attr{Key: "type", Value: string(c.Type)})
	}
	if c == old {
		return nil
	}
	c.Source, c.Changed = source, tx.Now()
	if err := flags.Put(tx, p.blind(tx), c); err != nil {
		return fmt.Errorf("keep contact: %w", err)
	}
	return record(tx, store.Entry{Action: ActionFlag, Attrs: attrs})
}

// Used notes that a SIM (its ICCID) writes to a number. Bookkeeping: it needs no entry.
func Used(tx *store.Tx, p Phone, sim string) error {
	t, err := trailOf(tx, p)
	if err != nil {
		return err
	}
	if t.LastSIM == sim && !t.FirstSeen.IsZero() {
		return nil
	}
	if t.FirstSeen.IsZero() {
		t.FirstSeen = tx.Now()
	}
	t.LastSIM = sim
	return keepTrail(tx, p, t)
}
