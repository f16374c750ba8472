package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinward/daemon/health"
)

// writeCertificate writes NAME.pem and NAME.key into a folder.
func writeCertificate(t *testing.T, dir, name string, until time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// appendFile appends a file to another one.
func appendFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(to)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, append(all, b...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCertificatesAreJudged: what runs out is warned of a month before; over is a failure where it is our own, since then
// portals and engines are gone; and what is put there but not in use is told apart.
func TestCertificatesAreJudged(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	year, yearKey := writeCertificate(t, dir, "year", day(365))
	soon, soonKey := writeCertificate(t, dir, "soon", day(29))
	over, overKey := writeCertificate(t, dir, "over", day(-1))
	both := filepath.Join(dir, "both.pem")
	for _, path := range []string{over, soon, year} {
		appendFile(t, both, path)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg    Config
		served time.Time
		want   health.State
		words  string
	}{
		"well":            {Config{HTTPS: HTTPS{Certificate: year, Key: yearKey}}, day(365), health.OK, ""},
		"soon":            {Config{HTTPS: HTTPS{Certificate: soon, Key: soonKey}}, day(29), health.Warn, "https runs out on 2026-03-31: get a new one"},
		"over":            {Config{HTTPS: HTTPS{Certificate: over, Key: overKey}}, day(-1), health.Fail, "https ran out on 2026-03-01: get a new one"},
		"newer, not read": {Config{HTTPS: HTTPS{Certificate: year, Key: yearKey}}, day(2), health.Warn, "the certificate that https shows runs out on 2026-03-04: its file holds a newer one, run: systemctl reload pinward"},
		"newer, too late": {Config{HTTPS: HTTPS{Certificate: year, Key: yearKey}}, day(-2), health.Fail, "the certificate that https shows ran out on 2026-02-28"},
		"another's key":   {Config{HTTPS: HTTPS{Certificate: year, Key: soonKey}}, day(365), health.Warn, "https: its files cannot be loaded: what is in use stays until a restart, and that would fail"},
		"no file":         {Config{HTTPS: HTTPS{Certificate: pipe, Key: yearKey}}, day(365), health.Warn, "https: its files cannot be loaded"},
		"a pipe as key":   {Config{HTTPS: HTTPS{Certificate: year, Key: pipe}}, day(365), health.Warn, "https: its files cannot be loaded"},
		"an engine's port": {Config{HTTPS: HTTPS{Certificate: year, Key: yearKey}, HL7: []HL7Listener{{Name: "mllp", Certificate: over, Key: overKey, CA: year}}},
			day(365), health.Fail, "hl7 mllp ran out on 2026-03-01"},
		"an authority": {Config{HTTPS: HTTPS{Certificate: year, Key: yearKey}, HL7: []HL7Listener{{Name: "mllp", Certificate: year, Key: yearKey, CA: over}}},
			day(365), health.Warn, "hl7 mllp ca ran out on 2026-03-01: get the new one from those who run that server"},
		"an authority in trade": {Config{HTTPS: HTTPS{Certificate: year, Key: yearKey}, HL7: []HL7Listener{{Name: "mllp", Certificate: year, Key: yearKey, CA: both}}},
			day(365), health.OK, ""},
	} {
		state, words := c.cfg.judgeCertificates(c.served, now)
		if state != c.want || !strings.HasPrefix(words, c.words) || c.words == "" && words != "" {
			t.Errorf("%s: %s, %q", name, state, words)
		}
		if err := c.cfg.CheckCertificates(); (err != nil) != strings.Contains(words, "cannot be loaded") {
			t.Errorf("%s: the look before a start says %v", name, err)
		}
	}
}
