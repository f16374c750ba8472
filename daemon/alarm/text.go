package alarm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

// MessageKind is the outbox's kind of the texts of this room.
const MessageKind outbox.Kind = "alarm"

const (
	// textLife is until when a text of an alarm may be handed over.
	textLife = 10 * time.Minute
	// textPatience is how long a modem may take to hand it over before the alarm goes on by other ways.
	textPatience = time.Minute
)

// text puts a text into the outbox. Where it cannot leave the box the Told says why: the alarm then goes on
// at once, by other ways than the modems.
func (a *Alarm) text(tx *store.Tx, site contact.Site, t Told) (Told, error) {
	fail := func(why string) (Told, error) {
		t.State, t.Cause = Failed, why
		return t, nil
	}
	if site.Mode == contact.Shadow {
		return fail("the site is in shadow mode, in which no text leaves the box")
	}
	to, err := contact.FromNetwork(t.Address, site.Plan())
	if err != nil {
		return fail("the number on record is none")
	}
	if site.Mode == contact.Pilot && !site.IsPilot(to, "") {
		return fail("the site is in pilot mode, and this is not a pilot number")
	}
	if any, err := canText(tx); err != nil {
		return t, err
	} else if !any {
		return fail("no modem can send")
	}
	m, err := outbox.Put(tx, message(to, fmt.Sprintf("%d/%s", a.ID, t.Event), tx.Now()))
	if err != nil {
		return t, fmt.Errorf("send text of alarm: %w", err)
	}
	t.Message = m.ID
	return t, nil
}

// message goes as a code does: by any SIM, before notices, once more by another carrier where no receipt
// comes, and again if its outcome is unknown. Twice is better than not.
func message(to contact.Phone, ref string, now time.Time) outbox.Message {
	return outbox.Message{
		Kind: MessageKind, Ref: ref, Held: true, Lane: outbox.OTP, To: to, Essential: true, Mode: contact.Live,
		Route: []outbox.Step{{Channel: outbox.SMS, Wait: time.Minute}, {Channel: outbox.SMS, OtherCarrier: true}}, Expires: now.Add(textLife),
	}
}

// canText tells whether any modem takes an urgent text now.
func canText(tx *store.Tx) (bool, error) {
	all, err := outbox.Senders(tx)
	for _, s := range all {
		if s.Ready && s.Hindrance == "" {
			return true, nil
		}
	}
	return false, err
}

// follow learns from the outbox what became of the texts.
func (a *Alarm) follow(tx *store.Tx) error {
	for i := range a.Told {
		t := &a.Told[i]
		if t.By != SMS || !t.State.pending() {
			continue
		}
		m, ok, err := outbox.Get(tx, t.Message)
		if err != nil {
			return err
		}
		before := t.State
		switch {
		case !ok:
			t.State, t.Cause = Failed, "the text is gone"
		case m.State == outbox.Sent || m.State == outbox.Delivered:
			t.State, t.Cause = Sent, ""
		case m.State == outbox.Canceled:
			t.State = Dropped
		case m.State == outbox.Unknown:
			t.State, t.Cause = Failed, "it is not known whether it left"
		case m.State.Final():
			t.State, t.Cause = Failed, m.Cause
		case t.State == Queued && tx.Now().Sub(t.At) >= textPatience:
			t.State, t.Cause = Retrying, "no modem has taken it yet"
		}
		if t.State == before {
			continue
		}
		outcome := store.OK
		if t.State == Failed || t.State == Retrying {
			outcome = store.Failed
			a.hasten(tx, *t)
		}
		if err := a.keep(tx, ActionTold, outcome, t.attr()); err != nil {
			return err
		}
	}
	return nil
}

// Render is the outbox's Source of the texts. What is no longer so is not sent.
func Render(tx *store.Tx, m outbox.Message) (outbox.Rendered, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return outbox.Rendered{}, err
	}
	id, event, _ := strings.Cut(m.Ref, "/")
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return outbox.Rendered{}, outbox.ErrGone
	}
	text := ""
	if n == 0 {
		if text, err = openWords(tx); err != nil {
			return outbox.Rendered{}, err
		}
	} else {
		a, err := Get(tx, n)
		if errors.Is(err, ErrNotFound) {
			return outbox.Rendered{}, outbox.ErrGone
		}
		if err != nil {
			return outbox.Rendered{}, err
		}
		if e := Event(event); (e == Raised && !a.Seen.IsZero()) || ((e == Raised || e == Reminded) && !a.Ended.IsZero()) {
			return outbox.Rendered{}, outbox.ErrGone
		}
		text = a.Words(Event(event))
		if Event(event) == Raised {
			text = fit(site.Brand+" "+text, len(answer(n))) + answer(n)
			return outbox.Rendered{Text: text, Validity: textLife, Report: true, Parts: 1}, nil
		}
	}
	return outbox.Rendered{Text: fit(site.Brand+" "+text, 0), Validity: textLife, Report: true, Parts: 1}, nil
}

func answer(id uint64) string { return fmt.Sprintf(" Reply ACK %d", id) }

// Words say an event in one line, the number first.
func (a Alarm) Words(e Event) string {
	switch e {
	case Cleared:
		return fmt.Sprintf("alarm %d is over: %s", a.ID, a.Path)
	case Acknowledged:
		return fmt.Sprintf("alarm %d acknowledged: %s", a.ID, a.Path)
	case Reminded:
		return fmt.Sprintf("alarm %d still stands: %s: %s.", a.ID, a.Path, a.Cause)
	case Tested:
		return fmt.Sprintf("test %d of the alarms. Nothing is wrong and nothing is to be done.", a.ID)
	case Beat:
		return fmt.Sprintf("heartbeat %d: %s", a.ID, a.Cause)
	}
	again := ""
	if a.Returns > 0 {
		again = " (it comes and goes)"
	}
	return fmt.Sprintf("alarm %d %s: %s: %s%s.", a.ID, a.Severity, a.Path, a.Cause, again)
}

// onePart is how much of the GSM alphabet one text holds.
const onePart = 160

// fit makes s fit one text beside extra more characters: of the characters that all alphabets have, and of those of the
// GSM alphabet that take one place (23.038 6.2.1).
func fit(s string, extra int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '[' || r == '{':
			return '('
		case r == ']' || r == '}':
			return ')'
		case r == '…':
			return '.'
		case r < ' ' || r > '~' || strings.ContainsRune("\\^|~`", r):
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
	if most := onePart - extra; len(s) > most {
		return s[:most-3] + "..."
	}
	return s
}

// openWords answer a text that names no open alarm.
func openWords(tx *store.Tx) (string, error) {
	all, err := Open(tx)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, a := range all {
		if a.Seen.IsZero() {
			ids = append(ids, strconv.FormatUint(a.ID, 10))
		}
	}
	switch len(ids) {
	case 0:
		return "no alarm waits for an answer.", nil
	case 1:
		return "no such alarm. Reply ACK " + ids[0] + " for the one that waits.", nil
	}
	return "say which: reply ACK and one of " + strings.Join(ids, ", ") + ".", nil
}
