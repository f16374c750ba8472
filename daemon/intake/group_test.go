package intake

import (
	"strings"
	"testing"
)

// TestSeveralPatients: an appointment of a group is its first patient's alone, and lint and explain say so; one
// patient who is named twice is no group, and those whom a merge or a swap of beds is about are none either.
func TestSeveralPatients(t *testing.T) {
	group := siu("S12", clock(3, 9), "") + "\n" + bob.Replace(jane)
	for name, c := range map[string]struct {
		message string
		said    bool
	}{
		"a group":         {group, true},
		"its end":         {strings.Replace(group, "S12", "S15", 1), true},
		"results":         {result + "\n" + bob.Replace(jane), true},
		"named twice":     {siu("S12", clock(3, 9), "") + "\n" + jane, false},
		"without an id":   {siu("S12", clock(3, 9), "") + "\nPID|2", false},
		"one":             {siu("S12", clock(3, 9), ""), false},
		"a merge":         {"ADT^A40\n" + jane + "\nMRG|4712^^^RIV^MR\n" + bob.Replace(jane) + "\nMRG|4713^^^RIV^MR", false},
		"a swap of rooms": {"ADT^A17\n" + jane + "\nPV1|1|I|A\n" + bob.Replace(jane) + "\nPV1|2|I|B", false},
	} {
		b := newBox(t)
		b.policy(releasing)
		v := b.lint(c.message)
		sendOK(t, b, c.message)
		if e := b.last(); strings.Contains(v.Why, firstAlone) != c.said || strings.Contains(e.Why, firstAlone) != c.said {
			t.Errorf("%s: lint says %q, explained %q", name, v.Why, e.Why)
		}
	}
}
