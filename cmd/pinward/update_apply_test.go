package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUpdate: a signed newer version is backed up for, installed by dpkg and seen to come up; the one before is kept,
// and rollback goes there and back again.
func TestUpdate(t *testing.T) {
	w := newUpdateWorld(t, "1.1.0")
	one, two := w.bundle("1.1.0", ""), w.bundle("1.2.0", "")
	if err := w.do("check", two); err != nil {
		t.Fatal(err)
	}
	w.is("1.1.0")
	w.refused("--previous", "apply", two)
	if w.backups != 0 {
		t.Error("a backup was made for nothing")
	}
	if err := w.do("apply", two, "--previous", one); err != nil {
		t.Fatal(err)
	}
	w.is("1.2.0")
	if w.backups != 1 || !strings.Contains(w.said.String(), "rollback goes back to 1.1.0") {
		t.Errorf("%d backups; said:\n%s", w.backups, w.said.String())
	}
	w.refused("installed already", "apply", two)
	for _, want := range []string{"1.1.0", "1.2.0"} {
		if err := w.do("rollback"); err != nil {
			t.Fatal(err)
		}
		w.is(want)
	}
	// The next one needs no --previous, and drops what is older than the way back.
	if err := w.do("apply", w.bundle("1.3.0", "")); err != nil {
		t.Fatal(err)
	}
	w.is("1.3.0")
	kept, err := filepath.Glob(filepath.Join(w.u.dir, "pinward-*"))
	if err != nil || len(kept) != 2 || slices.ContainsFunc(kept, func(p string) bool { return strings.Contains(p, "1.1.0") }) {
		t.Errorf("kept: %v, %v", kept, err)
	}
}

// TestUpdateRollsBackByItself: where the new version does not come up, whatever the reason, the former one is there
// again at the end, and the command has failed with the reason.
func TestUpdateRollsBackByItself(t *testing.T) {
	for name, c := range map[string]struct {
		depends string
		now     standing
		want    string
	}{
		"package does not install": {depends: "no-such-package", want: "no-such-package"},
		"sealed":                   {now: standing{State: "sealed", Unseal: "tpm", Cause: "the store cannot be opened"}, want: "the store cannot be opened"},
		"less well":                {now: standing{State: "open", Unseal: "tpm", Health: node{Name: "pinward", State: "fail"}}, want: "less well"},
		"another daemon answers":   {now: standing{State: "open", Unseal: "tpm", Version: "1.1.0"}, want: "version 1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUpdateWorld(t, "1.1.0")
			if c.now.State != "" {
				w.broken["1.2.0"] = c.now
			}
			err := w.do("apply", w.bundle("1.2.0", c.depends), "--previous", w.bundle("1.1.0", ""))
			if code, ok := errors.AsType[exit](err); !ok || code != 1 {
				t.Fatalf("apply: %v", err)
			}
			w.is("1.1.0")
			if said := w.said.String(); !strings.Contains(said, c.want) || !strings.Contains(said, "Version 1.1.0 is back") {
				t.Errorf("said:\n%s", said)
			}
			out, err := w.run(t.Context(), "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "pinward")
			if err != nil || strings.TrimSpace(out) != "ii" {
				t.Errorf("dpkg says %q, %v", out, err)
			}
		})
	}
}

// TestUpdateDiskFull: the new package does not fit. dpkg leaves the version of before as it was, and there is no room to install
// that anew either: it is still what runs.
func TestUpdateDiskFull(t *testing.T) {
	w := newUpdateWorld(t, "1.1.0")
	two, one := w.bundle("1.2.0", ""), w.bundle("1.1.0", "")
	w.room = packageWeight / 2
	err := w.do("apply", two, "--previous", one)
	if code, ok := errors.AsType[exit](err); !ok || code != 1 {
		t.Fatalf("apply: %v; said:\n%s", err, w.said.String())
	}
	w.is("1.1.0")
	if said := w.said.String(); !strings.Contains(said, "Version 1.1.0 is back") || !strings.Contains(said, "File too large") {
		t.Errorf("said:\n%s", said)
	}
	w.room = 0
	if err := w.do("apply", two); err != nil {
		t.Fatal(err)
	}
	w.is("1.2.0")
}

// TestUpdateCrashLoop: a daemon that ends again and again is given up long before the time that a slow one has.
func TestUpdateCrashLoop(t *testing.T) {
	w := newUpdateWorld(t, "1.1.0")
	w.u.patience, w.crashes = time.Hour, 1
	if err := w.do("apply", w.bundle("1.1.5", ""), "--previous", w.bundle("1.1.0", "")); err != nil {
		t.Fatal(err)
	}
	w.broken["1.2.0"] = standing{State: "sealed", Unseal: "tpm", Cause: "it ended"}
	err := w.do("apply", w.bundle("1.2.0", ""))
	if code, ok := errors.AsType[exit](err); !ok || code != 1 {
		t.Fatalf("apply: %v", err)
	}
	w.is("1.1.5")
	// Rollback does not lead to what has just failed, but where it led before.
	if err := w.do("rollback"); err != nil {
		t.Fatal(err)
	}
	w.is("1.1.0")
}

// TestUpdateOfABoxThatAsksForAPassphrase: sealed is how such a box starts, and no reason to go back.
func TestUpdateOfABoxThatAsksForAPassphrase(t *testing.T) {
	w := newUpdateWorld(t, "1.1.0")
	w.broken["1.2.0"] = standing{State: "sealed", Unseal: "tpm+passphrase", Health: node{Name: "pinward", State: "fail"}}
	if err := w.do("apply", w.bundle("1.2.0", ""), "--no-rollback"); err != nil {
		t.Fatal(err)
	}
	w.is("1.2.0")
}

// TestUpdateRefused: forged, cut and swapped bundles, one of another machine, an older version, a box that cannot be
// backed up: nothing is installed.
func TestUpdateRefused(t *testing.T) {
	w := newUpdateWorld(t, "1.1.0")
	other := newUpdateWorld(t, "")
	w.refused("no key that is pinned", "apply", other.bundle("1.2.0", ""), "--no-rollback")
	good := w.bundle("1.2.0", "")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	w.refused("cut off", "apply", w.write("cut", string(b[:len(b)-3000])), "--no-rollback")
	swapped := []byte(strings.Replace(string(b), "1.2.0\n", "6.6.6\n", 1))
	w.refused("not the file that was signed", "apply", w.write("swapped", string(swapped)), "--no-rollback")
	w.refused("older", "apply", w.bundle("1.0.0", ""), "--no-rollback")
	w.refused("--previous is version", "apply", good, "--previous", good)
	w.refused("nothing to go back to", "rollback")
	w.full = true
	w.refused("the disk is full", "apply", good, "--no-rollback")
	w.u.root = false
	w.refused("only root", "apply", good)
	w.u.root = true
	w.write("keys", "# none\n")
	w.refused("no update key is pinned", "apply", good)
	if kept, err := filepath.Glob(filepath.Join(w.u.dir, "*")); err != nil || slices.ContainsFunc(kept, func(p string) bool { return strings.Contains(p, "journal") }) {
		t.Errorf("an update was begun: %v, %v", kept, err)
	}
}

// TestUpdateDowngrade: an older version is installed for who says so.
func TestUpdateDowngrade(t *testing.T) {
	w := newUpdateWorld(t, "1.1.0")
	w.full = true
	if err := w.do("apply", w.bundle("1.0.0", ""), "--no-rollback", "--downgrade", "--no-backup"); err != nil {
		t.Fatal(err)
	}
	w.is("1.0.0")
}

var errPower = errors.New("the power went")

// TestUpdateCutOff: the machine went down in the middle. The journal remembers what was there, and either way out of it
// works: back, or on.
func TestUpdateCutOff(t *testing.T) {
	begun := func(t *testing.T) *updateWorld {
		w := newUpdateWorld(t, "1.1.0")
		run := w.u.run
		w.u.run = func(ctx context.Context, name string, args ...string) (string, error) {
			if name == "dpkg" { // unpacked and not configured; then the power went
				w.u.run = run
				_, err := run(ctx, "dpkg", "--unpack", args[len(args)-1])
				panic(errors.Join(errPower, err))
			}
			return run(ctx, name, args...)
		}
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || err.Error() != errPower.Error() {
					t.Fatal(err)
				}
			}()
			t.Error(w.do("apply", w.bundle("1.2.0", ""), "--previous", w.bundle("1.1.0", "")))
		}()
		return w
	}
	t.Run("back", func(t *testing.T) {
		w := begun(t)
		w.refused("was cut off", "apply", w.bundle("1.3.0", ""))
		if err := w.do("rollback"); err != nil {
			t.Fatal(err)
		}
		w.is("1.1.0")
	})
	t.Run("on", func(t *testing.T) {
		w := begun(t)
		if err := w.do("apply", w.bundle("1.2.0", "")); err != nil {
			t.Fatal(err)
		}
		w.is("1.2.0")
		if err := w.do("rollback"); err != nil {
			t.Fatal(err)
		}
		w.is("1.1.0")
	})
}

// TestUpdateByRPM: the same on a machine of RPM; what it is told is what rpm(8) takes.
func TestUpdateByRPM(t *testing.T) {
	w := newUpdateWorld(t, "")
	version, told := "1.1.0", ""
	w.u.run = func(_ context.Context, name string, args ...string) (string, error) {
		switch {
		case name == "rpm" && args[0] == "-q" && args[len(args)-1] == "pinward":
			return version + " x86_64", nil
		case name == "rpm" && args[0] == "-U":
			told, version = strings.Join(args, " "), "1.2.0"
			return "", nil
		case name == "systemctl":
			return "active", nil
		}
		return "", errors.New("no such program")
	}
	is, err := w.u.installed(t.Context())
	if err != nil || is != (installed{"pinward", "1.1.0", "amd64", "rpm"}) {
		t.Fatalf("%v, %v", is, err)
	}
	is.version = "1.2.0"
	if err := w.u.put(t.Context(), is); err != nil || !strings.HasPrefix(told, "-U --oldpackage ") || !strings.HasSuffix(told, "pinward-1.2.0-amd64.rpm") {
		t.Errorf("rpm was told %q, %v", told, err)
	}
}
