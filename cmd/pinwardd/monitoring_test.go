package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// absent are figures that this box has no cause to show: what they are of is not there.
var absent = map[string]string{
	"pinward_modem_selftest":           "no nightly self-test has been",
	"pinward_backup_timestamp_seconds": "no backup was made",
	"pinward_clock_synchronized":       "the sandbox of the test may hide it",
	"pinward_sim_budget":               "the SIMs of this box have no cap: daemon's TestFlowMetricsOfModems has one",
	"pinward_modem_trouble":            "the modems are well: the same",
	"pinward_watchdog_last_seconds":    "the first look at the loops comes after some seconds",
}

// TestMonitoringNamesFigures: each figure that the board, the alerts and their tests name is one that the
// daemon shows, but for those that this box has no cause to show.
func TestMonitoringNamesFigures(t *testing.T) {
	t.Parallel()
	w, acc := whole(t, 2)
	web, err := w.web()
	must(t, err)
	var v struct{ ID string }
	must(t, call(web, acc.Token, http.MethodPost, "https://"+w.https+"/v1/verifications", map[string]any{"service": "portal-login", "to": "+16175551234", "channel": "sms"}, &v))
	_, err = w.send(admit("A04-M", "4711", "6175551234"))
	must(t, err)
	resp, err := web.Get("https://" + w.https + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	shown := string(body)
	for _, want := range []string{
		`pinward_state{state="open"} 1`, `pinward_accepting 1`, `pinward_queue_oldest_seconds{lane="otp"} `, `pinward_hl7_messages_total{ack="AA",listener="mllp"} 1`,
		`pinward_tpm_ok 1`, `pinward_cert_expiry_seconds{certificate="https"} `, `pinward_clock_trusted 1`, `pinward_cursor_lag_seconds{cursor="witness/share"} `,
		`pinward_audit_actions_total{action="verification.start",outcome="ok"} 1`, `pinward_health_state{node="pinward/keys/store/modems"} 0`, `pinward_state_free_bytes `,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	files, err := filepath.Glob("../../packaging/monitoring/pinward.*")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	name := regexp.MustCompile(`\b(pinward|process|go)_[a-z0-9_]+`)
	named := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, n := range name.FindAllString(string(text), -1) {
			named[n] = true
		}
	}
	if len(named) < 25 {
		t.Fatalf("only %d figures are named", len(named))
	}
	for n := range named {
		if !strings.Contains(shown, "\n"+n+"{") && !strings.Contains(shown, "\n"+n+" ") && absent[n] == "" {
			t.Errorf("%s is no figure of the daemon", n)
		}
	}
}
