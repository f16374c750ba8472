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
	Ended   bool      `json:"ended,omitempty"`  // taken back: in shadow, whatever the configuration says, until somebody agrees
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
func (in *Intake) GoLive(tx *store.Tx) (isLive bool, err error) {
	listener := in.listener.Name
	l, _, err := lives.Get(tx, []byte(listener))
	if err != nil {
		return false, fmt.Errorf("read mode of listener: %w", err)
	}
	who, step := tx.Actor().ID, "asked"
	switch {
	case l.Agreed != "":
		return true, nil
	case l.Asked == "" || tx.Now().Sub(l.AskedAt) > askLife:
		l = live{Asked: who, AskedAt: tx.Now(), Ended: l.Ended}
		if !in.listener.TwoPersons {
			l.Agreed, step = who, "agreed"
		}
	case l.Asked == who:
		return false, ErrSecondPerson
	default:
		l.Agreed, step = who, "agreed"
	}
	if err := lives.Put(tx, []byte(listener), l); err != nil {
		return false, fmt.Errorf("keep mode of listener: %w", err)
	}
	return l.Agreed != "", in.changed(tx, step)
}

// EndLive takes a listener back to shadow, and all that waits of it. One person is enough for that.
func (in *Intake) EndLive(tx *store.Tx) error {
	if err := lives.Put(tx, []byte(in.listener.Name), live{Ended: true}); err != nil {
		return fmt.Errorf("keep mode of listener: %w", err)
	}
	return in.changed(tx, "ended")
}

// changed makes a step hold for what waits as well.
func (in *Intake) changed(tx *store.Tx, step string) error {
	mode, _, err := in.setMode(tx)
	if err != nil {
		return err
	}
	return in.recordLive(tx, step, mode)
}

// Begin makes the mode that the configuration has by now hold for what waits since before the start. It leaves an entry where that
// is another than before.
func (in *Intake) Begin(tx *store.Tx) error {
	mode, changed, err := in.setMode(tx)
	if err != nil || !changed {
		return err
	}
	return in.recordLive(tx, "configured", mode)
}

// EndOthers takes the listeners to shadow that the configuration has no more: what waits of them would go, and nobody could hold it by
// their name.
func EndOthers(tx *store.Tx, configured func(listener string) bool) error {
	names, err := contact.Listeners(tx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if configured(name) {
			continue
		}
		in := Intake{listener: Listener{Name: name, Mode: contact.Shadow}}
		if _, changed, err := in.setMode(tx); err != nil {
			return err
		} else if changed {
			if err := in.recordLive(tx, "removed", contact.Shadow); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *Intake) setMode(tx *store.Tx) (mode contact.Mode, changed bool, err error) {
	if mode, err = in.listener.modeOf(tx); err != nil {
		return mode, false, err
	}
	changed, err = contact.SetMode(tx, in.listener.source(), contact.Shadow, mode)
	return mode, changed, err
}

func (in *Intake) recordLive(tx *store.Tx, step string, mode contact.Mode) error {
	return tx.Record(store.Entry{Action: ActionLive, Outcome: store.OK, Object: clip(in.listener.Name), Attrs: []store.Attr{
		{Key: "step", Value: step}, {Key: "mode", Value: mode.String()},
	}})
}

// source is the listener as messages name where they are from.
func (l Listener) source() string { return contact.OfListener(l.Name) }

// modeOf is how far this listener's messages go: never further than the configuration says, live only where two people said so, and
// nowhere once it was taken back.
func (l Listener) modeOf(tx *store.Tx) (contact.Mode, error) {
	v, _, err := lives.Get(tx, []byte(l.Name))
	if err != nil {
		return contact.Shadow, fmt.Errorf("read mode of listener: %w", err)
	}
	if v.Agreed == "" && (v.Ended || l.Mode == contact.Live && l.TwoPersons) {
		return contact.Shadow, nil
	}
	return l.Mode, nil
}
