package alarm

import (
	"strings"
	"testing"

	"pinward/daemon/contact"
	"pinward/store"
	"pinward/store/storetest"
)

// TestUnreached: a policy that tells nobody, or by the one modem that may be what is wrong, is found before the night in which it
// matters.
func TestUnreached(t *testing.T) {
	phone, err := contact.ParsePhone("+16175551234", contact.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	night := []Duty{{Name: "night", Phone: phone, Mail: "night@hospital.example"}}
	text, mail := Step{By: SMS, To: []string{"night"}}, Step{By: Mail, To: []string{"night"}}
	for name, c := range map[string]struct {
		steps   []Step
		senders int
		want    string
	}{
		"nobody":              {nil, 4, "nobody is told of alarms"},
		"texts of one modem":  {[]Step{text, text}, 1, "one modem alone"},
		"texts of no modem":   {[]Step{text}, 0, "one modem alone"},
		"texts of two modems": {[]Step{text}, 2, ""},
		"one modem, and mail": {[]Step{text, mail}, 1, ""},
		"mail alone":          {[]Step{mail}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t)
			storetest.Update(t, s, func(tx *store.Tx) error {
				p := Default()
				p.OnCall, p.Steps = night, append([]Step{}, c.steps...)
				return SetPolicy(tx, p)
			})
			storetest.Update(t, s, func(tx *store.Tx) error {
				got, err := Unreached(tx, c.senders)
				if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
					t.Errorf("%q, want %q", got, c.want)
				}
				return err
			})
		})
	}
}

// TestUnreachedAtSomeHour: hours at which nobody is on call are found before the alarm that comes then.
func TestUnreachedAtSomeHour(t *testing.T) {
	night := Duty{Name: "duty", Mail: "night@hospital.example", From: "18:00", To: "08:00"}
	day := Duty{Name: "duty", Mail: "day@hospital.example", From: "08:00", To: "18:00"}
	weekdays := day
	weekdays.Days = []string{"mon", "tue", "wed", "thu", "fri"}
	duty := Step{By: Mail, To: []string{"duty"}}
	for name, c := range map[string]struct {
		onCall []Duty
		steps  []Step
		want   string
	}{
		"round the clock":           {[]Duty{night, day}, []Step{duty}, ""},
		"nobody by day":             {[]Duty{night}, []Step{duty}, "08:00 on sun"},
		"nobody at the week's end":  {[]Duty{night, weekdays}, []Step{duty}, "08:00 on sun"},
		"a later step has somebody": {[]Duty{night}, []Step{duty, {By: Mail, To: []string{"it@hospital.example"}}}, ""},
		"a webhook is always there": {[]Duty{night}, []Step{duty, {By: Webhook, To: []string{"pager"}}}, ""},
		"a gap of an hour":          {[]Duty{night, {Name: "duty", Mail: "day@hospital.example", From: "08:00", To: "17:00"}}, []Step{duty}, "17:00 on sun"},
		"only on saturdays":         {[]Duty{{Name: "duty", Mail: "a@hospital.example", Days: []string{"sat"}}}, []Step{duty}, "00:00 on sun"},
	} {
		p := Default()
		p.OnCall, p.Steps = c.onCall, c.steps
		if err := p.Check(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if at, gap := p.unmanned(); at != c.want || gap != (c.want != "") {
			t.Errorf("%s: %q, want %q", name, at, c.want)
		}
	}
	s := storetest.Open(t)
	storetest.Update(t, s, func(tx *store.Tx) error {
		p := Default()
		p.OnCall, p.Steps = []Duty{night}, []Step{duty}
		return SetPolicy(tx, p)
	})
	storetest.Update(t, s, func(tx *store.Tx) error {
		got, err := Unreached(tx, 4)
		if !strings.HasPrefix(got, "nobody is on call at 08:00 on sun, so that an alarm then reaches nobody") {
			t.Errorf("%q", got)
		}
		return err
	})
}
