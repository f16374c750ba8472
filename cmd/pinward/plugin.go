package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// threshold is a range of the Monitoring Plugins guidelines: a value outside of it alerts, or with @ one
// inside. The zero value never alerts.
type threshold struct {
	text   string
	lo, hi float64
	inside bool
}

// parseThreshold reads "10" (0 to 10), "10:", "~:10", "10:20" and "@10:20".
func parseThreshold(s string) (t threshold, err error) {
	if s == "" {
		return t, nil
	}
	t = threshold{text: s, hi: math.Inf(1)}
	rest, inside := strings.CutPrefix(s, "@")
	t.inside = inside
	lo, hi, ranged := strings.Cut(rest, ":")
	if !ranged {
		lo, hi = "0", rest
	}
	if lo == "~" {
		t.lo = math.Inf(-1)
	} else if t.lo, err = strconv.ParseFloat(lo, 64); err != nil {
		return t, fmt.Errorf("threshold %q is no range: 10, 10:, ~:10, 10:20 or @10:20", s)
	}
	if hi != "" {
		t.hi, err = strconv.ParseFloat(hi, 64)
	}
	if err != nil || t.lo > t.hi || !ranged && hi == "" {
		return t, fmt.Errorf("threshold %q is no range: 10, 10:, ~:10, 10:20 or @10:20", s)
	}
	return t, nil
}

// alerts tells whether a value is one that somebody wants to hear of.
func (t threshold) alerts(v float64) bool {
	if t.text == "" {
		return false
	}
	return (v < t.lo || v > t.hi) != t.inside
}

// perf is one item of performance data: 'label'=value[UOM];warn;crit;min;max.
type perf struct {
	label, unit string
	value       float64
	warn, crit  string
	min, max    string
}

// String gives the item; a label with anything but letters, digits and a few signs is quoted.
func (p perf) String() string {
	label := strings.ReplaceAll(p.label, "'", "''")
	if strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") != "" {
		label = "'" + label + "'"
	}
	s := label + "=" + strconv.FormatFloat(math.Round(p.value*1000)/1000, 'f', -1, 64) + p.unit
	return strings.TrimRight(s+";"+p.warn+";"+p.crit+";"+p.min+";"+p.max, ";")
}

// verdict is what a plugin answers.
type verdict struct {
	code int
	text string
	perf []perf
}

// plugins' words for their exit codes.
var pluginWords = map[int]string{pluginOK: "OK", pluginWarning: "WARNING", pluginCritical: "CRITICAL", pluginUnknown: "UNKNOWN"}

// raise makes the verdict worse; critical is worse than unknown.
func (v *verdict) raise(code int) {
	rank := map[int]int{pluginOK: 0, pluginWarning: 1, pluginUnknown: 2, pluginCritical: 3}
	if rank[code] > rank[v.code] {
		v.code = code
	}
}

// judge holds a value against the thresholds.
func (v *verdict) judge(value float64, warn, crit threshold) {
	switch {
	case crit.alerts(value):
		v.raise(pluginCritical)
	case warn.alerts(value):
		v.raise(pluginWarning)
	}
}

// line is the one line of a plugin. Nothing in the text may look like the beginning of the figures.
func (v verdict) line(service string) string {
	s := service + " " + pluginWords[v.code] + ": " + strings.NewReplacer("|", "/", "\n", " ").Replace(v.text)
	if len(v.perf) == 0 {
		return s
	}
	var items []string
	for _, p := range v.perf {
		items = append(items, p.String())
	}
	return s + " | " + strings.Join(items, " ")
}
