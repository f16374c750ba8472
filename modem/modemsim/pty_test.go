package modemsim

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ptyWorld is a network with one modem on a terminal behind a link, in real time.
func ptyWorld(t *testing.T) (*Network, *Modem, string) {
	t.Helper()
	n, err := NewNetwork(NetworkOptions{Latency: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := n.AddModem(ModemOptions{Name: "a", BootTime: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "modem")
	if _, err := m.PTY(link); err != nil {
		t.Fatal(err)
	}
	return n, m, link
}

// dial opens the terminal and returns a function that runs a command and reads
// until the mark.
func dial(t *testing.T, link string) (*os.File, func(line, mark string) string) {
	t.Helper()
	blocking, err := os.OpenFile(link, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := interruptible(blocking) // so that deadlines work
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, func(line, mark string) string {
		t.Helper()
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		var got []byte
		buf := make([]byte, 256)
		f.SetReadDeadline(time.Now().Add(5 * time.Second))
		for !bytes.Contains(got, []byte(mark)) {
			n, err := f.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %q: read %q, then %v", mark, got, err)
			}
			got = append(got, buf[:n]...)
		}
		return string(got)
	}
}

func TestPTYTakesEachLineEndAndKeepsItsState(t *testing.T) {
	n, _, link := ptyWorld(t)
	f, ask := dial(t, link)
	for _, end := range []string{"\r", "\n", "\r\n"} {
		if got := ask("AT"+end, "OK\r\n"); got[:2] != "AT" {
			t.Errorf("no echo: %q", got)
		}
	}
	ask("ATE0\r", "OK\r\n")
	f.Close()
	_, ask = dial(t, link) // nobody had it open in between
	if got := ask("AT\r", "OK\r\n"); got != "\r\nOK\r\n" {
		t.Errorf("the echo is back: %q", got)
	}
	line, body := pdu(plain("by terminal"), nil)
	ask(line, "> ")
	ask(body, "+CMGS: ")
	if got := texts(t, n, 1)[0].Text; got != "by terminal" {
		t.Errorf("%q", got)
	}
}

func TestPTYUnplugComesBackUnderAnotherNameBehindItsLink(t *testing.T) {
	_, m, link := ptyWorld(t)
	f, ask := dial(t, link)
	ask("AT\r", "OK\r\n")
	before, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	set(t, m, Faults{Unplugged: true})
	f.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := f.Read(make([]byte, 1)); err == nil {
		t.Errorf("the old terminal gives %d octets", n)
	} else if os.IsTimeout(err) {
		t.Error("the old terminal is still there")
	}
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("the link is there while unplugged: %v", err)
	}
	set(t, m, Faults{})
	after, err := os.Readlink(link)
	if err != nil || after == before {
		t.Errorf("link to %s, before %s, %v", after, before, err)
	}
	_, ask = dial(t, link)
	ask("", "RDY\r\n")
	ask("AT\r", "OK\r\n")
}

func TestPTYCloseDoesNotWaitForAHost(t *testing.T) {
	n, m, link := ptyWorld(t)
	set(t, m, Faults{URCEvery: Duration(time.Millisecond)})
	f, _ := dial(t, link)
	for range 20_000 { // more than the terminal holds; nobody reads
		n.mu.Lock()
		m.urc("^RSSI:1")
		n.mu.Unlock()
	}
	done := make(chan error, 1)
	go func() { done <- n.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Close hangs")
	}
	f.Close()
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("the link stays: %v", err)
	}
}

func TestPTYRefusals(t *testing.T) {
	n, m, link := ptyWorld(t)
	if _, err := m.PTY(link); err == nil {
		t.Error("a second terminal")
	}
	if _, err := m.Pipe(); err == nil {
		t.Error("a pipe beside the terminal")
	}
	b, err := n.AddModem(ModemOptions{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PTY(file); err == nil {
		t.Error("a file was replaced by a link")
	}
	if _, err := b.PTY(filepath.Join(filepath.Dir(link), "b")); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	for name, o := range map[string]ModemOptions{
		"no name": {}, "bad name": {Name: "a/b"}, "name taken": {Name: "a"}, "number taken": {Name: "c", Number: m.Number()}, "profile": {Name: "d", Profile: "x"},
	} {
		if _, err := n.AddModem(o); err == nil {
			t.Errorf("%s: added", name)
		}
	}
}
