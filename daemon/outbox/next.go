package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

// Job is one hand-over: what a sender is to send, once, and then to settle.
type Job struct {
	Message   Message
	Rendered  Rendered
	Attempt   int  // index into Message.Attempts, for Settle
	ConcatRef byte // reference for the parts of this attempt, new for each
}

const (
	// tries bounds how many messages one Next looks at: those that are gone, too late or held back by
	// a mode end on the way, and the rest is left to the next call.
	tries = 16
	// wakes bounds how many timers of each lane one Next sees to; the sweep sees to the rest.
	wakes = 16
	// renderings bounds how often a message that cannot be rendered is tried.
	renderings = 3
)

// Next gives an idle sender the message that it should hand over now, rendered, and marks it
// sending; false if there is none for it. The sender must have reported, and must settle what it is
// given before it asks again (ErrInHand).
//
// If the process dies after this commits, the message is in hand of nobody; Recover makes it unknown.
func Next(tx *store.Tx, name string, src Sources) (Job, bool, error) {
	y := look(tx)
	m, err := y.named(name)
	switch {
	case err != nil:
		return Job{}, false, err
	case m == nil:
		return Job{}, false, ErrUnknownSender
	case m.Claim:
		return y.pickUp(m, src)
	case m.Hand != "":
		return Job{}, false, ErrInHand
	case !m.Ready:
		return Job{}, false, nil
	}
	if _, err := wake(y, wakes); err != nil {
		return Job{}, false, err
	}
	for range tries {
		key, c, err := pick(y, m)
		if key == nil || err != nil {
			return Job{}, false, err
		}
		job, ok, err := take(y, m, key, c, src)
		if err != nil {
			return Job{}, false, err
		}
		if ok {
			// This sender is busy now: codes that waited for it are for the others.
			if n, err := waits(tx, OTP); err != nil {
				return Job{}, false, err
			} else if n > 0 {
				tx.Signal(Due)
			}
			return job, true, nil
		}
	}
	tx.Signal(Due) // more waits behind those
	return Job{}, false, nil
}

// pick finds the key of the best message for the sender, and its class: of the most urgent lane that
// has one, the first in order among the heads of all lines that the sender may serve.
//
// A text of several parts for which the budget has no room yet keeps what comes after it from the
// sender, or shorter texts would use the budget up for ever. Only codes pass such a one by.
func pick(y *yard, m *member) ([]byte, class, error) {
	for _, l := range lanes {
		if paused, err := isPaused(y.tx, l); err != nil {
			return nil, class{}, err
		} else if paused {
			continue
		}
		if room, err := y.well(m, l, 1); err != nil {
			return nil, class{}, err
		} else if !room {
			continue
		}
		best, c, err := y.best(m, l)
		if err != nil {
			return nil, class{}, err
		}
		if best == nil {
			continue
		}
		room, err := y.well(m, l, c.parts())
		if !room || err != nil {
			return nil, class{}, err
		}
		return best, c, nil
	}
	return nil, class{}, nil
}

// best finds the first message of a lane for the sender; among codes, the first that its SIM's budget
// has room for.
func (y *yard) best(m *member, l Lane) (best []byte, c class, err error) {
	err = lines.Each(y.tx, store.Range{Prefix: []byte{byte(l)}}, func(key []byte, ln line) error {
		if !m.can(l, ln.Class) {
			return nil
		}
		head, err := headOf(y.tx, key)
		if head == nil || err != nil {
			return err
		}
		if best != nil && bytes.Compare(head[lineKeySize:], best[lineKeySize:]) >= 0 {
			return nil
		}
		fits, err := y.fits(m, l, ln.Class, keyDue(head))
		if fits && l == OTP {
			fits, err = y.well(m, l, ln.Class.parts())
		}
		if fits && err == nil {
			best, c = head, ln.Class
		}
		return err
	})
	if err != nil {
		return nil, class{}, fmt.Errorf("look for a message: %w", err)
	}
	return best, c, nil
}

// headOf is the key of the first message of a line, or nil.
func headOf(tx *store.Tx, lineKey []byte) ([]byte, error) {
	var head []byte
	err := ready.Each(tx, store.Range{Prefix: lineKey}, func(key []byte, _ struct{}) error {
		head = key
		return store.Stop
	})
	if err != nil {
		return nil, fmt.Errorf("read line: %w", err)
	}
	return head, nil
}

// take gives the message to the sender, or ends it or puts it off; in each case it leaves its line.
func take(y *yard, m *member, key []byte, c class, src Sources) (Job, bool, error) {
	id := string(key[idAt:])
	if err := leave(y.tx, id, place{Key: key, Line: key[:lineKeySize]}); err != nil {
		return Job{}, false, err
	}
	r, err := load(y.tx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Job{}, false, nil // only a damaged index names it
	case errors.Is(err, store.ErrCorrupt):
		return Job{}, false, y.tx.Record(store.Entry{Action: ActionUnreadable, Outcome: store.Failed, Object: id})
	case err != nil:
		return Job{}, false, err
	case r.State != Queued:
		return Job{}, false, nil
	}
	r.Turn = binary.BigEndian.Uint64(key[lineKeySize+1:])
	if !y.now.Before(r.Expires) {
		return Job{}, false, y.expired(r)
	}
	if live, why, err := allowed(y.tx, r); err != nil {
		return Job{}, false, err
	} else if !live {
		return Job{}, false, rehearse(y.tx, r, src, why)
	}
	text, err := render(y.tx, r, src)
	if err != nil {
		return Job{}, false, unrendered(y.tx, r, err)
	}
	if r.Parts = max(1, text.Parts); r.Parts > c.parts() {
		if room, err := y.well(m, r.Lane, r.Parts); err != nil {
			return Job{}, false, err
		} else if !room {
			return Job{}, false, putBack(y.tx, r, c.AvoidSIM)
		}
	}
	return give(y, m, r, text)
}

// putBack files a message anew that turned out to need more parts than the SIM's budget has room for:
// no text goes half.
func putBack(tx *store.Tx, r *record, avoid string) error {
	r.Cause = "waits for a SIM with room for all its parts"
	if err := file(tx, r, avoid); err != nil {
		return err
	}
	if err := save(tx, r); err != nil {
		return err
	}
	return note(tx, r, ActionNotSent, store.Failed, attr("parts", r.Parts), attr("cause", r.Cause))
}

// expired ends a message whose time is over, and says so where no SIM could have carried it.
func (y *yard) expired(r *record) error {
	cause := "its time is over"
	if c := r.stepClass(r.Step); c.Parts > 1 {
		all, err := y.all()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(m *member) bool { return m.holds(r.Lane, c.Parts) }) {
			cause = "it has more parts than the caps of any SIM allow"
		}
	}
	return end(y.tx, r, Expired, cause)
}

// give marks the message as sending and as in the sender's hand.
func give(y *yard, m *member, r *record, text Rendered) (Job, bool, error) {
	parts := max(1, text.Parts)
	concat, err := charge(y, m.SIM, r.Lane, y.now, parts)
	if err != nil {
		return Job{}, false, err
	}
	r.State, r.Cause = Sending, ""
	r.Attempts = append(r.Attempts, Attempt{
		At: y.now, Step: r.Step, Sender: m.Name, SIM: m.SIM, Carrier: m.Carrier,
		Report: text.Report, Planned: parts, Outcome: Sending,
	})
	attempt := len(r.Attempts) - 1
	m.Hand, m.Attempt, m.Since, m.Last = r.ID, attempt, y.now, y.now
	if err := y.keep(m); err != nil {
		return Job{}, false, err
	}
	h := hand{ID: r.ID, Attempt: attempt}
	if err := handed.Put(y.tx, handedKey(y.tx, r, attempt), h); err != nil {
		return Job{}, false, fmt.Errorf("keep hand-over: %w", err)
	}
	if err := passTurn(y.tx, r); err != nil {
		return Job{}, false, err
	}
	if err := save(y.tx, r); err != nil {
		return Job{}, false, err
	}
	err = note(y.tx, r, ActionSending, store.OK, attr("attempt", attempt+1), attr("step", r.Step+1),
		attr("channel", r.Route[r.Step].Channel), attr("sender", m.Name), attr("sim", m.SIM),
		attr("carrier", m.Carrier), attr("parts", parts))
	if err != nil {
		return Job{}, false, err
	}
	return Job{Message: r.Message, Rendered: text, Attempt: attempt, ConcatRef: concat}, true, nil
}

var errNoSource = errors.New("no source for this kind of message")

// render asks the message's Source. A Source that panics must not hold up the lane for ever, as it
// would if the transaction were rolled back and the same message came first again.
func render(tx *store.Tx, r *record, src Sources) (text Rendered, err error) {
	source := src[r.Kind]
	if source == nil {
		return Rendered{}, errNoSource
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("source panicked")
		}
	}()
	if text, err = source(tx, r.Message); err != nil {
		return Rendered{}, err
	}
	if left := r.Expires.Sub(tx.Now()); text.Validity <= 0 || text.Validity > left {
		text.Validity = left
	}
	return text, nil
}

// unrendered cancels a message that its Source does not want any more, puts one off that cannot be
// rendered, and gives it up after a few times.
func unrendered(tx *store.Tx, r *record, err error) error {
	if errors.Is(err, ErrGone) {
		return end(tx, r, Canceled, "no longer wanted")
	}
	if r.Failures++; r.Failures >= renderings {
		return end(tx, r, Refused, "cannot be rendered")
	}
	r.Due, r.Cause = tx.Now().Add(time.Duration(r.Failures)*5*time.Second), "cannot be rendered yet"
	if err := save(tx, r); err != nil {
		return err
	}
	return note(tx, r, ActionNotSent, store.Failed, attr("cause", r.Cause))
}

// rehearse does all for a message but hand it over: what a mode holds back is decided, rendered and
// recorded.
func rehearse(tx *store.Tx, r *record, src Sources, why string) error {
	text, err := render(tx, r, src)
	if err != nil {
		return unrendered(tx, r, err)
	}
	return end(tx, r, Canceled, why, attr("parts", max(1, text.Parts)), attr("rehearsed", true))
}

// Rehearse renders and ends what the modes hold back (shadow, and pilot for other numbers): no sender
// ever takes it. A few at a time; the daemon's sweep calls it.
func Rehearse(tx *store.Tx, src Sources) error {
	var keys [][]byte
	err := lines.Each(tx, store.Range{}, func(key []byte, ln line) error {
		if !ln.Class.Shadow {
			return nil
		}
		return ready.Each(tx, store.Range{Prefix: key}, func(key []byte, _ struct{}) error {
			if keys = append(keys, key); len(keys)%tries == 0 {
				return store.Stop
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("look for held messages: %w", err)
	}
	y := look(tx)
	for _, key := range keys {
		if err := y.rehearse(key, src); err != nil {
			return err
		}
	}
	return nil
}

func (y *yard) rehearse(key []byte, src Sources) error {
	id := string(key[idAt:])
	if err := leave(y.tx, id, place{Key: key, Line: key[:lineKeySize]}); err != nil {
		return err
	}
	r, err := load(y.tx, id)
	if errors.Is(err, ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return y.tx.Record(store.Entry{Action: ActionUnreadable, Outcome: store.Failed, Object: id})
	}
	if err != nil || r.State != Queued {
		return err
	}
	if !y.now.Before(r.Expires) {
		return y.expired(r)
	}
	live, why, err := allowed(y.tx, r)
	if err != nil {
		return err
	}
	if live { // the mode was relaxed meanwhile
		return file(y.tx, r, "")
	}
	return rehearse(y.tx, r, src, why)
}
