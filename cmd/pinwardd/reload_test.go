package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dialTLS opens a connection that the test holds in its hand.
func dialTLS(t *testing.T, w *world) *tls.Conn {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", w.https)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*tls.Conn)
}

func healthy(t *testing.T, c net.Conn, r *bufio.Reader) {
	t.Helper()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n")
	must(t, err)
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("health: %s, %s", resp.Status, body)
	}
}

// TestReload: SIGHUP takes a new certificate into use, drops no connection, and keeps the old one
// where the new one is no good.
func TestReload(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	must(t, w.start(theBox))
	old := dialTLS(t, w)
	r := bufio.NewReader(old)
	healthy(t, old, r)
	if got := old.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "first" {
		t.Fatalf("the certificate is %q", got)
	}
	shown := func() string { return dialTLS(t, w).ConnectionState().PeerCertificates[0].Subject.CommonName }

	must(t, w.makeCertificate("second"))
	if got := shown(); got != "first" {
		t.Errorf("the certificate is %q before the reload", got)
	}
	must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
	must(t, w.await(theBox, func() bool { return shown() == "second" }))
	healthy(t, old, r)

	must(t, os.WriteFile(w.path("cert.pem"), []byte("no certificate"), 0o600))
	must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
	must(t, w.await(theBox, func() bool { return strings.Contains(w.log(theBox), "the old ones stay in use") }))
	if got := shown(); got != "second" {
		t.Errorf("the certificate is %q after one that is none", got)
	}
	healthy(t, old, r)
}

// TestReloadOfConfiguration: a reload takes a certificate under another name, tells what waits for a restart, and
// refuses a configuration that is wrong as a whole; a connection goes on through all of it.
func TestReloadOfConfiguration(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	m := newManager(t, w)
	w.env = append(w.env, "WATCHDOG_USEC=400000")
	must(t, w.start(theBox))
	m.hear("READY=1", "STATUS=empty: *")
	old := dialTLS(t, w)
	r := bufio.NewReader(old)
	shown := func() string { return dialTLS(t, w).ConnectionState().PeerCertificates[0].Subject.CommonName }
	reload := func(config string) {
		t.Helper()
		must(t, os.WriteFile(w.path("pinward.toml"), []byte(config), 0o600))
		must(t, w.procs[theBox].cmd.Process.Signal(syscall.SIGHUP))
		m.hear("RELOADING=1", "MONOTONIC_USEC=*")
	}
	first := w.config()
	must(t, w.makeCertificate("second"))
	must(t, os.Rename(w.path("cert.pem"), w.path("other.pem")))
	must(t, os.Rename(w.path("key.pem"), w.path("other-key.pem")))
	moved := strings.NewReplacer(w.path("cert.pem"), w.path("other.pem"), w.path("key.pem"), w.path("other-key.pem")).Replace(first)

	reload(moved + "\nno_such_key = 1\n")
	if got := m.hear("READY=1"); !strings.Contains(got, "the last reload was refused") {
		t.Errorf("systemd hears %q", got)
	}
	if got := shown(); got != "first" {
		t.Errorf("the certificate is %q after a configuration that was refused", got)
	}
	if log := w.log(theBox); !strings.Contains(log, "the old configuration stays in use") || !strings.Contains(log, "no_such_key") {
		t.Errorf("the log does not say what was refused:\n%s", log)
	}
	healthy(t, old, r)

	reload(strings.Replace(moved, `name = "modem1"`, `name = "modem9"`, 1))
	if got := m.hear("READY=1"); !strings.HasSuffix(strings.TrimSpace(got), "restart to put in force: modem") {
		t.Errorf("systemd hears %q", got)
	}
	if got := m.hear("WATCHDOG=1"); !strings.Contains(got, "restart to put in force: modem") {
		t.Errorf("a moment later systemd hears %q", got)
	}
	if got := shown(); got != "second" {
		t.Errorf("the certificate is %q after it was named anew", got)
	}
	healthy(t, old, r)

	reload(moved)
	if got := m.hear("READY=1"); strings.Contains(got, "reload") || strings.Contains(got, "restart") {
		t.Errorf("with nothing to tell systemd hears %q", got)
	}
	healthy(t, old, r)
}
