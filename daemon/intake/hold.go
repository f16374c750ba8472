package intake

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/store"
)

// held is a text that waits for a person: its rule or peer is paused, or the rule's breaker is open.
type held struct {
	Rule string         `json:"rule"`
	Why  string         `json:"why"`
	At   time.Time      `json:"at"` // when it was held
	Text notice.Request `json:"text"`
	// Visit is the appointment that it is about, as it stood; a text about one that changed since is
	// pointless.
	Visit contact.Appointment `json:"visit,omitzero"`
}

// helds are what waits, by rule and moment.
var helds = store.NewTable[held]("intake.held", store.Blinded(0))

// Actions of what is held.
const (
	ActionHold    store.Action = "hl7.hold"
	ActionRelease store.Action = "hl7.release" // its outcome is in notice.send
	ActionDrop    store.Action = "hl7.drop"
)

func heldPrefix(tx *store.Tx, rule string) []byte { return tx.Blind("intake.held", rule) }

// fate is what becomes of a text.
type fate int

const (
	taken   fate = iota + 1
	already      // there is one with its business key
	onHold
)

// ruleName is what texts are counted and held by.
func (w *work) ruleName() string {
	if w.rule != nil {
		return w.rule.Name
	}
	return "request"
}

// text sends a text that this message causes: every one goes through here. A refusal is notice's.
func (w *work) text(req notice.Request, visit contact.Appointment) (fate, error) {
	now := w.tx.Now()
	if req.At.Before(now) {
		req.At = now
	}
	if req.Place = visit.SiteName; visit.ID.IsZero() {
		req.Place = w.place()
	}
	if w.rule != nil {
		req.Hours = w.rule.Hours
		if at := req.Hours.Next(req.At, w.site.Location()); !at.Equal(req.At) {
			req.At = at
			w.because("%s: waits for the hours of its rule", req.Template)
		}
	}
	why := ""
	switch {
	case w.sender.Paused:
		why = "the peer is paused"
	case w.rule != nil && w.rule.Paused:
		why = "the rule is paused"
	case req.At.Sub(now) < slot:
		open, err := w.tooMany(w.ruleName())
		if err != nil {
			return 0, err
		}
		if open {
			why = "the rule would text far more than its usual; its breaker is open"
		}
	}
	if why != "" {
		return onHold, w.hold(req, visit, why)
	}
	_, known, err := notice.Send(w.tx, req)
	switch {
	case err != nil:
		return 0, err
	case known:
		return already, nil
	}
	return taken, nil
}

func (w *work) hold(req notice.Request, visit contact.Appointment, why string) error {
	rule := w.ruleName()
	key := binary.BigEndian.AppendUint64(heldPrefix(w.tx, rule), uint64(w.tx.Now().UnixNano()))
	var tail [8]byte
	rand.Read(tail[:])
	h := held{Rule: rule, Why: why, At: w.tx.Now(), Text: req, Visit: visit}
	if err := helds.Put(w.tx, append(key, tail[:]...), h); err != nil {
		return fmt.Errorf("hold text: %w", err)
	}
	w.because("%s held: %s", req.Template, why)
	return w.tx.Record(store.Entry{Action: ActionHold, Outcome: store.OK, Object: rule, Subject: req.Subject.Key(), Attrs: []store.Attr{
		{Key: "template", Value: clip(req.Template)}, {Key: "why", Value: why},
	}})
}

// Held is what waits of one rule, for a person who is to release or drop it.
type Held struct {
	Rule    string    `json:"rule"`
	Count   int       `json:"count"`
	Oldest  time.Time `json:"oldest"`
	Open    time.Time `json:"breaker_open,omitzero"` // since when
	Texts   int       `json:"texts"`                 // in its last 15 minutes, and
	Usual   int       `json:"usual"`                 // what is usual
	Samples []Sample  `json:"samples"`
}

// Sample is one text that waits, masked: enough to see what a feed is doing, and of whom nothing.
type Sample struct {
	At       time.Time `json:"at"`
	Template string    `json:"template"`
	Why      string    `json:"why"`
	Patient  string    `json:"patient"` // last two characters of the MRN
	Place    string    `json:"place,omitempty"`
	Start    time.Time `json:"start,omitzero"` // of the appointment, to the hour
}

// samples is how many texts of a rule are shown.
const samples = 5

// HeldTexts tells what waits, by rule.
func HeldTexts(tx *store.Tx) ([]Held, error) {
	by := map[string]*Held{}
	var order []string
	err := helds.Each(tx, store.Range{}, func(_ []byte, h held) error {
		s := by[h.Rule]
		if s == nil {
			r, _, err := rates.Get(tx, []byte(h.Rule))
			if err != nil {
				return err
			}
			s = &Held{Rule: h.Rule, Oldest: h.At, Open: r.Open, Texts: r.N, Usual: int(r.Usual)}
			by[h.Rule], order = s, append(order, h.Rule)
		}
		if s.Count++; len(s.Samples) < samples {
			s.Samples = append(s.Samples, h.sample())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list held texts: %w", err)
	}
	list := make([]Held, 0, len(order))
	for _, rule := range order {
		list = append(list, *by[rule])
	}
	return list, nil
}

func (h held) sample() Sample {
	mrn := h.Text.Subject.MRN
	return Sample{
		At: h.At, Template: h.Text.Template, Why: h.Why, Patient: "…" + mrn[max(len(mrn)-2, 0):],
		Place: h.Visit.SiteName, Start: h.Visit.Start.Truncate(time.Hour),
	}
}

// atOnce bounds one transaction of Release and Drop; their callers go on while any is left.
const atOnce = 200

// Release sends what waits of a rule, as if it came now: consent, numbers, times and hours are looked at again,
// and what is pointless by now is dropped. It takes a few at a time; left tells how many wait still. The
// breaker closes when none is left.
func Release(tx *store.Tx, rule string) (sent, dropped, left int, err error) {
	hours, err := hoursOf(tx, rule)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("release texts: %w", err)
	}
	err = eachHeld(tx, rule, func(h held) error {
		h.Text.Hours = hours
		ok, err := h.release(tx)
		if ok {
			sent++
		} else {
			dropped++
		}
		return err
	}, &left)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("release texts: %w", err)
	}
	if left == 0 {
		err = closeBreaker(tx, rule, sent)
	}
	return sent, dropped, left, errors.Join(err, recordEnd(tx, ActionRelease, rule, sent, dropped))
}

// hoursOf are the hours of a rule as they are by now.
func hoursOf(tx *store.Tx, rule string) (Hours, error) {
	p, err := PolicyOf(tx)
	if err != nil {
		return Hours{}, err
	}
	for _, r := range p.Rules() {
		if r.Name == rule {
			return r.Hours, nil
		}
	}
	return Hours{}, nil
}

// Drop forgets what waits of a rule, a few at a time.
func Drop(tx *store.Tx, rule string) (dropped, left int, err error) {
	err = eachHeld(tx, rule, func(h held) error {
		dropped++
		return h.gone(tx, "a person dropped it")
	}, &left)
	if err != nil {
		return 0, 0, fmt.Errorf("drop texts: %w", err)
	}
	if left == 0 {
		err = closeBreaker(tx, rule, 0)
	}
	return dropped, left, errors.Join(err, recordEnd(tx, ActionDrop, rule, 0, dropped))
}

func recordEnd(tx *store.Tx, action store.Action, rule string, sent, dropped int) error {
	return tx.Record(store.Entry{Action: action, Outcome: store.OK, Object: clip(rule), Attrs: []store.Attr{
		{Key: "sent", Value: strconv.Itoa(sent)}, {Key: "dropped", Value: strconv.Itoa(dropped)},
	}})
}

func eachHeld(tx *store.Tx, rule string, do func(held) error, left *int) error {
	n := 0
	return helds.Each(tx, store.Range{Prefix: heldPrefix(tx, rule)}, func(key []byte, h held) error {
		if n == atOnce {
			*left++
			return nil
		}
		n++
		if err := do(h); err != nil {
			return err
		}
		return helds.Delete(tx, key)
	})
}

// release sends one text, and tells whether it still went.
func (h held) release(tx *store.Tx) (bool, error) {
	if !h.Visit.ID.IsZero() {
		a, known, err := contact.FindAppointment(tx, h.Visit.ID)
		if err != nil {
			return false, err
		}
		if !known || a.Status != h.Visit.Status || !a.Start.Equal(h.Visit.Start) {
			return false, h.gone(tx, "the appointment has changed")
		}
		if sole, err := h.sole(tx); err != nil {
			return false, err
		} else if !sole {
			return false, h.gone(tx, oneText)
		}
	}
	_, known, err := notice.Send(tx, h.Text)
	if notice.Refusal(err) {
		return false, nil // recorded by Send
	}
	return err == nil && !known, err
}

// gone tells a peer that asks that its text does not go.
func (h held) gone(tx *store.Tx, why string) error {
	if h.Text.Order == "" {
		return nil
	}
	return tx.Record(store.Entry{Action: ActionDrop, Outcome: store.Refused, Object: clip(h.Rule), Subject: h.Text.Subject.Key(), Attrs: []store.Attr{
		{Key: "template", Value: clip(h.Text.Template)}, {Key: "cause", Value: why}, {Key: "order", Value: h.Text.Order},
	}})
}

// closeBreaker lets the rule go on. What a person let through is not counted against it again.
func closeBreaker(tx *store.Tx, rule string, sent int) error {
	r, known, err := rates.Get(tx, []byte(rule))
	if err != nil || !known {
		return err
	}
	r = r.turn(tx.Now())
	r.Open, r.Allowed = time.Time{}, r.N+sent
	return rates.Put(tx, []byte(rule), r)
}
