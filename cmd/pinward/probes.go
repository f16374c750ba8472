package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func checkModems(st status, fs scrape, warn, crit threshold) (v verdict) {
	var dead []string
	for _, name := range slices.Sorted(maps.Keys(st.Modems)) {
		if !st.Modems[name].Ready {
			dead = append(dead, name+" ("+strings.TrimPrefix(st.Modems[name].Phase+": "+st.Modems[name].Cause, ": ")+")")
		}
	}
	v.judge(float64(len(dead)), warn, crit)
	v.text = fmt.Sprintf("%d of %d modems can send", len(st.Modems)-len(dead), len(st.Modems))
	if len(dead) > 0 {
		v.text += "; not " + strings.Join(dead, ", ")
	}
	if len(dead) == len(st.Modems) {
		v.raise(pluginCritical)
	}
	v.perf = []perf{{label: "not_ready", value: float64(len(dead)), warn: warn.text, crit: crit.text, min: "0", max: fmt.Sprint(len(st.Modems))}}
	for _, outcome := range []string{"sent", "notsent", "refused", "unknown"} {
		v.perf = append(v.perf, perf{label: outcome, value: fs.sum("pinward_modem_handovers_total", "outcome", outcome), unit: "c"})
	}
	return v
}

func checkSignal(_ status, fs scrape, warn, crit threshold) (v verdict) {
	all := fs.by("pinward_modem_signal_dbm", "modem")
	if len(all) == 0 {
		return verdict{code: pluginUnknown, text: "no modem knows its signal"}
	}
	worst := ""
	for _, name := range ordered(all) {
		v.judge(all[name], warn, crit)
		if worst == "" || all[name] < all[worst] {
			worst = name
		}
		v.perf = append(v.perf, perf{label: name, value: all[name], warn: warn.text, crit: crit.text})
	}
	v.text = fmt.Sprintf("the weakest is %s with %.0f dBm", worst, all[worst])
	return v
}

func checkQueue(_ status, fs scrape, warn, crit threshold) (v verdict) {
	oldest, _ := fs.one("pinward_queue_oldest_seconds", "lane", "otp")
	v.judge(oldest, warn, crit)
	depth := fs.by("pinward_queue_depth", "lane")
	v.text = fmt.Sprintf("%.0f codes wait, the oldest for %.0f s", depth["otp"], oldest)
	v.perf = []perf{{label: "oldest_code", value: oldest, unit: "s", warn: warn.text, crit: crit.text, min: "0"}}
	for _, lane := range ordered(depth) {
		v.perf = append(v.perf, perf{label: lane, value: depth[lane], min: "0"})
	}
	for lane, held := range fs.by("pinward_lane_paused", "lane") {
		if held > 0 {
			v.raise(pluginWarning)
			v.text += "; lane " + lane + " is held"
		}
	}
	return v
}

func checkHL7(_ status, fs scrape, warn, crit threshold) (v verdict) {
	by := fs.by("pinward_hl7_messages_total", "ack")
	failed := fs.sum("pinward_hl7_failed_total")
	bad := by["AE"] + by["AR"] + failed
	all := by["AA"] + by["none"] + bad
	share := 0.0
	if all > 0 {
		share = 100 * bad / all
	}
	v.judge(share, warn, crit)
	v.text = fmt.Sprintf("%.0f messages, %.1f %% of them refused or not taken", all, share)
	v.perf = []perf{{label: "bad", value: share, unit: "%", warn: warn.text, crit: crit.text, min: "0", max: "100"}}
	for _, ack := range ordered(by) {
		v.perf = append(v.perf, perf{label: ack, value: by[ack], unit: "c"})
	}
	v.perf = append(v.perf, perf{label: "not_taken", value: failed, unit: "c"})
	for node, state := range fs.by("pinward_health_state", "node") {
		if state > 1 && strings.Contains(node, "/hl7") {
			v.raise(pluginWarning)
			v.text += "; health warns of " + node[strings.LastIndex(node, "/")+1:]
		}
	}
	return v
}

func checkTPM(_ status, fs scrape, warn, crit threshold) (v verdict) {
	ok, known := fs.one("pinward_tpm_ok")
	v.text = "the keys sign"
	if !known || ok == 0 {
		v.raise(pluginCritical)
		v.text = "the TPM does not answer: see pinward key status"
	}
	if age, counted := fs.one("pinward_audit_anchor_age_seconds"); counted {
		v.judge(age/3600, warn, crit)
		v.text += fmt.Sprintf("; its counter was bound to the audit %.1f hours ago", age/3600)
		v.perf = []perf{{label: "anchor_age", value: age / 3600, warn: warn.text, crit: crit.text, min: "0"}}
	}
	unsigned, _ := fs.one("pinward_audit_unsigned_entries")
	v.perf = append(v.perf, perf{label: "unsigned_entries", value: unsigned, min: "0"})
	return v
}

func checkCertificates(_ status, fs scrape, warn, crit threshold) (v verdict) {
	all := fs.by("pinward_cert_expiry_seconds", "certificate")
	if len(all) == 0 {
		return verdict{code: pluginUnknown, text: "no certificate can be read"}
	}
	first := ""
	for _, name := range ordered(all) {
		days := all[name] / 86400
		v.judge(days, warn, crit)
		if first == "" || all[name] < all[first] {
			first = name
		}
		v.perf = append(v.perf, perf{label: name, value: days, warn: warn.text, crit: crit.text})
	}
	v.text = fmt.Sprintf("%s runs out in %.0f days", first, all[first]/86400)
	return v
}

func checkBackup(_ status, fs scrape, warn, crit threshold) (v verdict) {
	made, ok := fs.one("pinward_backup_timestamp_seconds")
	if !ok {
		return verdict{code: pluginCritical, text: "there is no backup: pinward backup FILE, or [backup] in pinward.toml"}
	}
	hours := time.Since(time.Unix(int64(made), 0)).Hours()
	v.judge(hours, warn, crit)
	v.text = fmt.Sprintf("the last whole backup is %.0f hours old", hours)
	if good, known := fs.one("pinward_backup_ok"); known && good == 0 {
		v.raise(pluginCritical)
		v.text += "; the last nightly one failed"
	}
	if good, known := fs.one("pinward_backup_restores"); known && good == 0 {
		v.raise(pluginCritical)
		v.text += "; the last one that was restored for a check was no good"
	}
	v.perf = []perf{{label: "age", value: hours * 3600, unit: "s", min: "0"}}
	return v
}

func checkAlarms(st status, fs scrape, warn, crit threshold) (v verdict) {
	if len(fs["pinward_alarms"]) == 0 {
		return verdict{code: pluginUnknown, text: "the daemon does not tell of alarms"}
	}
	unseen, oldest := 0, 0.0
	var told []string
	for _, a := range st.Alarms {
		if a.SeenBy == "" {
			unseen++
			oldest = max(oldest, time.Since(a.Since).Minutes())
			told = append(told, strings.ReplaceAll(fmt.Sprintf("%d %s %s: %s", a.ID, a.Severity, a.Path, a.Cause), "|", "/"))
		}
	}
	if unseen > 0 {
		v.judge(oldest, warn, crit)
	}
	switch {
	case len(st.Alarms) == 0:
		v.text = "no alarm is open"
	case unseen == 0:
		v.text = fmt.Sprintf("%d open, all of them acknowledged", len(st.Alarms))
	default:
		v.text = fmt.Sprintf("%d open, %d of them not acknowledged: %s", len(st.Alarms), unseen, strings.Join(told[:min(len(told), 3)], "; "))
	}
	if st.Maintenance != nil {
		v.text += "; " + st.Maintenance.String()
	}
	v.perf = []perf{{label: "oldest_unseen", value: oldest, warn: warn.text, crit: crit.text, min: "0"}, {label: "open", value: float64(len(st.Alarms)), min: "0"}}
	return v
}

func checkHeartbeat(st status, fs scrape, warn, crit threshold) (v verdict) {
	at, known := fs.one("pinward_heartbeat_timestamp_seconds")
	if len(fs["pinward_alarms"]) == 0 {
		return verdict{code: pluginUnknown, text: "the daemon does not tell of heartbeats"}
	}
	if !known {
		return verdict{text: "the policy of alarms has no heartbeat"}
	}
	since, what := time.Unix(int64(at), 0), "the last heartbeat was %.0f hours ago"
	if at == 0 { // a box that is new, or one whose heartbeat reaches nobody
		since, what = st.Since, "no heartbeat has reached anybody since the box was opened %.0f hours ago"
	}
	hours := time.Since(since).Hours()
	v.judge(hours, warn, crit)
	v.text = fmt.Sprintf(what, hours)
	v.perf = []perf{{label: "age", value: hours * 3600, unit: "s", min: "0"}}
	return v
}

func checkClock(_ status, fs scrape, _, _ threshold) (v verdict) {
	v.text = "the clock is trusted"
	if trusted, known := fs.one("pinward_clock_trusted"); !known || trusted == 0 {
		v.raise(pluginCritical)
		v.text = "the clock stands before the last entry of the audit"
	}
	switch kept, known := fs.one("pinward_clock_synchronized"); {
	case known && kept == 0:
		v.raise(pluginWarning)
		v.text += "; no time server keeps it"
	case known:
		v.text += "; a time server keeps it"
	}
	return v
}

func checkDisk(_ status, fs scrape, warn, crit threshold) (v verdict) {
	free, known := fs.one("pinward_state_free_bytes")
	if !known {
		return verdict{code: pluginUnknown, text: "the free space is not known"}
	}
	size, _ := fs.one("pinward_state_size_bytes")
	v.judge(free/(1<<20), warn, crit)
	v.text = fmt.Sprintf("%.0f MB of %.0f MB are free", free/(1<<20), size/(1<<20))
	if least, known := fs.one("pinward_state_least_free_bytes"); known { // a twentieth of a large disk is more than any threshold
		v.text += fmt.Sprintf(", below %.0f MB nothing new is accepted", least/(1<<20))
		switch {
		case free < least:
			v.raise(pluginCritical)
		case free < least+min(least, 1<<30): // as health does
			v.raise(pluginWarning)
		}
	}
	store, _ := fs.one("pinward_store_bytes")
	v.perf = []perf{{label: "free", value: free / (1 << 20), unit: "MB", warn: warn.text, crit: crit.text, min: "0"}, {label: "store", value: store / (1 << 20), unit: "MB", min: "0"}}
	return v
}

func checkFollowers(_ status, fs scrape, warn, crit threshold) (v verdict) {
	all := fs.by("pinward_cursor_lag_seconds", "cursor")
	if len(all) == 0 {
		return verdict{text: "nobody follows the audit"}
	}
	last := ""
	for _, name := range ordered(all) {
		v.judge(all[name], warn, crit)
		if last == "" || all[name] > all[last] {
			last = name
		}
		v.perf = append(v.perf, perf{label: name, value: all[name], unit: "s", warn: warn.text, crit: crit.text, min: "0"})
	}
	backlog := fs.by("pinward_cursor_backlog", "cursor")
	v.text = fmt.Sprintf("%s is furthest behind, by %.0f entries and %.0f s", last, backlog[last], all[last])
	return v
}
