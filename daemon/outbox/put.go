package outbox

import (
	"fmt"
	"time"

	"pinward/store"
)

const (
	longestRoute = 8 // steps
	mostRedials  = 10
	leastRedial  = time.Minute // whose line was engaged is not free a moment later
)

// Put accepts a message: it gives it an id, and a place in line as soon as it is due; a code that finds
// an idle sender and nobody before it is given to that sender at once, and is sending when Put returns.
// It leaves no entry of its acceptance, because the verb whose decision that is leaves one. The error is
// an *InvalidError for what the caller got wrong.
func Put(tx *store.Tx, m Message) (Message, error) {
	now := tx.Now()
	if err := check(m, now); err != nil {
		return Message{}, err
	}
	m.ID, m.Created, m.State, m.Step = "SM"+tx.RisingID(), now, Queued, 0
	m.Attempts, m.Forced, m.Stopped, m.Cause = nil, false, false, ""
	if m.Due.Before(now) {
		m.Due = now
	}
	m.Due, m.Expires = m.Due.UTC(), m.Expires.UTC()
	r := &record{Message: m, Born: m.Due}
	if m.Ref != "" && !m.Held {
		if err := refs.Put(tx, refKey(tx, m.Ref, m.ID), struct{}{}); err != nil {
			return Message{}, fmt.Errorf("index message: %w", err)
		}
	}
	if m.Due.After(now) {
		tx.Signal(Due) // whoever waits for the next one that is due reckons anew
		return r.Message, save(tx, r)
	}
	live, _, err := allowed(tx, r)
	if err != nil {
		return Message{}, err
	}
	c, err := classify(tx, r, "", live)
	if err != nil {
		return Message{}, err
	}
	if claimed, err := look(tx).claim(r, c); claimed || err != nil {
		return r.Message, err
	}
	if err := enter(tx, r, c); err != nil {
		return Message{}, err
	}
	return r.Message, save(tx, r)
}

func check(m Message, now time.Time) error {
	bad := func(field, reason string) error { return &InvalidError{Of: "message", Field: field, Reason: reason} }
	switch {
	case m.Kind == "":
		return bad("kind", "is missing")
	case m.Lane < OTP || m.Lane > Bulk:
		return bad("lane", "is none of otp, notice, bulk")
	case m.To.IsZero():
		return bad("to", "is missing")
	case len(m.Route) == 0 || len(m.Route) > longestRoute:
		return bad("route", fmt.Sprintf("has not 1 to %d steps", longestRoute))
	case !m.Expires.After(now) || !m.Expires.After(m.Due):
		return bad("expires", "is not after the time that it is due")
	case m.Redials < 0 || m.Redials > mostRedials || m.Redials > 0 && m.RedialAfter < leastRedial:
		return bad("redials", fmt.Sprintf("is not 0 to %d, each %v after the call before at least", mostRedials, leastRedial))
	case m.Replace > 7:
		return bad("replace", "is not 0 to 7")
	}
	for _, s := range m.Route {
		if s.Channel != SMS && s.Channel != Call {
			return bad("route", "has a step that is neither sms nor call")
		}
		if s.Wait < 0 {
			return bad("route", "has a step with a negative wait")
		}
	}
	return nil
}

func refKey(tx *store.Tx, ref, id string) []byte {
	return append(tx.Blind("outbox.ref", ref), id...)
}

// Get finds a message by its id.
func Get(tx *store.Tx, id string) (Message, bool, error) {
	if id == "" {
		return Message{}, false, nil
	}
	r, ok, err := messages.Get(tx, []byte(id))
	if err != nil {
		return Message{}, false, fmt.Errorf("read message: %w", err)
	}
	return r.Message, ok, nil
}

// ByRef finds the messages that were made for a record, oldest first.
func ByRef(tx *store.Tx, ref string) ([]Message, error) {
	ids, err := idsOf(tx, ref)
	if err != nil {
		return nil, err
	}
	var out []Message
	for _, id := range ids {
		m, ok, err := Get(tx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, m)
		}
	}
	return out, nil
}

func idsOf(tx *store.Tx, ref string) ([]string, error) {
	var ids []string
	prefix := refKey(tx, ref, "")
	err := refs.Each(tx, store.Range{Prefix: prefix}, func(key []byte, _ struct{}) error {
		ids = append(ids, string(key[len(prefix):]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up messages: %w", err)
	}
	return ids, nil
}

// Filter narrows a List; zero fields do not.
type Filter struct {
	Kind   Kind
	Lane   Lane
	State  State
	Client string
	Limit  int // 1 to 1000; 0 is 50
}

const (
	listUsual = 50
	listMost  = 1000
	listLook  = 5000 // messages that one List reads at the most
)

// List gives messages, newest first, from before the cursor that an earlier call returned ("" is the
// newest). The new cursor is "" at the end; a page may be short of its limit, or empty, before that.
func List(tx *store.Tx, f Filter, cursor string) (page []Message, next string, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = listUsual
	}
	limit = min(limit, listMost)
	looked, last := 0, ""
	r := store.Range{Reverse: true}
	if cursor != "" {
		r.From = []byte(cursor)
	}
	err = messages.Each(tx, r, func(key []byte, rec record) error {
		if string(key) == cursor {
			return nil
		}
		if len(page) == limit || looked == listLook {
			next = last
			return store.Stop
		}
		looked, last = looked+1, string(key)
		if f.matches(rec.Message) {
			page = append(page, rec.Message)
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list messages: %w", err)
	}
	return page, next, nil
}

func (f Filter) matches(m Message) bool {
	return (f.Kind == "" || f.Kind == m.Kind) && (f.Lane == 0 || f.Lane == m.Lane) &&
		(f.State == "" || f.State == m.State) && (f.Client == "" || f.Client == m.Client)
}
