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
	}, Limits: Limits{Pipeline: 8}}
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

// TestReadsAhead: the next frame is read while one is handled, and no more than that.
func TestReadsAhead(t *testing.T) {
	release := make(chan struct{})
	s := &Server{Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		<-release
		return accept(ctx, p, f)
	}}
	c := dial(t, start(t, s))
	// A repair is counted when its frame is read.
	c.send(framed(message("1")), vt, framed(message("2")), vt, framed(message("3")))
	eventually(t, "second frame is read", func() bool { return s.Counts().DoubledStart >= 1 })
	if n := s.Counts(); n.Frames != 1 || n.DoubledStart != 1 {
		t.Errorf("%d handled, %d read ahead, want 1 and 1", n.Frames, n.DoubledStart)
	}
	close(release)
	for _, id := range []string{"1", "2", "3"} {
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

// TestPanicCloses: kardianos/hl7 panics on 4 of 328 samples; one message must not
// end the others, and the log must not show it.
func TestPanicCloses(t *testing.T) {
	var log safeBuffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		if bytes.Contains(f, []byte("PLANTED")) {
			panic(string(f))
		}
		return accept(ctx, p, f)
	}}
	addr := start(t, s)
	other := dial(t, addr)
	c := dial(t, addr)
	c.send(framed(message("PLANTED")))
	if _, err := c.r.Next(); err == nil {
		t.Fatal("a panic was answered")
	}
	other.send(framed(message("1")))
	other.want(hl7.AA, "1")
	if n := s.Counts(); n.Panics != 1 {
		t.Errorf("counts %+v", n)
	}
	if !strings.Contains(log.String(), "handler panicked") || strings.Contains(log.String(), "PLANTED") {
		t.Errorf("log %q", log.String())
	}
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

// TestRepairsAreCountedAndLogged: in connect#3170 the loss was seen by pure luck.
func TestRepairsAreCountedAndLogged(t *testing.T) {
	var log safeBuffer
	s := &Server{Handler: accept, Log: slog.New(slog.NewTextHandler(&log, nil)), FormFeedEnd: true}
	c := dial(t, start(t, s))
	c.send("PLANTED log line\n", vt, framed(message("1")), end, vt, string(message("2")), "\f")
	c.want(hl7.AA, "1")
	c.want(hl7.AA, "2")
	want := Repairs{Junk: 1, Filler: 1, DoubledStart: 1, DoubledEnd: 1, FormFeed: 1}
	by := s.CountsByPeer()[netip.MustParseAddr("127.0.0.1")]
	if by.Repairs != want || s.Counts().Repairs != want {
		t.Errorf("repairs %+v, want %+v", by.Repairs, want)
	}
	if !strings.Contains(log.String(), "frames repaired") || strings.Contains(log.String(), "PLANTED") {
		t.Errorf("log %q", log.String())
	}
}

// TestAlienProtocols are told and closed: TLS or a browser on the plain port.
func TestAlienProtocols(t *testing.T) {
	for in, want := range map[string]error{
		"\x16\x03\x01\x00\xf8\x01\x00\x00":  ErrTLS,
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n": ErrHTTP,
		strings.Repeat("x", maxGap+1):       ErrNoFrame,
	} {
		refused := make(chan error, 1)
		var log safeBuffer
		s := &Server{Handler: accept, Log: slog.New(slog.NewTextHandler(&log, nil)), Refused: func(_ hl7.Peer, err error) { refused <- err }}
		c := dial(t, start(t, s))
		c.send(in)
		if err := <-refused; !errors.Is(err, want) {
			t.Errorf("refused for %v, want %v", err, want)
		}
		if f, err := c.r.Next(); err == nil {
			t.Errorf("answered %q", f)
		}
		if s.Counts().Alien != 1 || !strings.Contains(log.String(), want.Error()) {
			t.Errorf("counts %+v, log %q", s.Counts(), log.String())
		}
	}
}

// TestTooLargeIsRefused: a frame that is too large gets an AR, even while the sender
// is still sending it; without an answer it would come again for ever.
func TestTooLargeIsRefused(t *testing.T) {
	refused := make(chan error, 1)
	s := &Server{Handler: accept, Limits: Limits{MaxFrame: 100 << 10}, Refused: func(_ hl7.Peer, err error) { refused <- err }}
	c := dial(t, start(t, s))
	c.send(framed(append(message("1"), strings.Repeat("x", 8<<20)...)))
	if err := <-refused; !errors.Is(err, ErrTooLarge) {
		t.Errorf("refused for %v", err)
	}
	c.want(hl7.AR, "1")
	c.wantEOF()
	if n := s.Counts(); n.TooLarge != 1 || n.Frames != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestAllowAndCaps(t *testing.T) {
	var allowed atomic.Bool
	refused := make(chan error, 8)
	s := &Server{
		Handler: accept, Limits: Limits{PerPeer: 2, Total: 3},
		Allow:   func(a netip.Addr) bool { return allowed.Load() && a == netip.MustParseAddr("127.0.0.1") },
		Refused: func(_ hl7.Peer, err error) { refused <- err },
	}
	addr := start(t, s)
	no := dial(t, addr)
	if f, err := no.r.Next(); err == nil {
		t.Fatalf("not allowed, and got %q", f)
	}
	if err := <-refused; !errors.Is(err, ErrNotAllowed) {
		t.Errorf("refused for %v", err)
	}
	allowed.Store(true)
	a, b := dial(t, addr), dial(t, addr)
	for _, c := range []*peer{a, b} {
		c.send(framed(message("1")))
		c.want(hl7.AA, "1")
	}
	if f, err := dial(t, addr).r.Next(); err == nil {
		t.Fatalf("third connection got %q", f)
	}
	if err := <-refused; !errors.Is(err, ErrTooMany) {
		t.Errorf("refused for %v", err)
	}
	// connect#3569 leaked its slots.
	a.Close()
	eventually(t, "the slot is free again", func() bool {
		c := dial(t, addr)
		if _, err := c.Write([]byte(framed(message("2")))); err != nil {
			return false
		}
		_, err := c.r.Next()
		return err == nil
	})
	if n := s.Counts(); n.Refused < 2 {
		t.Errorf("counts %+v", n)
	}
}

// TestFlood: many connections that stall in the middle of a frame do not keep others
// from being served.
func TestFlood(t *testing.T) {
	s := &Server{Handler: accept}
	addr := start(t, s)
	for range 50 {
		dial(t, addr).send(vt, "MSH|^~\\&|stalled")
	}
	c := dial(t, addr)
	for i := range 20 {
		c.send(framed(message(fmt.Sprint(i))))
		c.want(hl7.AA, fmt.Sprint(i))
	}
}

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
	// One is being handled, one read ahead, one cut in the middle.
	c.send(framed(message("1")), vt, framed(message("2")), vt, "MSH|cut")
	<-entered
	eventually(t, "second frame is read", func() bool { return s.Counts().DoubledStart == 1 })
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

// TestTalliesAreBounded: a scan from many addresses must not fill the memory.
func TestTalliesAreBounded(t *testing.T) {
	var ts tallies
	for i := range 3 * maxTallies {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		ts.of(a).bump(func(n *Counts) *uint64 { return &n.Refused })
	}
	all := ts.all()
	if len(all) > maxTallies+1 {
		t.Errorf("%d tallies", len(all))
	}
	var sum Counts
	for _, n := range all {
		sum.add(n)
	}
	if sum.Refused != 3*maxTallies {
		t.Errorf("%d refusals counted, want %d", sum.Refused, 3*maxTallies)
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
