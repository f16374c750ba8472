package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pinward/systemd"
)

// TestDescribeService: what systemctl show says, in words and with the exit codes of LSB. A service that crashes is
// not one that runs, which kardianos/service takes it for.
func TestDescribeService(t *testing.T) {
	for _, c := range []struct {
		shown, says string
		code        int
	}{
		{"LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\n", "running", 0},
		{"LoadState=loaded\nActiveState=reloading\nSubState=reload\n", "running", 0},
		{"LoadState=loaded\nActiveState=inactive\nSubState=dead\n", "stopped", 3},
		{"LoadState=loaded\nActiveState=activating\nSubState=start\n", "starting", 3},
		{"LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=signal\nNRestarts=7\n", "it ended (signal) and is started again, restart 7", 3},
		{"LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n", "failed (exit-code)", 3},
		{"LoadState=loaded\nActiveState=deactivating\n", "stopping", 3},
		{"LoadState=not-found\nActiveState=inactive\nSubState=dead\n", "not installed", 4},
		{"", "unknown", 4},
	} {
		if says, code := describe(c.shown); !strings.Contains(says, c.says) || code != c.code {
			t.Errorf("%q: %q, %d; want %q, %d", c.shown, says, code, c.says, c.code)
		}
	}
}

// machine is a file system on which install would do its work: by systemd, without a package, with the programs.
func machine(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir() + "/"
	for _, dir := range []string{"run/systemd/system", "usr/bin", "usr/lib/systemd/system"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range programs {
		if err := os.WriteFile(root+p, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestInstallRefuses: over a package, elsewhere than in /usr/bin, without a program, and under another init system.
func TestInstallRefuses(t *testing.T) {
	root := machine(t)
	self := root + "usr/bin/pinward"
	if err := installable(root, self); err != nil {
		t.Fatal(err)
	}
	if err := installable(root, "/home/it/pinward"); err == nil || !strings.Contains(err.Error(), "run the one in /usr/bin") {
		t.Errorf("from elsewhere: %v", err)
	}
	for what, change := range map[string]func(root string) error{
		"a packaged unit is present": func(root string) error {
			return os.WriteFile(root+"usr/lib/systemd/system/"+systemd.Service, nil, 0o644)
		},
		"pinwardd is no program":       func(root string) error { return os.Chmod(root+"usr/bin/pinwardd", 0o644) },
		"pinward-relay is no program":  func(root string) error { return os.Remove(root + "usr/bin/pinward-relay") },
		"tried with no other init sys": func(root string) error { return os.RemoveAll(root + "run/systemd") },
	} {
		root := machine(t)
		if err := change(root); err != nil {
			t.Fatal(err)
		}
		if err := installable(root, root+"usr/bin/pinward"); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %s", err, what)
		}
	}
}

// TestLayout: what a package lays down, a tarball's installation does too; what the administrator changed is neither
// written over nor taken away.
func TestLayout(t *testing.T) {
	files, err := layout()
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := os.ReadFile("../../packaging/nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var laidDown []string
	for _, f := range files {
		laidDown = append(laidDown, filepath.Base(f.path))
		if len(f.text) == 0 {
			t.Errorf("%s is empty", f.path)
		}
	}
	for _, name := range []string{"pinward.toml", "relay.toml", "70-pinward.rules"} {
		if !strings.Contains(string(recipe), name) || !slices.Contains(laidDown, name) {
			t.Errorf("%s is not in both", name)
		}
	}
	for _, name := range systemd.Names() {
		if slices.Contains(laidDown, name) == (name == systemd.Service) {
			t.Errorf("%s: kardianos/service writes %s, and nothing else", name, systemd.Service)
		}
	}

	root := t.TempDir() + "/"
	config, unit := root+"etc/pinward/pinward.toml", root+ownUnits+systemd.Socket
	if err := lay(root, files); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{config, unit} {
		if err := os.WriteFile(path, []byte("changed"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := lay(root, files); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != "changed" {
		t.Errorf("the configuration was written over: %v", err)
	}
	if b, err := os.ReadFile(unit); err != nil || string(b) == "changed" {
		t.Errorf("an old unit stays: %v", err)
	}
	for range 2 { // the second time nothing is there any more
		if err := take(root, files); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(unit); !os.IsNotExist(err) {
		t.Errorf("a unit stays: %v", err)
	}
	if _, err := os.Stat(config); err != nil {
		t.Errorf("the configuration was taken: %v", err)
	}
	// Not done: a folder stands in the place of a file.
	if err := os.MkdirAll(unit+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := lay(root, files); err == nil {
		t.Error("a unit was laid over a folder")
	}
	if err := take(root, files); err == nil {
		t.Error("a folder was taken for a unit")
	}
}
