package health

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// says makes a check that always answers the same.
func says(name string, s State, cause string, children ...Check) Check {
	return Check{Name: name, Ask: func() (State, string) { return s, cause }, Children: children}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestOneRootCause(t *testing.T) {
	asked := false
	modem := Check{Name: "modem-1", Ask: func() (State, string) { asked = true; return Fail, "no SIM" }}
	tree := says("pinward", OK, "",
		says("keys", Fail, "the TPM does not answer",
			says("store", OK, "",
				Check{Name: "senders", Children: []Check{modem}}),
			says("hl7", OK, "")),
		says("disk", Warn, "12 % free"))
	n := Judge(tree, Node{}, noon)
	if asked {
		t.Error("a node was asked below one that failed")
	}
	causes := n.Causes()
	if len(causes) != 2 || strings.Join(causes[0].Path, "/") != "pinward/keys" || causes[1].State != Warn {
		t.Fatalf("causes: %+v", causes)
	}
	if n.Worst() != Fail {
		t.Errorf("worst is %v", n.Worst())
	}
	leaf := n.Children[0].Children[0].Children[0].Children[0]
	if leaf.Name != "modem-1" || leaf.State != Unknown || leaf.Cause != "depends on keys" {
		t.Errorf("leaf: %+v", leaf)
	}
}

func TestWarningCarriesItsChildren(t *testing.T) {
	n := Judge(says("a", Warn, "slow", says("b", Fail, "gone")), Node{}, noon)
	causes := n.Causes()
	if len(causes) != 2 || causes[0].Path[1] != "b" || causes[0].State != Fail {
		t.Errorf("causes: %+v", causes)
	}
	n = Judge(says("a", Unknown, "not asked yet", says("b", Fail, "gone")), Node{}, noon)
	if causes := n.Causes(); len(causes) != 1 || n.Children[0].State != Unknown {
		t.Errorf("below what is not known something is: %+v", causes)
	}
}

func TestSince(t *testing.T) {
	state, cause := OK, ""
	tree := says("root", OK, "", Check{Name: "child", Ask: func() (State, string) { return state, cause }})
	n := Judge(tree, Node{}, noon)
	state, cause = Fail, "first words"
	n = Judge(tree, n, noon.Add(time.Minute))
	cause = "other words"
	n = Judge(tree, n, noon.Add(time.Hour))
	c := n.Children[0]
	if !c.Since.Equal(noon.Add(time.Minute)) || c.Cause != "other words" || !n.Since.Equal(noon) {
		t.Errorf("failed since %v, root since %v", c.Since, n.Since)
	}
}

func TestOldestCauseFirst(t *testing.T) {
	n := Node{Name: "root", Children: []Node{
		{Name: "late", State: Fail, Since: noon.Add(time.Second)},
		{Name: "warning", State: Warn, Since: noon.Add(-time.Hour)},
		{Name: "early", State: Fail, Since: noon},
	}}
	var order []string
	for _, c := range n.Causes() {
		order = append(order, c.Path[1])
	}
	if got := strings.Join(order, " "); got != "early late warning" {
		t.Errorf("order: %s", got)
	}
	if len(Judge(says("root", OK, ""), Node{}, noon).Causes()) != 0 {
		t.Error("a healthy tree has causes")
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal(Judge(says("root", Fail, "gone"), Node{}, noon))
	if err != nil || string(b) != `{"name":"root","state":"fail","cause":"gone","since":"2026-11-22T12:00:00Z"}` {
		t.Fatalf("%s, %v", b, err)
	}
	var back Node
	if err := json.Unmarshal(b, &back); err != nil || back.State != Fail {
		t.Errorf("%+v, %v", back, err)
	}
	if json.Unmarshal([]byte(`{"state":"splendid"}`), &back) == nil {
		t.Error("an unknown state was read")
	}
}
