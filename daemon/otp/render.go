package otp

import (
	"errors"
	"fmt"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// Render is the outbox.Source of codes. The code exists from here until the
// PDU is on air, and nowhere else.
func Render(tx *store.Tx, m outbox.Message) (outbox.Rendered, error) {
	v, err := load(tx, m.Ref)
	if errors.Is(err, ErrNotFound) {
		return outbox.Rendered{}, outbox.ErrGone
	}
	if err != nil {
		return outbox.Rendered{}, err
	}
	left := v.Expires.Sub(tx.Now())
	if v.State != Pending || left <= 0 || !last(v, m.ID) {
		return outbox.Rendered{}, outbox.ErrGone
	}
	if err := stillAllowed(tx, v, m); err != nil {
		return outbox.Rendered{}, err
	}
	s, err := FindService(tx, v.Service)
	if err != nil {
		return outbox.Rendered{}, fmt.Errorf("service of verification: %w", err)
	}
	code, err := codeOf(tx, v, s)
	if err != nil {
		return outbox.Rendered{}, err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return outbox.Rendered{}, err
	}
	if channelOf(m, m.Step) == outbox.Call {
		return spoken(tx, v, s, site, code)
	}
	rendered, err := body(tx, v, s, site, code)
	if err != nil {
		return outbox.Rendered{}, err
	}
	if err := noteText(tx, v); err != nil {
		return outbox.Rendered{}, err
	}
	return outbox.Rendered{Text: rendered, Validity: validity(left, s), Replace: m.Replace, Report: true}, nil
}

// spoken is v with this code as a call says it.
func spoken(tx *store.Tx, v Verification, s Service, site contact.Site, code string) (outbox.Rendered, error) {
	known, err := contact.Of(tx, v.To)
	if err != nil {
		return outbox.Rendered{}, err
	}
	may, err := contact.MayCall(tx, v.To)
	if err == nil && may && !v.Subject.IsZero() {
		var who contact.Subject
		who, _, err = contact.Find(tx, v.Subject)
		may = !who.NoVoice
	}
	if err != nil {
		return outbox.Rendered{}, err
	}
	if !may { // said so while the call waited
		return outbox.Rendered{}, outbox.ErrGone
	}
	return outbox.Rendered{Report: true, Call: outbox.Spoken{
		Code: code, Langs: []string{v.Locale, site.Language(), "en"}, Staff: s.Desk, Phone: site.HelpPhone, Slow: known.Slow,
	}}, nil
}

func channelOf(m outbox.Message, step int) outbox.Channel { return m.Route[step].Channel }

// noteText keeps that the text with the code of v is on its way, so that a STOP is read as the answer
// to it.
func noteText(tx *store.Tx, v Verification) error {
	return consent.NoteText(tx, v.To, consent.Last{Kind: string(Kind), Class: text.Code, Ref: v.ID, Lang: v.Locale})
}

// last reports whether id is the message that was asked for last: one that a
// resend overtook says nothing any more.
func last(v Verification, id string) bool {
	return len(v.Sends) > 0 && v.Sends[len(v.Sends)-1].Message == id
}

// stillAllowed asks consent again: a STOP may have come while the message
// waited. A call may go to a number that stopped texts with codes.
func stillAllowed(tx *store.Tx, v Verification, m outbox.Message) error {
	err := consent.Allowed(tx, v.To, text.Code, true)
	if errors.Is(err, consent.ErrOptedOutOfCodes) && channelOf(m, m.Step) == outbox.Call {
		return nil
	}
	if consent.Refused(err) {
		return outbox.ErrGone
	}
	return err
}

// validity is how long the network may keep the text: no longer than its code
// is of use.
func validity(left time.Duration, s Service) time.Duration {
	if s.Window > 0 {
		return min(left, s.Window)
	}
	return left
}

// body is the text of v with this code.
func body(tx *store.Tx, v Verification, s Service, site contact.Site, code string) (string, error) {
	t, err := text.Find(tx, s.Template, v.Locale)
	if err != nil {
		return "", fmt.Errorf("find text of %s: %w", s.Name, err)
	}
	values := text.Values{}
	values.SetBrand(site.Brand)
	values.SetCode(code)
	// A text promises no more than is kept, so minutes are cut; only what lies between a start and its
	// text, well under a second when a modem is idle, does not make four minutes of five.
	values.SetMinutes(validity(v.Expires.Sub(tx.Now()), s).Round(time.Second))
	values.SetPurpose(s.Purpose)
	switch {
	case s.DoNotShare:
		values.SetWarning(text.DoNotShare)
	case s.Desk:
		values.SetWarning(text.DeskOnly)
	}
	if s.Amount {
		values.SetAmount(v.Amount, v.Payee)
	}
	if s.AutofillHost != "" {
		values.SetAutofill(s.AutofillHost)
	}
	if s.AndroidHash != "" {
		values.SetAndroid(s.AndroidHash)
	}
	out, err := text.Render(t, values, site.Location())
	if err != nil {
		return "", fmt.Errorf("render text of %s: %w", s.Name, err)
	}
	return out, nil
}

// renders tries the text with a code that is none, so that a brand or a
// template at fault shows when a start is refused and not when a patient waits.
func renders(tx *store.Tx, v Verification, s Service, site contact.Site) error {
	_, err := body(tx, v, s, site, "0123456789"[:s.CodeLength])
	return err
}

// windowOpen reports whether a check may succeed now. A service with a window
// opens it with each hand-over to the network.
func windowOpen(tx *store.Tx, v Verification, s Service) (bool, error) {
	if s.Window == 0 {
		return true, nil
	}
	sent, err := outbox.ByRef(tx, v.ID)
	if err != nil {
		return false, fmt.Errorf("read messages of code: %w", err)
	}
	for _, m := range sent {
		for _, a := range m.Attempts {
			if channelOf(m, a.Step) == outbox.Call {
				// While the call lasts the code is being said; one that nobody took said none.
				if a.Outcome == outbox.Sending {
					return true, nil
				} else if a.Outcome == outbox.Undelivered {
					continue
				}
			}
			if at, ok := handedOver(a); ok && tx.Now().Sub(at) < s.Window {
				return true, nil
			}
		}
	}
	return false, nil
}

// handedOver is when the network may have taken an attempt; an unknown outcome
// counts, for the text may well have arrived.
func handedOver(a outbox.Attempt) (time.Time, bool) {
	switch a.Outcome {
	case outbox.Refused, outbox.NotSent, outbox.Canceled:
		return time.Time{}, false
	case outbox.Sending:
		return a.At, true
	}
	if a.Settled.IsZero() {
		return a.At, true
	}
	return a.Settled, true
}
