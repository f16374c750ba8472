package intake

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
)

// Span is a length of time that reads "2h" where a person writes rules.
type Span time.Duration

// MarshalText writes the span as time.Duration does.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads "90s", "2h30m".
func (s *Span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*s = Span(d)
	return err
}

// Hours are when a rule's texts may go. Texts outside of them wait, are checked again when they go, and are dropped when they are
// pointless by then.
type Hours = notice.Hours

// Rules are the rules in force: the site's own first, then the shipped ones, of which the site's take
// the place by name.
func (p Policy) Rules() []Rule {
	shipped := Shipped()
	var own []Rule
	for _, r := range p.Changed {
		if i := slices.IndexFunc(shipped, func(s Rule) bool { return s.Name == r.Name }); i >= 0 {
			shipped[i] = r
		} else {
			own = append(own, r)
		}
	}
	return append(own, shipped...)
}

// WithRules is the policy with these rules: those that differ from the shipped ones are kept. A shipped
// rule that is not in the list stays as it is; Off turns it off.
func (p Policy) WithRules(list []Rule) Policy {
	shipped := map[string]Rule{}
	for _, r := range Shipped() {
		shipped[r.Name] = r
	}
	p.Changed = nil
	for _, r := range list {
		if s, known := shipped[r.Name]; !known || !reflect.DeepEqual(s, r) {
			p.Changed = append(p.Changed, r)
		}
	}
	return p
}

var (
	ruleName  = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*$`)
	eventName = regexp.MustCompile(`^[A-Z0-9]{3}$`)
)

// maxRules bounds what each message is held against.
const maxRules = 200

func validateRules(list []Rule) error {
	if len(list) > maxRules {
		return fmt.Errorf("more than %d rules", maxRules)
	}
	names := map[string]bool{}
	for _, r := range list {
		if !ruleName.MatchString(r.Name) || len(r.Name) > 64 || names[r.Name] {
			return errors.New("a rule has no name of its own of small letters, digits, . and -")
		}
		names[r.Name] = true
		if err := r.validate(); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	if r.Type != Any && !eventName.MatchString(r.Type) {
		return errors.New("type is neither * nor a message code")
	}
	for _, e := range r.Events {
		if !eventName.MatchString(e) {
			return errors.New("an event is not of three letters and digits")
		}
	}
	for _, s := range r.Need {
		if !eventName.MatchString(s) {
			return errors.New("a needed segment is not of three letters and digits")
		}
	}
	if len(r.Do) == 0 {
		return errors.New("it does nothing")
	}
	for _, e := range r.Do {
		switch {
		case effects[e] == nil:
			return fmt.Errorf("there is no effect of the name %s", strconv.Quote(string(e)))
		case e == SendNotice && (r.Notice.Template == "" || len(r.Notice.Key) == 0 && r.Notice.Once <= 0):
			return errors.New("its notice needs a template, and a key or a span against a second text")
		case e == StartVerify && r.Verify == "":
			return errors.New("it starts a verification of no service")
		case e == EndVisit && !slices.Contains([]contact.AppointmentStatus{contact.Cancelled, contact.Deleted, contact.NoShow, contact.Completed}, r.Ends):
			return errors.New("it ends an appointment as nothing")
		}
	}
	for _, c := range r.When {
		if err := c.validate(); err != nil {
			return err
		}
	}
	if r.MaxAge < 0 || r.Max < 0 {
		return errors.New("max_age or max is negative")
	}
	return r.Hours.Validate()
}

func (c Condition) validate() error {
	switch {
	case c.Why == "" || len(c.Why) > 200 || strings.ContainsFunc(c.Why, func(r rune) bool { return r < ' ' }):
		return errors.New("a condition does not say why it holds off, in one line")
	case c.Test == Dead:
		return nil
	case c.Test == 0 || c.Test > Dead:
		return errors.New("a condition has no test")
	case !eventName.MatchString(c.Segment) || c.Field < 1 || c.Comp < 0:
		return errors.New("a condition is about no field")
	case c.Test != Blank && len(c.In) == 0 && c.List == 0:
		return errors.New("a condition compares with nothing")
	}
	return nil
}

var testNames = []string{Every: "every", Only: "only", None: "none", Some: "some", Blank: "blank", Dead: "dead"}

// MarshalText is the test's name.
func (t Test) MarshalText() ([]byte, error) {
	if t == 0 || int(t) >= len(testNames) {
		return nil, errors.New("write rule: no such test")
	}
	return []byte(testNames[t]), nil
}

// UnmarshalText reads "every", "only", "none", "some", "blank" or "dead".
func (t *Test) UnmarshalText(b []byte) error {
	i := slices.Index(testNames, string(b))
	if i < 1 {
		return errors.New("a test is one of every, only, none, some, blank, dead")
	}
	*t = Test(i)
	return nil
}

// MarshalText is the list's name.
func (l List) MarshalText() ([]byte, error) {
	if l == Releasable {
		return []byte("releasable"), nil
	}
	return nil, nil
}

// UnmarshalText reads "releasable", or nothing.
func (l *List) UnmarshalText(b []byte) error {
	switch string(b) {
	case "":
		*l = 0
	case "releasable":
		*l = Releasable
	default:
		return errors.New("a list is releasable or none")
	}
	return nil
}
