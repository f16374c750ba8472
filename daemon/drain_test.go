package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// drainable is a server with TLS on loopback, whose handler answers "served", to /slow only when it is let.
type drainable struct {
	*drained
	address string
	slow    chan struct{}
	ended   chan error // what serving ended with
}

func newDrainable(t *testing.T) *drainable {
	t.Helper()
	l, err := listen(nil, "test", Address{HostPort: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := &drainable{address: l.Addr().String(), slow: make(chan struct{}), ended: make(chan error, 1)}
	s.drained = newDrained(&http.Server{
		TLSConfig: &tls.Config{Certificates: testCertificates()}, ErrorLog: quietLog(slog.New(slog.DiscardHandler)),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-s.slow
			}
			fmt.Fprint(w, "served")
		}),
	}, newDoor(l, nil))
	go func() {
		s.ended <- s.serve(func(l net.Listener) error { return s.ServeTLS(l, "", "") })
	}()
	t.Cleanup(func() { s.Server.Close() })
	return s
}

// guest makes a connection and sends nothing.
func (s *drainable) guest(t *testing.T, protocol string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// ending starts the end of the server and returns when it accepts nobody any more.
func (s *drainable) ending(t *testing.T, end func(context.Context) error) <-chan error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- end(ctx) }()
	if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
		t.Fatalf("serving ended with %v", err)
	}
	return done
}

// one asks by HTTP/1.1.
func one(c net.Conn, path string) (answer string, last bool, err error) {
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: box\r\n\r\n"); err != nil {
		return "", false, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), resp.Close, err
}

// frame is one of HTTP/2 (RFC 9113, 4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	f := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	f = append(f, kind, flags)
	return append(binary.BigEndian.AppendUint32(f, stream), payload...)
}

const (
	h2Headers  = 1
	h2Settings = 4
	h2GoAway   = 7
)

// frames reads until one of a kind is there, and returns its payload and the kinds before it.
func frames(r io.Reader, kind byte) (payload []byte, before []byte, err error) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, before, err
		}
		payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(r, payload); err != nil {
			return nil, before, err
		}
		if head[3] == kind {
			return payload, before, nil
		}
		before = append(before, head[3])
	}
}

// hello is what an HTTP/2 client sends before its first request; it waits until the server has taken note.
func hello(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(h2Settings, 0, 0, nil)...))
	must(t, err)
	for range 2 { // its own, and that it has ours
		_, _, err = frames(c, h2Settings)
		must(t, err)
	}
}

// two asks by HTTP/2: GET, https, /, authority "h", by the static table of RFC 7541. It returns whether the status was
// 200, and whether GOAWAY came with it.
func two(c net.Conn) (ok, last bool, err error) {
	if _, err := c.Write(frame(h2Headers, 5, 1, []byte{0x82, 0x87, 0x84, 0x41, 1, 'h'})); err != nil {
		return false, false, err
	}
	headers, before, err := frames(c, h2Headers)
	if err != nil {
		return false, false, err
	}
	if last = bytes.IndexByte(before, h2GoAway) >= 0; !last {
		_, _, err = frames(c, h2GoAway)
	}
	return headers[0] == 0x88, err == nil, err
}

// TestTrapShutdownDropsWhoHasOnlyJustCome: net/http drops the first request of a connection that was made before Shutdown
// and asks after it, and closes an HTTP/2 connection between its handshake and its first request. Ours answers both.
func TestTrapShutdownDropsWhoHasOnlyJustCome(t *testing.T) {
	t.Parallel()
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		s := newDrainable(t)
		c := s.guest(t, "http/1.1")
		s.ending(t, s.Shutdown)
		if answer, _, err := one(c, "/"); err == nil {
			t.Errorf("net/http answers %q: drained has no reason any more", answer)
		}
		s = newDrainable(t)
		h2 := s.guest(t, "h2")
		hello(t, h2)
		if err := <-s.ending(t, s.Shutdown); err != nil { // it waits for nobody, so it is over before the client has asked
			t.Fatal(err)
		}
		if ok, _, err := two(h2); err == nil {
			t.Errorf("net/http answers by HTTP/2 (%v): drained has half its reason left", ok)
		}
	})
	t.Run("ours", func(t *testing.T) {
		t.Parallel()
		s := newDrainable(t)
		c, h2, slow := s.guest(t, "http/1.1"), s.guest(t, "h2"), s.guest(t, "http/1.1")
		hello(t, h2)
		answered := make(chan error, 1)
		go func() {
			_, last, err := one(slow, "/slow")
			if err == nil && last {
				err = errors.New("a request from before the end was told to be the last")
			}
			answered <- err
		}()
		for active := false; !active; active, _ = s.waiting() {
			time.Sleep(time.Millisecond)
		}
		ended := s.ending(t, s.drain)
		if answer, last, err := one(c, "/"); answer != "served" || !last || err != nil {
			t.Errorf("the first request, after the end began: %q, last %v, %v", answer, last, err)
		}
		if ok, last, err := two(h2); !ok || !last || err != nil {
			t.Errorf("the first by HTTP/2: ok %v, last %v, %v", ok, last, err)
		}
		close(s.slow)
		if err := <-answered; err != nil {
			t.Errorf("a request under way: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the end: %v", err)
		}
	})
}

// TestDrainWaitsForNobodyForLong: who has been answered and is idle holds nothing up, who never asks does so for
// firstPatience, and who is not answered for as long as the stop allows.
func TestDrainWaitsForNobodyForLong(t *testing.T) {
	t.Parallel()
	s := newDrainable(t)
	idle := s.guest(t, "http/1.1")
	_, _, err := one(idle, "/")
	must(t, err)
	began := time.Now()
	must(t, <-s.ending(t, s.drain))
	if took := time.Since(began); took >= firstPatience {
		t.Errorf("an idle connection held the end up for %v", took)
	}

	s = newDrainable(t)
	silent := s.guest(t, "http/1.1")
	began = time.Now()
	must(t, <-s.ending(t, s.drain))
	if took := time.Since(began); took < firstPatience {
		t.Errorf("who has not asked yet had %v", took)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("who never asks is still connected")
	}

	s = newDrainable(t)
	defer close(s.slow)
	slow := s.guest(t, "http/1.1")
	go func() { _, _, _ = one(slow, "/slow") }()
	for active := false; !active; active, _ = s.waiting() {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a handler that does not end: %v", err)
	}
}
