package notice

import (
	"errors"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/store"
)

// This file is about who cannot be texted. A call tells them that there is a message, in words that are the same for everybody, and by
// what number the hospital can be reached; nothing of the text itself is said, as nobody knows who lifts the receiver.

// Calls by a machine about care: one a day and three a week to one number (47 CFR 64.1200(a)(9)(iv)).
var (
	callsOfDay  = limit.Budget{Name: "notice.call.day", Max: 1, Window: 24 * time.Hour}
	callsOfWeek = limit.Budget{Name: "notice.call.week", Max: 3, Window: 7 * 24 * time.Hour}
)

// ActionNoCalls is recorded when somebody who was called about a notice pressed the key that refuses such calls.
const ActionNoCalls store.Action = "notice.no_calls"

// follow finds the subject's number of the day: one that is texted, else a landline.
func (n *Notice) follow(tx *store.Tx) error {
	to, ok, err := contact.Textable(tx, n.Subject)
	if err != nil {
		return err
	}
	n.Voice = !ok
	if !ok {
		if to, ok, err = contact.Callable(tx, n.Subject); err != nil {
			return err
		}
	}
	if !ok {
		return ErrNoNumber
	}
	n.To = to
	return nil
}

// callable says that a number is to be called, and that the box can.
func callable(tx *store.Tx, p contact.Phone) error {
	may, err := contact.MayCall(tx, p)
	if err == nil && may {
		may, err = outbox.Calls(tx)
	}
	if err == nil && !may {
		err = ErrNoNumber
	}
	return err
}

// take charges the notice to its number.
func (n Notice) take(tx *store.Tx) error { return limit.TakeAll(tx, n.charges()...) }

// giveBack takes back what a call was charged that nobody heard, when the notice waits for another day: the tries of one notice are one call.
func (n Notice) giveBack(tx *store.Tx) error {
	for _, c := range n.charges() {
		if err := limit.Give(tx, c.Budget, c.Key); err != nil {
			return err
		}
	}
	return nil
}

// charges are what a notice costs its number. One that says that somebody would come for nothing is never held by calls.
func (n Notice) charges() []limit.Charge {
	charges := []limit.Charge{{Budget: perNumber.For(n.Staff), Key: n.To.E164()}}
	if n.Voice && !n.cancels() {
		charges = append(charges, limit.Charge{Budget: callsOfDay, Key: n.To.E164()}, limit.Charge{Budget: callsOfWeek, Key: n.To.E164()})
	}
	return charges
}

// spoken is the call that tells of n.
func spoken(tx *store.Tx, n Notice, site contact.Site) (outbox.Rendered, error) {
	known, err := contact.Of(tx, n.To)
	if err != nil {
		return outbox.Rendered{}, err
	}
	return outbox.Rendered{Report: true, Call: outbox.Spoken{
		Say: outbox.SayNotice, Langs: []string{n.Lang, site.Language(), "en"}, Phone: site.HelpPhone, Slow: known.Slow,
	}}, nil
}

// RefuseCalls keeps that whoever was called about a notice wants no more of such calls. Codes that somebody asks for are still called.
func RefuseCalls(tx *store.Tx, id string) error {
	n, err := load(tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := consent.Set(tx, n.To, consent.ByVoice, consent.Out, consent.SourceCall); err != nil {
		return err
	}
	return record(tx, n, ActionNoCalls, store.OK, attr("phone", n.To.E164()))
}
