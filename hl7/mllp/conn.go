package mllp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"pinward/hl7"
)

// lingerTime is how long a connection that we close is still read from, so that
// what the peer has under way does not make the system throw our last reply away.
const lingerTime = time.Second

// pauseTime is how long a sender has to be silent behind CR FF or FS LF until it is taken to wait for
// our reply: long enough for a packet that comes again, short beside the 5 s that senders wait.
const pauseTime = time.Second

var (
	errCut   = errors.New("read frame: not whole")
	errLate  = errors.New("handle message: reply is too late to be sent")
	errPanic = errors.New("handle message: handler panicked")
	// errFailed ends a connection whose last frame was not answered.
	errFailed = errors.New("handle message: not answered")
)

// past is a deadline that ends reads at once.
var past = time.Unix(1, 0)

// conn is one connection and one goroutine, which reads a frame, has it handled and answers it before
// it reads the next: what a sender has sent ahead waits where TCP keeps it.
type conn struct {
	srv    *Server
	limits Limits
	nc     net.Conn // the TLS connection once the handshake is done
	raw    net.Conn
	peer   hl7.Peer
	tally  *tally
	ctx    context.Context
	cancel context.CancelFunc
	out    []byte    // the last reply's frame, kept for its space
	by     time.Time // when the frame that is being read has to be whole

	mu       sync.Mutex
	stopping bool                 // under mu: reads have ended for good
	state    *tls.ConnectionState // under mu: of the handshake, nil before it and without TLS
}

func newConn(ctx context.Context, s *Server, nc net.Conn, limits Limits) *conn {
	c := &conn{srv: s, limits: limits, nc: nc, raw: nc}
	c.peer = hl7.Peer{Addr: remoteAddr(nc), Listener: s.Name, TLS: s.TLS != nil}
	c.tally = s.tallies.of(c.peer.Addr.Addr())
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// remoteAddr is the peer's address; zero for a connection that has none.
func remoteAddr(nc net.Conn) netip.AddrPort {
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// stop ends reading; what was read is still handled.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	_ = c.raw.SetReadDeadline(past)
}

// abort ends everything.
func (c *conn) abort() {
	c.cancel()
	_ = c.raw.Close()
}

// readWithin sets the time for what is read next, none for 0.
func (c *conn) readWithin(d time.Duration) {
	if d > 0 {
		c.readBy(time.Now().Add(d))
	} else {
		c.readBy(time.Time{})
	}
}

// readBy sets the deadline for what is read next, none for the zero time. It loses against stop.
func (c *conn) readBy(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopping {
		_ = c.raw.SetReadDeadline(at)
	}
}

// serve handles the connection until it ends.
func (c *conn) serve() {
	defer c.cancel()
	defer c.raw.Close()
	if err := c.handshake(); err != nil {
		return
	}
	if head, err := c.frames(); !errors.Is(err, errFailed) {
		c.end(head, err)
	}
}

// handshake does TLS where the listener has it, and learns the peer's certificate.
func (c *conn) handshake() error {
	if c.srv.TLS == nil {
		return nil
	}
	tc := tls.Server(c.raw, c.srv.TLS)
	ctx, cancel := context.WithTimeout(c.ctx, c.limits.Handshake)
	defer cancel()
	ctx, offered := withOffer(ctx)
	if err := tc.HandshakeContext(ctx); err != nil {
		// A load balancer opens and closes: that is no error.
		if !errors.Is(err, io.EOF) && !c.isStopping() {
			n := c.tally.bump(func(n *Counts) *uint64 { return &n.Handshakes })
			err = fmt.Errorf("shake hands: %w", err)
			if o := offered.String(); o != "" {
				err = fmt.Errorf("%w (%s)", err, o)
			}
			c.srv.refuse(c, n, err)
		}
		return err
	}
	c.nc = tc
	state := tc.ConnectionState()
	if certs := state.PeerCertificates; len(certs) > 0 {
		c.peer.CertSPKI = Pin(certs[0])
		c.peer.CertSubject = certs[0].Subject.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = &state
	return nil
}

// believed tells whether a certificate that was believed when the connection began still is.
func (c *conn) believed() bool {
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	verify := c.srv.TLS.VerifyConnection
	return state == nil || verify == nil || verify(*state) == nil
}

func (c *conn) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// frames has frames handled until the stream ends or one fails, and says how it ended; head is what was read of a
// frame that is too large.
func (c *conn) frames() (head []byte, err error) {
	held := 0 // of the frame that is being read or handled
	defer func() { c.srv.rooms.give(c.tally, held) }()
	r := NewReader(c.nc, c.limits.MaxFrame)
	r.formFeedEnd = c.srv.FormFeedEnd
	r.room = func(total int) error { return c.hold(&held, total) }
	r.waiting = func() {
		c.by = time.Now().Add(c.limits.InFrame)
		c.readBy(c.by)
	}
	r.pause = func(begins bool) {
		at := c.by
		if soon := time.Now().Add(pauseTime); begins && soon.Before(at) {
			at = soon
		}
		c.readBy(at)
	}
	r.paused = func(err error) bool {
		return errors.Is(err, os.ErrDeadlineExceeded) && !c.isStopping() && time.Now().Before(c.by)
	}
	var told Repairs
	for {
		c.readWithin(c.limits.Idle)
		frame, err := r.Next()
		if now := r.Repairs(); now != told {
			if all, news := c.tally.repaired(now, told); news {
				c.repaired(all)
			}
			told = now
		}
		if err != nil {
			if r.inFrame && !errors.Is(err, ErrTooLarge) && !errors.Is(err, errNoRoom) {
				err = fmt.Errorf("%w: %w", errCut, err)
			}
			return frame, err
		}
		if !c.handle(frame) {
			// What was sent behind it stays without an answer, and the sender sends it again.
			c.abort()
			return nil, errFailed
		}
		c.srv.rooms.give(c.tally, held)
		held = 0
	}
}

// repaired warns of a sender whose frames are not right; all is what was put right
// for it so far.
func (c *conn) repaired(all Repairs) {
	c.srv.log(c.ctx, slog.LevelWarn, "frames repaired", "peer", c.peer.Addr.String(),
		"junk", all.Junk, "filler", all.Filler, "doubled_start", all.DoubledStart,
		"doubled_end", all.DoubledEnd, "form_feed", all.FormFeed, "line_feed", all.LineFeed, "empty", all.Empty)
}

// handle has one frame handled and answered; it is false when the connection is to
// be closed.
func (c *conn) handle(frame []byte) bool {
	c.tally.bump(func(n *Counts) *uint64 { return &n.Frames })
	ctx := newUntil(c.ctx, c.limits.Reply)
	defer ctx.stop()
	reply, err := c.call(ctx, frame)
	switch {
	case errors.Is(err, errPanic):
		return false
	case err != nil:
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.Failed })
		c.srv.logNth(c, n, "message not handled; connection closed", err)
		return false
	case c.ctx.Err() != nil:
		return false
	case ctx.Err() != nil:
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.Late })
		c.srv.logNth(c, n, "message handled too late; connection closed", errLate)
		return false
	case reply == nil:
		c.tally.bump(func(n *Counts) *uint64 { return &n.Silent })
		return true
	}
	return c.write(reply)
}

// call runs the Handler and survives it.
func (c *conn) call(ctx context.Context, frame []byte) (reply []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may hold a piece of the message: its type must do.
			n := c.tally.bump(func(n *Counts) *uint64 { return &n.Panics })
			c.srv.logNth(c, n, "message made the handler panic; connection closed", fmt.Errorf("%w: %T\n%s", errPanic, v, debug.Stack()))
			reply, err = nil, errPanic
		}
	}()
	return c.srv.Handler(ctx, c.peer, frame)
}

// write sends a reply as one frame in one write: some clients read once and take
// what they get for the whole (python-hl7#44).
func (c *conn) write(reply []byte) bool {
	c.out = AppendFrame(c.out[:0], reply)
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.limits.Write))
	if _, err := c.nc.Write(c.out); err != nil {
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.Unwritten })
		c.srv.logNth(c, n, "reply not written; connection closed", err)
		return false
	}
	c.tally.bump(func(n *Counts) *uint64 { return &n.Replies })
	return true
}

// end closes a connection whose last frame was answered, by why reading ended.
func (c *conn) end(head []byte, err error) {
	switch {
	case c.isStopping():
		c.linger(lingerTime)
	case err == io.EOF:
		// The peer is done; also when it never sent a byte.
	case errors.Is(err, errCut):
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.Cut })
		c.srv.logNth(c, n, "connection ended in the middle of a frame", err)
	case errors.Is(err, ErrTooLarge):
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.TooLarge })
		c.srv.refuse(c, n, err)
		c.tooLarge(head)
	case errors.Is(err, errNoRoom):
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.NoRoom })
		c.srv.logNth(c, n, "connection closed", err)
	case errors.Is(err, ErrTLS), errors.Is(err, ErrHTTP), errors.Is(err, ErrNoFrame):
		n := c.tally.bump(func(n *Counts) *uint64 { return &n.Alien })
		c.srv.refuse(c, n, err)
	}
	// What remains is a reset, or an idle time that ran out: both are ordinary.
}

// tooLarge refuses a frame of which only the beginning was read. Without an answer
// the sender would send it again for ever.
func (c *conn) tooLarge(head []byte) {
	m, _ := hl7.Options{MaxBytes: headLen}.Parse(head)
	reply := hl7.Ack(m, hl7.AckOptions{
		Err: &hl7.Error{Code: hl7.CodeInternal, Reason: fmt.Sprintf("message is larger than %d bytes", c.limits.MaxFrame)},
		Now: c.srv.now(),
	})
	if reply != nil && c.write(reply) {
		c.linger(c.limits.InFrame)
	}
}

// linger says that we are done and reads on until the peer is, for at most d.
func (c *conn) linger(d time.Duration) {
	if half, ok := c.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.raw.SetReadDeadline(time.Now().Add(d)) == nil {
		_, _ = io.Copy(io.Discard, c.raw)
	}
}
