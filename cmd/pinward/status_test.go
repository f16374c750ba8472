package main

import (
	"strings"
	"testing"
)

// TestHealthLeadsWithTheWorst: the first line is what an operator reads at night; it is not "ok" above what failed.
func TestHealthLeadsWithTheWorst(t *testing.T) {
	leaf := func(state string) node { return node{Name: "modem1", State: state, Cause: "why"} }
	for state, want := range map[string]string{
		"ok":      "health   pinward: ok\n",
		"warn":    "health   pinward: warn\nhealth       modem1: warn, why\n",
		"fail":    "health   pinward: fail\nhealth       modem1: fail, why\n",
		"unknown": "health   pinward: unknown\nhealth       modem1: unknown, why\n",
	} {
		var out strings.Builder
		node{Name: "pinward", State: "ok", Children: []node{{Name: "modems", State: "ok", Children: []node{leaf(state), leaf("ok")}}}}.print(&out, 0)
		if out.String() != want {
			t.Errorf("%s: got\n%swant\n%s", state, &out, want)
		}
	}
}
