package daemon_test

import (
	"bytes"
	"context"
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

	"pinward/daemon"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/store/audit"
	"pinward/store/storetest"
)

// certificate makes a log server's certificate for a name, and the CA that signed it, as PEM files.
func certificate(t *testing.T, name string) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name, kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := make([]*ecdsa.PrivateKey, 2)
	for i := range keys {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &keys[0].PublicKey, keys[0])
	ca = file("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, server, root, &keys[1].PublicKey, keys[0])
	cert = file("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(keys[1])
	return ca, cert, file("key.pem", "PRIVATE KEY", der, err)
}

// startLogServer runs Debian's rsyslog with TLS (RFC 5425); it returns its address and its file.
func startLogServer(t *testing.T, ca, cert, key string) (address, file string) {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		t.Fatal("rsyslogd is not installed: this test needs a real log server (Debian: apt-get install rsyslog rsyslog-gnutls)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	file = filepath.Join(dir, "all.log")
	text := fmt.Sprintf(`global(workDirectory=%[1]q defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile=%[4]q defaultNetstreamDriverCertFile=%[5]q defaultNetstreamDriverKeyFile=%[6]q)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port=%[2]q)
action(type="omfile" file=%[3]q)
`, dir, port, file, ca, cert, key)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("rsyslogd said %s", said.String())
		}
	})
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address, file
		}
		if time.Now().After(end) {
			t.Fatal("rsyslogd does not listen")
		}
	}
}

// TestSyslogWitnessOverTLS: heads go by the real relay to a real rsyslog over TLS, and a bundle verifies
// against the file that rsyslog wrote. A server with another name or another CA gets nothing.
func TestSyslogWitnessOverTLS(t *testing.T) {
	ca, cert, key := certificate(t, "siem.test")
	otherCA, _, _ := certificate(t, "siem.test")
	address, file := startLogServer(t, ca, cert, key)
	relay := daemon.RelayDial(startRelay(t, map[string]string{"siem": address}))
	ctx := context.Background()
	s := storetest.OpenIn(t, filepath.Join(t.TempDir(), "store"), storetest.Options(storetest.NewKeys(t)))
	send := func(name, ca string) error {
		storetest.Update(t, s, func(tx *store.Tx) error { return tx.Record(store.Entry{Action: "tick", Outcome: store.OK}) })
		var b bytes.Buffer
		if err := s.Export(ctx, &b); err != nil { // signs a head
			t.Fatal(err)
		}
		var line string
		storetest.View(t, s, func(tx *store.Tx) error {
			note, _, err := tx.HeadSince(0)
			if err == nil {
				line, err = audit.HeadLine(note)
			}
			return err
		})
		w := daemon.WitnessTarget{Name: "siem", Kind: "syslog", Relay: "siem", TLS: name, CA: ca}
		return record.SyslogWitness(w.DialBy(relay))(ctx, line)
	}
	if err := send("other.test", ca); err == nil {
		t.Error("a server of another name gets the head")
	}
	if err := send("siem.test", otherCA); err == nil {
		t.Error("a server of another CA gets the head")
	}
	const n = 3
	for range n {
		if err := send("siem.test", ca); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err == nil && strings.Count(string(text), "pinward-head") >= n {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("rsyslog has %q; %v", text, err)
		}
	}
	var b bytes.Buffer
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := s.Export(ctx, &b); err != nil {
		t.Fatal(err)
	}
	if err := audit.Unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := audit.Verify(ctx, dir, audit.VerifyOptions{Signer: s.Fingerprint(), Witness: f})
	if err != nil || r.Witnessed != n {
		t.Errorf("%d heads witnessed, %v", r.Witnessed, err)
	}
}
