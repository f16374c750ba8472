package mllp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"testing"
	"time"

	"pinward/hl7"
)

// certificate makes a self-signed certificate for loopback.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTLS(t *testing.T) {
	server, engine := certificate(t, "pinward"), certificate(t, "engine")
	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	var got hl7.Peer
	refused := make(chan error, 4)
	s := &Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12},
		Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
			got = p
			return accept(ctx, p, f)
		},
		Refused: func(_ hl7.Peer, err error) { refused <- err },
	}
	addr := start(t, s)
	client := func(certs ...tls.Certificate) *Client {
		d := &tls.Dialer{Config: &tls.Config{RootCAs: roots, Certificates: certs}}
		return &Client{Dial: func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }}
	}

	c := client(engine)
	defer c.Close()
	if _, err := c.Send(context.Background(), message("1")); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(engine.Leaf.RawSubjectPublicKeyInfo)
	if !got.TLS || got.CertSPKI != hex.EncodeToString(sum[:]) || got.CertSubject != "CN=engine" {
		t.Errorf("peer %+v", got)
	}

	// With TLS 1.3 this one finds out only after its own handshake.
	if _, err := client().Send(context.Background(), message("2")); err == nil {
		t.Error("a client without certificate was served")
	}
	if err := <-refused; err == nil {
		t.Error("the refusal has no reason")
	}
	plain := dial(t, addr)
	plain.send(framed(message("3")))
	if f, err := plain.r.Next(); err == nil {
		t.Errorf("a plain client got %q", f)
	}
	if err := <-refused; err == nil {
		t.Error("the refusal has no reason")
	}
	// A health check opens and closes; that is neither refused nor counted.
	dial(t, addr).Close()
	eventually(t, "four connections", func() bool { return s.Counts().Connections == 4 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts(); n.Handshakes != 2 || n.Replies != 1 {
		t.Errorf("counts %+v", n)
	}
	if _, err := c.Send(context.Background(), message("4")); err == nil {
		t.Error("served after Shutdown")
	}
}
