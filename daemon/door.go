package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// askEvery is how often a server is asked whether it answers, and turnEvery how often one that
	// waits for a connection shows that it does.
	askEvery  = 2 * time.Second
	turnEvery = beatEvery
)

// timedListener is what TCP and Unix listeners both are.
type timedListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

// door is a listener that shows whether what accepts from it is alive. Where it asks, a question goes through
// Accept as any connection does, so that an answer proves the whole way: a socket to itself the sandbox would not
// let it make.
type door struct {
	timedListener
	turns     *pulse // beats whenever somebody accepts; nil where asks tells more
	questions chan net.Conn

	mu     sync.Mutex // between a look at questions and the deadline after it
	closed bool
}

func newDoor(l timedListener, turns *pulse) *door {
	return &door{timedListener: l, turns: turns, questions: make(chan net.Conn, 1)}
}

// Accept returns http.ErrServerClosed once the door is closed.
func (d *door) Accept() (net.Conn, error) {
	for {
		if d.turns != nil {
			d.turns.beat()
		}
		if c, err := d.question(); c != nil || err != nil {
			return c, err
		}
		c, err := d.timedListener.Accept()
		switch {
		case err == nil:
			return c, nil
		case d.isClosed():
			return nil, http.ErrServerClosed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		}
	}
}

// question is the one that waits, if any; else Accept may wait until the deadline that it sets.
func (d *door) question() (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, http.ErrServerClosed
	}
	select {
	case c := <-d.questions:
		return c, nil
	default:
	}
	return nil, d.SetDeadline(time.Now().Add(turnEvery))
}

func (d *door) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// Close ends accepting. What has not been accepted stays in systemd's queue, for the next process.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.timedListener.Close()
}

// errBusy says that the last question has not even been accepted.
var errBusy = errors.New("does not accept")

// ask asks the server behind the door for /healthz, with TLS where it has that.
func (d *door) ask(ctx context.Context, secure bool) error {
	ours, theirs := net.Pipe()
	defer ours.Close()
	d.mu.Lock()
	select {
	case d.questions <- theirs:
		_ = d.SetDeadline(time.Now()) // wakes Accept; of a listener that is closed nobody waits for one
		d.mu.Unlock()
	default:
		d.mu.Unlock()
		return errBusy
	}
	stop := context.AfterFunc(ctx, func() { ours.Close() })
	defer stop()
	c := io.ReadWriter(ours)
	if secure {
		c = tls.Client(ours, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // whether it answers, not who it is
	}
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: pinward\r\nConnection: close\r\n\r\n"); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answer: status %d", answer.StatusCode)
	}
	return nil
}

// ownQuestion tells whether it is ask who asks: nobody's request, to be counted or logged.
func ownQuestion(r *http.Request) bool { return r.RemoteAddr == "pipe" } // the address of a net.Pipe

// keepAsking lets p beat with each answer, until ctx ends. A question that is not answered is asked again only when it
// ends with ctx: the silence is what the watchdog sees.
func (d *door) keepAsking(ctx context.Context, p *pulse, secure bool) {
	defer p.end()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if d.ask(ctx, secure) == nil {
				p.beat()
			}
		}
	}
}
