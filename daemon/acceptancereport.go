package daemon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/store"
)

// AcceptanceReport is what `pinward commission` prints: it names no number. Its SHA-256 is in the audit.
type AcceptanceReport struct {
	Box      string        `json:"box"`
	Site     string        `json:"site"`
	Version  string        `json:"version"`
	Signer   string        `json:"signer"`
	Made     time.Time     `json:"made"`
	By       string        `json:"by"`
	Carriers []string      `json:"carriers"`
	SIMs     []AcceptedSIM `json:"sims"`
	Passed   bool          `json:"passed"`
}

// AcceptedSIM is one SIM with each carrier.
type AcceptedSIM struct {
	Modem    string           `json:"modem"`
	Model    string           `json:"model,omitempty"`
	SIM      string           `json:"sim"` // its last four digits
	Operator string           `json:"operator,omitempty"`
	Passed   bool             `json:"passed"`
	Lines    []AcceptanceLine `json:"lines"`
}

// AcceptanceLine is one SIM with one carrier.
type AcceptanceLine struct {
	Carrier string           `json:"carrier"`
	Passed  bool             `json:"passed"`
	Steps   []AcceptanceStep `json:"steps"`
}

// AcceptanceStep is what came of one step.
type AcceptanceStep struct {
	Step    string    `json:"step"`
	State   string    `json:"state"` // "" not done yet, waiting, passed, failed, waived, none
	At      time.Time `json:"at,omitzero"`
	Seconds float64   `json:"seconds,omitempty"`
	Cause   string    `json:"cause,omitempty"`
	By      string    `json:"by,omitempty"` // who waived it
}

// SignedAcceptance is a report, the sum that its entry bears, and the head that was signed after it.
type SignedAcceptance struct {
	Report json.RawMessage `json:"report"` // its very bytes
	SHA256 string          `json:"sha256"`
	Head   string          `json:"head"`
	Passed bool            `json:"passed"`
}

func (l acceptLine) view() AcceptanceLine {
	v := AcceptanceLine{Carrier: l.Carrier, Passed: l.passed()}
	for _, name := range acceptSteps {
		s := l.Steps[name]
		v.Steps = append(v.Steps, AcceptanceStep{Step: name, State: s.State, At: s.At, Seconds: float64(int(s.Seconds*10+.5)) / 10, Cause: s.Cause, By: s.By})
	}
	return v
}

// acceptance is how the acceptance stands, for the SIMs that are in the modems now.
func (b *box) acceptance(tx *store.Tx, h *house, by string) (AcceptanceReport, error) {
	r := AcceptanceReport{Box: b.cfg.Box.ID, Version: b.opts.Version, Signer: h.store.Fingerprint(), Made: tx.Now().UTC().Truncate(time.Second), By: by}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return r, err
	}
	p, err := acceptancePolicyOf(tx)
	if err != nil {
		return r, err
	}
	r.Site, r.Passed = site.Name, true
	for _, ph := range p.Phones {
		r.Carriers = append(r.Carriers, ph.Carrier)
	}
	for _, s := range h.senders {
		st := s.modem.Status()
		if st.ICCID == "" {
			continue
		}
		sim := AcceptedSIM{Modem: s.port.Name, Model: st.Model, SIM: admin.Masked(st.ICCID), Operator: st.Operator, Passed: len(p.Phones) > 0}
		for _, ph := range p.Phones {
			l, err := lineOf(tx, st.ICCID, ph.Carrier)
			if err != nil {
				return r, err
			}
			v := l.view()
			sim.Lines, sim.Passed = append(sim.Lines, v), sim.Passed && v.Passed
		}
		r.SIMs, r.Passed = append(r.SIMs, sim), r.Passed && sim.Passed
	}
	r.Passed = r.Passed && len(r.SIMs) > 0
	return r, nil
}

// finishAcceptance makes the report, binds it into the audit and has a head signed after it. SIMs that passed may go live
// from then on.
func (b *box) finishAcceptance(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	h, err := b.opened()
	if err != nil {
		return nil, err
	}
	var signed SignedAcceptance
	err = s.Update(r.Context(), by, func(tx *store.Tx) error {
		report, err := b.acceptance(tx, h, by.ID)
		if err != nil {
			return err
		}
		signed.Report, signed.Passed = encoded(report), report.Passed
		sum := sha256.Sum256(signed.Report)
		signed.SHA256 = hex.EncodeToString(sum[:])
		return b.keepAcceptance(tx, h, report, signed.SHA256)
	})
	if err != nil {
		return nil, err
	}
	if err := s.Sign(r.Context()); err != nil {
		return nil, fmt.Errorf("sign acceptance: %w", err)
	}
	err = s.View(r.Context(), func(tx *store.Tx) error {
		signed.Head = string(tx.Head())
		return nil
	})
	return signed, err
}

// keepAcceptance binds a report into the audit by its sum, and keeps which SIMs passed. What a SIM passed before stays until it
// passes again or is too old.
func (b *box) keepAcceptance(tx *store.Tx, h *house, report AcceptanceReport, sum string) error {
	e := store.Entry{Action: actAcceptFinished, Outcome: store.Failed, Attrs: []store.Attr{{Key: "sha256", Value: sum}}}
	if report.Passed {
		e.Outcome = store.OK
	}
	for _, sim := range report.SIMs {
		iccid, verdict := h.sender(sim.Modem).modem.Status().ICCID, stepFailed
		if sim.Passed {
			verdict = stepPassed
			a := accepted{At: tx.Now(), Carriers: report.Carriers, Report: sum}
			if err := acceptedSIMs.Put(tx, acceptedKey(tx, iccid), a); err != nil {
				return fmt.Errorf("keep acceptance: %w", err)
			}
		}
		if len(e.Attrs) < 64 { // the report has them all
			e.Attrs = append(e.Attrs, store.Attr{Key: "sim", Value: iccid}, store.Attr{Key: "verdict", Value: verdict})
		}
	}
	return tx.Record(e)
}

func (b *box) opened() (*house, error) {
	if h := b.house.Load(); h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("%w: the box is %s", admin.ErrState, b.state.Load().Name)
}

// acceptanceRoutes are the operator's verbs of `pinward commission`.
func (b *box) acceptanceRoutes() []admin.Route {
	// order does one thing with one line.
	order := func(do func(*house, *store.Tx, stepOrder) (acceptLine, error)) func(*http.Request, *store.Store, store.Actor) (any, error) {
		return func(r *http.Request, s *store.Store, by store.Actor) (any, error) {
			var o stepOrder
			h, err := b.opened()
			if err := errors.Join(err, decodeStrictly(r, &o)); err != nil {
				return nil, err
			}
			var l acceptLine
			err = s.Accept(r.Context(), by, func(tx *store.Tx) (err error) {
				l, err = do(h, tx, o)
				return err
			})
			return l.view(), err
		}
	}
	return []admin.Route{
		{Pattern: "GET /acceptance", May: access.Operate, Do: func(r *http.Request, s *store.Store, by store.Actor) (any, error) {
			var report AcceptanceReport
			h, err := b.opened()
			if err == nil {
				err = s.View(r.Context(), func(tx *store.Tx) (err error) { report, err = b.acceptance(tx, h, by.ID); return err })
			}
			return report, err
		}},
		{Pattern: "POST /acceptance/step", May: access.Operate, Do: order((*house).beginStep)},
		{Pattern: "POST /acceptance/arrived", May: access.Operate, Do: order((*house).arrivedText)},
		{Pattern: "POST /acceptance/waive", May: access.SiteWrite, Do: order((*house).waiveStep)},
		{Pattern: "POST /acceptance/anew", May: access.Operate, Do: acceptAnew},
		{Pattern: "POST /acceptance/finish", May: access.Operate, Do: b.finishAcceptance},
		{Pattern: "GET /acceptance/policy", May: access.Operate, Do: func(r *http.Request, s *store.Store, _ store.Actor) (p any, err error) {
			err = s.View(r.Context(), func(tx *store.Tx) (err error) { p, err = acceptancePolicyOf(tx); return err })
			return p, err
		}},
		{Pattern: "POST /acceptance/phones", May: access.SiteWrite, Do: setPhone},
	}
}

// acceptAnew forgets the steps that were done, for another round. What a SIM passed stays until it passes or ages.
func acceptAnew(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	err := s.Update(r.Context(), by, func(tx *store.Tx) error {
		if err := acceptLines.Each(tx, store.Range{}, func(key []byte, _ acceptLine) error { return acceptLines.Delete(tx, bytes.Clone(key)) }); err != nil {
			return fmt.Errorf("forget lines of acceptance: %w", err)
		}
		return tx.Record(store.Entry{Action: actAcceptStep, Outcome: store.OK, Attrs: []store.Attr{{Key: "step", Value: "anew"}}})
	})
	return map[string]string{"done": "anew"}, err
}

// setPhone adds the test phone of a carrier, replaces it, or with an empty number removes it.
func setPhone(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	var req struct {
		Carrier string `json:"carrier"`
		Number  string `json:"number"`
	}
	if err := decodeStrictly(r, &req); err != nil {
		return nil, err
	}
	var p acceptancePolicy
	err := s.Update(r.Context(), by, func(tx *store.Tx) (err error) {
		if p, err = acceptancePolicyOf(tx); err != nil {
			return err
		}
		had := len(p.Phones)
		p.Phones = slices.DeleteFunc(p.Phones, func(ph testPhone) bool { return ph.Carrier == req.Carrier })
		if req.Number == "" && len(p.Phones) == had {
			return fmt.Errorf("%w: no test phone of that carrier is known", admin.ErrState)
		}
		if req.Number != "" {
			n, err := siteNumber(tx, req.Number)
			if err != nil {
				return err
			}
			p.Phones = append(p.Phones, testPhone{Carrier: req.Carrier, Number: n})
		}
		if err := setAcceptancePolicy(tx, p); err != nil {
			return fmt.Errorf("%w: %w", admin.ErrState, err)
		}
		return nil
	})
	return p, err
}

// siteNumber reads a number as the site writes them.
func siteNumber(tx *store.Tx, typed string) (contact.Phone, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return contact.Phone{}, err
	}
	n, err := contact.ParsePhone(typed, site.Plan())
	if _, ok := errors.AsType[*contact.NumberError](err); ok {
		return n, fmt.Errorf("%w: %w: write it whole, such as +16175551234", admin.ErrState, err)
	}
	return n, err
}
