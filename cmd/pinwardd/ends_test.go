package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ended waits for the daemon's end by itself and holds it to exit code 1 and its reason.
func ended(t *testing.T, w *world, reason string) {
	t.Helper()
	must(t, w.gone(theBox))
	exit, ok := errors.AsType[*exec.ExitError](w.procs[theBox].err)
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit code 1", w.procs[theBox].err)
	}
	for line := range strings.Lines(w.log(theBox)) {
		if strings.HasPrefix(line, "pinwardd: ") && strings.Contains(line, reason) {
			return
		}
	}
	t.Errorf("it ended without its reason, %q:\n%s", reason, w.log(theBox))
}

// TestListenerFails: a listener that fails ends the process, and it says the reason.
func TestListenerFails(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1} {
		name := []string{"https", "mllp"}[n]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := empty(t, 1)
			activated(t, w)
			must(t, w.start(theBox))
			// The socket is ours as well, as it is systemd's.
			must(t, unix.Shutdown(int(w.files[n].Fd()), unix.SHUT_RD))
			ended(t, w, "serve: accept")
		})
	}
}

// TestDiskFails: a commit that the disk refuses ends the process with the reason, because what is on the disk is not known
// then. The next start has all that was told to be done.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"by hand", "by systemd"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := empty(t, 1)
			var m *manager
			if way == "by systemd" {
				m = newManager(t, w)
				activated(t, w)
			}
			must(t, w.start(theBox))
			_, _, err := w.commission()
			must(t, err)
			must(t, w.awaitReady())
			must(t, w.trace("error=EIO", "fdatasync", "state/store/pinward.db"))
			if _, err := w.pinward(adminPassword+"\n", "login", "admin"); err == nil {
				t.Error("a login was kept although the disk failed")
			}
			ended(t, w, "store failed: ")
			if m != nil {
				m.hear("STOPPING=1")
			}
			<-w.procs[theTracer].ended
			must(t, w.start(theBox))
			must(t, w.awaitReady())
		})
	}
}

// TestWatchdogNamesTheMainLoop: a reload that hangs, on a file that does not open, hangs the main loop alone. systemd hears
// that, and is told no more that the daemon lives until the loop goes on.
func TestWatchdogNamesTheMainLoop(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	m := newManager(t, w)
	w.env = append(w.env, "WATCHDOG_USEC=1000000")
	must(t, w.start(theBox))
	m.hear("WATCHDOG=1", "STATUS=empty: *")
	must(t, os.Rename(w.path("cert.pem"), w.path("was.pem")))
	must(t, syscall.Mkfifo(w.path("cert.pem"), 0o600)) // opening it waits for who writes
	must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
	m.hear("STATUS=hangs: main; *")
	must(t, m.conn.SetReadDeadline(time.Now().Add(2*time.Second)))
	buf := make([]byte, 4096)
	if n, err := m.conn.Read(buf); err == nil {
		t.Errorf("then systemd heard %q", buf[:n])
	}
	if !strings.Contains(w.log(theBox), "loops are silent: the watchdog is not fed") {
		t.Error("the log does not say so")
	}
	f, err := os.OpenFile(w.path("cert.pem"), os.O_WRONLY, 0)
	must(t, err)
	must(t, f.Close())
	m.hear("WATCHDOG=1")
}
