package daemon

import (
	"slices"
	"testing"
	"time"

	"pinward/tpm"
)

// TestHoldersOverdue: each share is asked for a year after it was last seen, or after the kit was made,
// by the name of who keeps it.
func TestHoldersOverdue(t *testing.T) {
	made := time.Date(2025, 1, 10, 9, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return made.AddDate(0, 0, n) }
	c := commissioning{Holders: []string{"Ann", "Bo", "Cy"}, Begun: made}
	if got := c.overdue(day(400)); got != nil {
		t.Errorf("before the first drill %v are late: set-up itself asks for it", got)
	}
	c.Drilled = day(0)
	c.saw(&tpm.DrillState{At: day(0), Shares: []int{1, 3}})
	for _, step := range []struct {
		day  int
		want []string
	}{{365, nil}, {366, []string{"Ann", "Bo", "Cy"}}} {
		if got := c.overdue(day(step.day)); !slices.Equal(got, step.want) {
			t.Errorf("on day %d %v are late, want %v", step.day, got, step.want)
		}
	}
	c.saw(&tpm.DrillState{At: day(366), Shares: []int{1, 2}})
	if got := c.overdue(day(370)); !slices.Equal(got, []string{"Cy"}) {
		t.Errorf("after a drill with shares 1 and 2 %v are late, want Cy", got)
	}
	if got := c.holders(); len(got) != 3 || !got[1].Seen.Equal(day(366)) || got[2].Name != "Cy" || !got[2].Seen.Equal(day(0)) {
		t.Errorf("holders %+v", got)
	}
}
