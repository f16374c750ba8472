package intake

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"pinward/hl7"
	"pinward/hl7/mllp"
)

// port puts the box's intake behind a real MLLP listener on loopback, and gives its address. What it refuses
// goes to refused.
func (b *box) port(limits mllp.Limits, refused func(hl7.Peer, error)) string {
	b.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.T.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := &mllp.Server{
		Name: b.in.listener.Name, Limits: limits,
		Handler: func(ctx context.Context, p hl7.Peer, frame []byte) ([]byte, error) { return b.in.Handle(ctx, p, frame) },
		Refused: refused,
	}
	go func() { done <- srv.Serve(ctx, l) }()
	b.T.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.T.Error(err)
		}
	})
	return l.Addr().String()
}

// wire is an engine's end of a connection to the port.
type wire struct {
	b *box
	c net.Conn
	r *mllp.Reader
}

func (b *box) wire(address string) *wire {
	b.T.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		b.T.Fatal(err)
	}
	return &wire{b, c, mllp.NewReader(c, 0)}
}

// write puts bytes on the wire as they are.
func (w *wire) write(raw []byte) {
	w.b.T.Helper()
	if _, err := w.c.Write(raw); err != nil {
		w.b.T.Fatal(err)
	}
}

// answer reads the next acknowledgment; ok is false where the connection was closed instead.
func (w *wire) answer() (a ack, ok bool) {
	w.b.T.Helper()
	frame, err := w.r.Next()
	if err != nil {
		if ne, slow := err.(net.Error); slow && ne.Timeout() {
			w.b.T.Fatal("neither an answer nor a close")
		}
		return ack{}, false
	}
	return w.b.parse(frame), true
}

// sends sends a message as an engine does, and wants it taken.
func (w *wire) sends(message string) {
	w.b.T.Helper()
	w.write(mllp.AppendFrame(nil, []byte(w.b.message(message))))
	a, ok := w.answer()
	if !ok || a.code != hl7.AA {
		w.b.T.Fatalf("answered %s: %s", a.code, a.text)
	}
}

func engineBox(t *testing.T) (*box, *wire) {
	b := newBox(t)
	return b, b.wire(b.port(mllp.Limits{}, nil))
}

func lines(s ...string) string { return strings.Join(s, "\n") }
