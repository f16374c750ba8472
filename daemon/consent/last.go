package consent

import (
	"fmt"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/text"
	"pinward/store"
)

// Last is the text that went to a number last: what an answer such as STOP,
// YES or CANCEL is an answer to.
type Last struct {
	Kind  string     `json:"kind"` // the outbox kind: "otp", "notice", "consent"
	Class text.Class `json:"class"`
	Ref   string     `json:"ref"` // id of the verification or notice
	Lang  string     `json:"lang"`
	At    time.Time  `json:"at"`
}

var lasts = store.NewTable[Last]("consent.last", store.Blinded(0),
	store.Bookkeeping("which text went to a number last; the hand-over itself is the outbox's entry"))

// noteAgain is the age from which on the same text is noted once more.
const noteAgain = time.Minute

// NoteText keeps which text is on its way to a number. A Source calls it when
// it renders, in the transaction that hands the text to a sender.
//
// What was noted a moment ago is not noted again: a code is noted by its start where that hands it over
// itself, and then rendered where nothing can be written.
func NoteText(tx *store.Tx, p contact.Phone, l Last) error {
	was, known, err := LastText(tx, p, noteAgain)
	if err != nil {
		return err
	}
	l.At = was.At
	if known && was == l {
		return nil
	}
	l.At = tx.Now()
	if err := lasts.Put(tx, numberKey(tx, p), l); err != nil {
		return fmt.Errorf("note text: %w", err)
	}
	return nil
}

// LastText returns which text went to the number last; ok is false where none
// did within the time given.
func LastText(tx *store.Tx, p contact.Phone, within time.Duration) (l Last, ok bool, err error) {
	l, ok, err = lasts.Get(tx, numberKey(tx, p))
	if err != nil {
		return Last{}, false, fmt.Errorf("read last text: %w", err)
	}
	if !ok || tx.Now().Sub(l.At) > within {
		return Last{}, false, nil
	}
	return l, true, nil
}
