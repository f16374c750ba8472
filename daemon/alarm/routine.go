package alarm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// routine is how the last weekly test, or the last heartbeat, went.
type routine struct {
	ID    uint64
	Began time.Time
	Ended time.Time // zero while it goes on
	// Passed is when one last reached everybody it was for.
	Passed time.Time
	Failed []string // which outlets did not take it
	// Planned is the last hour of the plan that was kept, or let pass.
	Planned time.Time
}

var routines = store.NewTable[routine]("alarm.routines", store.Bookkeeping("how the last test and the last heartbeat went; beginning and end of each are entries"))

func routineOf(tx *store.Tx, k Kind) (routine, error) {
	r, _, err := routines.Get(tx, []byte(k))
	if err != nil {
		return r, fmt.Errorf("read last %s: %w", k, err)
	}
	return r, nil
}

const (
	// routineLate is how long after its hour a test or a heartbeat is still made up for: the box was off.
	routineLate = 12 * time.Hour
	// routineEnds is when one that something of is still under way has failed.
	routineEnds = 15 * time.Minute
)

// Routine begins the weekly test and the daily heartbeat when it is time. well is the box in one line, for
// the heartbeat; beat tells that one began, which belongs into the log.
func Routine(tx *store.Tx, well string) (beat bool, err error) {
	p, err := PolicyOf(tx)
	if err != nil {
		return false, err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return false, fmt.Errorf("look up site: %w", err)
	}
	now := tx.Now().In(site.Location())
	if to := p.outlets(); p.Weekly.Day != "" && len(to) > 0 {
		at := planned(now, p.Weekly.At, p.Weekly.Day)
		if _, err := due(tx, Test, at, func() error { _, err := begin(tx, p, site, Test, "", to); return err }); err != nil {
			return false, err
		}
	}
	if p.Heartbeat.At == "" {
		return false, nil
	}
	return due(tx, Heartbeat, planned(now, p.Heartbeat.At, ""), func() error {
		_, err := begin(tx, p, site, Heartbeat, well, p.Heartbeat.To)
		return err
	})
}

// planned is the last hour of the plan that has come, if it is not too long ago.
func planned(now time.Time, at, day string) time.Time {
	minute, ok := clock(at)
	if !ok {
		return time.Time{}
	}
	for back := range 2 {
		t := time.Date(now.Year(), now.Month(), now.Day()-back, minute/60, minute%60, 0, 0, now.Location())
		if (day == "" || days[t.Weekday()] == day) && !t.After(now) && now.Sub(t) < routineLate {
			return t.UTC()
		}
	}
	return time.Time{}
}

// due does what is planned, once for each hour of the plan; a zero at is not due.
func due(tx *store.Tx, k Kind, at time.Time, do func() error) (done bool, err error) {
	r, err := routineOf(tx, k)
	if err != nil || !r.Planned.Before(at) {
		return false, err
	}
	if err := do(); err != nil {
		return false, err
	}
	if r, err = routineOf(tx, k); err != nil {
		return false, err
	}
	r.Planned = at
	return true, routines.Put(tx, []byte(k), r)
}

// outlets are all that the steps name.
func (p Policy) outlets() []Target {
	var out []Target
	for _, s := range p.Steps {
		for _, to := range s.To {
			if t := (Target{s.By, to}); !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// BeginTest sends a test through every outlet that the steps name. It is for an operator; Routine does it by itself.
func BeginTest(tx *store.Tx) (Alarm, error) {
	p, err := PolicyOf(tx)
	if err != nil {
		return Alarm{}, err
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return Alarm{}, fmt.Errorf("look up site: %w", err)
	}
	targets := p.outlets()
	if len(targets) == 0 {
		return Alarm{}, ErrNobody
	}
	return begin(tx, p, site, Test, "", targets)
}

// begin tells everybody a routine is for. Each duty of a name is told, on call now or not: a test that asks
// only the present one would find the night's number wrong at night.
func begin(tx *store.Tx, p Policy, site contact.Site, k Kind, cause string, to []Target) (Alarm, error) {
	a := Alarm{Kind: k, Cause: cause, Since: tx.Now()}
	action, event := ActionTest, Tested
	if k == Heartbeat {
		action, event = ActionBeat, Beat
	}
	if err := create(tx, &a, action); err != nil {
		return a, err
	}
	all := p
	if k == Test {
		all.OnCall = slices.Clone(p.OnCall)
		for i := range all.OnCall {
			all.OnCall[i].Days, all.OnCall[i].From, all.OnCall[i].To = nil, "", ""
		}
	}
	for _, target := range to {
		for _, t := range all.resolve(target, tx.Now().In(site.Location())) {
			t.Event = event
			if _, err := a.tell(tx, site, t); err != nil {
				return a, err
			}
		}
	}
	r, err := routineOf(tx, k)
	if err != nil {
		return a, err
	}
	r.ID, r.Began, r.Ended = a.ID, tx.Now(), time.Time{}
	if err := routines.Put(tx, []byte(k), r); err != nil {
		return a, err
	}
	if len(a.Told) > 0 {
		return a, a.told(tx, 0)
	}
	return a, a.finish(tx)
}

// finish ends a routine of which nothing is under way any more, and says how it went.
func (a *Alarm) finish(tx *store.Tx) error {
	if !a.Ended.IsZero() {
		return nil
	}
	late := tx.Now().Sub(a.Raised) >= routineEnds
	var failed []string
	for i := range a.Told {
		t := &a.Told[i]
		if t.State.pending() {
			if !late {
				return nil
			}
			if t.State = Failed; t.Cause == "" {
				t.Cause = "it was not taken in time"
			}
		}
		if t.State != Sent {
			failed = append(failed, fmt.Sprintf("%s %s (%s)", t.By, t.To, t.Cause))
		}
	}
	a.Ended = tx.Now()
	r, err := routineOf(tx, a.Kind)
	if err != nil {
		return err
	}
	outcome, action := store.OK, ActionTest
	if a.Kind == Heartbeat {
		action = ActionBeat
	}
	if len(failed) > 0 {
		outcome = store.Failed
	}
	if r.ID == a.ID {
		r.Ended, r.Failed = tx.Now(), failed
		if len(failed) == 0 {
			r.Passed = tx.Now()
		}
		if err := routines.Put(tx, []byte(a.Kind), r); err != nil {
			return err
		}
	}
	return a.keep(tx, action, outcome, store.Attr{Key: "failed", Value: clip(strings.Join(failed, ", "), 4*maxCause)})
}

// TestPath is where the trouble of the alarms themselves is found.
const TestPath = "alarms"

// Trouble is what is wrong with the way alarms leave, in words; "" if nothing is. It is a finding as any
// other: an outlet that fails is told by those that do not.
func Trouble(tx *store.Tx) (string, error) {
	var words []string
	for _, k := range []Kind{Test, Heartbeat} {
		r, err := routineOf(tx, k)
		if err != nil {
			return "", err
		}
		if !r.Ended.IsZero() && len(r.Failed) > 0 {
			name := map[Kind]string{Test: "the weekly test of the alarms", Heartbeat: "the daily heartbeat"}[k]
			words = append(words, name+" did not go by "+strings.Join(r.Failed, ", "))
		}
	}
	all, err := Open(tx)
	for _, a := range all {
		if a.Path != TestPath && a.Round > 0 && len(a.Told) > 0 && !slices.ContainsFunc(a.Told, func(t Told) bool { return t.State == Sent }) {
			words = append(words, fmt.Sprintf("nobody could be told of alarm %d", a.ID))
		}
	}
	return strings.Join(words, "; "), err
}

// Figures are what a monitor watches.
type Figures struct {
	// Open counts alarms by severity, and of these Unseen the ones that nobody acknowledged.
	Open, Unseen map[Severity]int
	// TestPassed and HeartbeatPassed are when the last test and the last heartbeat had reached everybody
	// they are for; zero: never.
	TestPassed, HeartbeatPassed time.Time
	// Beats is false where the policy has no heartbeat: none is to be missed.
	Beats bool
}

// FiguresOf reads them.
func FiguresOf(tx *store.Tx) (Figures, error) {
	f := Figures{Open: map[Severity]int{Warning: 0, Critical: 0}, Unseen: map[Severity]int{Warning: 0, Critical: 0}}
	all, err := Open(tx)
	for _, a := range all {
		f.Open[a.Severity]++
		if a.Seen.IsZero() {
			f.Unseen[a.Severity]++
		}
	}
	test, err1 := routineOf(tx, Test)
	beat, err2 := routineOf(tx, Heartbeat)
	p, err3 := PolicyOf(tx)
	f.TestPassed, f.HeartbeatPassed, f.Beats = test.Passed, beat.Passed, p.Heartbeat.At != ""
	return f, errors.Join(err, err1, err2, err3)
}
