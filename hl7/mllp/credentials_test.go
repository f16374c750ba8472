package mllp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/hl7"
)

// authority signs certificates into PEM files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) make(template *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := template, crypto.Signer(key)
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes name.pem and name.key, for server and client, and gives the pin.
func (a *authority) issue(name string, change func(*x509.Certificate)) (Files, string) {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	cert, key := a.make(template)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", cert.Raw)
	a.write(name+".key", "PRIVATE KEY", der)
	return Files{Certificate: a.path(name + ".pem"), Key: a.path(name + ".key")}, Pin(cert)
}

func loaded(t *testing.T, f Files) *Credentials {
	t.Helper()
	c, err := NewCredentials(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// engine is a client over TLS.
func engine(t *testing.T, addr, name string, c *Credentials) *Client {
	t.Helper()
	d := &tls.Dialer{Config: c.Client(name)}
	out := &Client{Dial: func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }, Timeout: 5 * time.Second}
	t.Cleanup(func() { _ = out.Close() })
	return out
}

func sends(c *Client, id string) error {
	_, err := c.Send(context.Background(), message(id))
	return err
}

// TestMutualTLS: either end believes the other by authority or by pin (ITI-19), and nobody else.
func TestMutualTLS(t *testing.T) {
	ours, other := newAuthority(t, "hospital"), newAuthority(t, "elsewhere")
	server, serverPin := ours.issue("pinward", nil)
	good, goodPin := ours.issue("engine", nil)
	_, expiredPin := ours.issue("expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	ours.issue("server-only", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	other.issue("engine", nil)
	_, strangerPin := other.issue("stranger", nil)
	file := func(a *authority, name string) Files {
		return Files{Certificate: a.path(name + ".pem"), Key: a.path(name + ".key")}
	}
	ca := ours.path("ca.pem")
	for name, c := range map[string]struct {
		caOfServer  string
		pins        []string
		client      Files
		caOfClient  string
		pinOfServer string
		address     string
		ok          bool
	}{
		"authority at both ends":                       {ca, nil, good, ca, "", "127.0.0.1", true},
		"pins at both ends":                            {"", []string{goodPin}, good, "", serverPin, "anything", true},
		"a pin as openssl prints it":                   {"", []string{colons(goodPin)}, good, "", strings.ToUpper(serverPin), "x", true},
		"a pin of another authority's certificate":     {ca, []string{strangerPin}, file(other, "stranger"), "", serverPin, "x", true},
		"a pinned key outlives its certificate":        {"", []string{expiredPin}, file(ours, "expired"), "", serverPin, "x", true},
		"the same name from another authority":         {ca, nil, file(other, "engine"), "", serverPin, "x", false},
		"another key than the pinned":                  {"", []string{goodPin}, file(other, "engine"), "", serverPin, "x", false},
		"expired":                                      {ca, nil, file(ours, "expired"), "", serverPin, "x", false},
		"a certificate that is for servers only":       {ca, nil, file(ours, "server-only"), "", serverPin, "x", false},
		"the server's certificate is for another name": {ca, nil, good, ca, "", "127.0.0.2", false},
		"the server is another's":                      {ca, nil, good, other.path("ca.pem"), "", "127.0.0.1", false},
		"the server's pin is another":                  {ca, nil, good, "", goodPin, "127.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			server.CA, server.Pins = c.caOfServer, c.pins
			c.client.CA = c.caOfClient
			if c.pinOfServer != "" {
				c.client.Pins = []string{c.pinOfServer}
			}
			s := &Server{Handler: accept, TLS: loaded(t, server).Server()}
			err := sends(engine(t, start(t, s), c.address, loaded(t, c.client)), "1")
			if (err == nil) != c.ok {
				t.Errorf("sent: %v, want %v", err, c.ok)
			}
			if n := s.Counts(); (n.Frames == 1) != c.ok {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

func colons(pin string) string {
	var b strings.Builder
	for i := 0; i < len(pin); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(pin[i : i+2]))
	}
	return b.String()
}

// TestCredentialsReload: new files hold for new connections, broken ones change nothing, and Recheck
// ends the connections of those who are no longer believed, after their last answer.
func TestCredentialsReload(t *testing.T) {
	ours, next := newAuthority(t, "hospital"), newAuthority(t, "next")
	files, serverPin := ours.issue("pinward", nil)
	client, _ := ours.issue("engine", nil)
	files.CA, client.Pins = ours.path("ca.pem"), []string{serverPin}
	creds := loaded(t, files)
	s := &Server{Handler: accept, TLS: creds.Server()}
	addr := start(t, s)
	e := engine(t, addr, "x", loaded(t, client))
	if err := sends(e, "1"); err != nil {
		t.Fatal(err)
	}
	before := creds.NotAfter()

	if err := os.WriteFile(files.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := creds.Reload(); err == nil {
		t.Fatal("a broken key was taken")
	}
	s.Recheck()
	if err := sends(e, "2"); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}

	// Another authority, and another certificate of our own.
	_, newPin := ours.issue("pinward", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Hour) })
	b, err := os.ReadFile(next.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.CA, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := creds.Reload(); err != nil {
		t.Fatal(err)
	}
	if !creds.NotAfter().After(before) {
		t.Error("NotAfter is of the old certificate")
	}
	if err := sends(e, "3"); err != nil {
		t.Errorf("the connection that stands: %v", err)
	}
	s.Recheck()
	eventually(t, "the connection ends", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0
	})
	if err := sends(e, "4"); err == nil {
		t.Error("a certificate of the old authority is believed")
	}
	fresh, _ := next.issue("engine", nil)
	fresh.Pins = []string{newPin}
	if err := sends(engine(t, addr, "x", loaded(t, fresh)), "5"); err != nil {
		t.Errorf("with the new authority: %v", err)
	}
}

// TestOldTLSIsTold: the log names what an engine offered that is too old.
func TestOldTLSIsTold(t *testing.T) {
	ours := newAuthority(t, "hospital")
	files, _ := ours.issue("pinward", nil)
	files.CA = ours.path("ca.pem")
	var log safeBuffer
	s := &Server{Handler: accept, TLS: loaded(t, files).Server(), Log: slog.New(slog.NewTextHandler(&log, nil))}
	addr := start(t, s)
	_, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Fatal("TLS 1.1 was taken")
	}
	eventually(t, "a word about it", func() bool {
		return strings.Contains(log.String(), "peer offered TLS 1.1") && strings.Contains(log.String(), "ECDHE and AEAD")
	})
}

// TestCredentialsErrors: what is missing or wrong is told when it is read.
func TestCredentialsErrors(t *testing.T) {
	ours := newAuthority(t, "hospital")
	good, pin := ours.issue("pinward", nil)
	for name, f := range map[string]Files{
		"nobody is believed": {Certificate: good.Certificate, Key: good.Key},
		"no such CA":         {Certificate: good.Certificate, Key: good.Key, CA: ours.path("none.pem")},
		"CA without any":     {Certificate: good.Certificate, Key: good.Key, CA: good.Key},
		"short pin":          {Certificate: good.Certificate, Key: good.Key, Pins: []string{pin[2:]}},
		"no certificate":     {Key: good.Key, Pins: []string{pin}},
	} {
		if _, err := NewCredentials(f); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestSocat makes a plain client a mutual TLS peer by socat, an independent implementation.
func TestSocat(t *testing.T) {
	ours := newAuthority(t, "hospital")
	files, _ := ours.issue("pinward", nil)
	client, _ := ours.issue("engine", nil)
	files.CA = ours.path("ca.pem")
	got := make(chan hl7.Peer, 1)
	s := &Server{TLS: loaded(t, files).Server(), Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		got <- p
		return accept(ctx, p, f)
	}}
	addr := start(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "socat", "-t5", "STDIO",
		"OPENSSL:"+addr+",cert="+client.Certificate+",key="+client.Key+",cafile="+files.CA+",commonname=127.0.0.1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr safeBuffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("socat (Debian package socat): %v", err)
	}
	if _, err := in.Write(AppendFrame(nil, message("S1"))); err != nil {
		t.Fatal(err)
	}
	frame, err := NewReader(out, 0).Next()
	if err != nil {
		t.Fatalf("no answer: %v\n%s", err, stderr.String())
	}
	if m, err := hl7.Parse(frame); err != nil {
		t.Error(err)
	} else if code, id, _ := m.Acknowledgment(); code != hl7.AA || id != "S1" {
		t.Errorf("acknowledged %s %q", code, id)
	}
	if p := <-got; p.CertSubject != "CN=engine" || !p.TLS {
		t.Errorf("peer %+v", p)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Errorf("socat: %v\n%s", err, stderr.String())
	}
}
