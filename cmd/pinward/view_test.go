package main

import (
	"strings"
	"testing"
	"time"
)

func lookAt(t *testing.T, at time.Time, text string) look {
	t.Helper()
	fs, err := parseFigures([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return look{at: at, figures: fs, status: status{
		State: "open", Mode: "live", Box: "box-1", Accepts: true, Entries: 7,
		Modems: map[string]modem{
			"modem1": {Phase: "ready", Ready: true, Operator: "A carrier with a long name", SignalDBm: -71},
			"modem2": {Phase: "down", Cause: "it left the bus"},
		},
		Health: node{Name: "pinward", State: "ok", Children: []node{{Name: "store", State: "ok", Children: []node{
			{Name: "modem2", State: "warn", Cause: "it left the bus"}, {Name: "keys", State: "fail", Cause: "gone", Children: []node{{Name: "below", State: "unknown", Cause: "depends on keys"}}},
		}}}},
	}}
}

const earlier = `pinward_audit_actions_total{action="verification.start",outcome="ok"} 10
pinward_audit_actions_total{action="verification.approve",outcome="ok"} 8
pinward_modem_handovers_total{modem="modem1",outcome="sent"} 100
pinward_hl7_messages_total{ack="AA",listener="mllp"} 0
`

const later = `pinward_audit_actions_total{action="verification.start",outcome="ok"} 20
pinward_audit_actions_total{action="verification.approve",outcome="ok"} 13
pinward_audit_actions_total{action="verification.start",outcome="refused"} 1
pinward_modem_handovers_total{modem="modem1",outcome="sent"} 6
pinward_modem_handovers_total{modem="modem1",outcome="unknown"} 1
pinward_modem_trouble{modem="modem1",trouble="storage"} 1
pinward_hl7_messages_total{ack="AA",listener="mllp"} 60
pinward_hl7_messages_total{ack="AE",listener="mllp"} 2
pinward_queue_depth{lane="otp"} 3
pinward_queue_depth{lane="bulk"} 12
pinward_queue_oldest_seconds{lane="otp"} 12
pinward_lane_paused{lane="bulk"} 1
pinward_on_air{lane="otp"} 1
pinward_sim_budget_used{modem="modem1",per="day"} 40
pinward_sim_budget{modem="modem1",per="day"} 200
`

// TestRates: by the minute, over the time between the looks; a counter that began anew counts from zero.
func TestRates(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	a, b := lookAt(t, at, earlier), lookAt(t, at.Add(30*time.Second), later)
	r := ratesOf(a, b)
	for what, c := range map[string][2]float64{
		"started": {r.Started, 20}, "approved": {r.Approved, 10}, "refused": {r.Refused, 2}, "HL7": {r.HL7["AA"], 120}, "AE": {r.HL7["AE"], 4},
		"sent after a restart": {r.Sent["modem1"], 12}, "failed": {r.Failed["modem1"], 2},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v a minute, want %v", what, c[0], c[1])
		}
	}
	if zero := ratesOf(b, b); zero.Started != 0 || zero.HL7["AA"] != 0 {
		t.Errorf("of one look: %+v", zero)
	}
}

// TestView: what an operator looks for at night is there, the root cause and not what hangs on it, and no line
// is wider than the terminal.
func TestView(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	a, b := lookAt(t, at, earlier), lookAt(t, at.Add(30*time.Second), later)
	got := string(render(a, b, 120, 0, false))
	for _, want := range []string{
		"pinward box-1  open  live", "takes codes, 7 audit entries, rates of the last 30s", "warn     modem2: it left the bus", "fail     keys: gone",
		"codes    20 asked for a minute, 10 typed in right (50 %), 2.0 refused", "otp         3 in line, the oldest for 12s; 1 on air",
		"bulk       12 in line, the oldest for 0s; 0 on air  HELD", "hl7      120 AA, 4.0 AE", "modem1       ready        A carrier with   -71       12      2.0     40/200  storage",
		"modem2       down", "it left the bus",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the view lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "below") || strings.Contains(got, "\x1b") {
		t.Errorf("the view has too much:\n%s", got)
	}
	for line := range strings.Lines(string(render(a, b, 60, 0, false))) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 60 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if n := strings.Count(string(render(a, b, 120, 5, true)), "\n"); n > 5 {
		t.Errorf("%d lines on a terminal of 5", n)
	}
	if coloured := string(render(a, b, 120, 0, true)); !strings.Contains(coloured, "\x1b[31m") {
		t.Error("nothing is red")
	}
}
