package modemsim

import (
	"log/slog"
	"time"
)

// Fate is what became of a part.
type Fate string

// The fates of a part.
const (
	FateWaiting   Fate = "waiting"   // at the service centre
	FateDelivered Fate = "delivered" // its handset, or modem, has it
	FateExpired   Fate = "expired"   // its validity ended at the service centre
	FateGivenUp   Fate = "given up"  // the service centre gave it up, and reported so
	FateFiltered  Fate = "filtered"  // the carrier took it and threw it away
	FateLost      Fate = "lost"      // the modem lost it, and answered +CMGS all the same
)

// Part is one part that a modem said it had sent, or had sent without saying so.
type Part struct {
	Modem string    `json:"modem"`
	SIM   string    `json:"sim"` // ICCID
	To    string    `json:"to"`
	Began time.Time `json:"began"` // when the modem had its PDU
	At    time.Time `json:"at"`    // when the network took it
	Text  string    `json:"text"`
	Seq   int       `json:"seq"` // 1 to Total
	Total int       `json:"total"`
	Ref   int       `json:"ref"` // concatenation reference; 0 for a text of one part
	Fate  Fate      `json:"fate"`
}

// String tells nothing of the text.
func (p Part) String() string { return "part(redacted)" }

// GoString tells nothing of the text.
func (p Part) GoString() string { return p.String() }

// LogValue tells nothing of the text.
func (p Part) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Parts is the journal: every part that left a modem, in order, with its fate so far. It is empty without
// NetworkOptions.Journal.
func (n *Network) Parts() []Part {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]Part, len(n.journal))
	for i, p := range n.journal {
		list[i] = *p
	}
	return list
}

// note writes a part into the journal; nil without one.
func (n *Network) note(m *Modem, s submit, f Fate) *Part {
	if !n.opts.Journal {
		return nil
	}
	c := s.Body.concat()
	p := &Part{Modem: m.opts.Name, SIM: m.opts.ICCID, To: dialled(s.To), Began: m.began, At: time.Now(), Text: s.Body.text(), Seq: c.Seq, Total: c.Total,
		Ref: c.Ref, Fate: f}
	n.journal = append(n.journal, p)
	return p
}

// end notes the TP-ST with which a part ended.
func (p *Part) end(status byte) {
	switch {
	case p == nil:
	case status == statusReceived:
		p.Fate = FateDelivered
	case status == statusExpired:
		p.Fate = FateExpired
	default:
		p.Fate = FateGivenUp
	}
}

// OnAir tells since when the modem has a PDU whose answer it has not given; false if it has none.
func (m *Modem) OnAir() (since time.Time, on bool) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return m.began, m.term.busy && m.term.prompt == nil && !m.began.IsZero() && m.began.After(m.term.ended)
}
