package intake

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	// Cause is the message that it is of, whose explanation tells what becomes of it.
	Cause cause `json:"cause,omitzero"`
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
	req.From = w.from
	if req.At.Before(now) {
		req.At = now
	}
	if req.Place = visit.SiteName; visit.ID.IsZero() {
		req.Place = w.place()
	}
	atOnce := req.At.Sub(now) < slot // what waits for hours does not spread out: all of a night goes when they begin
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
	case atOnce:
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
	h := held{Rule: rule, Why: why, At: w.tx.Now(), Text: req, Visit: visit, Cause: cause{w.sender.Name, w.control, w.fingerprint[:]}}
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
	if err == nil {
		// A rule that starts codes holds none, and its breaker waits for a person all the same.
		err = rates.Each(tx, store.Range{}, func(rule []byte, r rate) error {
			if name := string(rule); !r.Open.IsZero() && by[name] == nil {
				by[name], order = &Held{Rule: name, Oldest: r.Open, Open: r.Open, Texts: r.N, Usual: int(r.Usual), Samples: []Sample{}}, append(order, name)
			}
			return nil
		})
	}
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
	now, err := ruleOf(tx, rule)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("release texts: %w", err)
	}
	err = eachHeld(tx, rule, func(h held) error {
		h.Text.Hours = now.Hours
		ok, err := h.release(tx, now)
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

// ruleOf is a rule as it is by now, the zero Rule where there is none of the name.
func ruleOf(tx *store.Tx, rule string) (Rule, error) {
	p, err := PolicyOf(tx)
	if err != nil {
		return Rule{}, err
	}
	for _, r := range p.Rules() {
		if r.Name == rule {
			return r, nil
		}
	}
	return Rule{}, nil
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
func (h held) release(tx *store.Tx, rule Rule) (bool, error) {
	why, err := h.pointless(tx, rule)
	if err != nil {
		return false, err
	}
	if why != "" {
		return false, h.gone(tx, why)
	}
	if err := h.gather(tx); err != nil {
		return false, err
	}
	_, known, err := notice.Send(tx, h.Text)
	switch {
	case notice.Refusal(err): // recorded by Send
		return false, h.became(tx, "refused: "+err.Error())
	case err != nil:
		return false, err
	case known:
		return false, h.became(tx, "dropped: the patient was told already")
	}
	return true, h.became(tx, "released")
}

// pointless tells why the text is of no use any more, "" while it is, and makes it agree with what holds by now.
func (h *held) pointless(tx *store.Tx, rule Rule) (why string, err error) {
	if !h.Visit.ID.IsZero() {
		same, err := h.sameVisit(tx)
		if err != nil || !same {
			return "the appointment has changed", err
		}
		if sole, err := h.sole(tx); err != nil || !sole {
			return oneText, err
		}
	}
	if h.asked() {
		return "", nil // whoever asks for a text by its name has it sent to anybody
	}
	s, _, err := contact.Find(tx, h.Text.Subject)
	if err != nil || s.VIP {
		return "the patient is marked as VIP", err
	}
	if rule.does(SendNotice) && rule.Notice.Template == h.Text.Template && len(rule.Notice.Key) == 0 {
		key, told, err := once(tx, h.Text.Group, time.Duration(rule.Notice.Once))
		if err != nil || told {
			return "the patient was told already", err
		}
		h.Text.Key = key
	}
	return "", nil
}

// sameVisit tells whether the appointment is what the text says of it, and the same patient's.
func (h held) sameVisit(tx *store.Tx) (bool, error) {
	a, known, err := contact.FindAppointment(tx, h.Visit.ID)
	if err != nil || !known {
		return false, err
	}
	if a.Status != h.Visit.Status || !a.Start.Equal(h.Visit.Start) || a.SiteName != h.Visit.SiteName || h.Text.Template == joinText && !a.Video {
		return false, nil
	}
	if a.Subject == h.Visit.Subject {
		return true, nil
	}
	was, known, err := contact.Find(tx, h.Visit.Subject) // it may have been merged since
	return known && was.ID == a.Subject, err
}

// asked tells whether somebody asked for this very text, by a Z segment or an order.
func (h held) asked() bool { return strings.HasPrefix(h.Text.Group, requestGroup+"/") }

// takeBackHeld drops what is held of an order that its sender takes back, and tells whether there was any.
func (w *work) takeBackHeld(group, id string) (bool, error) {
	rule := ""
	// An order is held under the name under which its cancellation comes.
	err := helds.Each(w.tx, store.Range{Prefix: heldPrefix(w.tx, w.ruleName())}, func(key []byte, h held) error {
		if h.Text.Group != group || h.Text.Key != id {
			return nil
		}
		if err := h.gone(w.tx, orderCancelled); err != nil {
			return err
		}
		rule = h.Rule
		return helds.Delete(w.tx, key)
	})
	if err != nil || rule == "" {
		return false, err
	}
	return true, recordEnd(w.tx, ActionDrop, rule, 0, 1) // a breaker stays open: no person has looked
}

// gone tells a peer that asks, and who looks for the message, that its text does not go.
func (h held) gone(tx *store.Tx, why string) error {
	if err := h.became(tx, "dropped: "+why); err != nil || h.Text.Order == "" {
		return err
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
