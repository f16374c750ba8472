package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/health"
	"pinward/daemon/record"
)

// TestATNAConfig: what is needed, and each mistake by its words.
func TestATNAConfig(t *testing.T) {
	good := "relay = \"atna\"\ntls = \"atna.example\"\n"
	for text, want := range map[string]string{
		good: "",
		good + "format = \"json\"\nca = \"/ca.pem\"\ncertificate = \"/c.pem\"\nkey = \"/k.pem\"\nsite = \"HOSP\"": "",
		good + "schema = \"rfc3881\"":                   "",
		good + "format = \"dicom\"\nschema = \"dicom\"": "",
		good + `schema = "rfc5424"`:                     "is none of dicom, rfc3881",
		good + "format = \"json\"\nschema = \"dicom\"":  "has none",
		`tls = "atna.example"`:                          "relay must be set",
		`relay = "atna"`:                                "tls must be set",
		good + `format = "rfc3164"`:                     "is none of dicom, json",
		good + `ca = "ca.pem"`:                          "absolute",
		good + `certificate = "/c.pem"`:                 "go together",
		good + `port = 6514`:                            "unknown key",
		good + "certificate = \"c\"\nkey = \"/k\"":      "absolute",
	} {
		path := filepath.Join(t.TempDir(), "pinward.toml")
		config := "[box]\nid = \"test\"\n[https]\ncertificate = \"/c\"\nkey = \"/k\"\n[atna]\n" + text + "\n"
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := LoadConfig(path)
		if want == "" && (err != nil || c.ATNA == nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestATNASchema: the setting reaches what is sent; it is DICOM's unless it says otherwise.
func TestATNASchema(t *testing.T) {
	for set, want := range map[string]string{"": record.SchemaDICOM, "dicom": record.SchemaDICOM, "rfc3881": record.SchemaRFC3881} {
		if got := (&ATNATarget{Schema: set}).repository("box-1", nil).Schema; got != want {
			t.Errorf("%q is %q", set, got)
		}
	}
}

// TestRepositoryAlarm: health warns by age and by number, and says why.
func TestRepositoryAlarm(t *testing.T) {
	now := time.Now()
	status := func(backlog uint64, age time.Duration) *admin.Repository {
		return &admin.Repository{Relay: "atna", FollowerStatus: record.FollowerStatus{Backlog: backlog, Oldest: now.Add(-age), Trouble: "nobody is there"}}
	}
	for _, c := range []struct {
		st   *admin.Repository
		want health.State
	}{
		{nil, health.OK},
		{status(0, 24*time.Hour), health.OK},
		{status(9_999, time.Minute), health.OK},
		{status(1, repositoryLate), health.Warn},
		{status(repositoryMany, time.Second), health.Warn},
	} {
		state, cause := judgeRepository(c.st, now)
		if state != c.want || (state == health.Warn) != (strings.Contains(cause, "entries wait") && strings.Contains(cause, "nobody is there")) {
			t.Errorf("%+v: %s, %q", c.st, state, cause)
		}
	}
}
