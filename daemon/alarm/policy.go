package alarm

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Outlet is a way by which an alarm leaves.
type Outlet string

// Outlets.
const (
	SMS     Outlet = "sms"     // to whoever is on call under that name
	Mail    Outlet = "mail"    // to the same, or to an address
	Webhook Outlet = "webhook" // to a [[webhook]] of pinward.toml
)

// Policy is the site's: who is told of what is wrong with the box, in which order, and who is on call.
type Policy struct {
	// Help is whom to call when nothing works, as it stands on the page of a closed box and on the downtime
	// form: no patient's anything, at most 200 bytes.
	Help string `json:"help"`
	// OnCall says who answers to a name at which hours. A name may be there several times.
	OnCall []Duty `json:"on_call"`
	// Steps are gone through from the first on until somebody acknowledges.
	Steps []Step `json:"steps"`
	// HoldMinutes is how long a failure, and WarnHoldMinutes a warning, has to stand before it is an alarm.
	HoldMinutes     int `json:"hold_minutes"`
	WarnHoldMinutes int `json:"warn_hold_minutes"`
	// RepeatMinutes is when an alarm that nobody acknowledged begins with the first step again.
	RepeatMinutes int `json:"repeat_minutes"`
	// RemindHours is when one that was acknowledged and still stands is told again; 0 is never.
	RemindHours int `json:"remind_hours"`
	// WarnFrom and WarnTo are the hours in which warnings leave, site time; both empty: at any.
	WarnFrom string `json:"warn_from"`
	WarnTo   string `json:"warn_to"`
	// Severities overrule how urgent a path and all below it is.
	Severities []Rule `json:"severities"`
	// Weekly is the test through every outlet of the steps.
	Weekly Weekly `json:"weekly_test"`
	// Heartbeat is the daily sign of life.
	Heartbeat Daily `json:"heartbeat"`
}

// Duty is one person or telephone on call.
type Duty struct {
	Name  string        `json:"name"` // of the duty, not of a person: "night"
	Phone contact.Phone `json:"phone,omitzero"`
	Mail  string        `json:"mail,omitempty"`
	// Days are "mon" to "sun", empty for all; From and To are "18:00", "08:00" in site time, both empty for
	// the whole day. A duty over midnight belongs to the day on which it begins.
	Days []string `json:"days,omitempty"`
	From string   `json:"from,omitempty"`
	To   string   `json:"to,omitempty"`
}

// Step tells by one outlet, and waits for an answer.
type Step struct {
	By Outlet   `json:"by"`
	To []string `json:"to"`
	// WaitMinutes is how long an answer is waited for before the next step; 0 has the next go with it.
	WaitMinutes int `json:"wait_minutes"`
	// Least is "critical" for a step that warnings leave out.
	Least Severity `json:"least,omitempty"`
}

// Rule is the severity of a path and of all below it; "ignore" raises no alarm.
type Rule struct {
	Path     string   `json:"path"`
	Severity Severity `json:"severity"`
}

// Ignore is the severity of what raises no alarm.
const Ignore Severity = "ignore"

// Weekly is a day of the week and an hour in site time; an empty Day is never.
type Weekly struct {
	Day string `json:"day"`
	At  string `json:"at"`
}

// Daily is an hour in site time, and who is told; an empty At is never. It is in the log and in the
// metrics even where nobody is told.
type Daily struct {
	At string   `json:"at"`
	To []Target `json:"to"`
}

// Target is one outlet.
type Target struct {
	By Outlet `json:"by"`
	To string `json:"to"`
}

// Default is in force until the site has a policy: alarms are raised and shown, and nobody is told.
func Default() Policy {
	return Policy{HoldMinutes: 1, WarnHoldMinutes: 15, RepeatMinutes: 60, RemindHours: 24, WarnFrom: "07:00", WarnTo: "19:00",
		OnCall: []Duty{}, Steps: []Step{}, Severities: []Rule{}, Weekly: Weekly{Day: "mon", At: "09:30"}, Heartbeat: Daily{At: "07:00", To: []Target{}}}
}

// ActionPolicy is recorded when the policy is replaced.
const ActionPolicy store.Action = "alarm.policy"

var policies = store.NewTable[Policy]("alarm.policy", store.Policy(), store.Cached())

var policyKey = []byte("policy")

// PolicyOf is the policy in force. It is shared by all who read it.
func PolicyOf(tx *store.Tx) (Policy, error) {
	p, ok, err := policies.Get(tx, policyKey)
	if err != nil {
		return p, fmt.Errorf("read policy of alarms: %w", err)
	}
	if !ok {
		return Default(), nil
	}
	return p, nil
}

// SetPolicy replaces it.
func SetPolicy(tx *store.Tx, p Policy) error {
	if err := p.Check(); err != nil {
		return err
	}
	if err := policies.Put(tx, policyKey, p); err != nil {
		return fmt.Errorf("keep policy of alarms: %w", err)
	}
	return tx.Record(store.Entry{Action: ActionPolicy, Outcome: store.OK, Object: "alarms", Attrs: []store.Attr{
		{Key: "steps", Value: fmt.Sprint(len(p.Steps))}, {Key: "duties", Value: fmt.Sprint(len(p.OnCall))},
	}})
}

var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// Check says what is wrong with a policy before it is saved.
func (p Policy) Check() error {
	if len(p.Help) > 200 {
		return fmt.Errorf("help is longer than 200 bytes")
	}
	for name, v := range map[string][2]int{"hold_minutes": {p.HoldMinutes, 60}, "warn_hold_minutes": {p.WarnHoldMinutes, 24 * 60}, "repeat_minutes": {p.RepeatMinutes, 24 * 60}, "remind_hours": {p.RemindHours, 31 * 24}} {
		if v[0] < 0 || v[0] > v[1] {
			return fmt.Errorf("%s is not 0 to %d", name, v[1])
		}
	}
	if p.RepeatMinutes < 5 {
		return fmt.Errorf("repeat_minutes is below 5")
	}
	if len(p.OnCall) > 50 || len(p.Steps) > 20 || len(p.Heartbeat.To) > 20 || len(p.Severities) > 100 {
		return fmt.Errorf("more than 50 on call, 20 steps, 20 for the heartbeat or 100 severities")
	}
	for i, d := range p.OnCall {
		if err := d.check(); err != nil {
			return fmt.Errorf("on_call[%d]: %w", i, err)
		}
	}
	for i, s := range p.Steps {
		switch {
		case len(s.To) == 0 || len(s.To) > 20:
			return fmt.Errorf("steps[%d]: to has not 1 to 20", i)
		case s.WaitMinutes < 0 || s.WaitMinutes > 24*60:
			return fmt.Errorf("steps[%d]: wait_minutes is not 0 to %d", i, 24*60)
		case s.Least != "" && s.Least != Critical && s.Least != Warning:
			return fmt.Errorf("steps[%d]: least is none of warning, critical", i)
		}
		for _, to := range s.To {
			if err := p.checkTarget(Target{s.By, to}); err != nil {
				return fmt.Errorf("steps[%d]: %w", i, err)
			}
		}
	}
	for i, t := range p.Heartbeat.To {
		if err := p.checkTarget(t); err != nil {
			return fmt.Errorf("heartbeat.to[%d]: %w", i, err)
		}
	}
	for i, r := range p.Severities {
		if r.Path == "" || !slices.Contains([]Severity{Warning, Critical, Ignore}, r.Severity) {
			return fmt.Errorf("severities[%d]: needs a path, and warning, critical or ignore", i)
		}
	}
	if err := hours(p.WarnFrom, p.WarnTo); err != nil {
		return fmt.Errorf("warn_from and warn_to: %w", err)
	}
	if p.Weekly.Day != "" && !slices.Contains(days, p.Weekly.Day) {
		return fmt.Errorf("weekly_test.day is none of mon to sun")
	}
	if _, ok := clock(p.Weekly.At); p.Weekly.Day != "" && !ok {
		return fmt.Errorf("weekly_test.at is no time such as 09:30")
	}
	if _, ok := clock(p.Heartbeat.At); p.Heartbeat.At != "" && !ok {
		return fmt.Errorf("heartbeat.at is no time such as 07:00")
	}
	return nil
}

func (d Duty) check() error {
	switch {
	case d.Name == "" || len(d.Name) > 32 || strings.ContainsAny(d.Name, "@ "):
		return fmt.Errorf("name must be set, of at most 32 bytes, without spaces and @")
	case d.Phone.IsZero() && d.Mail == "":
		return fmt.Errorf("it has neither phone nor mail")
	case d.Mail != "" && !address(d.Mail):
		return fmt.Errorf("mail is no address")
	}
	for _, day := range d.Days {
		if !slices.Contains(days, day) {
			return fmt.Errorf("days are mon to sun")
		}
	}
	return hours(d.From, d.To)
}

func (p Policy) checkTarget(t Target) error {
	on := func(has func(Duty) bool) bool {
		return slices.ContainsFunc(p.OnCall, func(d Duty) bool { return d.Name == t.To && has(d) })
	}
	switch t.By {
	case SMS:
		if !on(func(d Duty) bool { return !d.Phone.IsZero() }) {
			return fmt.Errorf("nobody in on_call has this name and a phone: %s", t.To)
		}
	case Mail:
		if !address(t.To) && !on(func(d Duty) bool { return d.Mail != "" }) {
			return fmt.Errorf("neither an address, nor is there anybody in on_call with this name and mail: %s", t.To)
		}
	case Webhook:
		if t.To == "" {
			return fmt.Errorf("a webhook needs its name")
		}
	default:
		return fmt.Errorf("by is none of sms, mail, webhook")
	}
	return nil
}

func address(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !strings.ContainsAny(s, "\r\n")
}

func clock(hhmm string) (minute int, ok bool) {
	t, err := time.Parse("15:04", hhmm)
	return t.Hour()*60 + t.Minute(), err == nil
}

func hours(from, to string) error {
	if from == "" && to == "" {
		return nil
	}
	_, ok1 := clock(from)
	_, ok2 := clock(to)
	if !ok1 || !ok2 {
		return fmt.Errorf("not two times such as 18:00 and 08:00")
	}
	return nil
}

// within tells whether a local time is in hours that begin on one of the days.
func within(at time.Time, on []string, from, to string) bool {
	day := func(t time.Time) bool { return len(on) == 0 || slices.Contains(on, days[t.Weekday()]) }
	f, ok1 := clock(from)
	t, ok2 := clock(to)
	now := at.Hour()*60 + at.Minute()
	switch {
	case !ok1 || !ok2 || f == t:
		return day(at)
	case f < t:
		return day(at) && now >= f && now < t
	case now >= f:
		return day(at)
	}
	return now < t && day(at.AddDate(0, 0, -1))
}

// severity is how urgent a finding is for this site.
func (p Policy) severity(f Finding) Severity {
	s, longest := f.Severity, -1
	for _, r := range p.Severities {
		if below(f.Path, r.Path) && len(r.Path) > longest {
			s, longest = r.Severity, len(r.Path)
		}
	}
	return s
}

// below tells whether path is top, or stands on it.
func below(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }

func (p Policy) hold(s Severity) time.Duration {
	if s == Critical {
		return time.Duration(p.HoldMinutes) * time.Minute
	}
	return time.Duration(p.WarnHoldMinutes) * time.Minute
}
