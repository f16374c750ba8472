package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/storetest"
)

// policyBox is an open box, of which only the policy is looked at.
type policyBox struct {
	t *testing.T
	s *store.Store
	b *box
}

func newPolicyBox(t *testing.T) *policyBox {
	t.Helper()
	p := &policyBox{t, storetest.Open(t), &box{}}
	storetest.Update(t, p.s, otp.Install)
	return p
}

func (p *policyBox) export() policyDoc {
	p.t.Helper()
	var doc policyDoc
	storetest.View(p.t, p.s, func(tx *store.Tx) (err error) { doc, err = policyOf(tx); return err })
	return doc
}

func (p *policyBox) apply(text []byte, query string) (policyDoc, error) {
	r := httptest.NewRequest("PUT", "/config?"+query, bytes.NewReader(text))
	v, err := p.b.applyPolicy(r, p.s, storetest.Tester)
	doc, _ := v.(policyDoc)
	return doc, err
}

func (p *policyBox) entries() int { return len(storetest.Entries(p.t, p.s)) }

// random changes something in each part.
func random(r *rand.Rand, d *policyDoc) {
	d.Site.Name, d.Site.Brand = fmt.Sprint("Hospital ", r.IntN(9)), fmt.Sprint("Brand", r.IntN(9))
	d.Site.Zone = []string{"America/New_York", "Europe/Berlin", "UTC"}[r.IntN(3)]
	d.Site.Mode = contact.Mode(r.IntN(2)) // never live: that takes two
	if r.IntN(2) == 0 {
		d.Site.QuietFrom, d.Site.QuietTo = "21:00", "08:00"
	}
	d.Site.LinkHosts = [][]string{nil, {}, {"portal.example.org"}}[r.IntN(3)]
	d.Limits.Sends, d.Limits.NumberHour = 1+r.IntN(5), budgetDoc{r.IntN(20), intake.Span(time.Hour * time.Duration(1+r.IntN(3))), 0}
	d.Services[r.IntN(len(d.Services))].Life = intake.Span(time.Duration(1+r.IntN(9)) * time.Minute)
	d.Services[r.IntN(len(d.Services))].Retired = r.IntN(2) == 0
	s := d.Services[0]
	s.Name, s.SID, s.Retired = fmt.Sprint("own-", r.IntN(100)), "", false
	for _, o := range d.Services {
		if o.Name == s.Name {
			s.SID = o.SID
		}
	}
	if s.SID == "" {
		d.Services = append(d.Services, s)
	}
	d.Templates[r.IntN(len(d.Templates))].Repeatable = r.IntN(2) == 0
	d.SIMs = []outbox.SIM{}
	for i := range r.IntN(3) {
		d.SIMs = append(d.SIMs, outbox.SIM{ICCID: fmt.Sprintf("890100000000000000%d", i), Owner: "IT", PerDay: r.IntN(100),
			Permission: outbox.Permission{Reference: "folder 3", On: time.Date(2026, 1, 1+r.IntN(20), 0, 0, 0, 0, time.UTC)}})
	}
	d.HL7.WorkPhones, d.HL7.Releasable = r.IntN(2) == 0, []string{fmt.Sprint("LAB", r.IntN(5))}
	d.HL7.Rules[r.IntN(len(d.HL7.Rules))].Off = r.IntN(2) == 0
}

// TestPolicyThatIsExportedChangesNothing: whatever the policy is, its export puts it in force on another box,
// and there and here, exported and applied again, it changes nothing and leaves no entry.
func TestPolicyThatIsExportedChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	one, two := newPolicyBox(t), newPolicyBox(t)
	for i := range 40 {
		want := one.export()
		random(r, &want)
		file := encoded(want)
		if _, err := one.apply(file, ""); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		has := one.export()
		file, err := json.MarshalIndent(has, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		n := one.entries()
		if got, err := one.apply(file, "was="+has.sum()); err != nil || !same(got, has) || one.entries() != n {
			t.Fatalf("%d: here: %v, %d entries more", i, err, one.entries()-n)
		}
		if _, err := two.apply(file, ""); err != nil {
			t.Fatalf("%d: there: %v", i, err)
		}
		// Elsewhere a text has versions of its own, and who brings it has read it.
		there := two.export()
		if len(there.Templates) != len(has.Templates) {
			t.Fatalf("%d: %d templates", i, len(there.Templates))
		}
		for k := range there.Templates {
			if !same(there.Templates[k].wording(), has.Templates[k].wording()) {
				t.Errorf("%d: template %s differs", i, has.Templates[k].key())
			}
		}
		there.Templates = has.Templates
		if !same(there, has) {
			t.Fatalf("%d: the other box has\n%s\nnot\n%s", i, encoded(there), encoded(has))
		}
	}
}

// TestPolicyIsAppliedWholeOrNotAtAll: what is wrong in the last part keeps the first from being changed, a
// dry run keeps nothing, and a policy that somebody else changed meanwhile stays as it is.
func TestPolicyIsAppliedWholeOrNotAtAll(t *testing.T) {
	p := newPolicyBox(t)
	before, n := p.export(), p.entries()
	if _, err := p.apply([]byte(`{"site": {"name": "New", "brand": "New", "zone": "UTC"}, "hl7": {"z_segment": "PID"}}`), ""); !errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), "hl7") {
		t.Errorf("a wrong part: %v", err)
	}
	good := []byte(`{"site": {"name": "New", "brand": "New", "zone": "UTC"}}`)
	would, err := p.apply(good, "dry=1")
	if err != nil || would.Site.Name != "New" {
		t.Errorf("dry run: %v", err)
	}
	if !same(p.export(), before) || p.entries() != n {
		t.Error("something was kept")
	}
	if _, err := p.apply(good, "was="+before.sum()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.apply([]byte(`{"limits": {"sends": 3}}`), "was="+before.sum()); !errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("over another's change: %v", err)
	}
	list := storetest.Entries(t, p.s)
	last := list[len(list)-1]
	if last.Action != actConfig || last.Attrs[0].Value != "site" || list[len(list)-2].Action != contact.ActionSite {
		t.Errorf("the entries are %v", list[n:])
	}
	// A limit that the file does not name is as shipped, not lifted.
	if _, err := p.apply([]byte(`{"limits": {"sends": 3}}`), ""); err != nil {
		t.Fatal(err)
	}
	if l := p.export().Limits; l.Sends != 3 || l.NumberHour != budget(limit.Default().NumberHour) {
		t.Errorf("limits %+v", l)
	}
}

// TestPolicyNamesThePlace: each mistake with line, column and the value's name.
func TestPolicyNamesThePlace(t *testing.T) {
	p := newPolicyBox(t)
	for file, want := range map[string]string{
		"":                                  "line 1, column 1: policy: unexpected end",
		"[]":                                `line 1, column 1: policy: it must begin with {`,
		"{\n  \"site\": {,}\n}":             "line 2, column 12",
		"{}\n{}":                            "line 2, column 1: policy: invalid character '{' after",
		"{\n \"site\": null}":               "line 2, column 10: site: it must not be null",
		"{\"hl8\": {}}":                     `line 1, column 9: hl8: there is no part "hl8"`,
		"{\"sims\": [], \"sims\": []}":      "sims: it is there twice",
		"{\"version\": 2}":                  "line 1, column 13: version: this program reads version 1",
		"{\n\"site\": {\n  \"name\": 7}\n}": "line 3, column 1",
		"{\n\"site\": {\n  \"name\": \"N\",\n  \"colour\": \"red\"}}":                                       `line 4, column 3: site: unknown key "colour"`,
		"{\n\"site\": {\"name\": \"N\", \"zone\": \"Mars\"}}":                                               "line 2, column 9: site: zone is not an IANA time zone",
		"{\"services\": [{},\n {\"name\": \"x\", \"life\": \"soon\"}]}":                                     "line 2, column 2: services[1]",
		"{\"sims\": [\n{\"iccid\": \"x\", \"per_day\": -2}]}":                                               "line 2, column 1: sims[0]",
		"{\"templates\": [\n\n{\"name\": \"x\", \"lang\": \"en\", \"class\": \"care\", \"body\": \"hi\"}]}": "line 3, column 1: templates[0]",
		"{\"services\": []}\n": "", // the shipped ones stay
	} {
		_, err := p.apply([]byte(file), "")
		if want == "" && err != nil || want != "" && (!errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}

// TestPolicyKeepsTheRules: live by a file, a service that clients know dropped, a service without a text.
func TestPolicyKeepsTheRules(t *testing.T) {
	p := newPolicyBox(t)
	d := p.export()
	d.Site.Zone, d.Site.Mode = "UTC", contact.Live
	if _, err := p.apply(encoded(map[string]any{"site": d.Site}), ""); err == nil || !strings.Contains(err.Error(), "second person") {
		t.Errorf("live by a file: %v", err)
	}
	own := d.Services[0]
	own.Name, own.SID = "own", ""
	if _, err := p.apply(encoded(map[string]any{"services": []serviceDoc{own}}), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := p.apply([]byte(`{"services": []}`), ""); err == nil || !strings.Contains(err.Error(), `service own is not in it`) {
		t.Errorf("own service dropped: %v", err)
	}
	changed := own
	changed.Name, changed.SID, changed.Life = d.Services[0].Name, "", intake.Span(time.Minute)
	if _, err := p.apply(encoded(map[string]any{"services": []serviceDoc{own, changed}}), ""); err != nil {
		t.Fatal(err)
	}
	if got, err := p.apply(encoded(map[string]any{"services": []serviceDoc{own}}), ""); err != nil || !same(got.Services[0], d.Services[0]) {
		t.Errorf("a shipped service that is left out: %+v, %v", got.Services[0], err)
	}
	own.Template = "nothing"
	if _, err := p.apply(encoded(map[string]any{"services": []serviceDoc{own}}), ""); err == nil || !strings.Contains(err.Error(), "no template nothing") {
		t.Errorf("service without a text: %v", err)
	}
	// A text that was changed by a file is not one that its old reviewer has read.
	list := p.export().Templates
	list[0].Repeatable = !list[0].Repeatable
	first, err := p.apply(encoded(map[string]any{"templates": list}), "")
	if err != nil || first.Templates[0].Version != 1 || first.Templates[0].Reviewer != storetest.Tester.ID {
		t.Fatalf("changed text %+v, %v", first.Templates[0], err)
	}
	first.Templates[0].Reviewer = "Dr. Smith"
	second, err := p.apply(encoded(map[string]any{"templates": first.Templates}), "")
	if err != nil || second.Templates[0].Version != 2 || second.Templates[0].Reviewer != "Dr. Smith" {
		t.Fatalf("reviewed text %+v, %v", second.Templates[0], err)
	}
	second.Templates[0].Repeatable = !second.Templates[0].Repeatable
	third, err := p.apply(encoded(map[string]any{"templates": second.Templates}), "")
	if err != nil || third.Templates[0].Version != 3 || third.Templates[0].Reviewer != storetest.Tester.ID {
		t.Fatalf("text that nobody read %+v, %v", third.Templates[0], err)
	}
	// Left out, the shipped one holds again.
	after, err := p.apply([]byte(`{"templates": []}`), "")
	if err != nil || after.Templates[0].Version != 0 || len(after.Templates) != len(list) {
		t.Errorf("templates left out: %d, %v", len(after.Templates), err)
	}
}

// TestPolicyHoldsNoSecret: accounts are not in the file, nor is anything that lets one in.
func TestPolicyHoldsNoSecret(t *testing.T) {
	p := newPolicyBox(t)
	var secrets []string
	hash, err := access.NewPasswords(1).Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	storetest.Update(t, p.s, func(tx *store.Tx) error {
		c, secret, err := access.CreateClient(tx, "planted-client", []access.Role{access.Portal})
		if err != nil {
			return err
		}
		_, token, err := access.CreateKey(tx, c.SID, "planted-key", true)
		if err != nil {
			return err
		}
		_, err = access.CreateUser(tx, "planted-user", hash, []access.Role{access.Admin})
		secrets = []string{secret, token, c.SID, "planted"}
		return err
	})
	file := string(encoded(p.export()))
	for _, secret := range secrets {
		if secret == "" || strings.Contains(file, secret) {
			t.Errorf("the file holds an account")
		}
	}
}

// TestEveryPolicyTableIsInTheFile: a table of policy that is new has to find its part.
func TestEveryPolicyTableIsInTheFile(t *testing.T) {
	parts := map[string]string{
		"contact.site": "site", "limit.limits": "limits", "intake.policy": "hl7",
		"text.templates": "templates", "text.versions": "templates", // what was: only what is in force is exported
		"otp.services": "services", "otp.services.sid": "services", "alarm.policy": "alarms", "acceptance.policy": "acceptance", "retention.policy": "retention",
	}
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", "--exclude=*_test.go", `NewTable\[[^]]*\]\("[^"]*"[^/]*store\.Policy\(\)`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\("([^"]*)"`).FindAllStringSubmatch(string(out), -1)
	if len(found) < len(parts) {
		t.Errorf("only %d tables of policy found", len(found))
	}
	for _, f := range found {
		if parts[f[1]] == "" {
			t.Errorf("table %s is policy, and in no part of the file", f[1])
		}
	}
}
