package daemon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms is the import table of the house: who may import whom, of ours.
// Everything points downhill: a door calls verbs, a verb stands on the ground, the ground stands on
// the store, and nothing points back. "verbs" and "ground" stand for the rooms named below them.
//
// A room that is missing here has no place in the house yet; find its place before its code.
var rooms = map[string][]string{
	"store/audit":    {},
	"hl7":            {},
	"modem/port":     {},
	"modem/line":     {},
	"modem/voice":    {},
	"modem/modemsim": {},
	"tpm":            {},
	"systemd":        {},
	"daemon/health":  {},
	// It knows LDAP and nothing of ours: what it finds is put into access's words by daemon.
	"daemon/directory":               {},
	"daemon/directory/directorytest": {}, // for tests alone

	"hl7/mllp":                 {"hl7"},
	"store":                    {"store/audit"},
	"store/storetest":          {"store"},                                                       // for tests alone: no room may import it
	"modem/voice/voicetest":    {"modem/voice"},                                                 // for tests alone
	"daemon/outbox/outboxtest": {"store", "daemon/contact", "daemon/outbox", "store/storetest"}, // for tests alone
	"modem":                    {"modem/port", "modem/line", "modem/voice"},
	"daemon/contact":           {"store"},
	"daemon/text":              {"store"},
	"daemon/limit":             {"store", "daemon/contact"},
	"daemon/outbox":            {"store", "daemon/contact"},
	"daemon/access":            {"store", "daemon/limit"},
	"daemon/alarm":             {"store", "daemon/contact", "daemon/outbox"},
	"daemon/consent":           {"store", "daemon/contact", "daemon/text", "daemon/outbox"},
	"daemon/otp":               {"store", "daemon/contact", "daemon/limit", "daemon/text", "daemon/consent", "daemon/outbox"},
	"daemon/notice":            {"store", "daemon/contact", "daemon/limit", "daemon/text", "daemon/consent", "daemon/outbox"},
	"daemon/record":            {"store", "store/audit", "hl7", "daemon/contact"},
	"daemon/intake":            {"hl7", "store", "daemon/contact", "daemon/text", "daemon/consent", "daemon/otp", "daemon/notice"},
	"daemon/api":               {"store", "daemon/health", "verbs", "ground"},
	"daemon/console":           {"store", "daemon/health", "verbs", "ground"},
	"daemon/admin":             {"store", "daemon/health", "verbs", "ground", "modem", "tpm"},
	"daemon":                   {"store", "store/audit", "hl7", "hl7/mllp", "modem", "modem/port", "modem/line", "modem/voice", "tpm", "systemd", "daemon/directory", "doors", "verbs", "ground"},
	"cmd/pinwardd":             {"daemon", "systemd"},
	"cmd/relay":                {"systemd"},
	"cmd/pinward":              {"cmd/pinward/doctor", "store/audit", "modem/voice", "systemd", "packaging", "packaging/release"},
	"cmd/pinward/doctor":       {"modem/port", "systemd"}, // it looks at the machine, not at the daemon
	"cmd/demo":                 {"daemon", "modem/modemsim"},
	"cmd/modemsim":             {"modem/modemsim"},
	"packaging/sbom":           {}, // builds packages, and is in none
	"packaging/release":        {},
	"packaging/bundle":         {"packaging/release"}, // the maintainers' tool, in no package
	"packaging/doc/walk":       {},                    // for tests alone: walks the pages

	"packaging":                {}, // the files that an installation lays down
	"packaging/install/client": {}, // of the install test
	"packaging/install/probe":  {},
}

// groups are the names that the table uses for several rooms at once.
var groups = map[string][]string{
	"doors":  {"daemon/api", "daemon/console", "daemon/intake", "daemon/admin"},
	"verbs":  {"daemon/otp", "daemon/notice", "daemon/consent", "daemon/access"},
	"ground": {"daemon/outbox", "daemon/contact", "daemon/limit", "daemon/text", "daemon/record", "daemon/health", "daemon/alarm"},
}

const module = "pinward/"

// pkg is what `go list -json` says of one package; tests are read as well, but a test may import
// any room (an end-to-end test has to), so only the production imports are held to the table.
type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		if len(p.GoFiles) > 0 {
			pkgs = append(pkgs, p)
		}
	}
}

func allowed(room string) []string {
	var may []string
	for _, r := range rooms[room] {
		if g, ok := groups[r]; ok {
			may = append(may, g...)
		} else {
			may = append(may, r)
		}
	}
	return may
}

// TestRooms holds every import of the house against the table.
func TestRooms(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		seen[room] = true
		if _, ok := rooms[room]; !ok {
			t.Errorf("%s has no place in the table: which room should hold it?", room)
			continue
		}
		may := allowed(room)
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if ours && !slices.Contains(may, to) {
				t.Errorf("%s imports %s, which points uphill or sideways", room, to)
			}
		}
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("%s is in the table but not in the house", room)
		}
	}
}

// TestDaemonCannotReachTheSimulator keeps test modes out of a hospital: neither the simulator nor a
// demo key is linked into the program that a hospital runs.
func TestDaemonCannotReachTheSimulator(t *testing.T) {
	for _, cmd := range []string{"cmd/pinwardd", "cmd/pinward", "cmd/relay"} {
		out, err := exec.Command("go", "list", "-deps", module+cmd).Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", cmd, err)
		}
		for dep := range strings.FieldsSeq(string(out)) {
			if dep == module+"modem/modemsim" || dep == module+"cmd/demo" {
				t.Errorf("%s links %s", cmd, dep)
			}
		}
	}
}

// given are the libraries that the user fixed; each has to do its real job in production code.
var given = map[string]string{
	"github.com/kardianos/service":       "cmd/pinwardd",
	"github.com/tarm/serial":             "modem/port",
	"github.com/warthog618/modem/at":     "modem/line",
	"github.com/warthog618/sms/encoding": "modem",
	"go.etcd.io/bbolt":                   "store",
	"github.com/google/go-tpm/tpm2":      "tpm",
}

// TestGivenLibraries shows that each given library stands where the design puts it.
func TestGivenLibraries(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range list(t) {
		imports[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
	for lib, room := range given {
		if !slices.ContainsFunc(imports[room], func(i string) bool { return strings.HasPrefix(i, lib) }) {
			t.Errorf("%s does not import %s", room, lib)
		}
	}
}
