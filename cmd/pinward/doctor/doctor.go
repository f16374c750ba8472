// Package doctor looks at the machine that a box runs on, from outside the daemon, and says what is
// wrong and what to do next.
//
// It knows files, units, devices, ports and address lists of a Linux machine with systemd, and what goes
// wrong with them in real life. It does not know the daemon: what only that can tell comes in as findings
// of the same shape. It changes nothing but the drop-ins that `pinward access` writes, and the one file
// that it measures the disk with. It shows no key, no serial number of a SIM and no telephone number.
package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is how bad a finding is.
type State string

// The states, from best to worst.
const (
	OK      State = "ok"
	Unknown State = "unknown" // it could not be looked at, mostly for want of rights
	Warn    State = "warn"    // works, somebody should look
	Fail    State = "fail"    // does not work
)

// Finding is one thing that was looked at.
type Finding struct {
	Area  string `json:"area"` // modem, tpm, clock, disk, certificate, port, unit, access, relay, daemon
	Name  string `json:"name,omitempty"`
	State State  `json:"state"`
	What  string `json:"what"`
	Next  string `json:"next,omitempty"` // what to do about it
}

// Host is the machine that is looked at. The zero value is this one.
type Host struct {
	Root string // in front of every path; tests have a folder
	// Run runs a program and gives what it wrote; nil runs it. Its error is os/exec's.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// LookupHost finds the addresses of a name; nil asks this machine's resolver.
	LookupHost func(ctx context.Context, name string) ([]string, error)
	// Statfs tells a file system's kind and room; nil asks the kernel.
	Statfs func(path string, st *unix.Statfs_t) error
	// Fsync measures a folder's disk; nil is this package's Fsync.
	Fsync func(folder string) (Measured, error)
	// Now is the time to judge certificates by; zero is the real one.
	Now time.Time
}

// runPatience is more than any program that the doctor asks needs.
const runPatience = 10 * time.Second

func (h *Host) path(p string) string { return filepath.Join("/", h.Root, p) }

// shown is a path below Root as the operator knows it.
func (h *Host) shown(p string) string {
	if h.Root == "" {
		return p
	}
	return "/" + strings.TrimLeft(strings.TrimPrefix(p, h.path("")), "/")
}

func (h *Host) now() time.Time {
	if h.Now.IsZero() {
		return time.Now()
	}
	return h.Now
}

// run gives what a program writes, without the white space around it.
func (h *Host) run(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runPatience)
	defer cancel()
	do := h.Run
	if do == nil {
		do = func(ctx context.Context, name string, args ...string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			return cmd.Output()
		}
	}
	out, err := do(ctx, name, args...)
	return string(bytes.TrimSpace(out)), err
}

// read is a file's text, "" where there is none or it may not be read.
func (h *Host) read(p string) string {
	b, err := os.ReadFile(h.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (h *Host) exists(p string) bool {
	_, err := os.Stat(h.path(p))
	return err == nil
}

// report collects findings of one area.
type report struct {
	area string
	list []Finding
}

func (r *report) add(name string, s State, next, format string, args ...any) {
	r.list = append(r.list, Finding{Area: r.area, Name: name, State: s, What: fmt.Sprintf(format, args...), Next: next})
}

func (r *report) ok(name, format string, args ...any) { r.add(name, OK, "", format, args...) }

// Examine looks at everything, in the order in which things stand on one another. configPath is
// pinward.toml.
func (h *Host) Examine(ctx context.Context, configPath string) []Finding {
	c, list := h.examineConfig(ctx, configPath)
	for _, look := range []func(context.Context, Config) []Finding{
		h.examineUnits, h.examineClock, h.examineDisk, h.examineTPM, h.examineModems, h.examineCertificates,
		h.examinePorts, h.examineAccess, h.examineRelay,
	} {
		list = append(list, look(ctx, c)...)
	}
	return list
}

// Worst is the worst state of a list; an Unknown is no worse than a Warn.
func Worst(list []Finding) State {
	worst := OK
	rank := map[State]int{OK: 0, Unknown: 1, Warn: 2, Fail: 3}
	for _, f := range list {
		if rank[f.State] > rank[worst] {
			worst = f.State
		}
	}
	return worst
}

// needRoot is the finding of what only root may look at.
func needRoot(err error) (State, string) {
	if errors.Is(err, os.ErrPermission) {
		return Unknown, "run it as root to have this looked at"
	}
	return Unknown, ""
}
