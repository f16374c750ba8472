package mllp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Files are what one end of MLLP over TLS proves itself with, and whom it believes
// (IHE ITI-19: by certification authority, or by direct comparison).
type Files struct {
	// Certificate and Key are PEM files; the certificate's may hold a chain.
	Certificate, Key string
	// CA is a PEM file of authorities whose certificates are believed; empty is none.
	// That a chain holds says who somebody is, and not that they may send: whoever uses
	// it compares names as well.
	CA string
	// Pins are SHA-256 sums of public keys (SubjectPublicKeyInfo), 64 hexadecimal
	// digits. A pinned key is believed as it is, whoever signed its certificate and until when.
	Pins []string
}

// ErrNotBelieved means that a peer's certificate is neither pinned nor signed by an
// authority that is believed.
var ErrNotBelieved = errors.New("check certificate: neither pinned nor of an authority that is believed")

// Credentials are Files, read. They may be read again while in use: connections that
// begin later have the new ones. Safe for concurrent use.
type Credentials struct {
	files Files
	now   atomic.Pointer[credentials]
}

type credentials struct {
	own   tls.Certificate
	roots *x509.CertPool // nil believes no authority
	pins  map[string]bool
}

// NewCredentials reads the files.
func NewCredentials(f Files) (*Credentials, error) {
	c := &Credentials{files: f}
	return c, c.Reload()
}

// Reload reads the files again. On an error what was read before stays in use.
func (c *Credentials) Reload() error {
	own, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	now := &credentials{own: own, pins: map[string]bool{}}
	if c.files.CA != "" {
		pem, err := os.ReadFile(c.files.CA)
		if err != nil {
			return fmt.Errorf("load authorities: %w", err)
		}
		if now.roots = x509.NewCertPool(); !now.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("load authorities: no certificate in %s", c.files.CA)
		}
	}
	for _, p := range c.files.Pins {
		pin, err := parsePin(p)
		if err != nil {
			return err
		}
		now.pins[pin] = true
	}
	if now.roots == nil && len(now.pins) == 0 {
		return errors.New("load certificate: neither an authority nor a pin to believe a peer by")
	}
	c.now.Store(now)
	return nil
}

// parsePin takes a sum as people paste it: with colons, in capitals.
func parsePin(s string) (string, error) {
	pin := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if b, err := hex.DecodeString(pin); err != nil || len(b) != sha256.Size {
		return "", errors.New("read pin: not the 64 hexadecimal digits of a SHA-256 sum")
	}
	return pin, nil
}

// Pins gives pins as people paste them in the form of Pin; what is none is left out.
func Pins(list []string) []string {
	var out []string
	for _, s := range list {
		if pin, err := parsePin(s); err == nil {
			out = append(out, pin)
		}
	}
	return out
}

// Pin is the SHA-256 of a certificate's public key information, as Files.Pins has it.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Server is the configuration of a listener: TLS 1.2 with ECDHE and AEAD or later (RFC 9325), and a
// certificate of the peer that is believed.
func (c *Credentials) Server() *tls.Config {
	cfg := c.config()
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if o, ok := h.Context().Value(offerKey{}).(*offer); ok {
			o.versions, o.suites = h.SupportedVersions, h.CipherSuites
		}
		return nil, nil
	}
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		return c.now.Load().believe(s.PeerCertificates, "", x509.ExtKeyUsageClientAuth)
	}
	return cfg
}

// Client is the configuration of a connection to a server. Its certificate is believed if it is
// pinned, or if an authority signed it for serverName, a host name or address.
func (c *Credentials) Client(serverName string) *tls.Config {
	cfg := c.config()
	cfg.ServerName = serverName
	// crypto/tls knows no pins: VerifyConnection does all that it leaves out.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		return c.now.Load().believe(s.PeerCertificates, serverName, x509.ExtKeyUsageServerAuth)
	}
	return cfg
}

func (c *Credentials) config() *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.now.Load().own, nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.now.Load().own, nil },
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		// A session that is taken up again would be one of before a Reload.
		SessionTicketsDisabled: true,
	}
}

// believe tells whether the leaf of certs is pinned, or signed for a name by an authority.
func (c *credentials) believe(certs []*x509.Certificate, name string, usage x509.ExtKeyUsage) error {
	if len(certs) == 0 {
		return ErrNotBelieved
	}
	if c.pins[Pin(certs[0])] {
		return nil
	}
	if c.roots == nil {
		return ErrNotBelieved
	}
	between := x509.NewCertPool()
	for _, cert := range certs[1:] {
		between.AddCert(cert)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: c.roots, Intermediates: between, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotBelieved, err)
	}
	return nil
}

// NotAfter is when the own certificate ends.
func (c *Credentials) NotAfter() time.Time {
	if leaf := c.now.Load().own.Leaf; leaf != nil {
		return leaf.NotAfter
	}
	return time.Time{}
}

// offer is what a client's hello held. An old engine that fails is found by it.
type offer struct {
	versions, suites []uint16
}

type offerKey struct{}

func withOffer(ctx context.Context) (context.Context, *offer) {
	o := &offer{}
	return context.WithValue(ctx, offerKey{}, o), o
}

// String names versions and suites; empty before there was a hello.
func (o *offer) String() string {
	if len(o.versions) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("peer offered")
	for _, v := range o.versions {
		b.WriteString(" " + tls.VersionName(v))
	}
	b.WriteString(" with")
	for i, s := range o.suites {
		if i == maxSuites {
			b.WriteString(" ...")
			break
		}
		b.WriteString(" " + tls.CipherSuiteName(s))
	}
	return b.String() + "; this end takes TLS 1.2 and 1.3 with ECDHE and AEAD"
}

// maxSuites bounds a line of the log.
const maxSuites = 16
