package mllp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinward/hl7"
)

// message is an ADT with a control id.
func message(id string) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|EPIC|DH|PINWARD|MAIN|20260101120000||ADT^A04|%s|P|2.5.1\rEVN|A04\rPID|1||77^^^DH^MR\r", id)
}

// accept is the Handler that takes everything.
func accept(_ context.Context, _ hl7.Peer, frame []byte) ([]byte, error) {
	m, err := hl7.Parse(frame)
	var e *hl7.Error
	errors.As(err, &e)
	return hl7.Ack(m, hl7.AckOptions{Err: e, Now: time.Now()}), nil
}

// start serves s on loopback until the test ends, and gives the address.
func start(t testing.TB, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, s, ln)
}

func startOn(t testing.TB, s *Server, ln net.Listener) string {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// peer is a raw client: a connection and its frames.
type peer struct {
	t testing.TB
	net.Conn
	r *Reader
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &peer{t, c, NewReader(c, 0)}
}

func (p *peer) send(b ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, strings.Join(b, "")); err != nil {
		p.t.Fatal(err)
	}
}

// want reads one acknowledgment and holds it to code and control id.
func (p *peer) want(code hl7.AckCode, id string) {
	p.t.Helper()
	f, err := p.r.Next()
	if err != nil {
		p.t.Fatalf("no acknowledgment of %s: %v", id, err)
	}
	m, err := hl7.Parse(f)
	if err != nil {
		p.t.Fatal(err)
	}
	if c, i, _ := m.Acknowledgment(); c != code || i != id {
		p.t.Fatalf("acknowledged %s %q, want %s %q", c, i, code, id)
	}
}

// wantEOF holds that the server closed, and sent nothing more.
func (p *peer) wantEOF() {
	p.t.Helper()
	if f, err := p.r.Next(); !errors.Is(err, io.EOF) {
		p.t.Fatalf("got %q, %v, want the end", f, err)
	}
}

// eventually waits for what another goroutine is about to count.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func framed(b []byte) string { return string(AppendFrame(nil, b)) }

func TestAcknowledges(t *testing.T) {
	var got hl7.Peer
	s := &Server{Name: "adt", Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		got = p
		return accept(ctx, p, f)
	}}
	c := dial(t, start(t, s))
	c.send(framed(message("1")))
	c.want(hl7.AA, "1")
	if want, _ := netip.ParseAddrPort(c.LocalAddr().String()); got != (hl7.Peer{Addr: want, Listener: "adt"}) {
		t.Errorf("peer %+v", got)
	}
	c.send(framed([]byte("MSH|^~\\&|||||||ADT^A04|2|P|2.5\rno segment")))
	c.want(hl7.AE, "2")
	c.send(framed([]byte("MSH|^~\\&|||||||ACK|3|P|2.5\rMSA|AA|1")), framed(message("4")))
	c.want(hl7.AA, "4") // nothing for the ACK
	want := Counts{Connections: 1, Frames: 4, Replies: 3, Silent: 1}
	eventually(t, "all is counted", func() bool { return s.Counts() == want })
}

// TestPipelinedInOrder: HAPI hands each message to a pool and answers out of order.
func TestPipelinedInOrder(t *testing.T) {
	var running, most atomic.Int32
	s := &Server{Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return accept(ctx, p, f)
	}}
	c := dial(t, start(t, s))
	var all strings.Builder
	for i := range 50 {
		all.WriteString(framed(message(fmt.Sprint(i))))
	}
	c.send(all.String())
	for i := range 50 {
		c.want(hl7.AA, fmt.Sprint(i))
	}
	if most.Load() != 1 {
		t.Errorf("%d handlers of one connection at once", most.Load())
	}
}

// TestOneAtATime: what is sent ahead is not read, and so takes no memory, before its turn comes.
func TestOneAtATime(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		begun <- struct{}{}
		<-release
		return accept(ctx, p, f)
	}}
	c := dial(t, start(t, s))
	// A repair is counted when its frame is read.
	c.send(framed(message("1")), vt, framed(message("2")), vt, framed(message("3")))
	for i, id := range []string{"1", "2", "3"} {
		<-begun
		if n := s.Counts(); n.Frames != uint64(i+1) || n.DoubledStart != uint64(i) {
			t.Errorf("%d handled, %d of those behind the first read, want %d and %d", n.Frames, n.DoubledStart, i+1, i)
		}
		release <- struct{}{}
		c.want(hl7.AA, id)
	}
}

// countingListener counts the writes of its connections.
type countingListener struct {
	net.Listener
	writes *atomic.Int32
}

type countingConn struct {
	net.Conn
	writes *atomic.Int32
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.writes}, nil
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// TestOneWritePerAck: python-hl7#44 and #17 take what one recv gives.
func TestOneWritePerAck(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int32
	c := dial(t, startOn(t, &Server{Handler: accept}, countingListener{ln, &writes}))
	for i := range 10 {
		c.send(framed(message(fmt.Sprint(i))))
		c.want(hl7.AA, fmt.Sprint(i))
	}
	if writes.Load() != 10 {
		t.Errorf("%d writes for 10 acknowledgments", writes.Load())
	}
}

// TestSplitPackets: dcm4chee-arc-light#447 sends the frame's parts apart.
func TestSplitPackets(t *testing.T) {
	c := dial(t, start(t, &Server{Handler: accept}))
	for _, part := range []string{vt, string(message("1")), "\x1c", "\r"} {
		c.send(part)
		time.Sleep(5 * time.Millisecond) // so that they are packets of their own
	}
	c.want(hl7.AA, "1")
}

func TestHandlerErrorCloses(t *testing.T) {
	var log safeBuffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Handler: func(context.Context, hl7.Peer, []byte) ([]byte, error) {
		return nil, errors.New("store message: disk is full")
	}}
	c := dial(t, start(t, s))
	c.send(framed(message("1")), framed(message("2")))
	if _, err := c.r.Next(); err == nil {
		t.Fatal("an error was answered")
	}
	eventually(t, "failure is counted", func() bool { return s.Counts().Failed == 1 })
	if !strings.Contains(log.String(), "disk is full") {
		t.Errorf("log %q", log.String())
	}
}

// safeBuffer is a log that a test reads while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
