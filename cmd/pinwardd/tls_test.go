package main

import (
	"bytes"
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
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinward/hl7"
	"pinward/hl7/mllp"
)

// authority signs certificates into PEM files of a world.
type authority struct {
	w    *world
	name string
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(w *world, name string) (*authority, error) {
	a := &authority{w: w, name: name}
	cert, key, err := a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.cert, a.key = cert, key
	return a, errors.Join(err, a.write(name+".pem", "CERTIFICATE", cert.Raw))
}

func (a *authority) make(c *x509.Certificate) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-2*time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	parent, signer := c, crypto.Signer(key)
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	c, err = x509.ParseCertificate(der)
	return c, key, err
}

func (a *authority) write(name, kind string, der []byte) error {
	return os.WriteFile(a.w.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// issue writes NAME.pem and NAME.key, and gives the pin.
func (a *authority) issue(name string, notAfter time.Time) (pin string, err error) {
	cert, key, err := a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".test"}, IPAddresses: []net.IP{net.ParseIP(a.w.host)}, NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return mllp.Pin(cert), errors.Join(err, a.write(name+".pem", "CERTIFICATE", cert.Raw), a.write(name+".key", "PRIVATE KEY", der))
}

// socat sends a message as a plain engine does that has socat for its TLS, and gives what came back.
func (w *world) socat(address, certificate, message string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	target := "OPENSSL:" + address + ",cafile=" + w.path("ours.pem") + ",commonname=" + w.host
	if certificate != "" {
		target += ",cert=" + w.path(certificate+".pem") + ",key=" + w.path(certificate+".key")
	}
	cmd := exec.CommandContext(ctx, "socat", "-t3", "STDIO", target)
	cmd.Stdin = bytes.NewReader(mllp.AppendFrame(nil, []byte(strings.ReplaceAll(message, "\n", "\r"))))
	out, _ := cmd.Output() // one that is refused fails, which is what is asked here
	return string(out)
}

// MLLP over TLS through the daemon, with socat and openssl as engines: who has a certificate of the right
// authority and name, or a pinned key, is served; nobody else is, and each refusal is on record. Certificates
// are replaced without a connection lost. The way back goes over
// mutual TLS with the same certificates.
func TestHL7OverTLS(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	ours, err := newAuthority(w, "ours")
	must(t, err)
	theirs, err := newAuthority(w, "theirs")
	must(t, err)
	pins := map[string]string{}
	for _, c := range []struct {
		by    *authority
		name  string
		until time.Time
	}{
		{ours, "box", time.Time{}}, {ours, "engine1", time.Time{}}, {ours, "stranger", time.Time{}}, {ours, "expired", time.Now().Add(-time.Hour)},
		{theirs, "pinned", time.Time{}}, {theirs, "wrong", time.Time{}}, {theirs, "imposter", time.Time{}},
	} {
		pins[c.name], err = c.by.issue(c.name, c.until)
		must(t, err)
	}
	l, err := net.Listen("tcp", w.host+":0")
	must(t, err)
	secure := l.Addr().String()
	l.Close()
	must(t, w.configure(func(s string) string {
		return s + fmt.Sprintf(`
[relay]
socket = %q

[[hl7]]
name = "secure"
listen = %q
mode = "shadow"
certificate = %q
key = %q
ca = %q
[[hl7.peer]]
name = "engine1"
subjects = ["CN=engine1", "CN=expired"]
back = "engine1"
back_tls = "engine1.test"
[[hl7.peer]]
name = "pinned"
pins = [%q]
`, w.path("relay.sock"), secure, w.path("box.pem"), w.path("box.key"), w.path("ours.pem"), pins["pinned"])
	}))
	// On the world's own host: nobody's outgoing connection gets this port between two who listen on it.
	server, err := net.Listen("tcp", w.host+":0")
	must(t, err)
	w.relayTo(t, "engine1", server.Addr().String())
	must(t, w.start(theBox))
	_, _, err = w.commission()
	must(t, err)
	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)

	for i, c := range []struct {
		name, certificate, answer string
		why                       string // in the audit and in the log
	}{
		{"of the authority, with a name that is listed", "engine1", "MSA|AA|", ""},
		{"pinned, whoever signed it", "pinned", "MSA|AA|", ""},
		{"of the authority, and nobody's name", "stranger", "MSA|AR|", ""},
		{"of another authority", "wrong", "", "neither pinned nor of an authority"},
		{"of the pinned one's authority, and another key", "imposter", "", "neither pinned nor of an authority"},
		{"expired", "expired", "", "expired"},
		{"none", "", "", "client didn't provide a certificate"},
	} {
		before := len(w.log(theBox))
		got := w.socat(secure, c.certificate, admit(fmt.Sprint("T", i), fmt.Sprint("M", i), "6172302001"))
		if c.answer == "" && got != "" || !strings.Contains(got, c.answer) {
			t.Errorf("a certificate %s gets %q", c.name, got)
		}
		if c.why == "" {
			continue
		}
		// The 1st, 2nd, 4th ... refusal from an address is told: the log tells of each of these four but one.
		// It may be written after the client has gone.
		if i == 5 {
			continue
		}
		if err := eventually(func() bool { return strings.Contains(w.log(theBox)[before:], c.why) }); err != nil {
			t.Errorf("a certificate %s: the log says %q: %v", c.name, w.log(theBox)[before:], err)
		}
	}
	token, err := w.login()
	must(t, err)
	found := func(action string) string {
		out, err := w.pinward("", "audit", "search", "--action", action)
		must(t, err)
		return out
	}
	if out := found("hl7.peer.refused"); !strings.Contains(out, "neither pinned nor of an authority") {
		t.Errorf("the audit says %s", out)
	}

	t.Run("plain port", func(t *testing.T) {
		cmd := exec.Command("openssl", "s_client", "-connect", w.mllp)
		cmd.Stdin = strings.NewReader("")
		_ = cmd.Run() // it fails, for nobody speaks TLS there
		if err := eventually(func() bool { return strings.Contains(w.log(theBox), "TLS hello on a plain port") }); err != nil {
			t.Errorf("the log does not tell: %v", err)
		}
		c, err := net.Dial("tcp", w.mllp)
		must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: box\r\n\r\n")
		must(t, err)
		if err := eventually(func() bool { return strings.Contains(w.log(theBox), "HTTP request") }); err != nil {
			t.Errorf("the log does not tell: %v", err)
		}
	})

	t.Run("reload", func(t *testing.T) {
		files := mllp.Files{Certificate: w.path("engine1.pem"), Key: w.path("engine1.key"), CA: w.path("ours.pem")}
		kept, err := w.tlsClient(secure, files)
		must(t, err)
		defer kept.Close()
		send := func(c *mllp.Client, id string) error {
			_, err := c.Send(context.Background(), []byte(strings.ReplaceAll(admit(id, "M1", "6172302001"), "\n", "\r")))
			return err
		}
		must(t, send(kept, "K1"))
		first := w.shown(t, secure)
		_, err = ours.issue("box", time.Time{})
		must(t, err)
		must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
		must(t, eventually(func() bool { return w.shown(t, secure) != first }))
		must(t, send(kept, "K2")) // over the connection of before
		// A file that is broken changes nothing.
		must(t, os.WriteFile(w.path("box.pem"), []byte("no certificate"), 0o600))
		second := w.shown(t, secure)
		must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
		must(t, eventually(func() bool { return strings.Contains(w.log(theBox), "the old ones stay in use") }))
		if w.shown(t, secure) != second || send(kept, "K3") != nil {
			t.Error("a broken certificate was taken into use")
		}
		_, err = ours.issue("box", time.Time{})
		must(t, err)
	})

	t.Run("way back", func(t *testing.T) {
		policy := map[string]any{"peers": map[string]any{"engine1": map[string]any{"back": []string{"queued"}}}}
		must(t, call(w.control(), token, http.MethodPut, "http://control/hl7/policy", policy, nil))
		message := admit("W1", "MW1", "6172302007") + "ZNT|1|OTP^patient-signup|REQW1|SMS|en\n"
		e := &engine{}
		// First somebody else answers at the engine's place.
		stop := e.serveTLS(t, server, mllp.Files{Certificate: w.path("wrong.pem"), Key: w.path("wrong.key"), CA: w.path("ours.pem")})
		if got := w.socat(secure, "engine1", message); !strings.Contains(got, "MSA|AA|W1") {
			t.Fatalf("answered %q", got)
		}
		must(t, eventually(func() bool {
			out, err := w.pinward("", "hl7", "peers")
			return err == nil && strings.Contains(out, "begin TLS with engine1")
		}))
		stop()
		if list, _ := e.came(); len(list) > 0 {
			t.Errorf("an imposter was told %q", list)
		}
		again, err := net.Listen("tcp", server.Addr().String())
		must(t, err)
		defer e.serveTLS(t, again, mllp.Files{Certificate: w.path("engine1.pem"), Key: w.path("engine1.key"), CA: w.path("ours.pem")})()
		must(t, eventually(func() bool { list, _ := e.came(); return len(list) == 1 && list[0] == "REQW1 QUEUED" }))
		if subject := e.from(); subject != "CN=box" {
			t.Errorf("it was told by %q", subject)
		}
	})
}

// tlsClient is an engine over TLS.
func (w *world) tlsClient(address string, files mllp.Files) (*mllp.Client, error) {
	creds, err := mllp.NewCredentials(files)
	if err != nil {
		return nil, err
	}
	d := &tls.Dialer{Config: creds.Client(w.host)}
	return &mllp.Client{Dial: func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }}, nil
}

// shown is the certificate that openssl is shown.
func (w *world) shown(t *testing.T, address string) string {
	t.Helper()
	cmd := exec.Command("openssl", "s_client", "-connect", address, "-cert", w.path("engine1.pem"), "-key", w.path("engine1.key"))
	cmd.Stdin = strings.NewReader("")
	out, _ := cmd.Output() // the server may end it first
	_, cert, _ := strings.Cut(string(out), "-----BEGIN CERTIFICATE-----")
	cert, _, found := strings.Cut(cert, "-----END CERTIFICATE-----")
	if !found {
		t.Fatalf("openssl is shown no certificate: %s", out)
	}
	return cert
}

// serveTLS serves until what it returns is called.
func (e *engine) serveTLS(t *testing.T, l net.Listener, files mllp.Files) (stop func()) {
	t.Helper()
	creds, err := mllp.NewCredentials(files)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := &mllp.Server{TLS: creds.Server(), Name: "engine", Limits: mllp.Limits{Drain: 100 * time.Millisecond},
		Handler: func(ctx context.Context, p hl7.Peer, frame []byte) ([]byte, error) {
			e.mu.Lock()
			e.subject = p.CertSubject
			e.mu.Unlock()
			return e.handle(ctx, p, frame)
		}}
	go func() { done <- srv.Serve(ctx, l) }()
	return func() {
		cancel()
		must(t, <-done)
	}
}

// from is who told it last, by the certificate.
func (e *engine) from() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.subject
}
