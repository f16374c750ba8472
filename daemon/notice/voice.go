package notice

import (
	"errors"
	"slices"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// This file is about who cannot be texted, or is to be called. A call tells them that there is a message, in words that are the same for
// everybody, and by what number the hospital can be reached; nothing of the text itself is said, as nobody knows who lifts the receiver.

// Calls by a machine about care: one a day and three a week to one number (47 CFR 64.1200(a)(9)(iv)).
var (
	callsOfDay  = limit.Budget{Name: "notice.call.day", Max: 1, Window: 24 * time.Hour}
	callsOfWeek = limit.Budget{Name: "notice.call.week", Max: 3, Window: 7 * 24 * time.Hour}
)

// ActionNoCalls is recorded when somebody who was called about a notice pressed the key that refuses such calls.
const ActionNoCalls store.Action = "notice.no_calls"

// follow finds the subject's number of the day: one that is texted, else a landline. For whom a call is asked it is the other way round: a
// telephone at home is what is meant by it.
func (n *Notice) follow(tx *store.Tx) error {
	find := []func(*store.Tx, contact.SubjectID) (contact.Phone, bool, error){contact.Textable, contact.Callable}
	if n.Call {
		slices.Reverse(find)
	}
	for i, one := range find {
		to, ok, err := one(tx, n.Subject)
		if err != nil {
			return err
		}
		if ok {
			n.To, n.Voice = to, n.Call || i == 1
			return nil
		}
	}
	return ErrNoNumber
}

// mayBeSpoken says that a call may tell of a text of this template.
func (n Notice) mayBeSpoken(t text.Template) error {
	if !n.Voice || t.Spoken {
		return nil
	}
	return n.orNoNumber(ErrNoVoice)
}

// callable says that the number is to be called, and that the box can.
func (n Notice) callable(tx *store.Tx) error {
	may, err := contact.MayCall(tx, n.To)
	if err == nil && may && n.Call { // a number that takes texts as well may be one of several persons'
		var s contact.Subject
		s, _, err = contact.Find(tx, n.Subject)
		may = !s.NoVoice
	}
	if err == nil && !may {
		return n.orNoNumber(ErrNoCalls)
	}
	can := false
	if err == nil {
		can, err = outbox.Calls(tx)
	}
	if err == nil && !can {
		return n.orNoNumber(ErrNoVoice)
	}
	return err
}

// orNoNumber is why a call that was asked for cannot be; to whom cannot be texted in the first place, no number is left.
func (n Notice) orNoNumber(why error) error {
	if n.Call {
		return why
	}
	return ErrNoNumber
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
