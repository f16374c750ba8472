package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// firstPatience is how long a connection that was made and has asked nothing yet may take for its first
// request when the daemon stops.
const firstPatience = time.Second

// drained is an HTTP server that ends without cutting off who came in time. http.Server.Shutdown alone does:
// a request that is read after it was called is dropped without an answer (conn.serve looks at shuttingDown after
// it has read one), and an HTTP/2 connection counts as idle from its handshake to its first request and is closed. A
// client sees an EOF then, and may not know whether to ask again.
//
// So Shutdown comes last: accepting ends first, what comes then waits in systemd's queue for the next process, and who is
// here is answered, with the last words "Connection: close" (HTTP/2: GOAWAY).
type drained struct {
	*http.Server
	door   *door
	served chan struct{} // closed when Serve has returned: every connection that was accepted is known

	mu      sync.Mutex
	guests  map[net.Conn]*guest
	ending  bool
	changed chan struct{} // buffered; a guest came, asked or went
}

// guest is a connection.
type guest struct {
	asked  bool // a request of it has reached the handler
	active bool // one is being read or answered
}

type guestKey struct{}

// newDrained makes s, whose handler is set, end so.
func newDrained(s *http.Server, d *door) *drained {
	g := &drained{Server: s, door: d, served: make(chan struct{}), guests: map[net.Conn]*guest{}, changed: make(chan struct{}, 1)}
	inner := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.asked(r.Context()) {
			w.Header().Set("Connection", "close")
		}
		inner.ServeHTTP(w, r)
	})
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, guestKey{}, c)
	}
	s.ConnState = g.state
	return g
}

// serve serves until the door is closed.
func (g *drained) serve(serve func(net.Listener) error) error {
	defer close(g.served)
	return serve(g.door)
}

// state follows a connection; it is net/http's hook.
func (g *drained) state(c net.Conn, st http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch st {
	case http.StateNew:
		g.guests[c] = &guest{}
	case http.StateActive, http.StateIdle:
		if one := g.guests[c]; one != nil {
			one.active = st == http.StateActive
		}
	case http.StateHijacked, http.StateClosed:
		delete(g.guests, c)
	}
	g.tell()
}

// asked notes that a request is there, and tells whether its answer is to be the last.
func (g *drained) asked(ctx context.Context) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := ctx.Value(guestKey{}).(net.Conn); ok {
		if one := g.guests[c]; one != nil {
			one.asked = true
		}
	}
	return g.ending
}

// tell wakes drain. The caller holds mu.
func (g *drained) tell() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// waiting tells whether somebody is being answered, or has asked nothing yet.
func (g *drained) waiting() (active, silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.guests {
		active = active || one.active && one.asked
		silent = silent || !one.asked
	}
	return active, silent
}

// dismiss closes the connections of who has not asked anything: Shutdown would wait for them.
func (g *drained) dismiss() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c, one := range g.guests {
		if one.asked {
			continue
		}
		if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = secure.NetConn() // without the alert of TLS, which may take its time
		}
		_ = c.Close()
	}
}

// drain ends the server: nobody new, then everybody who is here, then the rest. What takes longer than ctx is cut off:
// that is context.DeadlineExceeded.
func (g *drained) drain(ctx context.Context) error {
	g.mu.Lock()
	g.ending = true
	g.mu.Unlock()
	err := g.door.Close()
	select {
	case <-g.served:
	case <-ctx.Done():
	}
	first := time.NewTimer(firstPatience)
	defer first.Stop()
	patient := true
	for active, silent := g.waiting(); (active || silent && patient) && ctx.Err() == nil; active, silent = g.waiting() {
		select {
		case <-g.changed:
		case <-first.C:
			patient = false
		case <-ctx.Done():
		}
	}
	g.dismiss()
	if late := g.Shutdown(ctx); late != nil {
		err = errors.Join(err, late, g.Server.Close())
	}
	return err
}
