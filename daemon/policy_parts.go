package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// refused is what a room says against a value, with its place: it is for the operator.
func (p *piece) refused(err error) error {
	return fmt.Errorf("%w: %w", admin.ErrState, p.wrong(0, "%w", err))
}

// readSite: live is no word that a file can say alone, as it needs a second person.
func readSite(p *piece, b *box) (func(*store.Tx) error, error) {
	var want contact.Site
	if err := p.decode(&want); err != nil {
		return nil, err
	}
	if err := want.Check(); err != nil {
		return nil, p.wrong(0, "%w", err)
	}
	return func(tx *store.Tx) error {
		had, err := contact.SiteOf(tx)
		if err != nil || same(had, want) {
			return err
		}
		if want.Mode == contact.Live && had.Mode != contact.Live && b.opts.Owner == "" { // the demo has one person
			return p.refused(errors.New("mode live needs a second person: leave it as it is here, and run pinward site mode live"))
		}
		if left, err := setupProgress(tx); err != nil {
			return err
		} else if left != nil && want.Mode != contact.Shadow {
			return p.refused(errors.New("mode stays shadow until set-up is finished"))
		}
		return contact.SetSite(tx, want)
	}, nil
}

// budgetDoc is a budget as the file has it.
type budgetDoc struct {
	Max     int         `json:"max"` // 0 lifts the limit
	Window  intake.Span `json:"window"`
	Reserve int         `json:"reserve"`
}

// limitsDoc are the limits as the file has them: with windows that people can read.
type limitsDoc struct {
	Sends      int       `json:"sends"`
	Checks     int       `json:"checks"`
	NumberHour budgetDoc `json:"number_hour"`
	NumberDay  budgetDoc `json:"number_day"`
	EndUser    budgetDoc `json:"end_user"`
	Client     budgetDoc `json:"client"`
	Actor      budgetDoc `json:"actor"`
	Prefix     budgetDoc `json:"prefix"`
}

func budget(b limit.Budget) budgetDoc { return budgetDoc{b.Max, intake.Span(b.Window), b.Reserve} }

func (b budgetDoc) budget() limit.Budget {
	return limit.Budget{Max: b.Max, Window: time.Duration(b.Window), Reserve: b.Reserve}
}

func showLimits(l limit.Limits) limitsDoc {
	return limitsDoc{l.Sends, l.Checks, budget(l.NumberHour), budget(l.NumberDay), budget(l.EndUser), budget(l.Client), budget(l.Actor), budget(l.Prefix)}
}

func limitsOf(tx *store.Tx) (limitsDoc, error) {
	l, err := limit.Of(tx)
	return showLimits(l), err
}

// readLimits: what is not named is as shipped, for a limit that is forgotten must not be lifted.
func readLimits(p *piece, _ *box) (func(*store.Tx) error, error) {
	want := showLimits(limit.Default())
	if err := p.decode(&want); err != nil {
		return nil, err
	}
	return func(tx *store.Tx) error {
		had, err := limitsOf(tx)
		if err != nil || same(had, want) {
			return err
		}
		err = limit.Set(tx, limit.Limits{
			Sends: want.Sends, Checks: want.Checks, NumberHour: want.NumberHour.budget(), NumberDay: want.NumberDay.budget(),
			EndUser: want.EndUser.budget(), Client: want.Client.budget(), Actor: want.Actor.budget(), Prefix: want.Prefix.budget(),
		})
		if err != nil {
			return p.refused(err)
		}
		return nil
	}, nil
}

func simsOf(tx *store.Tx) ([]outbox.SIM, error) {
	list, err := outbox.SIMs(tx)
	list = append([]outbox.SIM{}, list...)
	slices.SortFunc(list, func(a, b outbox.SIM) int { return cmp.Compare(a.ICCID, b.ICCID) })
	return list, err
}

// readSIMs: a record that the file has not is removed.
func readSIMs(p *piece, _ *box) (func(*store.Tx) error, error) {
	want, at := []outbox.SIM{}, map[string]*piece{}
	err := p.list(func(e *piece) error {
		var s outbox.SIM
		if err := e.decode(&s); err != nil {
			return err
		}
		if at[s.ICCID] != nil {
			return e.wrong(0, "this SIM is there twice")
		}
		want, at[s.ICCID] = append(want, s), e
		return nil
	})
	return func(tx *store.Tx) error {
		had, err := simsOf(tx)
		if err != nil {
			return err
		}
		for _, s := range had {
			if at[s.ICCID] == nil {
				if err := outbox.RemoveSIM(tx, s.ICCID); err != nil {
					return err
				}
			}
		}
		for _, s := range want {
			if err := outbox.SetSIM(tx, s); err != nil {
				return at[s.ICCID].refused(err)
			}
		}
		return nil
	}, err
}

func readAcceptance(p *piece, _ *box) (func(*store.Tx) error, error) {
	want := acceptancePolicy{MaxAgeDays: 400, MaxDelaySeconds: 60}
	if err := p.decode(&want); err != nil {
		return nil, err
	}
	want.Phones = append([]testPhone{}, want.Phones...)
	return func(tx *store.Tx) error {
		had, err := acceptancePolicyOf(tx)
		if err != nil || same(had, want) {
			return err
		}
		if err := setAcceptancePolicy(tx, want); err != nil {
			return p.refused(err)
		}
		return nil
	}, nil
}

// readHL7: rules that the file has not are as shipped.
func readHL7(p *piece, _ *box) (func(*store.Tx) error, error) {
	want := intake.Policy{}.Show()
	rules := want.Rules
	want.Rules = nil // a list is decoded over its old elements
	if err := p.decode(&want); err != nil {
		return nil, err
	}
	if want.Rules == nil {
		want.Rules = rules
	}
	return func(tx *store.Tx) error {
		had, err := intake.PolicyOf(tx)
		next := want.Take()
		if err != nil || same(had.Show(), next.Show()) {
			return err
		}
		if err := intake.SetPolicy(tx, next); err != nil {
			return p.refused(err)
		}
		return nil
	}, nil
}

// readAlarms: what is not named is as shipped. A webhook has to be in pinward.toml.
func readAlarms(p *piece, b *box) (func(*store.Tx) error, error) {
	want := alarm.Default()
	if err := p.decode(&want); err != nil {
		return nil, err
	}
	if err := reachable(want, b.cfg); err != nil {
		return nil, p.wrong(0, "%w", err)
	}
	return func(tx *store.Tx) error {
		had, err := alarm.PolicyOf(tx)
		if err != nil || same(had, want) {
			return err
		}
		if err := alarm.SetPolicy(tx, want); err != nil {
			return p.refused(err)
		}
		return nil
	}, nil
}

// reachable tells which outlet of a policy pinward.toml does not have.
func reachable(p alarm.Policy, c Config) error {
	need := slices.Clone(p.Heartbeat.To)
	for _, s := range p.Steps {
		for _, to := range s.To {
			need = append(need, alarm.Target{By: s.By, To: to})
		}
	}
	for _, t := range need {
		switch {
		case t.By == alarm.Mail && c.Mail == nil:
			return errors.New("mail needs [mail] in pinward.toml")
		case t.By == alarm.Webhook && !slices.ContainsFunc(c.Webhooks, func(w WebhookTarget) bool { return w.Name == t.To }):
			return fmt.Errorf("there is no [[webhook]] named %q in pinward.toml", t.To)
		}
	}
	return nil
}

// consistent holds the parts against each other: a service without its text would fail at its first code.
func consistent(tx *store.Tx, p *policyDoc) error {
	for _, s := range p.Services {
		if s.Retired {
			continue
		}
		if _, err := text.Find(tx, s.Template, "en"); errors.Is(err, text.ErrNoTemplate) {
			return fmt.Errorf("%w: service %s: there is no template %s", admin.ErrState, s.Name, s.Template)
		} else if err != nil {
			return err
		}
	}
	return nil
}
