package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"pinward/hl7"
)

// pipeListener hands out in-process connections, whose deadlines obey a bubble's clock.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// inBubble runs a test against a server on pipes.
func inBubble(t *testing.T, s *Server, test func(t *testing.T, l *pipeListener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		served := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { served <- s.Serve(ctx, l) }()
		test(t, l)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// closedAfter gives how long it takes until the server closes c.
func closedAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Fatalf("got %q, %v, want the end", b, err)
	}
	return time.Since(start)
}

func TestIdleIsForever(t *testing.T) {
	inBubble(t, &Server{Handler: accept}, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		defer c.Close()
		time.Sleep(60 * 24 * time.Hour)
		exchange(t, c, "1")
	})
}

func TestIdleLimit(t *testing.T) {
	s := &Server{Handler: accept, Limits: Limits{Idle: 10 * time.Minute}}
	inBubble(t, s, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		defer c.Close()
		time.Sleep(9 * time.Minute)
		exchange(t, c, "1")
		// What stands between frames does not count as life.
		time.Sleep(5 * time.Minute)
		if _, err := c.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
		if d := closedAfter(t, c); d != 5*time.Minute {
			t.Errorf("closed after further %v, want 5 min", d)
		}
	})
	if n := s.Counts(); n.Cut != 0 {
		t.Errorf("an idle connection counts as cut: %+v", n)
	}
}

// TestInFrameLimit: a sender that stalls, or drips, in the middle of a frame.
func TestInFrameLimit(t *testing.T) {
	s := &Server{Handler: accept}
	inBubble(t, s, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		defer c.Close()
		start := time.Now()
		if _, err := c.Write([]byte(vt)); err != nil {
			t.Fatal(err)
		}
		for {
			time.Sleep(700 * time.Millisecond)
			if _, err := c.Write([]byte("x")); err != nil {
				break
			}
		}
		if d := time.Since(start); d < 30*time.Second || d > 31*time.Second {
			t.Errorf("closed after %v, want 30 s", d)
		}
	})
	if n := s.Counts(); n.Cut != 1 || n.Frames != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestPauseEndsFrame: a sender that ends with CR FF or FS LF and then waits gets its answer before it
// gives up; one that goes on in time, or is stopped, has not ended its frame.
func TestPauseEndsFrame(t *testing.T) {
	for name, mark := range map[string]string{"CR FF": "\f", "FS LF": "\x1c\n"} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Handler: accept}
			inBubble(t, s, func(t *testing.T, l *pipeListener) {
				c := l.dial()
				defer c.Close()
				r := NewReader(c, 0)
				answered := func(id string) {
					t.Helper()
					frame, err := r.Next()
					if err != nil {
						t.Fatal(err)
					}
					m, _ := hl7.Parse(frame)
					if _, control, _ := m.Acknowledgment(); control != id {
						t.Fatalf("answered %q, want %q", control, id)
					}
				}
				for _, id := range []string{"1", "2"} {
					began := time.Now()
					_, _ = io.WriteString(c, vt+string(message(id))+mark)
					answered(id)
					if d := time.Since(began); d < pauseTime || d > 2*time.Second {
						t.Errorf("answered after %v", d)
					}
				}
				// Slower than a packet, faster than a pause: it goes on, with the time of its frame.
				began := time.Now()
				_, _ = io.WriteString(c, vt+string(message("3"))+mark)
				time.Sleep(pauseTime - time.Millisecond)
				_, _ = io.WriteString(c, "NTE|1||"+mark)
				time.Sleep(pauseTime - time.Millisecond)
				_, _ = io.WriteString(c, "more")
				time.Sleep(10 * time.Second)
				_, _ = io.WriteString(c, end)
				answered("3")
				if d := time.Since(began); d < 11*time.Second {
					t.Errorf("answered after %v", d)
				}
				// The time for a frame goes on over its pauses.
				began = time.Now()
				_, err := io.WriteString(c, vt+"MSH|")
				for err == nil && time.Since(began) < time.Minute {
					if _, err = io.WriteString(c, "x\r"+mark+"x"); err == nil {
						time.Sleep(time.Second)
					}
				}
				if d := time.Since(began); d < 29*time.Second || d > 32*time.Second {
					t.Errorf("cut after %v", d)
				}
			})
			if n := s.Counts(); n.Frames != 3 || n.FormFeed+n.LineFeed != 2 || n.Cut != 1 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

// TestShutdownIsNoPause: what was cut by our own stop is not taken for a message.
func TestShutdownIsNoPause(t *testing.T) {
	s := &Server{Handler: accept}
	inBubble(t, s, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		defer c.Close()
		_, _ = io.WriteString(c, vt+string(message("1"))+"\f")
		time.Sleep(pauseTime / 2)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if f, err := NewReader(c, 0).Next(); err == nil {
			t.Errorf("answered %q", f)
		}
	})
	if n := s.Counts(); n.Frames != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestLateReplyIsNotSent: an old sender takes a late ACK for that of its next
// message (connect#1441, connect#2070).
func TestLateReplyIsNotSent(t *testing.T) {
	s := &Server{Handler: func(ctx context.Context, p hl7.Peer, f []byte) ([]byte, error) {
		time.Sleep(6 * time.Second)
		if ctx.Err() == nil {
			return nil, errors.New("context has not ended")
		}
		return accept(ctx, p, f)
	}}
	inBubble(t, s, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		defer c.Close()
		if _, err := c.Write(AppendFrame(nil, message("1"))); err != nil {
			t.Fatal(err)
		}
		if d := closedAfter(t, c); d != 6*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
	if n := s.Counts(); n.Late != 1 || n.Replies != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestPeerThatDoesNotRead must not hold its connection's goroutine for ever.
func TestPeerThatDoesNotRead(t *testing.T) {
	s := &Server{Handler: accept}
	inBubble(t, s, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		defer c.Close()
		if _, err := c.Write(AppendFrame(nil, message("1"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n := s.Counts(); n.Unwritten != 1 || n.Replies != 0 {
			t.Errorf("counts %+v", n)
		}
	})
}

// TestDrainLimit: Serve returns when its context ends, also from a handler that takes
// its time, and cancels that one only after the limit.
func TestDrainLimit(t *testing.T) {
	var canceled time.Duration
	s := &Server{Limits: Limits{Reply: time.Hour}, Handler: func(ctx context.Context, _ hl7.Peer, _ []byte) ([]byte, error) {
		start := time.Now()
		<-ctx.Done()
		canceled = time.Since(start)
		return nil, ctx.Err()
	}}
	inBubble(t, s, func(t *testing.T, l *pipeListener) {
		c := l.dial()
		if _, err := c.Write(AppendFrame(nil, message("1"))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
	if canceled != 5*time.Second {
		t.Errorf("canceled after %v, want 5 s", canceled)
	}
}

// exchange sends one message and reads its acknowledgment.
func exchange(t *testing.T, c net.Conn, id string) {
	t.Helper()
	if _, err := c.Write(AppendFrame(nil, message(id))); err != nil {
		t.Fatal(err)
	}
	f, err := NewReader(c, 0).Next()
	if err != nil {
		t.Fatal(err)
	}
	m, err := hl7.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	if code, got, _ := m.Acknowledgment(); code != hl7.AA || got != id {
		t.Fatalf("acknowledged %s %q", code, got)
	}
}
