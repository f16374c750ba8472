// Package monitoring holds what a hospital's own monitoring takes over: the board of Grafana, the alerts of
// Prometheus, the way of the log to a server; and nothing but this test of them.
package monitoring

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRules: promtool reads the alerts, and each of them is silent for a box that is well and fires for one
// that is not.
func TestRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "pinward.rules.yml"}, {"test", "rules", "pinward.rules.test.yml", "pinward.rules.day.test.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, played := read(t, "pinward.rules.yml"), read(t, "pinward.rules.test.yml")+read(t, "pinward.rules.day.test.yml")
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		one := regexp.MustCompile(`alertname: `+m[1]+`\n\s+exp_alerts:( \[\])?\n`).FindAllStringSubmatch(played, -1)
		fires, silent := false, false
		for _, o := range one {
			fires, silent = fires || o[1] == "", silent || o[1] != ""
		}
		if !fires || !silent {
			t.Errorf("%s: fires in a test: %t, is silent in one: %t", m[1], fires, silent)
		}
	}
	if a, n := strings.Count(rules, "- alert:"), strings.Count(rules, "next: \""); a != n {
		t.Errorf("%d alerts have %d next steps", a, n)
	}
}

// TestBoard: the board is JSON whose panels ask something, each of the box that is picked, and lie on no other.
func TestBoard(t *testing.T) {
	var board struct {
		Title  string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "pinward.dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	rules := "groups:\n  - name: board\n    rules:\n" // as which promtool reads the queries
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s asks nothing", p.Title)
		}
		for _, q := range p.Targets {
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s is not of the box that is picked", p.Title, q.Expr)
			}
			rules += "      - {record: board:query, labels: {n: \"" + strconv.Itoa(strings.Count(rules, "\n")) + "\"}, expr: '" + strings.ReplaceAll(q.Expr, "$instance", ".*") + "'}\n"
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %s at %d, %d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	file := filepath.Join(t.TempDir(), "board.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("a query is none: %v\n%s", err, out)
	}
}

// TestRsyslog: the program reads the way of the log to a server without a complaint.
func TestRsyslog(t *testing.T) {
	dir := t.TempDir()
	ca, conf := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "rsyslog.conf")
	text := strings.Replace(read(t, "rsyslog.conf"), "/etc/ssl/certs/hospital-log-ca.pem", ca, 1)
	if err := errors.Join(os.WriteFile(ca, nil, 0o600), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rsyslogd", "-N1", "-f", conf).CombinedOutput()
	if err != nil || strings.Contains(string(out), "error") {
		t.Errorf("rsyslogd -N1: %v\n%s", err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
