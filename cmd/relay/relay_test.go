package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program itself, so that it can be started as systemd does.
func TestMain(m *testing.M) {
	if os.Getenv("RELAY_TEST_CHILD") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

func child(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "RELAY_TEST_CHILD=1")
	return cmd
}

func write(t *testing.T, list string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "relay.toml")
	if err := os.WriteFile(path, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestListIsChecked(t *testing.T) {
	for list, want := range map[string]string{
		"[dial]\nsiem = 'siem.example.org:6514'\nldap = '[2001:db8::1]:636'\n": "",
		"":                                     "",
		"[dial]\nsiem = 'siem.example.org'\n":  "dial.siem: want host:port",
		"[dial]\nsiem = 'siem.example.org:'\n": "dial.siem: want host:port",
		"[dial]\nsiem = ':6514'\n":             "dial.siem: want host:port",
		"[dial]\nsiem = ''\n":                  "dial.siem: want host:port",
		"[dial]\n'the siem' = 'h:1'\n":         "is no name",
		"[dial]\n'' = 'h:1'\n":                 "is no name",
		"[dial]\n" + strings.Repeat("x", 256) + " = 'h:1'\n": "is no name",
		"[dail]\nsiem = 'h:1'\n":                             `line 1, column 2: unknown key "dail"`,
		"[dial]\nsiem = 'h:1'\n\nsiem = 'h:2'\n":             "line 4, column 1: ",
		"[dial]\nsiem = 6514\n":                              "line 2, column 8: ",
	} {
		out, err := child("-check", "-config", write(t, list)).CombinedOutput()
		if (err == nil) != (want == "") || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, %s\nwant %q", list, err, out, want)
		}
	}
	if out, err := child("-check", "-config", filepath.Join(t.TempDir(), "none")).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("open list")) {
		t.Errorf("no list: %v, %s", err, out)
	}
}

// TestActivation starts it as pinward-relay.socket does: one SOCK_SEQPACKET listener as descriptor 3.
func TestActivation(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	passed, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()

	// LISTEN_PID must name the process itself: the shell becomes it.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -config "$1"`, os.Args[0], write(t, "[dial]\nsiem = '"+target.Addr().String()+"'\n"))
	cmd.Env = append(os.Environ(), "RELAY_TEST_CHILD=1")
	cmd.ExtraFiles = []*os.File{passed}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("siem")); err != nil {
		t.Fatal(err)
	}
	answer, control := make([]byte, 64), make([]byte, syscall.CmsgSpace(4))
	n, cn, _, _, err := c.ReadMsgUnix(answer, control)
	if err != nil || string(answer[:n]) != "ok" || cn == 0 {
		t.Fatalf("answered %q with %d bytes of control, %v\n%s", answer[:n], cn, err, &said)
	}
	msgs, err := syscall.ParseSocketControlMessage(control[:cn])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%d control messages, %v", len(msgs), err)
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%d descriptors, %v", len(fds), err)
	}
	defer syscall.Close(fds[0])
	if _, err := c.Read(answer); err != io.EOF {
		t.Errorf("after the answer: %v, want the end", err)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("its stop: %v\n%s", err, &said)
	}
	if strings.Contains(said.String(), target.Addr().String()) {
		t.Error("its log names an address")
	}
}

// TestStopDoesNotWaitForSilentPeers: a stop ends what only waits.
func TestStopDoesNotWaitForSilentPeers(t *testing.T) {
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	cmd := child("-config", write(t, "[dial]\n"), "-socket", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var c net.Conn
	for end := time.Now().Add(10 * time.Second); c == nil; time.Sleep(5 * time.Millisecond) {
		if c, err = net.Dial("unixpacket", socket); err != nil && time.Now().After(end) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("its stop: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("its stop took %v", took)
	}
}

func TestWithoutListener(t *testing.T) {
	out, err := child("-config", write(t, "[dial]\n")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "want one SOCK_SEQPACKET listener") {
		t.Errorf("%v: %s", err, out)
	}
}
