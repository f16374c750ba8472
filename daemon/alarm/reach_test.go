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
