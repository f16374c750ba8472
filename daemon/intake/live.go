package intake

import (
	"errors"
	"fmt"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// live is how a listener came to reach patients: one person asked, another agreed.
type live struct {
	Asked   string    `json:"asked"` // by whom
	AskedAt time.Time `json:"asked_at"`
	Agreed  string    `json:"agreed,omitempty"` // by whom; "" while it waits
}

var lives = store.NewTable[live]("intake.live", store.Cached())

// ActionLive is recorded when somebody asks for a listener to go live, agrees, or ends it.
const ActionLive store.Action = "hl7.live"

// ErrSecondPerson means that whoever asked cannot also agree.
var ErrSecondPerson = errors.New("go live: another person has to agree")

// askLife is how long a request waits for the second person.
const askLife = 24 * time.Hour

// GoLive asks for a listener to reach patients, or agrees to what another person asked within the last
// day; then it is live, as far as the box's configuration and the site's mode let it.
func GoLive(tx *store.Tx, listener string) (isLive bool, err error) {
	l, _, err := lives.Get(tx, []byte(listener))
	if err != nil {
		return false, fmt.Errorf("read mode of listener: %w", err)
	}
	who, step := tx.Actor().ID, "asked"
	switch {
	case l.Agreed != "":
		return true, nil
	case l.Asked == "" || tx.Now().Sub(l.AskedAt) > askLife:
		l = live{Asked: who, AskedAt: tx.Now()}
	case l.Asked == who:
		return false, ErrSecondPerson
	default:
		l.Agreed, step = who, "agreed"
	}
	if err := lives.Put(tx, []byte(listener), l); err != nil {
		return false, fmt.Errorf("keep mode of listener: %w", err)
	}
	return l.Agreed != "", recordLive(tx, listener, step)
}

// EndLive takes a listener back to shadow. One person is enough for that.
func EndLive(tx *store.Tx, listener string) error {
	if err := lives.Delete(tx, []byte(listener)); err != nil {
		return fmt.Errorf("keep mode of listener: %w", err)
	}
	return recordLive(tx, listener, "ended")
}

func recordLive(tx *store.Tx, listener, step string) error {
	return tx.Record(store.Entry{Action: ActionLive, Outcome: store.OK, Object: clip(listener), Attrs: []store.Attr{{Key: "step", Value: step}}})
}

// modeOf is how far this listener's messages go: never further than the configuration says, and live only
// where two people said so.
func (l Listener) modeOf(tx *store.Tx) (contact.Mode, error) {
	if l.Mode != contact.Live || !l.TwoPersons {
		return l.Mode, nil
	}
	v, _, err := lives.Get(tx, []byte(l.Name))
	if err != nil {
		return contact.Shadow, fmt.Errorf("read mode of listener: %w", err)
	}
	if v.Agreed == "" {
		return contact.Shadow, nil
	}
	return contact.Live, nil
}
