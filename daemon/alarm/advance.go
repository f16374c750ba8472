package alarm

import (
	"fmt"
	"slices"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Advance tells whom it is time to tell. While the box is in maintenance nobody is told of anything: what
// still stands when it ends is told then.
func Advance(tx *store.Tx, found []Finding, maintenance bool) error {
	all, err := unfinished(tx)
	if err != nil || len(all) == 0 {
		return err
	}
	p, err := PolicyOf(tx)
	if err != nil {
		return err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return fmt.Errorf("look up site: %w", err)
	}
	hushed, err := Silences(tx)
	if err != nil {
		return err
	}
	for i := range all {
		a := &all[i]
		if err := a.follow(tx); err != nil {
			return err
		}
		if a.Kind != Real {
			if err := a.finish(tx); err != nil {
				return err
			}
			continue
		}
		if maintenance || !a.standing() || a.Next.IsZero() || a.Next.After(tx.Now()) || covered(a.Path, found) || hushed.cover(a.Path) {
			continue
		}
		if a.Severity == Warning && !within(tx.Now().In(site.Location()), nil, p.WarnFrom, p.WarnTo) {
			continue
		}
		if err := a.advance(tx, p, site); err != nil {
			return err
		}
	}
	return nil
}

// advance carries out the steps that are due. A step of which nothing can leave is passed over at once.
func (a *Alarm) advance(tx *store.Tx, p Policy, site contact.Site) error {
	event := Raised
	if !a.Seen.IsZero() {
		event = Reminded
	}
	told := len(a.Told)
	for a.Step < len(p.Steps) {
		s := p.Steps[a.Step]
		under := false
		if s.Least != Critical || a.Severity == Critical {
			for _, to := range s.To {
				for _, t := range p.resolve(Target{s.By, to}, tx.Now().In(site.Location())) {
					t.Event, t.Round, t.Step = event, a.Round, a.Step
					ok, err := a.tell(tx, site, t)
					if err != nil {
						return err
					}
					under = under || ok
				}
			}
		}
		a.Step++
		if under && event == Reminded {
			break // a reminder does not climb
		}
		if under && s.WaitMinutes > 0 {
			a.Next = tx.Now().Add(time.Duration(s.WaitMinutes) * time.Minute)
			if a.Step < len(p.Steps) {
				return a.told(tx, told)
			}
		}
	}
	again := time.Duration(p.RepeatMinutes) * time.Minute
	if event == Reminded {
		again = time.Duration(p.RemindHours) * time.Hour
	}
	a.Step, a.Round, a.Next = 0, a.Round+1, tx.Now().Add(again)
	return a.told(tx, told)
}

// told keeps the record after something was put on its way, or could not be; from is where in Told that begins.
func (a *Alarm) told(tx *store.Tx, from int) error {
	if len(a.Told) == from {
		return nil // the policy has no step for it: it stays as it was, and is looked at again
	}
	var attrs []store.Attr
	outcome := store.Failed
	for _, t := range a.Told[from:] {
		if t.State != Failed {
			outcome = store.OK
		}
		attrs = append(attrs, t.attr())
	}
	for len(a.Told) > maxTold {
		i := slices.IndexFunc(a.Told, func(t Told) bool { return !t.State.pending() })
		if i < 0 {
			break // all are still to be told
		}
		a.Told = slices.Delete(a.Told, i, i+1)
	}
	return a.keep(tx, ActionTold, outcome, attrs...)
}

// maxTold bounds what a record keeps of what is settled; the entries keep all.
const maxTold = 60

func (t Told) attr() store.Attr {
	v := string(t.State)
	if t.Cause != "" {
		v += ": " + t.Cause
	}
	return store.Attr{Key: string(t.Event) + " by " + string(t.By) + " to " + t.To, Value: v}
}

// resolve finds who is behind a target now. Nobody on call is told in words, so that the step is seen to
// have had nobody.
func (p Policy) resolve(t Target, at time.Time) []Told {
	one := Told{At: at.UTC(), By: t.By, To: t.To, State: Queued, Due: at.UTC()}
	if t.By == Webhook {
		return []Told{one}
	}
	if t.By == Mail && address(t.To) {
		one.Address = t.To
		return []Told{one}
	}
	var out []Told
	for _, d := range p.OnCall {
		if d.Name != t.To || !within(at, d.Days, d.From, d.To) {
			continue
		}
		to := one
		if to.Address = d.Mail; t.By == SMS {
			to.Address = d.Phone.E164()
			if d.Phone.IsZero() {
				to.Address = ""
			}
		}
		if to.Address != "" && !slices.ContainsFunc(out, func(o Told) bool { return o.Address == to.Address }) {
			out = append(out, to)
		}
	}
	if out == nil {
		one.State, one.Cause = Failed, "nobody is on call under this name now"
		out = []Told{one}
	}
	return out
}

// tell puts one Told on its way; ok is false where it cannot leave.
func (a *Alarm) tell(tx *store.Tx, site contact.Site, t Told) (ok bool, err error) {
	if t.By == SMS && t.State == Queued {
		if t, err = a.text(tx, site, t); err != nil {
			return false, err
		}
	}
	a.Told = append(a.Told, t)
	return t.State == Queued, nil
}

// tellWhoKnows tells those who were told of an alarm what became of it. That somebody sees to it is for
// mail and webhooks alone: who is asleep stays so.
func (a *Alarm) tellWhoKnows(tx *store.Tx, event Event) error {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return fmt.Errorf("look up site: %w", err)
	}
	for _, t := range slices.Clone(a.Told) {
		if t.State != Sent || t.Event != Raised && t.Event != Reminded || event == Acknowledged && t.By == SMS {
			continue
		}
		if slices.ContainsFunc(a.Told, func(o Told) bool { return o.Event == event && o.By == t.By && o.To == t.To && o.Address == t.Address }) {
			continue
		}
		next := Told{At: tx.Now(), Event: event, By: t.By, To: t.To, Address: t.Address, Round: a.Round, Step: -1, State: Queued, Due: tx.Now()}
		if _, err := a.tell(tx, site, next); err != nil {
			return err
		}
	}
	return nil
}

// hasten makes the next step due at once if nothing of the last one can still arrive.
func (a *Alarm) hasten(tx *store.Tx, t Told) {
	if !a.standing() || !a.Seen.IsZero() || t.Event != Raised || !a.Next.After(tx.Now()) {
		return
	}
	if a.Round != t.Round || a.Step != t.Step+1 { // it has gone on already; after the last step there is the pause
		return
	}
	for _, o := range a.Told {
		if o.Event == t.Event && o.Round == t.Round && o.Step == t.Step && (o.State == Queued || o.State == Sent) {
			return
		}
	}
	a.Next = tx.Now()
}
