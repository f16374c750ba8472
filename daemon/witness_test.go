package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWitnessConfig: each kind with what it needs, and each mistake by its words.
func TestWitnessConfig(t *testing.T) {
	for text, want := range map[string]string{
		`kind = "file"` + "\n" + `file = "/mnt/share/heads"`:                        "",
		`kind = "syslog"` + "\n" + `relay = "siem"` + "\n" + `tls = "siem.example"`: "",
		`kind = "syslog"` + "\n" + `socket = "/dev/log"`:                            "",
		`kind = "pull"`:                           "",
		`kind = "carrier pigeon"`:                 "is none of",
		`kind = "file"`:                           "needs file",
		`kind = "file"` + "\n" + `file = "heads"`: "absolute",
		`kind = "syslog"`:                         "either socket or relay",
		`kind = "syslog"` + "\n" + `socket = "/dev/log"` + "\n" + `relay = "siem"`:     "either socket or relay",
		`kind = "pull"` + "\n" + `file = "/x"`:                                         "comes by itself",
		`kind = "syslog"` + "\n" + `socket = "/dev/log"` + "\n" + `tls = "x"`:          "are for a relay",
		`kind = "syslog"` + "\n" + `relay = "siem"` + "\n" + `ca = "/etc/ca.pem"`:      "ca needs tls",
		`kind = "pull"` + "\n[[witness]]\n" + `name = "w"` + "\n" + `kind = "pull"`:    "another witness has it",
		`kind = "pull"` + "\n" + `colour = "red"`:                                      "unknown key",
		`kind = "file"` + "\n" + `file = "/mnt/share/heads"` + "\n" + `off_box = true`: "",
	} {
		path := filepath.Join(t.TempDir(), "pinward.toml")
		config := "[box]\nid = \"test\"\n[https]\ncertificate = \"/c\"\nkey = \"/k\"\n[[witness]]\nname = \"w\"\n" + text + "\n"
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
