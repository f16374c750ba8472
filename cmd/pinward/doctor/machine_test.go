package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"
)

// machine is a machine in a folder: its files, and what its programs say, from testdata/machine.txtar. It is
// well as it comes; each test breaks one thing.
type machine struct {
	*Host
	t    *testing.T
	says map[string]string // by command line
	ran  []string
	disk unix.Statfs_t // 20 of 40 GB are free
	sync Measured      // what a measurement gives after its writes, whatever else writes here
}

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newMachine(t *testing.T) *machine {
	t.Helper()
	a, err := txtar.ParseFile("testdata/machine.txtar")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{Host: &Host{Root: t.TempDir(), Now: today}, t: t, says: map[string]string{}}
	for _, f := range a.Files {
		text := strings.ReplaceAll(string(f.Data), "@GID@", fmt.Sprint(os.Getgid()))
		if command, ok := strings.CutPrefix(f.Name, "$ "); ok {
			m.says[command] = text
			continue
		}
		if to, ok := strings.CutPrefix(strings.TrimSpace(text), "-> "); ok {
			m.link(f.Name, to)
			continue
		}
		m.write(f.Name, text)
	}
	m.certificate("etc/pinward/server.pem", "etc/pinward/server-key.pem", today.Add(-time.Hour), today.AddDate(0, 6, 0))
	m.disk = unix.Statfs_t{Type: 0xef53, Bsize: 4096, Blocks: 10 << 20, Bavail: 5 << 20, Files: 1 << 20, Ffree: 1 << 19}
	m.sync = Measured{time.Millisecond, 2 * time.Millisecond}
	m.Statfs = func(path string, st *unix.Statfs_t) error {
		_, err := os.Stat(path)
		*st = m.disk
		return err
	}
	m.Fsync = func(folder string) (Measured, error) {
		_, err := Fsync(folder)
		return m.sync, err
	}
	m.Run = m.run
	m.LookupHost = func(_ context.Context, name string) ([]string, error) {
		if name == "siem.hospital.example" {
			return []string{"10.9.0.7"}, nil
		}
		return nil, fmt.Errorf("no such host")
	}
	return m
}

// run gives what testdata says of a program; systemctl show is known by its unit.
func (m *machine) run(_ context.Context, name string, args ...string) ([]byte, error) {
	line := strings.Join(append([]string{filepath.Base(name)}, args...), " ")
	m.ran = append(m.ran, line)
	if strings.HasPrefix(line, "systemctl show") {
		line = "systemctl show " + args[len(args)-1]
	}
	if strings.HasPrefix(line, "pinwardd -check") {
		line = "pinwardd -check"
	}
	if strings.HasPrefix(line, "journalctl") {
		line = "journalctl"
	}
	says, ok := m.says[line]
	if !ok {
		return nil, exec.ErrNotFound
	}
	if why, failed := strings.CutPrefix(says, "! "); failed {
		return nil, &exec.ExitError{Stderr: []byte(why)}
	}
	return []byte(says), nil
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	mode := os.FileMode(0o644)
	if strings.HasPrefix(path, "dev/") {
		mode = 0o660
	}
	path = filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil { // whatever the umask
		m.t.Fatal(err)
	}
}

// link makes a link; a target with a slash in front is one of the real machine, as /proc has them.
func (m *machine) link(path, to string) {
	m.t.Helper()
	path = filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) remove(paths ...string) {
	m.t.Helper()
	for _, p := range paths {
		if err := os.RemoveAll(filepath.Join(m.Root, p)); err != nil {
			m.t.Fatal(err)
		}
	}
}

// change replaces text in a file; it has to be there.
func (m *machine) change(path, old, new string) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.Root, path))
	if err != nil || !strings.Contains(string(b), old) {
		m.t.Fatalf("%s does not hold %q: %v", path, old, err)
	}
	m.write(path, strings.Replace(string(b), old, new, 1))
}

// say replaces text in what a program says; it has to be there.
func (m *machine) say(command, old, new string) {
	m.t.Helper()
	if !strings.Contains(m.says[command], old) {
		m.t.Fatalf("%s does not say %q", command, old)
	}
	m.says[command] = strings.Replace(m.says[command], old, new, 1)
}

// process makes one that has files open, given as the links of /proc/PID/fd.
func (m *machine) process(pid int, name string, open ...string) {
	dir := fmt.Sprintf("proc/%d/", pid)
	m.write(dir+"comm", name+"\n")
	for i, to := range open {
		m.link(fmt.Sprintf("%sfd/%d", dir, i+3), to)
	}
}

// certificate makes a certificate with its key.
func (m *machine) certificate(cert, key string, from, until time.Time) {
	m.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "box"}, DNSNames: []string{"box.hospital.example"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		m.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	m.write(key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	if err := os.Chmod(filepath.Join(m.Root, key), 0o640); err != nil {
		m.t.Fatal(err)
	}
}

const configFile = "/etc/pinward/pinward.toml"

func (m *machine) examine() []Finding { return m.Examine(m.t.Context(), configFile) }

// want finds a finding of that place and state with these words in it, and in its next step.
func (m *machine) want(list []Finding, area, name string, s State, what, next string) {
	m.t.Helper()
	for _, f := range list {
		if f.Area == area && f.Name == name && f.State == s && strings.Contains(f.What, what) && strings.Contains(f.Next, next) {
			return
		}
	}
	m.t.Errorf("there is no %s of %s %s that says %q, next %q, among:\n%s", s, area, name, what, next, shownOf(list, area))
}

func shownOf(list []Finding, area string) string {
	var b strings.Builder
	for _, f := range list {
		if area == "" || f.Area == area {
			fmt.Fprintf(&b, "  %s %s %s: %s -> %s\n", f.State, f.Area, f.Name, f.What, f.Next)
		}
	}
	return b.String()
}
