package main

import (
	"testing"
	"time"
)

// An end is an hour, a day with an hour, or a span; an hour that has passed is tomorrow's.
func TestEndOfMaintenance(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 7, 22, 0, 0, 0, zone) // the night in which the clock changes
	for until, want := range map[string]time.Time{
		"23:30":                time.Date(2026, 3, 7, 23, 30, 0, 0, zone),
		"06:30":                time.Date(2026, 3, 8, 6, 30, 0, 0, zone),
		"2026-03-09 04:00":     time.Date(2026, 3, 9, 4, 0, 0, 0, zone),
		"2026-03-08T01:00:00Z": time.Date(2026, 3, 8, 1, 0, 0, 0, time.UTC),
	} {
		if got, err := endOf(until, 0, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", until, got, err)
		}
	}
	if got, err := endOf("", 30*time.Minute, now); err != nil || !got.Equal(now.Add(30*time.Minute)) {
		t.Errorf("%v, %v", got, err)
	}
	for _, c := range []struct {
		until string
		span  time.Duration
	}{{"", 0}, {"06:30", time.Minute}, {"soon", 0}, {"25:00", 0}} {
		if got, err := endOf(c.until, c.span, now); err == nil {
			t.Errorf("%q and %v: %v", c.until, c.span, got)
		}
	}
}
