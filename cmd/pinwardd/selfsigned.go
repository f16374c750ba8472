package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"pinward/daemon"
)

// selfSignedDays is for how long the first certificate is good: long enough for the hospital to bring its own, and
// less than browsers take (825 days).
const selfSignedDays = 397

// selfSign makes the certificate and the key that the configuration names, so that an empty box can be set up by
// its page before the hospital has signed one. It makes them only where neither exists, and never writes over a file.
// The key comes first: what a crash leaves in between is a key alone, and then it says so instead of guessing.
func selfSign(c daemon.HTTPS) error {
	for _, path := range []string{c.Certificate, c.Key} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make certificate: %s is there already, or cannot be looked at", path)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name certificate: %w", err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, selfSignedDays),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{name}, IPAddresses: ownAddresses(), BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	return errors.Join(
		create(c.Key, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		create(c.Certificate, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
	)
}

// ownAddresses are those that this machine is reached by; none is no reason to stop.
func ownAddresses() []net.IP {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var ips []net.IP
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return ips
}

// create writes a file that must not exist, for the daemon's group to read and nobody else.
func create(path string, block *pem.Block) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return errors.Join(pem.Encode(f, block), f.Sync(), f.Close())
}
