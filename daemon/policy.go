package daemon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/daemon/outbox"
	"pinward/store"
)

// policyVersion is the form of the file. A file without a version is one of before there were any.
const policyVersion = 1

// policyDoc is the hospital's policy, all of it that the store keeps, as one file. Accounts (users, clients
// and their secrets) are no policy, and modes of listeners and clients need two persons: each has a command
// of its own.
type policyDoc struct {
	Version   int           `json:"version"`
	Site      contact.Site  `json:"site"`
	Limits    limitsDoc     `json:"limits"`
	Templates []templateDoc `json:"templates"` // all in force, shipped ones included
	Services  []serviceDoc  `json:"services"`  // the same
	SIMs      []outbox.SIM  `json:"sims"`
	HL7       intake.Shown  `json:"hl7"`
	// Acceptance is what pinward commission tests with.
	Acceptance acceptancePolicy `json:"acceptance"`
	Alarms     alarm.Policy     `json:"alarms"`
	// Retention is how long what is over is kept.
	Retention retention `json:"retention"`
}

// policyPart is one part of the file.
type policyPart struct {
	name string
	of   func(*policyDoc) any
	// read makes of the part's text what it puts in force; nothing is written if any part cannot be read.
	read func(*piece, *box) (func(*store.Tx) error, error)
}

// policyParts are in the order in which they are put in force: a service names a template.
var policyParts = []policyPart{
	{"site", func(p *policyDoc) any { return p.Site }, readSite},
	{"limits", func(p *policyDoc) any { return p.Limits }, readLimits},
	{"templates", func(p *policyDoc) any { return p.Templates }, readTemplates},
	{"services", func(p *policyDoc) any { return p.Services }, readServices},
	{"sims", func(p *policyDoc) any { return p.SIMs }, readSIMs},
	{"acceptance", func(p *policyDoc) any { return p.Acceptance }, readAcceptance},
	{"hl7", func(p *policyDoc) any { return p.HL7 }, readHL7},
	{"alarms", func(p *policyDoc) any { return p.Alarms }, readAlarms},
	{"retention", func(p *policyDoc) any { return p.Retention }, readRetention},
}

// actConfig is recorded when a file is put in force, beside the entries of what it changes.
const actConfig store.Action = "config.apply"

// policyRoutes are the operator's verbs for the policy as a file.
func (b *box) policyRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /config", May: access.Operate, Do: func(r *http.Request, s *store.Store, _ store.Actor) (any, error) {
			var p policyDoc
			err := s.View(r.Context(), func(tx *store.Tx) (err error) {
				p, err = policyOf(tx)
				return err
			})
			return p, err
		}},
		{Pattern: "PUT /config", May: access.SiteWrite, Do: b.refreshed(b.applyPolicy)},
	}
}

// policyOf reads the policy in force.
func policyOf(tx *store.Tx) (p policyDoc, err error) {
	p.Version = policyVersion
	if p.Site, err = contact.SiteOf(tx); err != nil {
		return p, err
	}
	if p.Limits, err = limitsOf(tx); err != nil {
		return p, err
	}
	if p.Templates, err = templatesOf(tx); err != nil {
		return p, err
	}
	if p.Services, err = servicesOf(tx); err != nil {
		return p, err
	}
	if p.SIMs, err = simsOf(tx); err != nil {
		return p, err
	}
	own, err := intake.PolicyOf(tx)
	if err != nil {
		return p, err
	}
	p.HL7 = own.Show()
	if p.Acceptance, err = acceptancePolicyOf(tx); err != nil {
		return p, err
	}
	if p.Alarms, err = alarm.PolicyOf(tx); err != nil {
		return p, err
	}
	p.Retention, err = retentionOf(tx)
	return p, err
}

// sum names a state of the policy.
func (p *policyDoc) sum() string {
	sum := sha256.Sum256(encoded(p))
	return hex.EncodeToString(sum[:])
}

// encoded is v as JSON. What the policy is made of can always be encoded.
func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encode policy: " + err.Error())
	}
	return b
}

func same(a, b any) bool { return bytes.Equal(encoded(a), encoded(b)) }

// errDry undoes what a dry run did.
var errDry = errors.New("dry run: nothing is kept")

// applyPolicy puts a file in force, all of it in one transaction or nothing: of each part that it has, all
// is replaced, and what it has not stays. With dry=1 nothing is kept, and the answer is the policy as it
// would be. was is the policy that whoever asks has seen: if it is another by now, nothing is done.
func (b *box) applyPolicy(r *http.Request, s *store.Store, by store.Actor) (any, error) {
	q := r.URL.Query()
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxPolicy))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	steps, err := b.readPolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	var after policyDoc
	err = s.Update(r.Context(), by, func(tx *store.Tx) error {
		before, err := policyOf(tx)
		if err != nil {
			return err
		}
		if was := q.Get("was"); was != "" && was != before.sum() {
			return fmt.Errorf("%w: somebody else changed the policy meanwhile: look at it and try again", admin.ErrState)
		}
		for _, step := range steps {
			if err := step(tx); err != nil {
				return err
			}
		}
		if after, err = policyOf(tx); err != nil {
			return err
		}
		if err := consistent(tx, &after); err != nil {
			return err
		}
		if q.Get("dry") != "" {
			return errDry
		}
		var changed []string
		for _, p := range policyParts {
			if !same(p.of(&before), p.of(&after)) {
				changed = append(changed, p.name)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		return tx.Record(store.Entry{Action: actConfig, Outcome: store.OK, Attrs: []store.Attr{
			{Key: "changed", Value: strings.Join(changed, ",")}, {Key: "sha256", Value: after.sum()},
		}})
	})
	if err != nil && !errors.Is(err, errDry) {
		return nil, err
	}
	return after, nil
}
