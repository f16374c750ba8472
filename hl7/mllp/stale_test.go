package mllp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
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
		for _, closes := range []bool{true, false} {
			t.Run(fmt.Sprintf("tls=%v,closes=%v", secure, closes), func(t *testing.T) {
				addr := once(t, secure, server, closes)
				var dials, closed atomic.Int32
				c := &Client{Timeout: 5 * time.Second, Dial: func(ctx context.Context) (net.Conn, error) {
					dials.Add(1)
					nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
					if err == nil && secure {
						nc = tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
					}
					return nc, err
				}}
				t.Cleanup(func() { c.Close() }) // before the engine waits for it
				for i := range 3 {
					ack, err := c.Send(t.Context(), message(fmt.Sprint(i)))
					if err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
					if code, _, _ := ack.Acknowledgment(); code != hl7.AA {
						t.Errorf("message %d got %s", i, code)
					}
					if !closes {
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

// once is an engine that closes each connection after its first answer, or keeps it.
func once(t *testing.T, secure bool, cert tls.Certificate, closes bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for r := NewReader(c, 0); ; {
					frame, err := r.Next()
					if err != nil {
						return // the client closed it
					}
					reply, err := accept(t.Context(), hl7.Peer{}, frame)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := c.Write(AppendFrame(nil, reply)); err != nil || closes {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}
