package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pinward/store"
)

// Formats of what a repository is sent.
const (
	FormatDICOM = "dicom" // RFC 5424 with the audit message of DICOM PS3.15 A.5, framed by octet counting (RFC 5425)
	FormatJSON  = "json"  // a JSON object a line
)

// Schemas of the audit message of FormatDICOM.
const (
	SchemaDICOM   = "dicom"   // DICOM PS3.15 A.5.1, of 2017c and later
	SchemaRFC3881 = "rfc3881" // what went before it, for a repository that knows no other
)

// Repository is the hospital's own audit repository (IHE ITI-20 Record Audit Event, IHE ITI TF-2 3.20):
// every event of the log goes there, in order, over one kept connection.
//
// Neither syslog nor the lines acknowledge anything. What is given is at least once, as far as it can be
// seen from here: the cursor moves when the system at the other end has acknowledged all bytes (TCP) and the
// connection still stands a moment later. A server that took events and lost them afterwards is not found out
// here: compare its count with `pinward audit repository`, and have it sent again from an entry on.
type Repository struct {
	// Box is the box's name, Site the hospital's in AuditEnterpriseSiteID; that may be empty. Host is the
	// machine's name in the syslog header.
	Box, Site, Host string
	Format          string
	Schema          string // "" is SchemaDICOM
	Dial            func(context.Context) (net.Conn, error)
	About           Finder

	// link is the kept connection, nil if there is none. It belongs to the goroutine of Run.
	link *link
}

// link is a connection that somebody watches: context.Cause(ctx) says why it ended.
type link struct {
	net.Conn
	ctx      context.Context
	watching sync.WaitGroup
}

// RepositoryCursor is the name of the repository's cursor.
const RepositoryCursor = "atna"

const (
	dialPatience  = 30 * time.Second
	writePatience = 20 * time.Second       // for one batch, the other end's acknowledgement included
	settled       = 250 * time.Millisecond // after which a connection that stands has been read from
)

var errGone = errors.New("the repository closed the connection")

// Run sends until ctx ends, over whatever fails; [StatusOf] tells how far it is.
func (r *Repository) Run(ctx context.Context, s *store.Store, by store.Actor, log *slog.Logger) {
	Deliver(ctx, s, by, RepositoryCursor, func(ctx context.Context, records []store.Record) (int, error) {
		if err := r.give(ctx, s, records); err != nil {
			r.hangUp()
			return 0, err
		}
		return len(records), nil
	}, log)
	r.hangUp()
}

// give sends some entries. If we crash in it, or it fails, they are sent again, all of them.
func (r *Repository) give(ctx context.Context, s *store.Store, records []store.Record) error {
	if r.link != nil && r.link.ctx.Err() != nil { // closed while there was nothing to send
		r.hangUp()
	}
	if r.link == nil {
		if err := r.call(ctx); err != nil {
			return err
		}
	}
	l := r.link
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Now()) })
	defer stop()
	if err := l.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return err
	}
	out := bufio.NewWriterSize(l, 64<<10)
	for _, rec := range records {
		if err := r.send(ctx, s, out, rec); err != nil {
			return l.why(err)
		}
	}
	if err := out.Flush(); err != nil {
		return l.why(fmt.Errorf("send to repository: %w", err))
	}
	return l.arrived(ctx)
}

// call connects, and has the connection watched.
func (r *Repository) call(ctx context.Context) error {
	dialing, stop := context.WithTimeout(ctx, dialPatience)
	defer stop()
	c, err := r.Dial(dialing)
	if err != nil {
		return fmt.Errorf("reach repository: %w", err)
	}
	watched, end := context.WithCancelCause(context.Background())
	r.link = &link{Conn: c, ctx: watched}
	r.link.watching.Go(func() { end(watch(c)) })
	return r.link.arrived(ctx) // a server that does not believe our certificate says so by now
}

// hangUp ends the connection, with close_notify where it is TLS.
func (r *Repository) hangUp() {
	if r.link == nil {
		return
	}
	_ = r.link.SetDeadline(time.Time{})
	r.link.Close()
	r.link.watching.Wait()
	r.link = nil
}

// why is the reason for which the connection ended, if it did: it says more than what was cut off by it.
func (l *link) why(err error) error {
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	return err
}

// send writes one entry in the repository's format.
func (r *Repository) send(ctx context.Context, s *store.Store, w io.Writer, rec store.Record) error {
	var about About
	if strings.HasPrefix(string(rec.Entry.Action), "message.") {
		err := s.View(ctx, func(tx *store.Tx) error {
			about = AboutText(tx, rec, r.About)
			return nil
		})
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// A record that cannot be read must not hold up the audit: the event goes without its patient, and
		// the text's own order has named it.
	}
	if r.Format == FormatJSON {
		line, err := r.line(rec, about)
		if err == nil {
			_, err = io.WriteString(w, line)
		}
		return err
	}
	for _, m := range r.messages(rec, about) {
		text, err := r.frame(rec.Time, m)
		if err != nil {
			return err
		}
		if err := writeFrame(w, text); err != nil {
			return err
		}
	}
	return nil
}

// watch reads until the other end closes: it has nothing to say, so whatever comes ends the session. A
// refusal of our certificate comes this way too (TLS 1.3).
func watch(c net.Conn) error {
	n, err := c.Read(make([]byte, 1))
	switch {
	case n > 0:
		return errors.New("the repository speaks, which a log server does not")
	case errors.Is(err, io.EOF):
		return errGone
	}
	return err
}

// arrived waits until the system at the other end has acknowledged all that was written, and then a moment:
// a server that ended without reading has reset the connection by then.
func (l *link) arrived(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, writePatience, errors.New("the repository acknowledges nothing"))
	defer cancel()
	wait := func(d time.Duration) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		case <-time.After(d):
			return nil
		}
	}
	for {
		n, err := unacknowledged(l.Conn)
		if err != nil {
			return l.why(err)
		}
		if n == 0 {
			return wait(settled)
		}
		if err := wait(5 * time.Millisecond); err != nil {
			return err
		}
	}
}

// unacknowledged is how many bytes the other end's system has not acknowledged (SIOCOUTQ, tcp(7)); 0 where
// the connection is no TCP.
func unacknowledged(c net.Conn) (n int, err error) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	t, ok := c.(*net.TCPConn)
	if !ok {
		return 0, nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); e != nil {
		return 0, e
	}
	return n, err
}
