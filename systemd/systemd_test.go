package systemd

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestWhatIsLeftOutHasItsReason: each directive of hardening that systemd misses in a service stands in a comment, with why.
func TestWhatIsLeftOutHasItsReason(t *testing.T) {
	missed := 0
	for _, name := range Names() {
		if !strings.HasSuffix(name, ".service") {
			continue
		}
		text, err := Unit(name)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--json=short", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		var looked []struct {
			Name     string
			Exposure *json.RawMessage // null where there is none
		}
		if err := json.Unmarshal(out, &looked); err != nil {
			t.Fatal(err)
		}
		for _, l := range looked {
			directive, _, _ := strings.Cut(l.Name, "=")
			if directive == "DeviceAllow" { // ProtectClock= alone lets it in, to read the clock's device
				continue
			}
			if l.Exposure == nil || strings.Contains(text, "\n"+directive+"=") {
				continue
			}
			missed++
			if !commented(text, directive+"=") {
				t.Errorf("%s leaves out %s= and does not say why", name, directive)
			}
		}
	}
	if missed < 5 { // RootDirectory= of each, PrivateDevices= of the daemon, PrivateNetwork= and PrivateUsers= of the relay
		t.Errorf("systemd misses only %d directives", missed)
	}
}

func commented(text, word string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") && strings.Contains(line, word) {
			return true
		}
	}
	return false
}
