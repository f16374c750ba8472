package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/store"
)

// Actions of the site's acceptance: whether each SIM does all that a patient's phone needs, with each large carrier.
const (
	actAcceptPolicy   store.Action = "acceptance.policy"
	actAcceptStep     store.Action = "acceptance.step"
	actAcceptWaived   store.Action = "acceptance.waived"
	actAcceptFinished store.Action = "acceptance.finished"
)

// acceptancePolicy is what the acceptance of this site asks for.
type acceptancePolicy struct {
	// MaxAgeDays is how long a passed acceptance lets the site go live.
	MaxAgeDays int `json:"max_age_days"`
	// MaxDelaySeconds is how long a receipt may take.
	MaxDelaySeconds int `json:"max_delay_seconds"`
	// Phones are handsets of the hospital's own, one for each large carrier of its patients.
	Phones []testPhone `json:"phones"`
}

// testPhone is a handset that the operator owns. In the audit and on reports it is its carrier.
type testPhone struct {
	Carrier string        `json:"carrier"`
	Number  contact.Phone `json:"number"`
}

var acceptancePolicies = store.NewTable[acceptancePolicy]("acceptance.policy", store.Policy())

var acceptanceKey = []byte("acceptance")

func acceptancePolicyOf(tx *store.Tx) (acceptancePolicy, error) {
	p, ok, err := acceptancePolicies.Get(tx, acceptanceKey)
	if err != nil {
		return p, fmt.Errorf("read policy of acceptance: %w", err)
	}
	if !ok {
		p = acceptancePolicy{MaxAgeDays: 400, MaxDelaySeconds: 60}
	}
	p.Phones = append([]testPhone{}, p.Phones...)
	return p, nil
}

var carrierName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 .&+-]{0,31}$`)

func (p acceptancePolicy) check() error {
	switch {
	case p.MaxAgeDays < 1 || p.MaxAgeDays > 3650:
		return errors.New("max_age_days: must be 1 to 3650")
	case p.MaxDelaySeconds < 1 || p.MaxDelaySeconds > 600:
		return errors.New("max_delay_seconds: must be 1 to 600")
	case len(p.Phones) > 16:
		return errors.New("phones: 16 at most")
	}
	carriers, numbers := map[string]bool{}, map[contact.Phone]bool{}
	for i, ph := range p.Phones {
		if !carrierName.MatchString(ph.Carrier) || ph.Number.IsZero() || carriers[ph.Carrier] || numbers[ph.Number] {
			return fmt.Errorf("phones[%d]: must have a carrier and a number, each there once", i)
		}
		carriers[ph.Carrier], numbers[ph.Number] = true, true
	}
	return nil
}

func setAcceptancePolicy(tx *store.Tx, p acceptancePolicy) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := acceptancePolicies.Put(tx, acceptanceKey, p); err != nil {
		return fmt.Errorf("keep policy of acceptance: %w", err)
	}
	var carriers string
	for _, ph := range p.Phones {
		carriers += " " + ph.Carrier
	}
	return tx.Record(store.Entry{Action: actAcceptPolicy, Outcome: store.OK, Attrs: []store.Attr{
		{Key: "carriers", Value: cmp.Or(carriers, " none")[1:]}, {Key: "max_age_days", Value: fmt.Sprint(p.MaxAgeDays)},
	}})
}

// phoneOf is the test phone of a carrier.
func (p acceptancePolicy) phoneOf(carrier string) (testPhone, bool) {
	i := slices.IndexFunc(p.Phones, func(ph testPhone) bool { return ph.Carrier == carrier })
	if i < 0 {
		return testPhone{}, false
	}
	return p.Phones[i], true
}

// carrierOf is whose test phone has a number; "" if it is none.
func (p acceptancePolicy) carrierOf(n contact.Phone) string {
	for _, ph := range p.Phones {
		if ph.Number == n {
			return ph.Carrier
		}
	}
	return ""
}

// The steps of one line, in the order in which they are done.
const (
	stepText    = "text"    // the network took it, and it arrived
	stepReceipt = "receipt" // and its receipt came
	stepDelay   = "delay"   // in time
	stepStop    = "stop"    // the handset's STOP holds, and its START lifts it
	stepCall    = "call"    // the handset rang and was answered
	stepKey     = "key"     // and its key came back
	stepInbound = "inbound" // a call to the SIM is noticed, and hung up or forwarded
)

var acceptSteps = []string{stepText, stepReceipt, stepDelay, stepStop, stepCall, stepKey, stepInbound}

// States of a step.
const (
	stepOpen    = ""
	stepWaiting = "waiting"
	stepPassed  = "passed"
	stepFailed  = "failed"
	stepWaived  = "waived" // a person answers for it, with a reason
	stepNone    = "none"   // the modem, or the box, cannot do it, and says why
)

// acceptStep is what came of one step.
type acceptStep struct {
	State   string
	At      time.Time // of the last change
	Seconds float64   // that it took, where that says anything
	Cause   string
	By      string // who waived it
	Test    string // of the self-test that it waits for
}

func (s acceptStep) done() bool {
	return s.State == stepPassed || s.State == stepWaived || s.State == stepNone
}

// acceptLine is one SIM with one carrier.
type acceptLine struct {
	SIM, Modem, Carrier string
	Steps               map[string]acceptStep
}

func (l acceptLine) passed() bool {
	return !slices.ContainsFunc(acceptSteps, func(s string) bool { return !l.Steps[s].done() })
}

// accepted is the last acceptance that a SIM passed.
type accepted struct {
	At       time.Time
	Carriers []string
	Report   string // SHA-256 of the report, as its entry has it
}

var (
	acceptLines  = store.NewTable[acceptLine]("acceptance.lines", store.Blinded(0)) // by SIM and carrier
	acceptedSIMs = store.NewTable[accepted]("acceptance.passed", store.Blinded(0))  // by SIM
)

func lineKey(tx *store.Tx, sim, carrier string) []byte {
	return tx.Blind("acceptance.line", sim+"|"+carrier)
}

func acceptedKey(tx *store.Tx, sim string) []byte { return tx.Blind("acceptance.passed", sim) }

func lineOf(tx *store.Tx, sim, carrier string) (acceptLine, error) {
	l, _, err := acceptLines.Get(tx, lineKey(tx, sim, carrier))
	if err != nil {
		return l, fmt.Errorf("read line of acceptance: %w", err)
	}
	steps := map[string]acceptStep{}
	for name, s := range l.Steps { // what the table gives is not ours to change
		steps[name] = s
	}
	l.SIM, l.Carrier, l.Steps = sim, carrier, steps
	return l, nil
}

// keepLine keeps a line with the entry of the steps that changed.
func keepLine(tx *store.Tx, l acceptLine, outcome store.Outcome, steps ...string) error {
	if err := acceptLines.Put(tx, lineKey(tx, l.SIM, l.Carrier), l); err != nil {
		return fmt.Errorf("keep line of acceptance: %w", err)
	}
	e := store.Entry{Action: actAcceptStep, Outcome: outcome, Object: "modem:" + l.Modem, Attrs: []store.Attr{{Key: "sim", Value: l.SIM}, {Key: "carrier", Value: l.Carrier}}}
	for _, name := range steps {
		s := l.Steps[name]
		e.Attrs = append(e.Attrs, store.Attr{Key: name, Value: s.State})
		if s.Cause != "" {
			e.Attrs = append(e.Attrs, store.Attr{Key: name + "_cause", Value: s.Cause})
		}
		if s.State == stepWaived {
			e.Action = actAcceptWaived
		}
	}
	return tx.Record(e)
}

// mayGoLive says what keeps the site from going live: each SIM that the box uses needs an acceptance that it passed with
// every carrier of the policy, and not too long ago.
func (b *box) mayGoLive(tx *store.Tx) error {
	p, err := acceptancePolicyOf(tx)
	if err != nil {
		return err
	}
	if len(p.Phones) == 0 {
		return refuseLive("no test phones are known: pinward commission phone add NUMBER --carrier NAME, then pinward commission")
	}
	sims := 0
	for _, m := range b.cfg.Modems {
		f, err := fittedOf(tx, m.Name)
		if err != nil {
			return err
		}
		if f.SIM == "" {
			continue
		}
		sims++
		a, ok, err := acceptedSIMs.Get(tx, acceptedKey(tx, f.SIM))
		if err != nil {
			return fmt.Errorf("read acceptance: %w", err)
		}
		switch {
		case !ok:
			return refuseLive("the SIM in %s has not passed the site's acceptance: pinward commission", m.Name)
		case tx.Now().Sub(a.At) > time.Duration(p.MaxAgeDays)*24*time.Hour:
			return refuseLive("the acceptance of the SIM in %s is older than %d days: pinward commission --anew", m.Name, p.MaxAgeDays)
		}
		for _, ph := range p.Phones {
			if !slices.Contains(a.Carriers, ph.Carrier) {
				return refuseLive("the SIM in %s was not accepted with %s: pinward commission", m.Name, ph.Carrier)
			}
		}
	}
	if sims == 0 {
		return refuseLive("no modem has a SIM that could have been accepted")
	}
	return nil
}

func refuseLive(format string, args ...any) error {
	return fmt.Errorf("%w: "+format+"; or two persons run: pinward site mode live --override REASON", append([]any{admin.ErrState}, args...)...)
}
