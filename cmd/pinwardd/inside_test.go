package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// screen is what a program wrote to its terminal.
type screen struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(b)
}

func (s *screen) shows(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.all.String(), text)
}

// TestTopAndProgressOnATerminal: top shows the box on a terminal of its own until q or Ctrl-C, and leaves the
// terminal as it was; a backup shows how far it is, on a terminal alone.
func TestTopAndProgressOnATerminal(t *testing.T) {
	t.Parallel()
	w, _ := whole(t, 2)
	for name, key := range map[string]string{"q": "q", "Ctrl-C": "\x03", "Escape": "\x1b"} {
		cmd := exec.Command("pinward", "--socket", w.path("control"), "top", "--every", "100ms")
		tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 110})
		must(t, err)
		var s screen
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = io.Copy(&s, tty) }) // it ends with an error when the program does
		must(t, eventually(func() bool { return s.shows("takes codes") && s.shows("modem2") }))
		_, err = tty.WriteString(key)
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err = <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Fatalf("%s does not quit", name)
		}
		reading.Wait()
		tty.Close()
		if err != nil || !s.shows("\x1b[?1049h") || !s.shows("\x1b[?1049l") {
			t.Errorf("%s: %v; the terminal was given back: %t", name, err, s.shows("\x1b[?1049l"))
		}
	}
	out, err := w.pinward("", "top", "--once")
	must(t, err)
	if !strings.Contains(out, "takes codes") || strings.Contains(out, "\x1b") {
		t.Errorf("--once shows %q", out)
	}
	out, err = w.pinward("", "--json", "top", "--once")
	must(t, err)
	if !json.Valid([]byte(out)) {
		t.Errorf("--json shows %q", out)
	}

	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)
	backup := exec.Command("pinward", "--socket", w.path("control"), "backup", w.path("first.backup"))
	backup.Env = append(os.Environ(), "HOME="+w.dir)
	tty, err := pty.StartWithSize(backup, &pty.Winsize{Rows: 30, Cols: 110})
	must(t, err)
	defer tty.Close()
	var s screen
	_, _ = io.Copy(&s, tty)
	if err := backup.Wait(); err != nil || !s.shows("writing") || !s.shows("first.backup written") {
		t.Errorf("backup on a terminal: %v\n%q", err, s.all.String())
	}
	out, err = w.pinward("", "backup", "verify", w.path("first.backup"))
	must(t, err)
	if strings.Contains(out, "reading") || strings.Contains(out, "\x1b") {
		t.Errorf("without a terminal it shows %q", out)
	}
}
