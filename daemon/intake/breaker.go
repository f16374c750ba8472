package intake

import (
	"fmt"
	"math"
	"time"

	"pinward/store"
)

// A breaker keeps a feed gone wild from people's phones: a rule that would text far more than its usual
// in 15 minutes is held until a person has looked at samples, and released or dropped what waits.

// DefaultBreakerFloor is how many texts a rule may cause in 15 minutes, however few are usual of it.
const DefaultBreakerFloor = 200

// slot is the span that texts are counted over.
const slot = 15 * time.Minute

// farMore is how many times its usual a rule may cause.
const farMore = 4

// rate is how much a rule texts. Only texts that go at once count: what is scheduled ahead spreads out.
type rate struct {
	Slot int64 `json:"slot"` // number of the span that N counts
	N    int   `json:"n"`
	// Usual is the most that lately came in one span; it fades by a third in a day.
	Usual float64   `json:"usual"`
	Open  time.Time `json:"open,omitzero"` // since when the breaker holds
	// Allowed is what a person let through in Slot, beyond the limit.
	Allowed int `json:"allowed,omitempty"`
}

var rates = store.NewTable[rate]("intake.rates",
	store.Bookkeeping("how much each rule texts; each text, each opening and each release is an entry of its own"))

// ActionBreaker is recorded when a rule's breaker opens.
const ActionBreaker store.Action = "hl7.breaker"

// turn goes on to the span of now.
func (r rate) turn(now time.Time) rate {
	n := now.Unix() / int64(slot/time.Second)
	if n == r.Slot {
		return r
	}
	// 96 spans a day; a day keeps two thirds. What the last span brought fades from its end on.
	r.Usual = max(r.Usual*0.9958, float64(r.N)) * math.Pow(0.9958, float64(max(n-r.Slot-1, 0)))
	r.Slot, r.N, r.Allowed = n, 0, 0
	return r
}

// limit is how many texts the rule may cause in this span.
func (r rate) limit(rule *Rule, p Policy) int {
	if rule != nil && rule.Max > 0 {
		return rule.Max + r.Allowed
	}
	floor := p.BreakerFloor
	if floor == 0 {
		floor = DefaultBreakerFloor
	}
	return max(floor, int(farMore*r.Usual)) + r.Allowed
}

// tooMany counts a text that goes at once, and tells whether the rule's breaker holds it.
func (w *work) tooMany(name string) (bool, error) {
	key := []byte(name)
	r, _, err := rates.Get(w.tx, key)
	if err != nil {
		return false, fmt.Errorf("read rate: %w", err)
	}
	if !r.Open.IsZero() {
		return true, nil
	}
	r = r.turn(w.tx.Now())
	if most := r.limit(w.rule, w.policy); r.N >= most {
		r.Open = w.tx.Now()
		w.opened = true
		err := w.tx.Record(store.Entry{Action: ActionBreaker, Outcome: store.Refused, Object: name, Attrs: []store.Attr{
			{Key: "texts", Value: fmt.Sprint(r.N)}, {Key: "usual", Value: fmt.Sprint(int(r.Usual))}, {Key: "limit", Value: fmt.Sprint(most)},
		}})
		if err != nil {
			return false, err
		}
	} else {
		r.N++
	}
	if err := rates.Put(w.tx, key, r); err != nil {
		return false, fmt.Errorf("keep rate: %w", err)
	}
	return !r.Open.IsZero(), nil
}

// Trouble is what waits for a person: rules whose breaker is open, and texts that are held.
type Trouble struct {
	Open []string // rules
	Held bool
}

// TroubleOf tells what waits for a person. It is cheap: a health page asks it.
func TroubleOf(tx *store.Tx) (t Trouble, err error) {
	err = rates.Each(tx, store.Range{}, func(rule []byte, r rate) error {
		if !r.Open.IsZero() {
			t.Open = append(t.Open, string(rule))
		}
		return nil
	})
	if err == nil {
		err = helds.Each(tx, store.Range{}, func([]byte, held) error {
			t.Held = true
			return store.Stop
		})
	}
	if err != nil {
		return Trouble{}, fmt.Errorf("read breakers: %w", err)
	}
	return t, nil
}
