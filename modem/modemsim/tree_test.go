package modemsim

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// port reads what comes from a port within three seconds after line was written to it: a second would do where nothing else runs.
func port(t *testing.T, path, line string) string {
	t.Helper()
	blocking, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := interruptible(blocking)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		t.Fatal(err)
	}
	var got []byte
	f.SetReadDeadline(time.Now().Add(3 * time.Second))
	for buf := make([]byte, 512); ; {
		n, err := f.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			return string(got)
		}
	}
}

// A device has several ports, of which one alone takes texts; a host must find it by asking (3).
func TestTreeHasThePortsOfEachKind(t *testing.T) {
	for profile, kinds := range map[string]string{"ec25": "diag nmea at modem", "sim7600": "diag nmea at modem audio", "e173": "modem audio at", "generic": "at"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			n, err := NewNetwork(NetworkOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			m, err := n.AddModem(ModemOptions{Name: "a", Profile: profile})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			at, err := m.Tree(dir)
			if err != nil {
				t.Fatal(err)
			}
			var ports sync.WaitGroup
			defer ports.Wait()
			for i, kind := range strings.Fields(kinds) {
				path := filepath.Join(dir, "serial", "by-path", m.tree.path(i))
				if kind == "at" && path != at {
					t.Errorf("the AT port is %s, not %s", path, at)
				}
				ports.Go(func() {
					got := port(t, path, "ATE0\rAT+CGSN\rAT+CMGF=0\r")
					answered := strings.Contains(got, m.IMEI())
					takes := strings.HasSuffix(got, "\r\nOK\r\n")
					said := got != ""
					want := map[string][3]bool{"at": {true, true, true}, "modem": {true, false, true}, "diag": {false, false, true}, "nmea": {false, false, true}}[kind]
					if [3]bool{answered, takes, said} != want {
						t.Errorf("port %s says %q", kind, got)
					}
				})
			}
		})
	}
}

// A modem that was unplugged is behind the same path, and has other numbers; nothing of it stays when the network ends.
func TestTreeUnplug(t *testing.T) {
	n, err := NewNetwork(NetworkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var modems []*Modem
	var paths []string
	for _, name := range []string{"a", "b"} {
		m, err := n.AddModem(ModemOptions{Name: name, Profile: "e173", BootTime: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		path, err := m.Tree(dir)
		if err != nil {
			t.Fatal(err)
		}
		modems, paths = append(modems, m), append(paths, path)
	}
	byID, err := os.ReadDir(filepath.Join(dir, "serial", "by-id"))
	if err != nil || len(byID) != 3 {
		t.Errorf("two sticks of one kind have %d by-id names, %v; they share three", len(byID), err)
	}
	before, err := filepath.EvalSymlinks(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.Readlink(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	set(t, modems[0], Faults{Unplugged: true})
	if _, err := os.Lstat(paths[0]); !os.IsNotExist(err) {
		t.Errorf("the path is there while unplugged: %v", err)
	}
	if _, err := os.Stat(paths[1]); err != nil {
		t.Errorf("the other modem is gone too: %v", err)
	}
	set(t, modems[0], Faults{})
	if now, err := os.Readlink(paths[0]); err != nil || now == tty {
		t.Errorf("it is back as %s, before %s, %v", now, tty, err)
	}
	if now, err := filepath.EvalSymlinks(paths[0]); err != nil {
		t.Errorf("it was at %s, and now %v", before, err)
	} else if got := port(t, now, "") + port(t, now, "AT\r"); !strings.Contains(got, "OK") {
		t.Errorf("%q", got)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	for _, sub := range []string{".", "serial/by-path", "serial/by-id"} {
		left, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range left {
			if !e.IsDir() {
				t.Errorf("%s stays", e.Name())
			}
		}
	}
}
