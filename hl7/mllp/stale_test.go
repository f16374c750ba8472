package mllp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"pinward/hl7"
)

// An engine that closes what is idle costs no message and no time-out (connect#1889, connect#3274): the
// client sees the close before it sends, on a plain connection and on TLS. One that is kept is used again.
func TestClientSeesThatAnIdleConnectionWasClosed(t *testing.T) {
	server := certificate(t, "engine")
	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	for _, secure := range []bool{false, true} {
		for _, idle := range []time.Duration{20 * time.Millisecond, 0} {
			t.Run(fmt.Sprintf("tls=%v,idle=%s", secure, idle), func(t *testing.T) {
				s := &Server{Handler: accept, Limits: Limits{Idle: idle}}
				if secure {
					s.TLS = &tls.Config{Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12}
				}
				addr := start(t, s)
				var dials, closed atomic.Int32
				c := &Client{Timeout: 5 * time.Second, Dial: func(ctx context.Context) (net.Conn, error) {
					dials.Add(1)
					nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
					if err == nil && secure {
						nc = tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
					}
					return nc, err
				}}
				defer c.Close()
				for i := range 3 {
					ack, err := c.Send(t.Context(), message(fmt.Sprint(i)))
					if err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
					if code, _, _ := ack.Acknowledgment(); code != hl7.AA {
						t.Errorf("message %d got %s", i, code)
					}
					if idle == 0 {
						continue
					}
					for end := time.Now().Add(10 * time.Second); !stale(c.conn); time.Sleep(5 * time.Millisecond) {
						if time.Now().After(end) {
							t.Fatal("the close is not seen")
						}
					}
					closed.Add(1)
				}
				if want := 1 + max(0, closed.Load()-1); dials.Load() != want {
					t.Errorf("%d connections, not %d", dials.Load(), want)
				}
			})
		}
	}
}
