package main

import (
	"strings"
	"testing"
	"time"
)

// TestThresholds: the ranges of the Monitoring Plugins guidelines, each with what it lets by.
func TestThresholds(t *testing.T) {
	for text, want := range map[string]string{ // of -1, 0, 5, 10, 11: x alerts
		"": ".....", "10": "x...x", "10:": "xxx..", "~:10": "....x", "5:10": "xx..x", "@5:10": "..xx.", "0": "x.xxx", "@0:0": ".x...",
	} {
		th, err := parseThreshold(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := ""
		for _, v := range []float64{-1, 0, 5, 10, 11} {
			if th.alerts(v) {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"ten", "10:x", "20:10", "@", ":", "-"} {
		if _, err := parseThreshold(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

const scraped = `pinward_alarms{severity="critical",acknowledged="no"} 1
pinward_heartbeat_timestamp_seconds 3600
# HELP pinward_modem_signal_dbm Signal.
# TYPE pinward_modem_signal_dbm gauge
pinward_modem_signal_dbm{modem="modem1"} -71
pinward_modem_signal_dbm{modem="a \"b\"\\,}"} -107
pinward_modem_handovers_total{modem="modem1",outcome="sent"} 12
pinward_modem_handovers_total{modem="modem2",outcome="sent"} 3
pinward_queue_oldest_seconds{lane="otp"} 12.5
pinward_queue_depth{lane="otp"} 2
pinward_lane_paused{lane="bulk"} 1
pinward_hl7_messages_total{ack="AA",listener="mllp"} 90
pinward_hl7_messages_total{ack="AE",listener="mllp"} 6
pinward_hl7_messages_total{ack="AR",listener="mllp"} 3
pinward_hl7_failed_total{listener="mllp"} 1
pinward_tpm_ok 1
pinward_audit_anchor_age_seconds 18000
pinward_cert_expiry_seconds{certificate="https"} 1.7e+06
pinward_cert_expiry_seconds{certificate="atna ca"} 432000
pinward_clock_trusted 1
pinward_clock_synchronized 0
pinward_state_free_bytes 1.073741824e+09
pinward_state_least_free_bytes 5.36870912e+08
pinward_cursor_lag_seconds{cursor="witness/siem"} 4000
pinward_cursor_backlog{cursor="witness/siem"} 17
pinward_backup_timestamp_seconds 1
`

// TestProbes: each probe names its worst, and its figures are those of the scrape.
func TestProbes(t *testing.T) {
	fs, err := parseFigures([]byte(scraped))
	if err != nil {
		t.Fatal(err)
	}
	st := status{State: "open", Modems: map[string]modem{"modem1": {Ready: true}, "modem2": {Phase: "down", Cause: "unplugged"}},
		Alarms: []openAlarm{
			{ID: 3, Severity: "critical", Path: "modems/modem2", Cause: "un|plugged", Since: time.Now().Add(-2 * time.Hour)},
			{ID: 2, Severity: "warning", Path: "clock", Since: time.Now().Add(-9 * time.Hour), Seen: time.Now(), SeenBy: "user it"},
		}}
	want := map[string][]string{
		"modem":     {"WARNING: 1 of 2 modems can send; not modem2 (down: unplugged)", "not_ready=1;0;;0;2", "sent=15c"},
		"signal":    {`WARNING: the weakest is a "b"\,} with -107 dBm`, "modem1=-71;-105:;-111:", `'a "b"\,}'=-107`},
		"queue":     {"WARNING: 2 codes wait, the oldest for 12 s; lane bulk is held", "oldest_code=12.5s;10;30;0"},
		"hl7":       {"WARNING: 100 messages, 10.0 % of them", "bad=10%;5;20;0;100", "AE=6c", "not_taken=1c"},
		"tpm":       {"WARNING: the keys sign; its counter was bound to the audit 5.0 hours ago", "anchor_age=5;3;25;0"},
		"cert":      {"CRITICAL: atna ca runs out in 5 days", "'atna ca'=5;30:;7:"},
		"backup":    {"CRITICAL: the last whole backup is"},
		"alarm":     {"CRITICAL: 2 open, 1 of them not acknowledged: 3 critical modems/modem2: un/plugged", "oldest_unseen=", "open=2"},
		"heartbeat": {"CRITICAL: the last heartbeat was"},
		"clock":     {"WARNING: the clock is trusted; no time server keeps it"},
		"disk":      {"WARNING: 1024 MB of", "below 512 MB nothing new is accepted", "free=1024MB;2048:;600:;0"},
		"follower":  {"WARNING: witness/siem is furthest behind, by 17 entries and 4000 s", "witness/siem=4000s;3600;86400;0"},
	}
	for _, p := range probes {
		warn, err1 := parseThreshold(p.warn)
		crit, err2 := parseThreshold(p.crit)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		line := p.look(st, fs, warn, crit).line("PINWARD")
		if len(want[p.name]) == 0 {
			t.Errorf("nothing is wanted of %s", p.name)
		}
		for _, w := range want[p.name] {
			if !strings.Contains(line, w) {
				t.Errorf("%s: %q lacks %q", p.name, line, w)
			}
		}
		if strings.Count(line, "|") > 1 || strings.Contains(line, "\n") {
			t.Errorf("%s is no line of a plugin: %q", p.name, line)
		}
	}
}

// TestDiskOfALargeMachine: what has to stay free grows with the disk, and thresholds in megabytes do not know.
func TestDiskOfALargeMachine(t *testing.T) {
	warn, err1 := parseThreshold("2048:")
	crit, err2 := parseThreshold("600:")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for free, want := range map[string]int{"4.9e+10": pluginCritical, "5.05e+10": pluginWarning, "6e+10": pluginOK} {
		fs, err := parseFigures([]byte("pinward_state_free_bytes " + free + "\npinward_state_size_bytes 1e+12\npinward_state_least_free_bytes 5e+10\n"))
		if err != nil {
			t.Fatal(err)
		}
		if v := checkDisk(status{}, fs, warn, crit); v.code != want {
			t.Errorf("%s bytes free: %s", free, v.line("PINWARD DISK"))
		}
	}
}

// TestProbesWithoutFigures: what is not known is never OK.
func TestProbesWithoutFigures(t *testing.T) {
	for _, p := range probes {
		v := p.look(status{State: "open"}, scrape{}, threshold{}, threshold{})
		if known := p.name == "queue" || p.name == "hl7" || p.name == "follower"; (v.code == pluginOK) != known {
			t.Errorf("%s answers %s", p.name, v.line("PINWARD"))
		}
	}
}

// TestScrapeIsReadStrictly: a line that is none is an error, not a figure of zero.
func TestScrapeIsReadStrictly(t *testing.T) {
	for _, line := range []string{"pinward_x", `pinward_x{a=1} 2`, `pinward_x{a} 2`, `{a="b"} 2`, "pinward_x two"} {
		if _, err := parseFigures([]byte(line + "\n")); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}
