package daemon_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a CA that signs certificates for tests.
type authority struct {
	file string // PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), key: newKey(t), n: 1}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	a.file = a.pem(t, "ca.pem", "CERTIFICATE", der, err)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *authority) pem(t *testing.T, name, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign makes a certificate of a name, for a server and for a client.
func (a *authority) sign(t *testing.T, name string) (cert, key string) {
	t.Helper()
	a.n++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	k := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	cert = a.pem(t, name+".pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(k)
	return cert, a.pem(t, name+"-key.pem", "PRIVATE KEY", der, err)
}

// logServer is Debian's rsyslog. It can be stopped, killed and started again at the same address, and
// goes on in the same files.
type logServer struct {
	address, socket string
	file            string // messages as rsyslog writes them by itself
	raw             string // the same as they came, one a line

	dir, conf string
	cmd       *exec.Cmd
	said      bytes.Buffer
}

// newLogServer makes one, with TLS (RFC 5425) where there is a CA, and then with a certificate asked of
// whoever sends, if mutual; without, it takes plain TCP and datagrams as well. It is not started yet.
func newLogServer(t *testing.T, ca *authority, mutual bool) *logServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	l.Close()
	dir := socketFolder(t)
	s := &logServer{
		address: address, dir: dir, conf: filepath.Join(dir, "conf"), socket: filepath.Join(dir, "log"),
		file: filepath.Join(dir, "all.log"), raw: filepath.Join(dir, "raw.log"),
	}
	text := fmt.Sprintf("global(workDirectory=%q maxMessageSize=\"64k\"", dir)
	if ca != nil {
		cert, key := ca.sign(t, "siem.test")
		mode := "anon"
		if mutual {
			mode = "x509/certvalid"
		}
		text += fmt.Sprintf(` defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile=%q defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode=%q)
`, ca.file, cert, key, mode)
	} else {
		text += fmt.Sprintf(`)
module(load="imtcp") module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" socket=%q createPath="on")
`, s.socket)
	}
	text += fmt.Sprintf(`input(type="imtcp" address="127.0.0.1" port=%q)
template(name="raw" type="string" string="%%rawmsg%%\n")
action(type="omfile" file=%q)
action(type="omfile" file=%q template="raw")
`, port, s.file, s.raw)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("rsyslogd said %s", s.said.String())
		}
	})
	return s
}

// start returns when it listens.
func (s *logServer) start(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		t.Fatal("rsyslogd is not installed: this test needs a real log server (Debian: apt-get install rsyslog rsyslog-gnutls)")
	}
	_ = os.Remove(filepath.Join(s.dir, "pid")) // of one that was killed
	s.cmd = exec.Command(program, "-n", "-f", s.conf, "-i", filepath.Join(s.dir, "pid"))
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.address); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("rsyslogd does not listen")
		}
	}
}

// kill ends it at once, as a power cut does.
func (s *logServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// wait reads what came, as it came, until it holds a text.
func (s *logServer) wait(t *testing.T, text string) string {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(s.raw)
		if err == nil && strings.Contains(string(b), text) {
			return string(b)
		}
		if time.Now().After(end) {
			t.Fatalf("rsyslog has not got %q in %d bytes; %v", text, len(b), err)
		}
	}
}
