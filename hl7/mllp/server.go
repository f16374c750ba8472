package mllp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"pinward/hl7"
)

// Handler takes one frame's payload, which is its own to keep, and gives the reply's
// payload. nil, nil stays silent. An error closes the connection without a reply,
// so that the sender sends again: that is for trouble of our own. Its text is
// logged and must hold nothing of the message.
//
// The frames of one connection are handled one after the other, in order; those of
// different connections at once. ctx ends when the reply would be too late, and
// when the server is stopped the hard way.
type Handler func(ctx context.Context, p hl7.Peer, frame []byte) (reply []byte, err error)

// Limits are what connections may cost and how long they may take. A zero field
// means its default.
type Limits struct {
	// MaxFrame is the largest payload: DefaultMaxFrame, at most hl7.MaxBytes.
	MaxFrame int
	// Idle closes a connection on which no frame has begun for so long. 0 is
	// never: engines hold connections for months, and old ones lose the message
	// they send into a close (connect#1889). TCP keep-alive finds dead peers.
	Idle time.Duration
	// InFrame is how long a frame may take from its start to its end: 30 s.
	InFrame time.Duration
	// Reply is how long the Handler may take: 4 s. Senders wait for 5 s, and an old
	// one takes a later ACK for that of its next message (connect#1441): past this
	// time the connection is closed instead.
	Reply time.Duration
	// Write is how long a reply may take to be written: 10 s.
	Write time.Duration
	// Handshake is how long a TLS handshake may take: 10 s.
	Handshake time.Duration
	// Drain is how long Serve lets connections finish when its context ends: 5 s.
	Drain time.Duration
	// Memory is what frames under way may take beyond a few KB each, all together:
	// 48 MiB, half of it for one address. At least MaxFrame fits twice.
	Memory int
	// Total and PerPeer are how many connections there may be, in all and from one
	// address: 512 and 128.
	Total, PerPeer int
}

func (l Limits) withDefaults() Limits {
	l.MaxFrame = min(cmp.Or(max(l.MaxFrame, 0), DefaultMaxFrame), hl7.MaxBytes)
	l.InFrame = cmp.Or(l.InFrame, 30*time.Second)
	l.Reply = cmp.Or(l.Reply, 4*time.Second)
	l.Write = cmp.Or(l.Write, 10*time.Second)
	l.Handshake = cmp.Or(l.Handshake, 10*time.Second)
	l.Drain = cmp.Or(l.Drain, 5*time.Second)
	l.Memory = max(cmp.Or(l.Memory, 48<<20), 2*l.MaxFrame+128<<10)
	l.Total = cmp.Or(l.Total, 512)
	l.PerPeer = cmp.Or(l.PerPeer, 128)
	return l
}

var (
	// ErrNotAllowed means that Allow refused the peer's address.
	ErrNotAllowed = errors.New("accept connection: address is not allowed")
	// ErrTooMany means that a limit of connections is reached.
	ErrTooMany = errors.New("accept connection: too many connections")

	errStopping = errors.New("accept connection: server is stopping")
)

// Server listens for messages. Its exported fields are set before Serve and not
// changed after.
type Server struct {
	// Handler is required.
	Handler Handler
	// Name is the listener's name, for hl7.Peer and the log.
	Name   string
	Limits Limits
	// TLS, if set, makes every connection a TLS one, such as Credentials.Server. There is
	// no plain fallback.
	TLS *tls.Config
	// Allow, if set, decides by address before a byte is read.
	Allow func(netip.Addr) bool
	// FormFeedEnd ends a frame at every CR FF, as one Meditech interface does
	// (connect#3170). Without it CR FF is an end only where nothing of the frame
	// can follow: before the next VT, or where the sender waits.
	FormFeedEnd bool
	// Zone, if set, gives the zone of MSH-7 in the answer that the server writes
	// itself, to a frame that is too large: that of the Handler's answers. Nil, or
	// a nil zone, is the machine's.
	Zone func() *time.Location
	// Refused, if set, is told of connections that were refused or spoke something
	// else, for the audit: ErrNotAllowed, ErrTooMany, ErrTLS, ErrHTTP, ErrNoFrame,
	// ErrTooLarge or the error of a TLS handshake. It is called where connections
	// are accepted, and must not block.
	Refused func(hl7.Peer, error)
	// Log takes what an operator should know; nil is silent.
	Log *slog.Logger

	tallies tallies
	rooms   rooms

	mu       sync.Mutex
	stopping bool                  // under mu; never goes back
	lns      map[net.Listener]bool // under mu
	conns    map[*conn]bool        // under mu
	perPeer  map[netip.Addr]int    // under mu; entries are above zero
	idle     chan struct{}         // under mu; closed when stopping and conns is empty
	quit     chan struct{}         // made by the first Serve; closed with stopping
}

// Serve takes connections off ln until ctx ends or Shutdown is called, and returns
// nil when the last of them is closed. When ctx ends it stops as Shutdown does, with
// Limits.Drain of time. It closes ln. Several Serve may run at once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	if !s.listen(ln) {
		return nil
	}
	// Handlers are to finish when ctx ends; only a hard stop cancels them.
	base := context.WithoutCancel(ctx)
	var conns, watcher sync.WaitGroup
	ended := make(chan struct{})
	watcher.Go(func() {
		select {
		case <-ctx.Done():
			s.drain(base)
		case <-ended:
		}
	})
	err := s.accept(base, ln, s.quit, &conns)
	if err != nil {
		s.drain(base)
	}
	conns.Wait()
	close(ended)
	watcher.Wait()
	return err
}

func (s *Server) drain(base context.Context) {
	ctx, cancel := context.WithTimeout(base, s.Limits.withDefaults().Drain)
	defer cancel()
	_ = s.Shutdown(ctx)
}

func (s *Server) listen(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lns == nil {
		s.lns = make(map[net.Listener]bool)
		s.conns = make(map[*conn]bool)
		s.perPeer = make(map[netip.Addr]int)
		s.quit = make(chan struct{})
	}
	if !s.stopping {
		s.lns[ln] = true
	}
	return !s.stopping
}

func (s *Server) accept(ctx context.Context, ln net.Listener, quit <-chan struct{}, conns *sync.WaitGroup) error {
	limits := s.Limits.withDefaults()
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
		case s.isStopping():
			return nil
		case isDead(err):
			return err
		default:
			// Out of file descriptors or memory: the listener itself is well.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log(ctx, slog.LevelError, "cannot accept connections", "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-quit:
			}
			continue
		}
		c := newConn(ctx, s, nc, limits)
		switch err := s.admit(c); {
		case errors.Is(err, errStopping):
			c.abort()
			continue
		case err != nil:
			n := c.tally.bump(func(n *Counts) *uint64 { return &n.Refused })
			s.refuse(c, n, err)
			c.abort()
			continue
		}
		c.tally.bump(func(n *Counts) *uint64 { return &n.Connections })
		conns.Go(func() {
			defer s.leave(c)
			c.serve()
		})
	}
}

// isDead tells whether the listener itself is none any more (accept(2)); all else is over some time.
func isDead(err error) bool {
	for _, dead := range []error{net.ErrClosed, syscall.EINVAL, syscall.EBADF, syscall.ENOTSOCK} {
		if errors.Is(err, dead) {
			return true
		}
	}
	return false
}

// admit books the connection, or says why not.
func (s *Server) admit(c *conn) error {
	addr := c.peer.Addr.Addr()
	if s.Allow != nil && !s.Allow(addr) {
		return ErrNotAllowed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	if len(s.conns) >= c.limits.Total || s.perPeer[addr] >= c.limits.PerPeer {
		return ErrTooMany
	}
	s.conns[c] = true
	s.perPeer[addr]++
	return nil
}

func (s *Server) leave(c *conn) {
	addr := c.peer.Addr.Addr()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perPeer[addr]--; s.perPeer[addr] == 0 {
		delete(s.perPeer, addr)
	}
	if s.stopping && len(s.conns) == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// now is the time in the zone of the answers.
func (s *Server) now() time.Time {
	now := time.Now()
	if s.Zone == nil {
		return now
	}
	if zone := s.Zone(); zone != nil {
		return now.In(zone)
	}
	return now
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// Shutdown stops listening and reading. What was read is handled and answered, then
// each connection is closed. If ctx ends before that, the handlers' contexts end,
// the connections are closed as they are, and the error is that of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopping && s.quit != nil {
		close(s.quit)
	}
	s.stopping = true
	for ln := range s.lns {
		_ = ln.Close()
	}
	clear(s.lns)
	for c := range s.conns {
		c.stop()
	}
	if len(s.conns) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()

	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.abort()
	}
	return ctx.Err()
}

// Recheck closes the connections whose certificate is no longer believed, after the
// Credentials were read again: engines hold theirs for months. What was read is
// handled and answered.
func (s *Server) Recheck() {
	if s.TLS == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.believed() {
			c.stop()
		}
	}
}

// Counts gives the sum over all peers.
func (s *Server) Counts() Counts {
	var sum Counts
	for _, n := range s.tallies.all() {
		sum.add(n)
	}
	return sum
}

// CountsByPeer gives the counts of each address; beyond the first thousand
// addresses they share the zero address.
func (s *Server) CountsByPeer() map[netip.Addr]Counts { return s.tallies.all() }

// refuse tells of a connection that was not served, the nth of its kind.
func (s *Server) refuse(c *conn, nth uint64, err error) {
	s.logNth(c, nth, "connection refused", err)
	if s.Refused != nil {
		s.Refused(c.peer, err)
	}
}

// logNth warns of the 1st, 2nd, 4th, 8th ... event of a kind from an address: a
// peer that does it all day long must not fill the log.
func (s *Server) logNth(c *conn, nth uint64, msg string, err error) {
	if nth&(nth-1) == 0 {
		s.log(c.ctx, slog.LevelWarn, msg, "peer", c.peer.Addr.String(), "times", nth, "error", err)
	}
}

func (s *Server) log(ctx context.Context, level slog.Level, msg string, args ...any) {
	if s.Log != nil {
		s.Log.With("listener", s.Name).Log(ctx, level, msg, args...)
	}
}
