package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/modem"
	"pinward/store"
)

const (
	acceptReceiptBy = 2 * time.Minute  // after the network took the text: then no receipt comes
	acceptPersonBy  = 10 * time.Minute // what a person has to do at a handset
)

// stepOrder is what an operator has the box do for one line.
type stepOrder struct {
	Modem   string `json:"modem"`
	Carrier string `json:"carrier"`
	Step    string `json:"step"`             // text, stop, call or inbound; for a waiver any
	Reason  string `json:"reason,omitempty"` // of a waiver
	Code    string `json:"code,omitempty"`   // the end of the test text, as read on the handset
}

// lineFor finds the line of an order, with the modem it goes by.
func (h *house) lineFor(tx *store.Tx, o stepOrder) (l acceptLine, s *sender, ph testPhone, err error) {
	p, err := acceptancePolicyOf(tx)
	if err != nil {
		return l, nil, ph, err
	}
	ph, known := p.phoneOf(o.Carrier)
	s = h.sender(o.Modem)
	switch {
	case s == nil:
		return l, nil, ph, fmt.Errorf("%w: there is no modem of that name", admin.ErrState)
	case !known:
		return l, nil, ph, fmt.Errorf("%w: no test phone of that carrier is known: pinward commission phone list", admin.ErrState)
	case s.modem.Status().ICCID == "":
		return l, nil, ph, fmt.Errorf("%w: the modem shows no SIM now", admin.ErrState)
	}
	l, err = lineOf(tx, s.modem.Status().ICCID, ph.Carrier)
	l.Modem = o.Modem
	return l, s, ph, err
}

// beginStep begins a step; sweepAcceptance, or what comes from the handset, ends it.
func (h *house) beginStep(tx *store.Tx, o stepOrder) (acceptLine, error) {
	l, s, ph, err := h.lineFor(tx, o)
	if err != nil {
		return l, err
	}
	now := acceptStep{State: stepWaiting, At: tx.Now()}
	switch o.Step {
	case stepText, stepCall:
		steps := []string{stepText, stepReceipt, stepDelay}
		if o.Step == stepCall {
			steps = []string{stepCall, stepKey}
			if why := h.cannotCall(s); why != "" {
				l.Steps[stepCall] = acceptStep{State: stepNone, At: tx.Now(), Cause: why}
				l.Steps[stepKey] = l.Steps[stepCall]
				return l, keepLine(tx, l, store.OK, steps...)
			}
		}
		if had := l.Steps[steps[len(steps)-1]]; had.State == stepWaiting { // the operator came back
			if t, ok, err := findTest(tx, had.Test); err != nil || ok && t.Ended.IsZero() {
				return l, err
			}
		}
		t, err := h.startTest(tx, o.Modem, ph.Number, o.Step == stepCall)
		if err != nil {
			return l, err
		}
		now.Test = t.ID
		for _, name := range steps {
			l.Steps[name] = now
		}
		return l, keepLine(tx, l, store.OK, steps...)
	case stepStop, stepInbound:
		if l.Steps[o.Step].State == stepPassed {
			return l, nil // the handset was quicker than the operator
		}
		l.Steps[o.Step] = now
		return l, keepLine(tx, l, store.OK, o.Step)
	}
	return l, fmt.Errorf("%w: a step is one of text, stop, call, inbound", admin.ErrState)
}

// cannotCall says why no call can be made by a modem, "" if one can.
func (h *house) cannotCall(s *sender) string {
	switch st := s.modem.Status(); {
	case st.Ready && !st.CanCall():
		return "the modem cannot call"
	case h.speech.Load() == nil:
		return "no recordings are configured ([speech]), so this box makes no calls"
	}
	return ""
}

// arrivedText takes the operator's word that the text came, who has read the end of it on the handset.
func (h *house) arrivedText(tx *store.Tx, o stepOrder) (acceptLine, error) {
	l, _, _, err := h.lineFor(tx, o)
	if err != nil {
		return l, err
	}
	s := l.Steps[stepText]
	code := strings.ToUpper(strings.TrimSpace(o.Code))
	switch {
	case s.State == stepPassed:
		return l, nil // its receipt was there first
	case s.Test == "":
		return l, fmt.Errorf("%w: no text was sent", admin.ErrState)
	case len(code) < 4 || !strings.HasSuffix(s.Test, code):
		return l, fmt.Errorf("%w: the text does not end so", admin.ErrState)
	}
	l.Steps[stepText] = acceptStep{State: stepPassed, At: tx.Now(), Cause: "read on the handset"}
	return l, keepLine(tx, l, store.OK, stepText)
}

// waiveStep lets a person answer for a step that does not pass; the report has the reason.
func (h *house) waiveStep(tx *store.Tx, o stepOrder) (acceptLine, error) {
	l, _, _, err := h.lineFor(tx, o)
	switch {
	case err != nil:
		return l, err
	case !slices.Contains(acceptSteps, o.Step):
		return l, fmt.Errorf("%w: a step is one of %s", admin.ErrState, strings.Join(acceptSteps, ", "))
	case len(strings.TrimSpace(o.Reason)) < 10 || len(o.Reason) > 400:
		return l, fmt.Errorf("%w: a waiver needs a reason that an auditor understands (10 to 400 characters)", admin.ErrState)
	case l.Steps[o.Step].State != stepFailed:
		return l, fmt.Errorf("%w: only a step that failed can be waived", admin.ErrState)
	}
	l.Steps[o.Step] = acceptStep{State: stepWaived, At: tx.Now(), Cause: o.Reason, By: tx.Actor().ID}
	return l, keepLine(tx, l, store.OK, o.Step)
}

// sweepAcceptance follows the steps that wait: self-tests to their end, and persons as long as one can be expected to
// take.
func sweepAcceptance(tx *store.Tx) error {
	p, err := acceptancePolicyOf(tx)
	if err != nil {
		return err
	}
	return acceptLines.Each(tx, store.Range{}, func(_ []byte, had acceptLine) error {
		if !slices.ContainsFunc(acceptSteps, func(s string) bool { return had.Steps[s].State == stepWaiting }) {
			return nil
		}
		l, err := lineOf(tx, had.SIM, had.Carrier)
		if err != nil {
			return err
		}
		l.Modem = had.Modem
		if err := l.follow(tx, p); err != nil {
			return err
		}
		var changed []string
		outcome := store.OK
		for _, name := range acceptSteps {
			if l.Steps[name] != had.Steps[name] {
				changed = append(changed, name)
			}
			if l.Steps[name].State == stepFailed {
				outcome = store.Failed
			}
		}
		if len(changed) == 0 {
			return nil
		}
		return keepLine(tx, l, outcome, changed...)
	})
}

// end ends a step that waits; one that has ended stays as it is.
func (l acceptLine) end(tx *store.Tx, name, state string, seconds float64, cause string) {
	if s := l.Steps[name]; s.State == stepWaiting {
		l.Steps[name] = acceptStep{State: state, At: tx.Now(), Seconds: seconds, Cause: cause, Test: s.Test}
	}
}

func (l acceptLine) follow(tx *store.Tx, p acceptancePolicy) error {
	for _, name := range []string{stepStop, stepInbound} {
		if s := l.Steps[name]; s.State == stepWaiting && tx.Now().Sub(s.At) > acceptPersonBy {
			l.end(tx, name, stepFailed, 0, cmp.Or(s.Cause, "nothing came from the handset")+", within "+acceptPersonBy.String())
		}
	}
	for _, f := range []struct {
		step   string
		follow func(*store.Tx, acceptancePolicy, admin.SelfTest)
	}{{stepReceipt, l.followText}, {stepKey, l.followCall}} {
		s := l.Steps[f.step]
		if s.State != stepWaiting {
			continue
		}
		t, ok, err := findTest(tx, s.Test)
		if err != nil {
			return err
		}
		if !ok {
			t.Ended, t.Result = tx.Now(), "the test is not known any more"
		}
		f.follow(tx, p, t)
		if l.Steps[f.step].State != stepWaiting && ok && t.Ended.IsZero() {
			if err := endTest(tx, s.Test); err != nil { // the next one of this SIM need not wait for it
				return err
			}
		}
	}
	return nil
}

func (l acceptLine) followText(tx *store.Tx, p acceptancePolicy, t admin.SelfTest) {
	late := t.Accepted > 0 && tx.Now().Sub(t.Began).Seconds()-t.Accepted > acceptReceiptBy.Seconds()
	switch {
	case t.Receipt > 0:
		l.end(tx, stepText, stepPassed, t.Accepted, "")
		l.end(tx, stepReceipt, stepPassed, t.Receipt, "")
		if took := t.Receipt - t.Accepted; took > float64(p.MaxDelaySeconds) {
			l.end(tx, stepDelay, stepFailed, took, fmt.Sprintf("more than %d s", p.MaxDelaySeconds))
		} else {
			l.end(tx, stepDelay, stepPassed, took, "")
		}
	case !t.Ended.IsZero() || late:
		why := "no receipt"
		if t.Accepted == 0 {
			why = cmp.Or(t.Result, why)
		}
		l.end(tx, stepText, stepFailed, 0, why)
		l.end(tx, stepReceipt, stepFailed, 0, why)
		l.end(tx, stepDelay, stepFailed, 0, why)
	}
}

func (l acceptLine) followCall(tx *store.Tx, _ acceptancePolicy, t admin.SelfTest) {
	switch {
	case t.Ended.IsZero():
	case t.OK:
		l.end(tx, stepCall, stepPassed, t.Accepted, "")
		l.end(tx, stepKey, stepPassed, t.Receipt, "")
	case strings.Contains(t.Result, "answered"):
		l.end(tx, stepCall, stepPassed, t.Accepted, "")
		l.end(tx, stepKey, stepFailed, 0, t.Result)
	default:
		l.end(tx, stepCall, stepFailed, 0, t.Result)
		l.end(tx, stepKey, stepFailed, 0, t.Result)
	}
}

// endTest ends a self-test that nobody waits for any more, with what is known of it.
func endTest(tx *store.Tx, token string) error {
	key := testKey(tx, token)
	t, ok, err := tests.Get(tx, key)
	if err != nil || !ok || !t.Ended.IsZero() {
		return err
	}
	if u, on, err := going.Get(tx, key); err != nil {
		return err
	} else if on {
		t.Accepted, t.Receipt = u.Accepted, u.Receipt
	}
	m, _, err := outbox.Get(tx, t.Message)
	if err != nil {
		return err
	}
	return t.end(tx, key, m)
}

// linesFrom gives each line of a SIM that a test phone's number belongs to; of a number that is withheld all of them.
func linesFrom(tx *store.Tx, sim, number string, withheld bool, do func(acceptLine) error) error {
	p, err := acceptancePolicyOf(tx)
	if err != nil || len(p.Phones) == 0 {
		return err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return err
	}
	carrier := ""
	if !withheld {
		from, err := contact.FromNetwork(number, site.Plan())
		if _, unreadable := errors.AsType[*contact.NumberError](err); unreadable {
			return nil
		} else if err != nil {
			return err
		}
		if carrier = p.carrierOf(from); carrier == "" {
			return nil
		}
	}
	var of []acceptLine
	if err := acceptLines.Each(tx, store.Range{}, func(_ []byte, l acceptLine) error {
		if l.SIM == sim && (carrier == "" || l.Carrier == carrier) {
			of = append(of, l)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read lines of acceptance: %w", err)
	}
	for _, one := range of {
		l, err := lineOf(tx, one.SIM, one.Carrier)
		if err != nil {
			return err
		}
		l.Modem = one.Modem
		if err := do(l); err != nil {
			return err
		}
	}
	return nil
}

// heard sees what a text from a test phone did: a STOP that holds, and then a START that lifts it.
func heard(tx *store.Tx, in incoming, from contact.Phone) error {
	return linesFrom(tx, in.SIM, in.From, false, func(l acceptLine) error {
		s := l.Steps[stepStop]
		if s.State == stepPassed || l.Steps[stepText].State == stepOpen { // it is not under test
			return nil
		}
		c, err := consent.Of(tx, from)
		if err != nil {
			return err
		}
		stopped := c.Texts == consent.Out || c.Codes == consent.Out
		switch {
		case stopped && s.Cause == "":
			l.Steps[stepStop] = acceptStep{State: stepWaiting, At: tx.Now(), Cause: "STOP was taken, START was not"}
		case !stopped && s.Cause != "":
			l.Steps[stepStop] = acceptStep{State: stepPassed, At: tx.Now()}
		default:
			return nil
		}
		return keepLine(tx, l, store.OK, stepStop)
	})
}

// rang sees a call to a SIM while one is waited for.
func rang(tx *store.Tx, sim string, r modem.Ring) error {
	return linesFrom(tx, sim, r.From, r.From == "", func(l acceptLine) error {
		s := l.Steps[stepInbound]
		if s.State != stepWaiting {
			return nil
		}
		l.end(tx, stepInbound, stepPassed, max(0.001, tx.Now().Sub(s.At).Seconds()), "")
		return keepLine(tx, l, store.OK, stepInbound)
	})
}
