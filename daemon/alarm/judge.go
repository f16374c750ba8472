package alarm

import (
	"fmt"
	"slices"
	"time"

	"pinward/store"
)

const (
	// settle is how long a cause has to be gone before its alarm is over: what comes back within it is the
	// same alarm, and nobody is woken twice.
	settle = 5 * time.Minute
	// calm is the same for what flaps: what was over within returning before it came back.
	calm      = 30 * time.Minute
	returning = time.Hour
)

// Judge raises and ends alarms by what is wrong now. Only root causes are findings; an alarm below a cause
// that is found now is part of it, and neither told nor ended.
func Judge(tx *store.Tx, found []Finding) error {
	p, err := PolicyOf(tx)
	if err != nil {
		return err
	}
	all, err := unfinished(tx)
	if err != nil {
		return err
	}
	for _, f := range found {
		f.Severity, f.Cause = p.severity(f), clip(f.Cause, maxCause)
		if f.Severity == Ignore {
			continue
		}
		i := slices.IndexFunc(all, func(a Alarm) bool { return a.standing() && a.Path == f.Path })
		switch {
		case i >= 0:
			err = all[i].still(tx, f)
		case tx.Now().Sub(f.Since) >= p.hold(f.Severity):
			err = raise(tx, f)
		}
		if err != nil {
			return err
		}
	}
	for i := range all {
		a := &all[i]
		if !a.standing() || slices.ContainsFunc(found, func(f Finding) bool { return f.Path == a.Path && p.severity(f) != Ignore }) {
			continue
		}
		if covered(a.Path, found) {
			if err := a.unwell(tx); err != nil {
				return err
			}
			continue
		}
		if err := a.fade(tx); err != nil {
			return err
		}
	}
	return nil
}

// standing tells whether it is an alarm whose cause is not known to be over.
func (a Alarm) standing() bool { return a.Kind == Real && a.Ended.IsZero() }

// covered tells whether a cause above the path is found, of which it is a part.
func covered(path string, found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return path != f.Path && below(path, f.Path) })
}

func raise(tx *store.Tx, f Finding) error {
	a := Alarm{Kind: Real, Path: f.Path, Severity: f.Severity, Cause: f.Cause, Since: f.Since, Next: tx.Now()}
	last, err := lastOf(tx, f.Path)
	if err != nil {
		return err
	}
	if !last.Ended.IsZero() && tx.Now().Sub(last.Ended) < returning {
		a.Returns = last.Returns + 1
	}
	return create(tx, &a, ActionRaised)
}

// lastOf is the latest alarm of a path that is over, among the last few.
func lastOf(tx *store.Tx, path string) (last Alarm, err error) {
	left := 200
	err = alarms.Each(tx, store.Range{Reverse: true}, func(_ []byte, a Alarm) error {
		if left--; left < 0 {
			return store.Stop
		}
		if a.Kind == Real && a.Path == path && !a.Ended.IsZero() {
			last = a
			return store.Stop
		}
		return nil
	})
	if err != nil {
		return last, fmt.Errorf("look for earlier alarms: %w", err)
	}
	return last, nil
}

// still keeps an alarm whose cause is found again. One that has become worse begins anew.
func (a *Alarm) still(tx *store.Tx, f Finding) error {
	if err := a.unwell(tx); err != nil {
		return err
	}
	worse := a.Severity != f.Severity && f.Severity == Critical
	if a.Severity == f.Severity && a.Cause == f.Cause {
		return nil
	}
	a.Severity, a.Cause = f.Severity, f.Cause
	if worse {
		a.Seen, a.SeenBy, a.Step, a.Next = time.Time{}, "", 0, tx.Now()
	}
	return a.keep(tx, ActionChanged, store.OK)
}

// unwell forgets that the cause was gone: it is back.
func (a *Alarm) unwell(tx *store.Tx) error {
	_, ok, err := well.Get(tx, key(a.ID))
	if err == nil && ok { // no write where there is nothing to write
		err = well.Delete(tx, key(a.ID))
	}
	if err != nil {
		return fmt.Errorf("read end of alarm: %w", err)
	}
	return nil
}

// fade ends an alarm whose cause has been gone for long enough.
func (a *Alarm) fade(tx *store.Tx) error {
	since, ok, err := well.Get(tx, key(a.ID))
	if err != nil {
		return fmt.Errorf("read end of alarm: %w", err)
	}
	if !ok {
		return well.Put(tx, key(a.ID), tx.Now())
	}
	wait := settle
	if a.Returns > 0 {
		wait = calm
	}
	if tx.Now().Sub(since) < wait {
		return nil
	}
	if err := a.follow(tx); err != nil {
		return err
	}
	a.Ended = tx.Now()
	a.drop()
	if err := a.tellWhoKnows(tx, Cleared); err != nil {
		return err
	}
	return a.keep(tx, ActionCleared, store.OK)
}

// Acknowledge ends the telling of an alarm: somebody sees to it. How is "user", "sms"; by whom stands in the
// entry of a user's transaction, and for a text as who.
func Acknowledge(tx *store.Tx, id uint64, how, who string) (Alarm, error) {
	a, err := Get(tx, id)
	switch {
	case err != nil:
		return a, err
	case a.Kind != Real || !a.Ended.IsZero():
		return a, ErrOver
	case !a.Seen.IsZero():
		return a, nil
	}
	if err := a.follow(tx); err != nil { // a text may have arrived that was not looked at since
		return a, err
	}
	a.Seen, a.SeenBy, a.Next = tx.Now(), how+" "+who, time.Time{}
	a.Step = 0 // a reminder goes to whoever is first
	p, err := PolicyOf(tx)
	if err != nil {
		return a, err
	}
	if p.RemindHours > 0 {
		a.Next = tx.Now().Add(time.Duration(p.RemindHours) * time.Hour)
	}
	a.drop()
	if err := a.tellWhoKnows(tx, Acknowledged); err != nil {
		return a, err
	}
	return a, a.keep(tx, ActionSeen, store.OK, store.Attr{Key: "by", Value: a.SeenBy})
}

// drop gives up what has not left yet.
func (a *Alarm) drop() {
	for i := range a.Told {
		if a.Told[i].State.pending() {
			a.Told[i].State = Dropped
		}
	}
}
