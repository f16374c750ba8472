package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// listenJournal is journald's end of its socket.
func listenJournal(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// takeLine reads one line with fields: from the datagram, or from the file that came with an empty one.
func takeLine(t *testing.T, c *net.UnixConn) (line []byte, from *net.UnixAddr, file bool) {
	t.Helper()
	buf, control := make([]byte, 1<<20), make([]byte, 64)
	n, cn, _, addr, err := c.ReadMsgUnix(buf, control)
	if err != nil {
		t.Fatal(err)
	}
	from = addr
	if n > 0 {
		return buf[:n], from, false
	}
	messages, err := syscall.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("an empty line with %d messages, %v", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("an empty line with %d files, %v", len(fds), err)
	}
	f := os.NewFile(uintptr(fds[0]), "line")
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the file can be changed after it was handed over")
	}
	if line, err = io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil {
		t.Fatal(err)
	}
	return line, from, true
}

// TestJournalSocket: lines come as the protocol has them, one with line breaks and one that no datagram holds
// too, from a socket without an address, because the unit lets us have none; and a new journald gets them as well.
func TestJournalSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	journald := listenJournal(t, path)
	j := &journalSocket{path: path}
	defer j.close()
	send := func(message string, fields map[string]string) {
		t.Helper()
		if err := j.Send(message, journal.PriWarning, fields); err != nil {
			t.Fatal(err)
		}
	}

	send("modem down", map[string]string{"MODEM": "modem2"})
	line, from, _ := takeLine(t, journald)
	if want := "PRIORITY=4\nMESSAGE=modem down\nMODEM=modem2\n"; string(line) != want {
		t.Errorf("%q", line)
	}
	if from != nil {
		t.Errorf("sent from the address %q", from)
	}

	send("two\nlines", nil)
	if line, _, _ = takeLine(t, journald); !bytes.Contains(line, []byte("MESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n")) {
		t.Errorf("%q", line)
	}

	long := strings.Repeat("x", 8<<20)
	send(long, nil)
	if line, _, file := takeLine(t, journald); !file || string(line) != "PRIORITY=4\nMESSAGE="+long+"\n" {
		t.Errorf("%d bytes in a file: %v", len(line), file)
	}

	journald.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	journald = listenJournal(t, path)
	send("again", nil)
	if line, _, _ = takeLine(t, journald); !bytes.Contains(line, []byte("MESSAGE=again\n")) {
		t.Errorf("%q", line)
	}
	journald.Close()
	if err := j.Send("gone", journal.PriInfo, nil); err == nil {
		t.Error("a line that nobody took counts as sent")
	}
}

// TestJournalHangs: one line waits for a journald that takes none, no other does, and when it takes lines again it is told
// how many it has not seen.
func TestJournalHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	journald := listenJournal(t, path)
	j := &journalSocket{path: path}
	defer j.close()
	waited := 0
	for range 2000 { // more than its queue holds
		began := time.Now()
		if err := j.Send("line", journal.PriInfo, nil); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > journalPatience/2 {
			waited++
		}
	}
	if waited != 1 || j.lost == 0 {
		t.Fatalf("%d lines waited, %d were lost", waited, j.lost)
	}
	lost := j.lost
	for range 2000 - lost {
		takeLine(t, journald)
	}
	j.deaf = time.Now() // its rest is over
	for _, message := range []string{"next", "last"} {
		if err := j.Send(message, journal.PriInfo, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"MESSAGE=next\n", fmt.Sprintf("LOST=%d\n", lost), "MESSAGE=last\n"} {
		if line, _, _ := takeLine(t, journald); !bytes.Contains(line, []byte(want)) {
			t.Errorf("%q, want %q", line, want)
		}
	}
}
