// Package alarm keeps what is wrong with the box until a person has seen to it: it raises an alarm for
// each root cause, says who is to be told next and by what, and ends what is over.
//
// It knows the site's order of outlets, who is on call, and how long each step waits for an answer. Texts
// leave by the outbox; for mail and webhooks it says what is due, and the program carries it out and
// settles it. It does not know what the parts of the box are, nor how to reach anything: whoever calls
// Judge brings the causes. Nothing of a patient is ever in an alarm.
package alarm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/store"
)

// Severity is how urgent an alarm is.
type Severity string

// Severities. A warning leaves in the hours for warnings alone.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Kind is what a record is of.
type Kind string

// Kinds. A test and a heartbeat go to outlets as an alarm does, and end by themselves.
const (
	Real      Kind = "alarm"
	Test      Kind = "test"
	Heartbeat Kind = "heartbeat"
)

// Event is what an outlet is told of.
type Event string

// Events.
const (
	Raised       Event = "raised"
	Reminded     Event = "reminded"     // seen by a person a day ago, and still so
	Acknowledged Event = "acknowledged" // somebody sees to it
	Cleared      Event = "cleared"
	Tested       Event = "test"
	Beat         Event = "heartbeat"
)

// Finding is one root cause, as health tells it now.
type Finding struct {
	Path     string // where in the tree it is, "modems/m1"
	Severity Severity
	Cause    string    // for the operator; it may name a modem or a peer, never a patient's anything
	Since    time.Time // since when it has been so
}

// Alarm is one cause from when it was found to when it is over.
type Alarm struct {
	ID       uint64    `json:"id"` // what a person answers with: small, counted from 1
	Kind     Kind      `json:"kind"`
	Path     string    `json:"path,omitempty"`
	Severity Severity  `json:"severity,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Since    time.Time `json:"since"`  // when the cause was first so
	Raised   time.Time `json:"raised"` // when it became an alarm
	// Returns counts how often the same cause had been over within the hour before: above 0 it flaps.
	Returns int `json:"returns,omitempty"`

	Seen   time.Time `json:"acknowledged,omitzero"`
	SeenBy string    `json:"acknowledged_by,omitempty"` // "user it", "sms night"
	Ended  time.Time `json:"cleared,omitzero"`

	Told []Told `json:"told,omitempty"`

	// Step is the next of the policy's steps, due at Next; Round counts how often all were gone through.
	Step  int       `json:"step"`
	Round int       `json:"round"`
	Next  time.Time `json:"next,omitzero"`
}

// Told is one attempt to tell somebody.
type Told struct {
	At    time.Time `json:"at"`
	Event Event     `json:"event"`
	By    Outlet    `json:"by"`
	To    string    `json:"to"` // as the policy has it: a duty, an address, a webhook
	Round int       `json:"round"`
	Step  int       `json:"step"`
	State State     `json:"state"`
	Cause string    `json:"cause,omitempty"` // why it failed
	Tries int       `json:"tries,omitempty"`
	Due   time.Time `json:"due,omitzero"` // of the next try
	// Address is where a mail goes; Message the outbox's id of a text.
	Address string `json:"address,omitempty"`
	Message string `json:"message,omitempty"`
}

// State is where a Told stands.
type State string

// States. An alarm goes on to its next step as soon as none of the present one may still arrive.
const (
	Queued   State = "queued"
	Retrying State = "retrying" // failed at least once, and is tried again
	Sent     State = "sent"     // the other side took it
	Failed   State = "failed"
	Dropped  State = "dropped" // no longer wanted before it left
)

func (s State) pending() bool { return s == Queued || s == Retrying }

// Actions.
const (
	ActionRaised  store.Action = "alarm.raised"
	ActionChanged store.Action = "alarm.changed" // more severe, or another cause
	ActionTold    store.Action = "alarm.told"
	ActionSeen    store.Action = "alarm.acknowledged"
	ActionCleared store.Action = "alarm.cleared"
	ActionTest    store.Action = "alarm.test"
	ActionBeat    store.Action = "alarm.heartbeat"
	ActionForgot  store.Action = "alarm.forgotten"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("there is no such alarm")
	ErrOver     = errors.New("the alarm is over")
	ErrNobody   = errors.New("the policy names nobody to tell: see alarms in pinward config")
)

// Changed is signalled when something may have become due for mail or a webhook.
var Changed = store.NewTopic("alarm.changed")

var (
	alarms = store.NewTable[Alarm]("alarm.alarms") // key: id
	open   = store.NewTable[struct{}]("alarm.open", store.Bookkeeping("finds alarms that are not over, or are still being told; raising, telling and ending are entries"))
	well   = store.NewTable[time.Time]("alarm.well", store.Bookkeeping("since when the cause of an alarm is gone; the end of the alarm is an entry"))
	counts = store.NewTable[uint64]("alarm.ids", store.Bookkeeping("the number of the last alarm; raising it is an entry"))
)

var countKey = []byte("last")

func key(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// Get finds an alarm by its number.
func Get(tx *store.Tx, id uint64) (Alarm, error) {
	a, ok, err := alarms.Get(tx, key(id))
	if err != nil {
		return a, fmt.Errorf("read alarm: %w", err)
	}
	if !ok {
		return a, ErrNotFound
	}
	return a, nil
}

// Open lists the alarms that are not over, the most severe and then the oldest first.
func Open(tx *store.Tx) ([]Alarm, error) {
	all, err := unfinished(tx)
	all = slices.DeleteFunc(all, func(a Alarm) bool { return a.Kind != Real || !a.Ended.IsZero() })
	slices.SortStableFunc(all, func(a, b Alarm) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return all, err
}

// Past lists up to most alarms that are over, tests and heartbeats among them, the last first.
func Past(tx *store.Tx, most int) ([]Alarm, error) {
	var out []Alarm
	err := alarms.Each(tx, store.Range{Reverse: true}, func(_ []byte, a Alarm) error {
		if a.Ended.IsZero() {
			return nil
		}
		if len(out) == most {
			return store.Stop
		}
		out = append(out, a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list alarms: %w", err)
	}
	return out, nil
}

// unfinished are the records that something may still become of, in the order of their numbers.
func unfinished(tx *store.Tx) ([]Alarm, error) {
	var out []Alarm
	err := open.Each(tx, store.Range{}, func(k []byte, _ struct{}) error {
		a, ok, err := alarms.Get(tx, k)
		if ok {
			out = append(out, a)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list open alarms: %w", err)
	}
	return out, nil
}

// create gives a record its number and keeps it.
func create(tx *store.Tx, a *Alarm, action store.Action) error {
	last, _, err := counts.Get(tx, countKey)
	if err != nil {
		return fmt.Errorf("number alarm: %w", err)
	}
	a.ID, a.Raised = last+1, tx.Now()
	if err := errors.Join(counts.Put(tx, countKey, a.ID), open.Put(tx, key(a.ID), struct{}{})); err != nil {
		return fmt.Errorf("number alarm: %w", err)
	}
	return a.keep(tx, action, store.OK)
}

// keep writes the record with the entry of what happened to it. One that is over and has nobody left to tell
// is not looked at any more.
func (a *Alarm) keep(tx *store.Tx, action store.Action, o store.Outcome, attrs ...store.Attr) error {
	if err := alarms.Put(tx, key(a.ID), *a); err != nil {
		return fmt.Errorf("keep alarm: %w", err)
	}
	if !a.Ended.IsZero() && !slices.ContainsFunc(a.Told, func(t Told) bool { return t.State.pending() }) {
		if err := errors.Join(open.Delete(tx, key(a.ID)), well.Delete(tx, key(a.ID))); err != nil {
			return fmt.Errorf("put alarm away: %w", err)
		}
	}
	if len(attrs) > maxAttrs {
		attrs = append(attrs[:maxAttrs:maxAttrs], store.Attr{Key: "more", Value: fmt.Sprint(len(attrs) - maxAttrs)})
	}
	if a.Kind == Real {
		attrs = append(attrs, store.Attr{Key: "path", Value: a.Path}, store.Attr{Key: "severity", Value: string(a.Severity)}, store.Attr{Key: "cause", Value: a.Cause})
	}
	tx.Signal(Changed)
	return tx.Record(store.Entry{Action: action, Outcome: o, Object: fmt.Sprintf("alarm:%d", a.ID), Attrs: attrs})
}

// maxAttrs is how many tellings one entry names; the record has them all.
const maxAttrs = 24

// clip keeps words within what an entry and a page can hold.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}

// maxCause bounds the words of a cause, in bytes.
const maxCause = 500

// kept is for how long a record can be read after its end; its entries stay.
const kept = 400 * 24 * time.Hour

// Sweep forgets what has been over for long, a few at a time.
func Sweep(tx *store.Tx) error {
	n := 0
	err := alarms.Each(tx, store.Range{}, func(k []byte, a Alarm) error {
		if n == 64 || a.Ended.IsZero() || tx.Now().Sub(a.Ended) < kept {
			return store.Stop
		}
		n++
		return alarms.Delete(tx, k)
	})
	if err != nil || n == 0 {
		return err
	}
	return tx.Record(store.Entry{Action: ActionForgot, Outcome: store.OK, Attrs: []store.Attr{{Key: "alarms", Value: fmt.Sprint(n)}}})
}
