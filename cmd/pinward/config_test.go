package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	lines := func(s string) []string { return strings.Fields(s) }
	for name, c := range map[string]struct {
		a, b string
		want []string
	}{
		"same":    {"a b c", "a b c", nil},
		"changed": {"1 2 a b c 3 4 5", "1 2 a x c 3 4 5", []string{"  2", "  a", "- b", "+ x", "  c", "  3"}},
		"added":   {"a", "a b", []string{"  a", "+ b"}},
		"removed": {"a b", "b", []string{"- a", "  b"}},
		"two places": {"a 1 2 3 4 5 6 b", "x 1 2 3 4 5 6 y",
			[]string{"- a", "+ x", "  1", "  2", "  ...", "  5", "  6", "- b", "+ y"}},
	} {
		if got := diff(lines(c.a), lines(c.b)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestHL7Parts: a file is cut where a message begins, and nothing of it is lost.
func TestHL7Parts(t *testing.T) {
	one := "MSH|^~\\&|A\rPID|1||MSH\r"
	file := []byte("remark\n" + strings.Repeat(one, 3*hl7Messages+1))
	parts := hl7Parts(file)
	if len(parts) != 4 {
		t.Fatalf("%d parts", len(parts))
	}
	var all string
	for _, p := range parts {
		if n := strings.Count(string(p), "MSH|"); n > hl7Messages || !strings.HasPrefix(string(p), "MSH|") {
			t.Errorf("a part of %d messages", n)
		}
		all += string(p)
	}
	if all != strings.Repeat(one, 3*hl7Messages+1) {
		t.Error("something is lost")
	}
	if hl7Parts([]byte("PID|1")) != nil {
		t.Error("parts of a file without messages")
	}
}
