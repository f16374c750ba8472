package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: a box whose disk is full refuses codes, and so says its check, and an alarm; with space again it goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	state := w.path("state")
	must(t, os.Mkdir(state, 0o700))
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=640m"); err != nil {
		t.Fatalf("mount a small file system (this test runs as root): %v", err)
	}
	t.Cleanup(func() { // the daemon still has files open
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	must(t, w.start(theBox))
	_, _, err := w.commission()
	must(t, err)
	must(t, w.awaitReady())
	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)
	must(t, os.WriteFile(w.path("alarms.json"), []byte(`{"alarms": {"hold_minutes": 0}}`), 0o600))
	_, err = w.pinward("", "config", "apply", w.path("alarms.json"), "--yes")
	must(t, err)
	says := func(want string, args ...string) {
		t.Helper()
		var last string
		if err := eventually(func() bool {
			last, _ = w.pinward("", args...) // its exit status says the same as its words
			return strings.Contains(last, want)
		}); err != nil {
			t.Fatalf("pinward %s: %v; it does not say %q but:\n%s", strings.Join(args, " "), err, want, last)
		}
	}
	says("PINWARD WARNING: codes are accepted; disk: ", "check")

	ballast, err := os.Create(filepath.Join(state, "ballast"))
	must(t, err)
	must(t, syscall.Fallocate(int(ballast.Fd()), 0, 0, 160<<20))
	must(t, ballast.Close())
	says("PINWARD CRITICAL: a code would not be accepted; disk: it is full: ", "check")
	says("PINWARD DISK CRITICAL: ", "check", "disk")
	says("critical  disk: it is full: ", "alarm", "list")

	must(t, os.Remove(ballast.Name()))
	says("PINWARD WARNING: codes are accepted; disk: ", "check")
}
