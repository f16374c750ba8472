// Package udev holds the udev rules of modems, and nothing but this test of them: Debian 12 has no
// `udevadm verify` (systemd 254).
package udev

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// token is one match or assignment of a rule, udev(7).
var token = regexp.MustCompile(`^(ACTION|SUBSYSTEM|SUBSYSTEMS|ATTRS\{[A-Za-z]+\}|ENV\{[A-Z_]+\}|GOTO|LABEL|GROUP|MODE|SYMLINK|IMPORT\{builtin\})(==|!=|=|\+=)"([^"]*)"$`)

// TestRules holds each line against the grammar of udev(7) and each maker's vendor id against the rules.
func TestRules(t *testing.T) {
	b, err := os.ReadFile("70-pinward.rules")
	if err != nil {
		t.Fatal(err)
	}
	labels, gotos, set, vendors := map[string]bool{}, map[string]bool{}, map[string]string{}, map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		vendor := ""
		for _, part := range strings.Split(line, ", ") {
			m := token.FindStringSubmatch(part)
			if m == nil {
				t.Errorf("line %d: %q is neither match nor assignment", i+1, part)
				continue
			}
			switch key, op, value := m[1], m[2], m[3]; {
			case key == "LABEL":
				labels[value] = true
			case key == "GOTO":
				gotos[value] = true
				if labels[value] {
					t.Errorf("line %d jumps back", i+1)
				}
			case key == "ATTRS{idVendor}" && op == "==":
				vendor = value
			case key == "ENV{PINWARD_MODEM}" && op == "=" && value == "1":
				vendors[vendor] = true
			case op == "=" || op == "+=":
				set[key] = value
			}
		}
	}
	for _, v := range []string{"2c7c", "1e0e", "12d1", "1bc7", "1199"} {
		if !vendors[v] {
			t.Errorf("modems of vendor %s are not told", v)
		}
	}
	for key, want := range map[string]string{"ENV{ID_MM_DEVICE_IGNORE}": "1", "ENV{ID_MM_PORT_IGNORE}": "1", "GROUP": "dialout"} {
		if set[key] != want {
			t.Errorf("%s is set to %q, want %q", key, set[key], want)
		}
	}
	if !strings.HasPrefix(set["SYMLINK"], "pinward/modem-$env{ID_PATH}") {
		t.Errorf("the link is %q", set["SYMLINK"])
	}
	for g := range gotos {
		if !labels[g] {
			t.Errorf("there is no label %s", g)
		}
	}
}
