package record

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Hold keeps what a legal matter needs from being shredded. It is lifted by two people.
type Hold struct {
	ID     string    `json:"id"`
	Matter string    `json:"matter"` // such as a docket number; no patient's name
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	// From and To bound the entries that are held; zero is no bound.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Subject is the patient whose entries are held, zero for all. Keys seal the entries of a whole
	// month, so a hold on one patient holds each month in its bounds.
	Subject contact.SubjectID `json:"subject,omitzero"`
	// Lifting is who asked to lift it; another one has to agree.
	Lifting string `json:"lifting,omitempty"`
}

var holds = store.NewTable[Hold]("record.holds")

// Actions on holds.
const (
	ActionHold    store.Action = "audit.hold"
	ActionLifting store.Action = "audit.hold.lifting" // the first of two asks to lift it
	ActionLifted  store.Action = "audit.hold.lifted"
)

// Errors of holds, for people.
var (
	ErrNoHold    = errors.New("there is no such hold")
	ErrHold      = errors.New("a hold needs a matter of at most 200 bytes, and a time that begins before it ends")
	ErrSameLifts = errors.New("a hold is lifted by two people: another one has to agree")
)

// PutHold places a hold.
func PutHold(tx *store.Tx, h Hold) (Hold, error) {
	h.Matter = strings.TrimSpace(h.Matter)
	if h.Matter == "" || len(h.Matter) > 200 || !h.From.IsZero() && !h.To.IsZero() && !h.From.Before(h.To) {
		return h, ErrHold
	}
	var id [5]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the process instead
	h.ID, h.By, h.At, h.Lifting = fmt.Sprintf("H%010d", binary.BigEndian.Uint64(append(make([]byte, 3), id[:]...))%1e10), tx.Actor().ID, tx.Now(), ""
	if err := holds.Put(tx, []byte(h.ID), h); err != nil {
		return h, fmt.Errorf("place hold: %w", err)
	}
	return h, tx.Record(store.Entry{Action: ActionHold, Outcome: store.OK, Object: h.ID, Subject: clip(h.Subject.Key()), Attrs: []store.Attr{
		{Key: "matter", Value: h.Matter}, {Key: "from", Value: stamp(h.From)}, {Key: "to", Value: stamp(h.To)},
	}})
}

// LiftHold lifts a hold when a second person asks for it; lifted is false after the first.
func LiftHold(tx *store.Tx, id string) (lifted bool, err error) {
	if id == "" {
		return false, ErrNoHold
	}
	h, ok, err := holds.Get(tx, []byte(clip(id)))
	switch who := tx.Actor().ID; {
	case err != nil:
		return false, fmt.Errorf("lift hold: %w", err)
	case !ok:
		return false, ErrNoHold
	case h.Lifting == who:
		return false, ErrSameLifts
	case h.Lifting == "":
		h.Lifting = who
		if err := holds.Put(tx, []byte(h.ID), h); err != nil {
			return false, fmt.Errorf("lift hold: %w", err)
		}
		return false, tx.Record(store.Entry{Action: ActionLifting, Outcome: store.OK, Object: h.ID})
	default:
		if err := holds.Delete(tx, []byte(h.ID)); err != nil {
			return false, fmt.Errorf("lift hold: %w", err)
		}
		return true, tx.Record(store.Entry{Action: ActionLifted, Outcome: store.OK, Object: h.ID, Attrs: []store.Attr{{Key: "first", Value: h.Lifting}}})
	}
}

// Holds lists the holds in force.
func Holds(tx *store.Tx) (list []Hold, err error) {
	err = holds.Each(tx, store.Range{}, func(_ []byte, h Hold) error {
		list = append(list, h)
		return nil
	})
	return list, err
}

// Held reports whether a hold covers any of the time between two instants: then nothing of it may be
// shredded.
func Held(tx *store.Tx, from, to time.Time) (bool, error) {
	list, err := Holds(tx)
	return Covered(list, from, to), err
}

// Covered is Held for who has the list of holds, and asks of many times.
func Covered(list []Hold, from, to time.Time) bool {
	return slices.ContainsFunc(list, func(h Hold) bool {
		return (h.To.IsZero() || h.To.After(from)) && (h.From.IsZero() || h.From.Before(to))
	})
}
