package notice

import (
	"errors"
	"fmt"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// Render is the outbox.Source of notices. All that was asked at Send is asked
// again: consent, the subject's number, the hours. Here the text is charged
// to the number, once however often it has to be handed over.
func Render(tx *store.Tx, m outbox.Message) (outbox.Rendered, error) {
	n, err := load(tx, m.Ref)
	if errors.Is(err, ErrNotFound) {
		return outbox.Rendered{}, outbox.ErrGone
	}
	if err != nil {
		return outbox.Rendered{}, err
	}
	if !n.Canceled.IsZero() {
		return outbox.Rendered{}, outbox.ErrGone
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return outbox.Rendered{}, err
	}
	t, err := text.Find(tx, n.Template, n.Lang)
	if err != nil {
		return outbox.Rendered{}, fmt.Errorf("find text of notice: %w", err)
	}
	before := n
	again, err := reconsider(tx, &n, site)
	if err == nil {
		err = n.mayBeSpoken(t)
	}
	switch {
	case err != nil:
		return drop(tx, n, err)
	case again:
		if n.Tried += m.Unheard(); before.To != n.To {
			n.Tried = 0 // it is another telephone
		}
		if m.Unheard() > 0 {
			if err := before.giveBack(tx); err != nil {
				return outbox.Rendered{}, err
			}
		}
		return hold(tx, n, t, site, "")
	}
	if err := mayGo(tx, n); err != nil {
		return drop(tx, n, err)
	}
	body, err := render(t, n, site)
	if err != nil {
		return outbox.Rendered{}, fmt.Errorf("render notice: %w", err)
	}
	if len(m.Attempts) == 0 {
		err := n.take(tx)
		full, ok := errors.AsType[*limit.Exceeded](err)
		switch {
		case ok && !n.cancels():
			n.At = tx.Now().Add(full.RetryAfter)
			return hold(tx, n, t, site, cause(full))
		case err != nil && !ok:
			return outbox.Rendered{}, err
		}
	}
	if n.Voice {
		return spoken(tx, n, site)
	}
	if err := ask(tx, n, t); err != nil {
		return outbox.Rendered{}, err
	}
	err = consent.NoteText(tx, n.To, consent.Last{Kind: string(Kind), Class: n.Class, Ref: n.ID, Lang: n.Lang})
	if err != nil {
		return outbox.Rendered{}, err
	}
	return outbox.Rendered{Text: body, Validity: n.Expires.Sub(tx.Now()), Report: true}, nil
}

// reconsider looks whether the message has to be another one: for another
// number, as the subject's has changed, or for a later hour.
func reconsider(tx *store.Tx, n *Notice, site contact.Site) (again bool, err error) {
	if n.Follow {
		if err := consent.AllowedSubject(tx, n.Subject, n.Class); err != nil {
			return false, err
		}
		to, voice := n.To, n.Voice
		if err := n.follow(tx); err != nil {
			return false, err
		}
		again = to != n.To || voice != n.Voice
	}
	return again || n.mayGoAt(tx.Now(), site).After(tx.Now()), nil
}

// hold queues the notice anew, for n.At or the first moment after it at which
// it may go, and lets go of the message at hand. why is for the entry.
func hold(tx *store.Tx, n Notice, t text.Template, site contact.Site, why string) (outbox.Rendered, error) {
	if n.At.Before(tx.Now()) {
		n.At = tx.Now()
	}
	n, err := enqueue(tx, n, t, site)
	if err != nil {
		return drop(tx, n, err)
	}
	if err := save(tx, n); err != nil {
		return outbox.Rendered{}, err
	}
	attrs := []store.Attr{attr("message", n.Message), attr("phone", n.To.E164())}
	if why != "" {
		attrs = append(attrs, attr("cause", why))
	}
	if err := record(tx, n, ActionHold, store.OK, attrs...); err != nil {
		return outbox.Rendered{}, err
	}
	return outbox.Rendered{}, outbox.ErrGone
}

// drop ends a notice that may not go any more, for a reason of Refusal; any
// other error is trouble and stays one.
func drop(tx *store.Tx, n Notice, why error) (outbox.Rendered, error) {
	if !Refusal(why) {
		return outbox.Rendered{}, why
	}
	n.Canceled, n.Dropped, n.Cause = tx.Now(), true, cause(why)
	if err := save(tx, n); err != nil {
		return outbox.Rendered{}, err
	}
	if err := release(tx, n); err != nil {
		return outbox.Rendered{}, err
	}
	if err := record(tx, n, ActionDrop, store.Refused, attr("cause", n.Cause)); err != nil {
		return outbox.Rendered{}, err
	}
	return outbox.Rendered{}, outbox.ErrGone
}

// CancelKey cancels the notice of a business key; false if there is none, or
// it is out already.
func CancelKey(tx *store.Tx, group, key, why string) (bool, error) {
	n, err := FindKey(tx, group, key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return cancel(tx, n, why)
}

// CancelGroup cancels all that waits about one thing, and says how many.
func CancelGroup(tx *store.Tx, group, why string) (int, error) {
	var ids []string
	err := byKey.Each(tx, store.Range{Prefix: groupPrefix(tx, group)}, func(_ []byte, id string) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cancel notices: %w", err)
	}
	return cancelAll(tx, ids, why)
}

// CancelSubject cancels all that waits about a person, and says how many: they
// died, or their record is gone.
func CancelSubject(tx *store.Tx, id contact.SubjectID, why string) (int, error) {
	prefix := subjectPrefix(tx, id)
	var ids []string
	err := bySubject.Each(tx, store.Range{Prefix: prefix}, func(key []byte, _ struct{}) error {
		ids = append(ids, idOf(key[len(prefix):]))
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cancel notices: %w", err)
	}
	return cancelAll(tx, ids, why)
}

// Cancel cancels a notice by id; false if it is out already.
func Cancel(tx *store.Tx, id, why string) (bool, error) {
	n, err := load(tx, id)
	if err != nil {
		return false, err
	}
	return cancel(tx, n, why)
}

func cancelAll(tx *store.Tx, ids []string, why string) (n int, err error) {
	for _, id := range ids {
		one, err := load(tx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return n, err
		}
		done, err := cancel(tx, one, why)
		if err != nil {
			return n, err
		}
		if done {
			n++
		}
	}
	return n, nil
}

func cancel(tx *store.Tx, n Notice, why string) (bool, error) {
	if waits, err := Waiting(tx, n); err != nil || !waits {
		return false, err
	}
	if err := withdraw(tx, n); err != nil {
		return false, fmt.Errorf("cancel notice: %w", err)
	}
	n.Canceled, n.Cause = tx.Now(), clip(why)
	if err := save(tx, n); err != nil {
		return false, err
	}
	if err := release(tx, n); err != nil {
		return false, err
	}
	return true, record(tx, n, ActionCancel, store.OK, attr("cause", n.Cause))
}

// withdraw stops the notice's message. There is one at a time that goes: whoever queues another lets go
// of the one before.
func withdraw(tx *store.Tx, n Notice) error {
	err := outbox.Cancel(tx, n.Message)
	if errors.Is(err, outbox.ErrOver) || errors.Is(err, outbox.ErrNotFound) {
		return nil
	}
	return err
}

// Waiting reports whether nothing of the notice has left the box yet, or nobody has heard it, and it is to go still: what was tried in vain
// is about to be tried again, and can be stopped as well.
func Waiting(tx *store.Tx, n Notice) (bool, error) {
	if !n.Canceled.IsZero() {
		return false, nil
	}
	m, ok, err := outbox.Get(tx, n.Message)
	if err != nil {
		return false, err
	}
	if !ok || m.State != outbox.Queued {
		return false, nil
	}
	for _, a := range m.Attempts {
		if a.Outcome != outbox.NotSent && !(n.Voice && a.Outcome == outbox.Undelivered) {
			return false, nil
		}
	}
	return true, nil
}

// Move gives a notice that waits another time and other slots (nil: as
// before). False means that it is out already, or canceled: the caller sends
// another.
func Move(tx *store.Tx, group, key string, at, expires time.Time, slots text.Values) (Notice, bool, error) {
	n, err := FindKey(tx, group, key)
	if errors.Is(err, ErrNotFound) {
		return Notice{}, false, nil
	}
	if err != nil {
		return Notice{}, false, err
	}
	if waits, err := Waiting(tx, n); err != nil || !waits {
		return n, false, err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return Notice{}, false, err
	}
	t, err := text.Find(tx, n.Template, n.Lang)
	if err != nil {
		return Notice{}, false, fmt.Errorf("find text of notice: %w", err)
	}
	if n.At = at; at.Before(tx.Now()) {
		n.At = tx.Now()
	}
	n.Expires = expires
	if expires.IsZero() {
		n.Expires = n.At.Add(24 * time.Hour)
	}
	if slots != nil {
		n.Slots = slots
	}
	if _, err := render(t, n, site); err != nil {
		return refuseMove(tx, n, err)
	}
	if err := withdraw(tx, n); err != nil {
		return Notice{}, false, fmt.Errorf("move notice: %w", err)
	}
	if n, err = enqueue(tx, n, t, site); err != nil {
		if !Refusal(err) {
			return Notice{}, false, err
		}
		_, e := drop(tx, n, err) // its old message is withdrawn, and no new one came
		if !errors.Is(e, outbox.ErrGone) {
			return Notice{}, false, e
		}
		return n, false, err
	}
	if err := save(tx, n); err != nil {
		return Notice{}, false, err
	}
	id, _ := idKey(n.ID)
	if err := dueAt(tx, n, id); err != nil {
		return Notice{}, false, err
	}
	return n, true, record(tx, n, ActionMove, store.OK, attr("message", n.Message), attr("at", n.At.Format(time.RFC3339)))
}

func refuseMove(tx *store.Tx, n Notice, err error) (Notice, bool, error) {
	if !Refusal(err) {
		return Notice{}, false, err
	}
	if e := record(tx, n, ActionMove, store.Refused, attr("cause", cause(err))); e != nil {
		return Notice{}, false, e
	}
	return n, false, err
}
