package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestSelfSigned: a box that was just installed has a certificate of its own, and nothing is ever written over.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	w := empty(t, 1)
	for _, name := range []string{"cert.pem", "key.pem"} {
		must(t, os.Remove(w.path(name)))
	}
	sign := func() (string, error) {
		out, err := exec.Command("pinwardd", "-config", w.path("pinward.toml"), "-self-signed").CombinedOutput()
		return string(out), err
	}
	if out, err := sign(); err != nil {
		t.Fatal(out)
	}
	pair, err := tls.LoadX509KeyPair(w.path("cert.pem"), w.path("key.pem"))
	must(t, err)
	host, err := os.Hostname()
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
		t.Errorf("a browser that trusts it still refuses it: %v", err)
	}
	if left := time.Until(pair.Leaf.NotAfter); left > 398*24*time.Hour {
		t.Errorf("it is good for %v: browsers refuse that", left)
	}
	if fi, err := os.Stat(w.path("key.pem")); err != nil || fi.Mode().Perm()&0o007 != 0 {
		t.Errorf("its key: %v, %v", fi.Mode(), err)
	}
	must(t, w.start(theBox))
	must(t, w.stop(theBox))

	before, err := os.ReadFile(w.path("key.pem"))
	must(t, err)
	must(t, os.Remove(w.path("cert.pem")))
	if out, err := sign(); err == nil || !strings.Contains(out, "there already") {
		t.Errorf("beside a key that is there: %v, %s", err, out)
	}
	if after, err := os.ReadFile(w.path("key.pem")); err != nil || !bytes.Equal(before, after) {
		t.Error("a key was written over")
	}
	if _, err := os.Stat(w.path("cert.pem")); !os.IsNotExist(err) {
		t.Error("a certificate was made that has no key")
	}
}
