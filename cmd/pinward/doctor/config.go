package doctor

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Config is what the doctor reads of pinward.toml. It is read leniently: pinwardd -check judges the file,
// and the doctor has to work where it is wrong. Known says that there was one to read.
type Config struct {
	Known   bool
	Path    string
	Box     struct{ ID, State string }
	TPM     struct{ Device, Unseal string }
	HTTPS   struct{ Listen, Certificate, Key string }
	HL7     []Listener `toml:"hl7"`
	Modem   []Port     `toml:"modem"`
	Relay   struct{ Socket string }
	Control struct{ Socket string }

	raw map[string]any // the whole file
}

// Listener is one [[hl7]].
type Listener struct {
	Name, Listen         string
	Certificate, Key, CA string
	Allow                []netip.Prefix
	Peer                 []struct {
		Name, Back string
		Addresses  []netip.Prefix
	}
}

// Port is one [[modem]].
type Port struct{ Name, Device, IMEI, PIN string }

func defaults() Config {
	var c Config
	c.Box.State, c.TPM.Device = "/var/lib/pinward", "/dev/tpmrm0"
	c.HTTPS.Listen = "[::]:8443"
	c.Control.Socket, c.Relay.Socket = "/run/pinward/pinward.sock", "/run/pinward-relay.sock"
	return c
}

// examineConfig reads the file, and has the daemon's own program judge it.
func (h *Host) examineConfig(ctx context.Context, path string) (Config, []Finding) {
	r := report{area: "config"}
	c := defaults()
	c.Path = path
	b, err := os.ReadFile(h.path(path))
	switch {
	case errors.Is(err, os.ErrNotExist):
		r.add(path, Fail, "install the package, or copy packaging/pinward.toml there and fill it in", "there is no configuration")
		return c, r.list
	case err != nil:
		state, next := needRoot(err)
		r.add(path, state, next, "the configuration cannot be read: the machine is looked at as one with the defaults")
		return c, r.list
	}
	if err := toml.Unmarshal(b, &c); err != nil {
		r.add(path, Fail, "run: pinwardd -check -config "+path, "it cannot be read as TOML")
		return c, r.list
	}
	if err := toml.Unmarshal(b, &c.raw); err != nil {
		c.raw = nil // it was read a moment ago
	}
	c.Known = true
	program := "/usr/bin/pinwardd"
	if !h.exists(program) {
		program = "pinwardd" // of a tarball, wherever the path finds it
	}
	_, err = h.run(ctx, program, "-check", "-config", h.path(path))
	exit, refused := errors.AsType[*exec.ExitError](err)
	switch {
	case refused:
		r.add(path, Fail, "mend the line, then: systemctl restart pinward", "%s", strings.TrimSpace(lastLine(string(exit.Stderr))))
	case err != nil:
		r.add(path, Unknown, "", "it was not checked: %s cannot be run", program)
	default:
		r.ok(path, "the daemon takes it")
	}
	return c, r.list
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// tables calls fn for each table of the file with its name for people, as "hl7 mllp" or "atna": whatever a
// later version adds is looked at as well.
func (c Config) tables(fn func(name string, t map[string]any)) {
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(name, e)
			}
		case map[string]any:
			if own, ok := v["name"].(string); ok && name != "" {
				name += " " + own
			}
			fn(name, v)
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(strings.TrimSpace(name+" "+key), v[key])
			}
		}
	}
	walk("", c.raw)
}
