package access

import (
	"errors"
	"fmt"
	"time"

	"pinward/store"
)

// asked is what one person wants, and another has to agree to.
type asked struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

var askeds = store.NewTable[asked]("access.asked") // key: what is asked

// AskLife is how long a request waits for the second person.
const AskLife = 24 * time.Hour

// ErrSecondPerson means that whoever asked cannot also agree.
var ErrSecondPerson = errors.New("another person has to agree")

// Actions of what two persons do together; the object is what they agree to.
const (
	ActionAsk   store.Action = "second.asked"
	ActionAgree store.Action = "second.agreed"
)

// Asked is who asked first for something that waits for a second person; "" if nobody has.
func Asked(tx *store.Tx, what string) (string, error) {
	first, known, err := askeds.Get(tx, []byte(what))
	if err != nil {
		return "", fmt.Errorf("read what was asked: %w", err)
	}
	if !known || tx.Now().Sub(first.At) > AskLife {
		return "", nil
	}
	return first.By, nil
}

// Agree counts the actor's word for something that one person may not do alone. The first time it keeps
// that they asked; when another says the same within AskLife it is true, once, and the caller does it in
// this transaction. What is asked must name all that is agreed to, and nobody's data: it is recorded.
func Agree(tx *store.Tx, what string) (bool, error) {
	key, who := []byte(what), tx.Actor().ID
	first, known, err := askeds.Get(tx, key)
	if err != nil {
		return false, fmt.Errorf("read what was asked: %w", err)
	}
	fresh := known && tx.Now().Sub(first.At) <= AskLife
	switch {
	case fresh && first.By == who:
		return false, ErrSecondPerson
	case fresh:
		if err := askeds.Delete(tx, key); err != nil {
			return false, fmt.Errorf("forget what was asked: %w", err)
		}
		return true, tx.Record(store.Entry{Action: ActionAgree, Outcome: store.OK, Object: what, Attrs: []store.Attr{{Key: "asked_by", Value: first.By}}})
	}
	if err := askeds.Put(tx, key, asked{By: who, At: tx.Now()}); err != nil {
		return false, fmt.Errorf("keep what was asked: %w", err)
	}
	return false, tx.Record(store.Entry{Action: ActionAsk, Outcome: store.OK, Object: what})
}
