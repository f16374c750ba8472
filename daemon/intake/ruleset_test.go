package intake

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pinward/daemon/outbox/outboxtest"
	"pinward/hl7"
	"pinward/store"
)

// TestRulesAsData: the shipped rules go out as JSON and come back the same, so that what a box does can
// be printed, compared and changed.
func TestRulesAsData(t *testing.T) {
	b, err := json.Marshal(Shipped())
	if err != nil {
		t.Fatal(err)
	}
	var back []Rule
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, Shipped()) {
		t.Errorf("came back as %+v", back)
	}
	if err := validateRules(Shipped()); err != nil {
		t.Error(err)
	}
	if p := (Policy{}).WithRules(back); len(p.Changed) != 0 {
		t.Errorf("%d shipped rules count as changed", len(p.Changed))
	}
}

// TestOwnRules: a site's rule of a shipped name takes its place, one of a new name comes first, Off
// leaves one out.
func TestOwnRules(t *testing.T) {
	b := newBox(t)
	list := (Policy{}).Rules()
	for i := range list {
		switch list[i].Name {
		case "oru.result":
			list[i].Off = true
		case "adt.contact":
			list[i].Events = []string{"A08"}
		}
	}
	list = append(list, Rule{
		Name: "ward.transfer", Type: "ADT", Events: []string{"A02"}, Need: []string{"PID"}, Do: []Effect{KnowContact, SendNotice},
		When:   []Condition{{Segment: "PV1", Field: 3, Test: Some, In: []string{"LOBBY"}, Why: "not to the lobby (PV1-3)"}},
		Notice: Notice{Template: "result.ready", Key: []hl7.Path{hl7.MustPath("MSH-10")}},
	}, Rule{Name: "pre.admit", Type: "ADT", Events: []string{"A05"}, Need: []string{"PID"}, Do: []Effect{KnowContact, StartVerify}, Verify: "patient-signup"},
		Rule{Name: "quiet", Type: "ADT", Events: []string{"A31"}, Need: []string{"PID"}, Do: []Effect{Suppress, KnowContact, SendNotice},
			Notice: Notice{Template: "result.ready", Key: []hl7.Path{hl7.MustPath("MSH-10")}}})
	p := releasing.WithRules(list)
	if len(p.Changed) != 5 {
		t.Errorf("%d rules are kept, want 5", len(p.Changed))
	}
	b.policy(p)
	for message, want := range map[string]struct{ rule, why, did string }{
		"ADT^A02\n" + jane + "\nPV1|1|I|LOBBY": {"ward.transfer", "", "result.ready queued"},
		"ADT^A02\n" + jane + "\nPV1|1|I|ICU":   {"", "not to the lobby", ""},
		"ADT^A04\n" + jane:                     {"", noRule, ""},
		"ADT^A08\n" + jane:                     {"adt.contact", "", ""},
		"ADT^A05\n" + jane:                     {"pre.admit", "", "verification started"},
		"ADT^A31\n" + jane:                     {"quiet", "no text", ""},
		result:                                 {"", noRule, ""},
	} {
		sendOK(t, b, message)
		if e := b.last(); e.Rule != want.rule || !strings.Contains(e.Why, want.why) || !strings.Contains(e.Did, want.did) {
			t.Errorf("%.8q: %+v", message, e)
		}
	}
}

// TestRulesAreChecked: what is wrong with a rule is told by its name when it is set, never found when a
// message comes.
func TestRulesAreChecked(t *testing.T) {
	good := Rule{Name: "x", Type: "ADT", Events: []string{"A01"}, Do: []Effect{KnowContact}}
	if err := validateRules([]Rule{good}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Rule){
		"no name":                func(r *Rule) { r.Name = "" },
		"a name with a space":    func(r *Rule) { r.Name = "a b" },
		"no type":                func(r *Rule) { r.Type = "" },
		"a long event":           func(r *Rule) { r.Events = []string{"A001"} },
		"nothing to do":          func(r *Rule) { r.Do = nil },
		"an effect that is none": func(r *Rule) { r.Do = []Effect{"fax"} },
		"notice without key":     func(r *Rule) { r.Do = []Effect{SendNotice}; r.Notice = Notice{Template: "result.ready"} },
		"verify of nothing":      func(r *Rule) { r.Do = []Effect{StartVerify} },
		"end as nothing":         func(r *Rule) { r.Do = []Effect{EndVisit} },
		"end as booked":          func(r *Rule) { r.Do = []Effect{EndVisit}; r.Ends = "booked" },
		"condition without why":  func(r *Rule) { r.When = []Condition{{Segment: "PV1", Field: 2, Test: Blank}} },
		"condition of no field":  func(r *Rule) { r.When = []Condition{{Segment: "PV1", Test: Blank, Why: "w"}} },
		"condition with nothing": func(r *Rule) { r.When = []Condition{{Segment: "PV1", Field: 2, Test: Some, Why: "w"}} },
		"condition without test": func(r *Rule) { r.When = []Condition{{Segment: "PV1", Field: 2, In: []string{"x"}, Why: "w"}} },
		"hours of one end":       func(r *Rule) { r.Hours = Hours{From: "08:00"} },
		"hour 24":                func(r *Rule) { r.Hours = Hours{From: "08:00", To: "24:00"} },
		"negative age":           func(r *Rule) { r.MaxAge = -1 },
		"segment of two letters": func(r *Rule) { r.Need = []string{"PV"} },
	} {
		r := good
		change(&r)
		if err := validateRules([]Rule{r}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := validateRules([]Rule{good, good}); err == nil {
		t.Error("one name twice: taken")
	}
	for _, bad := range []string{`[{"name":"x","colour":1}]`, `[{"max_age":"2 hours"}]`, `[{"when":[{"test":"perhaps"}]}]`, `[{"notice":{"key":["PID"]}}]`, `[{"when":[{"test":"some","list":"all"}]}]`} {
		dec := json.NewDecoder(strings.NewReader(bad))
		dec.DisallowUnknownFields()
		var list []Rule
		if err := dec.Decode(&list); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}

// TestMaxAge: an event older than two hours sets off no text, of any rule that does not say otherwise,
// by EVN-2 before MSH-7; what it says is kept.
func TestMaxAge(t *testing.T) {
	b := newBox(t)
	b.policy(releasing)
	old := func(ago time.Duration, evn string) string {
		b.next++
		rest := strings.TrimPrefix(resultOf(b.next), "ORU^R01\n")
		return header("ORU^R01", strings.Repeat("A", b.next), time.Now().Add(-ago)) + "\n" + evn + rest
	}
	for name, c := range map[string]struct {
		message string
		want    bool
	}{
		"fresh":                      {old(time.Minute, ""), true},
		"before two hours":           {old(110*time.Minute, ""), true},
		"older":                      {old(130*time.Minute, ""), false},
		"EVN-2 is older than MSH-7":  {old(0, "EVN|R01|"+ts(time.Now().Add(-3*time.Hour))+"\n"), false},
		"EVN-2 is younger than that": {old(3*time.Hour, "EVN|R01|"+ts(time.Now())+"\n"), true},
	} {
		before := len(b.texts())
		sendOK(t, b, c.message)
		if sent := len(b.texts()) > before; sent != c.want {
			t.Errorf("%s: sent %v, want %v", name, sent, c.want)
		}
	}
	var found bool
	b.View(func(tx *store.Tx) error {
		for _, r := range b.Entries() {
			found = found || strings.Contains(outboxtest.Attr(r.Entry, "why"), "older than 2h")
		}
		return nil
	})
	if !found {
		t.Error("no entry tells why")
	}
}
