package main

import (
	"strings"
	"testing"
	"time"
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

// TestStatusAndTopShowAlarms: which are open, since when, and who sees to them; and maintenance, until when and by whom.
func TestStatusAndTopShowAlarms(t *testing.T) {
	at := time.Date(2026, 11, 22, 2, 0, 0, 0, time.Local)
	st := status{Box: "box-1", State: "open", Health: node{Name: "pinward", State: "ok"},
		Alarms: []openAlarm{
			{ID: 3, Severity: "critical", Path: "modems/modem1", Cause: "it left the bus", Since: at},
			{ID: 2, Severity: "warning", Path: "clock", Cause: "it stands still", Since: at, Seen: at.Add(time.Hour), SeenBy: "sms night"},
		},
		Maintenance: &maintenance{On: true, Until: at.Add(2 * time.Hour), By: "it", Reason: "new antenna"},
	}
	var status strings.Builder
	st.print(&status)
	l := look{at: at, status: st}
	for name, shown := range map[string]string{"status": status.String(), "top": string(render(l, l, 200, 0, false))} {
		for _, want := range []string{
			"alarm    3 critical since 2026-11-22 02:00:00, NOT acknowledged: modems/modem1: it left the bus\n",
			"alarm    2 warning since 2026-11-22 02:00:00, acknowledged by sms night at 2026-11-22 03:00:00: clock: it stands still\n",
			"planned  maintenance until 2026-11-22 04:00:00, by it (new antenna)",
		} {
			if !strings.Contains(shown, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, shown)
			}
		}
	}
	for range 4 {
		st.Alarms = append(st.Alarms, st.Alarms[0])
	}
	if l.status = st; !strings.Contains(string(render(l, l, 200, 0, false)), "and 2 more alarms: pinward alarm list") {
		t.Error("top does not say that there are more")
	}
}
