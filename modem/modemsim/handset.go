package modemsim

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// Message is a text as a handset shows it: all parts together.
type Message struct {
	// At is when it arrived whole.
	At time.Time `json:"at"`
	// From is the sender's number, with + where international.
	From string `json:"from"`
	Text string `json:"text"`
	// Parts is how many TPDUs carried it.
	Parts int `json:"parts"`
	// PID is the TP-PID octet; 0x41 to 0x47 replace an older text of the same sender.
	PID int `json:"pid"`
	// Validity is what TP-VP asked for, in JSON as seconds; 0 if it was absent.
	Validity Duration `json:"validity"`
	// Class is the message class of TP-DCS, 0 to 3; nil (null) if it gives none.
	Class *int `json:"class"`
	// Modem names the modem that sent it.
	Modem string `json:"modem"`
}

// String tells nothing of the message.
func (m Message) String() string { return "message(redacted)" }

// GoString tells nothing of the message.
func (m Message) GoString() string { return m.String() }

// LogValue tells nothing of the message.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Call is a call to a handset that has ended.
type Call struct {
	// At is when it began to ring.
	At       time.Time `json:"at"`
	Answered bool      `json:"answered"`
	// Seconds is how long it was connected.
	Seconds Duration `json:"seconds"`
	// WAV is the URL of what the modem sent, a path as Network.Recording takes it; "" if it sent no audio.
	WAV string `json:"wav"`
}

// HandsetState is how a handset behaves. A handset exists when it is named: on,
// not answering, pressing no key, with room and with receipts.
type HandsetState struct {
	On bool `json:"on"`
	// Answers: calls are answered; otherwise they ring.
	Answers bool `json:"answers"`
	// Presses is the key pressed after the first prompt of a call; "" is none.
	Presses string `json:"presses"`
	// Full: the memory for texts is full; they wait at the service centre.
	Full bool `json:"full"`
	// NoReceipts: texts arrive, status reports do not come back.
	NoReceipts bool `json:"no_receipts"`
	// Busy: it is in another call. Rejects: calls are turned down. Voicemail answers calls that nobody does, and records.
	Busy      bool `json:"busy"`
	Rejects   bool `json:"rejects"`
	Voicemail bool `json:"voicemail"`
	// FalseAnswer: the network says "answered" as soon as it rings.
	FalseAnswer bool `json:"false_answer"`
	// AnswerAfter is how long it rings before it is answered, a second if 0. PressAfter is when the key is pressed, from the answer;
	// 0 is after the first prompt. HangsUp is when the person ends the call; 0 is never.
	AnswerAfter Duration `json:"answer_after"`
	PressAfter  Duration `json:"press_after"`
	HangsUp     Duration `json:"hangs_up"`
}

// HandsetChange changes what is not nil.
type HandsetChange struct {
	On         *bool   `json:"on"`
	Answers    *bool   `json:"answers"`
	Presses    *string `json:"presses"`
	Full       *bool   `json:"full"`
	NoReceipts *bool   `json:"no_receipts"`

	Busy        *bool     `json:"busy"`
	Rejects     *bool     `json:"rejects"`
	Voicemail   *bool     `json:"voicemail"`
	FalseAnswer *bool     `json:"false_answer"`
	AnswerAfter *Duration `json:"answer_after"`
	PressAfter  *Duration `json:"press_after"`
	HangsUp     *Duration `json:"hangs_up"`
}

// Handset is a phone in the network.
type Handset struct {
	network *Network
	number  string

	// Under the world's lock:
	state    HandsetState
	messages []*shown
	calls    []Call
	parts    []*part
	inCall   bool
}

// shown is a Message with its place in the kept state.
type shown struct {
	ID     uint64  `json:"id"`
	Number string  `json:"number"`
	M      Message `json:"m"`
}

// part is a part of a message that is not whole yet.
type part struct {
	ID     uint64 `json:"id"`
	Number string `json:"number"`
	From   string `json:"from"`
	Submit submit `json:"submit"`
}

// Handset returns the handset with that number (+ and digits, or a short code),
// which exists from then on.
func (n *Network) Handset(number string) *Handset {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handset(number)
}

func (n *Network) handset(number string) *Handset {
	h := n.handsets[number]
	if h == nil {
		h = &Handset{network: n, number: number, state: HandsetState{On: true}}
		n.handsets[number] = h
	}
	return h
}

// Number is the handset's own number.
func (h *Handset) Number() string { return h.number }

// State tells how the handset behaves now.
func (h *Handset) State() HandsetState {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return h.state
}

// Messages lists the texts, oldest first.
func (h *Handset) Messages() []Message {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	list := make([]Message, len(h.messages))
	for i, s := range h.messages {
		list[i] = s.M
	}
	return list
}

// Calls lists the calls that have ended, oldest first.
func (h *Handset) Calls() []Call {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return append([]Call{}, h.calls...)
}

// Wait waits until the handset shows at least count texts, or ctx ends.
func (h *Handset) Wait(ctx context.Context, count int) ([]Message, error) {
	for {
		h.network.mu.Lock()
		changed := h.network.changed
		h.network.mu.Unlock()
		if list := h.Messages(); len(list) >= count {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Set changes how the handset behaves; what waited for it to be switched on or
// to have room arrives.
func (h *Handset) Set(c HandsetChange) error {
	if c.Presses != nil && strings.Trim(*c.Presses, "0123456789*#") != "" {
		return errors.New("presses may hold the keys 0 to 9, * and # only")
	}
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range []struct{ to, from *bool }{
		{&h.state.On, c.On}, {&h.state.Answers, c.Answers}, {&h.state.Full, c.Full}, {&h.state.NoReceipts, c.NoReceipts},
		{&h.state.Busy, c.Busy}, {&h.state.Rejects, c.Rejects}, {&h.state.Voicemail, c.Voicemail}, {&h.state.FalseAnswer, c.FalseAnswer},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ to, from *Duration }{
		{&h.state.AnswerAfter, c.AnswerAfter}, {&h.state.PressAfter, c.PressAfter}, {&h.state.HangsUp, c.HangsUp},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Presses != nil {
		h.state.Presses = *c.Presses
	}
	n.save("handset/"+h.number, keptHandset{h.number, h.state})
	n.show()
	n.retry(h.number)
	return nil
}

// Reply sends text to a modem; to is its name or its number. With to "" the
// reply goes to whom the newest text came from, or else to the first modem.
func (h *Handset) Reply(text, to string) error {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	m := h.correspondent(to)
	switch {
	case m == nil:
		return errors.New("there is no such modem to reply to")
	case text == "":
		return errors.New("the text is empty")
	case n.closed:
		return errors.New("the network is closed")
	case !h.state.On:
		return errors.New("the handset is switched off")
	}
	parts := bodies(text, byte(n.nextID()))
	if len(parts) > 10 {
		return errors.New("the text is longer than ten parts")
	}
	for _, b := range parts {
		if !n.carry(transit{From: h.number, Submit: submit{To: m.opts.Number, Body: b}}, m.latency/4) {
			return errors.New("the network cannot keep the message")
		}
	}
	return nil
}

func (h *Handset) correspondent(to string) *Modem {
	n := h.network
	if to == "" {
		for i := len(h.messages) - 1; i >= 0; i-- {
			if m := n.modem(h.messages[i].M.Modem); m != nil {
				return m
			}
		}
		if len(n.modems) > 0 {
			return n.modems[0]
		}
		return nil
	}
	if m := n.modem(to); m != nil {
		return m
	}
	return n.modemByNumber(to)
}

// take receives one part.
func (h *Handset) take(t *transit) {
	s := t.Submit
	if s.PID == 0x40 { // type 0: acknowledged and discarded, 23.040 section 9.2.3.9
		return
	}
	c := s.Body.concat()
	if c.Total == 1 {
		h.display(t, s.Body.text(), 1)
		return
	}
	texts := make([]string, c.Total)
	var same []*part
	for _, p := range h.parts {
		if o := p.Submit.Body.concat(); p.From == t.From && o.Ref == c.Ref && o.Total == c.Total {
			if o.Seq == c.Seq {
				return // a part that came twice
			}
			same = append(same, p)
			texts[o.Seq-1] = p.Submit.Body.text()
		}
	}
	p := &part{ID: t.ID, Number: h.number, From: t.From, Submit: s}
	if len(same)+1 < c.Total {
		h.parts = append(h.parts, p)
		h.network.save(key("part", p.ID), p)
		return
	}
	texts[c.Seq-1] = s.Body.text()
	h.display(t, strings.Join(texts, ""), c.Total)
	for _, p := range same {
		h.forgetPart(p)
	}
}

// has tells whether what t carries was already taken.
func (h *Handset) has(t *transit) bool {
	for _, s := range h.messages {
		if s.ID == t.ID {
			return true
		}
	}
	for _, p := range h.parts {
		if p.ID == t.ID {
			return true
		}
	}
	return false
}

func (h *Handset) forgetPart(gone *part) {
	h.network.forget(key("part", gone.ID))
	for i, p := range h.parts {
		if p == gone {
			h.parts = append(h.parts[:i:i], h.parts[i+1:]...)
			return
		}
	}
}

// display shows a whole message. A replace type takes the place of the older one
// of the same type from the same sender, 23.040 section 9.2.3.9, and counts as new.
// It bears the number of the transit that brought it: if the process dies before
// that is settled, the next one sees that it arrived, and shows it once.
func (h *Handset) display(t *transit, text string, parts int) {
	n, s, modem, from := h.network, t.Submit, t.Modem, t.From
	m := &shown{ID: t.ID, Number: h.number, M: Message{
		At: time.Now(), From: from, Text: text, Parts: parts, PID: int(s.PID),
		Validity: Duration(s.Validity), Class: s.Body.class(), Modem: modem,
	}}
	n.save(key("message", m.ID), m)
	if s.PID >= 0x41 && s.PID <= 0x47 {
		for i, old := range h.messages {
			if old.M.PID == int(s.PID) && old.M.From == from {
				n.forget(key("message", old.ID))
				h.messages = append(h.messages[:i:i], h.messages[i+1:]...)
				break
			}
		}
	}
	h.messages = append(h.messages, m)
	n.log.Debug("text arrived", "modem", modem, "parts", parts)
	n.show()
}

// ended records a call that is over; pcm is what the modem sent in it.
func (h *Handset) ended(c Call, pcm []byte) {
	h.inCall = false
	id := h.network.nextID()
	if len(pcm) > 0 {
		c.WAV = h.network.record(id, pcm)
	}
	h.calls = append(h.calls, c)
	h.network.save(key("call", id), keptCall{id, h.number, c})
	h.network.show()
}
