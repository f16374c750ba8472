package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// peerTLS is how a server that we call is known, and we to it.
type peerTLS struct {
	Name string // in its certificate; "" is plain TCP
	CA   string // PEM file of who signed it; "" is the system's
	// Certificate and Key are our own, as PEM files; both may be empty.
	Certificate, Key string
}

// dialTLS connects to a server elsewhere by its name on the relay's list. The files are read at each dial: a
// certificate that was replaced needs no restart.
func dialTLS(out Dial, relay string, t peerTLS) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		if t.Name == "" {
			return out(ctx, relay)
		}
		conf, err := t.config()
		if err != nil {
			return nil, err
		}
		c, err := out(ctx, relay)
		if err != nil {
			return nil, err
		}
		s := tls.Client(c, conf)
		if err := s.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return s, nil
	}
}

func (t peerTLS) config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.Name}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("read ca: it holds no certificate")
		}
	}
	if t.Certificate != "" {
		own, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read own certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{own}
	}
	return conf, nil
}
