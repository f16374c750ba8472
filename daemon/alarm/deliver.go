package alarm

import (
	"fmt"
	"time"

	"pinward/store"
)

// Delivery is one mail, or one request to a webhook, that is due.
type Delivery struct {
	// ID is the same at each try: who gets it twice can tell.
	ID      string
	By      Outlet
	To      string // the webhook's name
	Address string // of a mail
	Event   Event
	At      time.Time // when it was first to be told
	Alarm   Alarm
	Text    string // one line

	index int // in Alarm.Told
}

// Waiting lists what is due by an outlet, mail or webhook.
func Waiting(tx *store.Tx, by Outlet) ([]Delivery, error) {
	all, err := unfinished(tx)
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, a := range all {
		for i, t := range a.Told {
			if t.By == by && t.State.pending() && !t.Due.After(tx.Now()) {
				out = append(out, Delivery{
					ID: fmt.Sprintf("%d-%s-%d", a.ID, t.Event, t.At.UnixMilli()), By: t.By, To: t.To, Address: t.Address, Event: t.Event, At: t.At, Alarm: a, Text: a.Words(t.Event), index: i,
				})
			}
		}
	}
	return out, nil
}

// pauses are between the tries of one delivery; after the last it is given up.
var pauses = []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}

// Settle says what became of a delivery: cause is "" if the other side took it, and in words without
// values why not; final is a refusal that no further try changes.
func Settle(tx *store.Tx, d Delivery, cause string, final bool) error {
	a, err := Get(tx, d.Alarm.ID)
	if err != nil {
		return err
	}
	i := a.find(d)
	if i < 0 {
		return nil // it was dropped meanwhile, and settled by that
	}
	t := &a.Told[i]
	t.Tries++
	cause = clip(cause, maxCause)
	outcome := store.Failed
	switch {
	case cause == "":
		t.State, t.Cause, t.Due, outcome = Sent, "", time.Time{}, store.OK
	case final || t.Tries > len(pauses):
		t.State, t.Cause, t.Due = Failed, cause, time.Time{}
	default:
		t.State, t.Cause, t.Due = Retrying, cause, tx.Now().Add(pauses[t.Tries-1])
	}
	if outcome == store.Failed {
		a.hasten(tx, *t)
	}
	return a.keep(tx, ActionTold, outcome, t.attr())
}

// find is where in the record the delivery stands; what was told first may have been cut off.
func (a *Alarm) find(d Delivery) int {
	want := d.Alarm.Told[d.index]
	for i, t := range a.Told {
		if t.At.Equal(want.At) && t.Event == want.Event && t.By == want.By && t.To == want.To && t.Address == want.Address && t.State.pending() {
			return i
		}
	}
	return -1
}
