package mllp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"pinward/hl7"
)

// TestShutdownAnswersWhatWasRead: connect#1889 and #3274 lost messages in a close.
func TestShutdownAnswersWhatWasRead(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	s := &Server{Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return accept(ctx, p, f)
	}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { served <- s.Serve(ctx, ln) }()
	c := dial(t, ln.Addr().String())
	// One is being handled, one came with it, one is cut in the middle.
	c.send(framed(message("1")), vt, framed(message("2")), vt, "MSH|cut")
	<-entered
	cancel() // as the daemon does
	eventually(t, "the listener is closed", func() bool {
		probe, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	close(release)
	c.want(hl7.AA, "1")
	c.want(hl7.AA, "2")
	c.wantEOF()
	c.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if n := s.Counts(); n.Cut != 0 || n.Replies != 2 {
		t.Errorf("counts %+v", n)
	}
	if err := s.Serve(context.Background(), ln); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// TestShutdownEnds: a handler that does not end is told by its context, and the
// connection is closed without a late answer.
func TestShutdownEnds(t *testing.T) {
	entered := make(chan struct{})
	s := &Server{Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		return accept(ctx, p, f)
	}}
	c := dial(t, start(t, s))
	c.send(framed(message("1")))
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if f, err := c.r.Next(); err == nil {
		t.Errorf("answered %q", f)
	}
}

// failingListener fails to accept as a process without file descriptors does.
type failingListener struct {
	net.Listener
	fails atomic.Int32
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.fails.Add(-1) >= 0 {
		return nil, errors.New("accept: too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failing := &failingListener{Listener: ln}
	failing.fails.Store(3)
	c := dial(t, startOn(t, &Server{Handler: accept}, failing))
	c.send(framed(message("1")))
	c.want(hl7.AA, "1")
}

func TestServeTellsALostListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := (&Server{Handler: accept}).Serve(context.Background(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v, want net.ErrClosed", err)
	}
}

// A socket that somebody else shut down accepts nothing ever again: to go on asking it would leave the port closed, and
// nobody told.
func TestServeTellsASocketThatWasShutDown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- (&Server{Handler: accept}).Serve(context.Background(), ln) }()
	var shut error
	if err := raw.Control(func(fd uintptr) { shut = syscall.Shutdown(int(fd), syscall.SHUT_RD) }); err != nil || shut != nil {
		t.Fatal(err, shut)
	}
	if err := <-served; !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Serve: %v, want EINVAL", err)
	}
}

// TestHalfClose: connect#1990 spun when the peer closed its half. Here what was sent
// is answered and the connection closed.
func TestHalfClose(t *testing.T) {
	c := dial(t, start(t, &Server{Handler: accept}))
	c.send(framed(message("1")), framed(message("2")))
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.want(hl7.AA, "1")
	c.want(hl7.AA, "2")
	c.wantEOF()
}

// TestHealthCheck: a connection that sends nothing is no error (mllp-http#4).
func TestHealthCheck(t *testing.T) {
	var log safeBuffer
	s := &Server{Handler: accept, Log: slog.New(slog.NewTextHandler(&log, nil))}
	addr := start(t, s)
	for range 3 {
		dial(t, addr).Close()
	}
	eventually(t, "three connections", func() bool { return s.Counts().Connections == 3 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := (Counts{Connections: 3}); s.Counts() != want || log.String() != "" {
		t.Errorf("counts %+v, log %q", s.Counts(), log.String())
	}
}
