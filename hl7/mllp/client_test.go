package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pinward/hl7"
)

// script is a peer of a Client: it gets each message's control id and writes back.
func script(t *testing.T, answer func(c net.Conn, id string)) *Client {
	return &Client{Dial: func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for r := NewReader(server, 0); ; {
				f, err := r.Next()
				if err != nil {
					return
				}
				m, err := hl7.Parse(f)
				if err != nil {
					t.Errorf("client sent: %v", err)
					return
				}
				answer(server, m.ControlID())
			}
		}()
		return client, nil
	}}
}

func ack(code, id string) []byte {
	return AppendFrame(nil, []byte("MSH|^~\\&|||||||ACK|x|P|2.5\rMSA|"+code+"|"+id))
}

func TestClient(t *testing.T) {
	enhanced := func(id, msh16 string) []byte {
		return []byte("MSH|^~\\&|||||||ORU^R01|" + id + "|P|2.5|||AL|" + msh16 + "\rPID|1")
	}
	tests := []struct {
		name   string
		msg    []byte
		answer []string // code and id in turn
		want   hl7.AckCode
	}{
		{"AA", message("1"), []string{"AA", "1"}, hl7.AA},
		{"AE is an answer", message("1"), []string{"AE", "1"}, hl7.AE},
		{"AR is an answer", message("1"), []string{"AR", "1"}, hl7.AR},
		{"others are passed over", message("1"), []string{"AA", "0", "AR", "", "AE", "2", "AA", "1"}, hl7.AA},
		{"CA is enough where nothing else was asked for", message("1"), []string{"CA", "1"}, hl7.CA},
		{"medplum#7115 took the CA for the answer", enhanced("1", "AL"), []string{"CA", "1", "AA", "1"}, hl7.AA},
		{"success only", enhanced("1", "SU"), []string{"CA", "1", "AA", "1"}, hl7.AA},
		{"errors only: CA is the last word", enhanced("1", "ER"), []string{"CA", "1"}, hl7.CA},
		{"CE ends it", enhanced("1", "AL"), []string{"CE", "1"}, hl7.CE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := script(t, func(conn net.Conn, _ string) {
					for i := 0; i < len(tt.answer); i += 2 {
						_, _ = conn.Write(ack(tt.answer[i], tt.answer[i+1]))
					}
				})
				defer c.Close()
				got, err := c.Send(context.Background(), tt.msg)
				if err != nil {
					t.Fatal(err)
				}
				if code, id, _ := got.Acknowledgment(); code != tt.want || id != "1" {
					t.Errorf("answer %s %q, want %s", code, id, tt.want)
				}
			})
		})
	}
}

func TestClientTimeoutRedials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answering atomic.Bool
		dials := 0
		c := script(t, func(conn net.Conn, id string) {
			if answering.Load() {
				_, _ = conn.Write(ack("AA", id))
			}
		})
		dial := c.Dial
		c.Dial = func(ctx context.Context) (net.Conn, error) { dials++; return dial(ctx) }
		defer c.Close()
		start := time.Now()
		if _, err := c.Send(context.Background(), message("1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want a timeout", err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("timed out after %v, want 10 s", d)
		}
		answering.Store(true)
		for range 3 {
			if _, err := c.Send(context.Background(), message("1")); err != nil {
				t.Fatal(err)
			}
		}
		if dials != 2 {
			t.Errorf("%d connections, want 2", dials)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.Send(ctx, message("2")); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if _, err := c.Send(context.Background(), message("3")); err != nil {
			t.Errorf("after a cancel: %v", err)
		}
	})
}

func TestClientErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("no route")
		c := &Client{Dial: func(context.Context) (net.Conn, error) { return nil, boom }}
		if _, err := c.Send(context.Background(), message("1")); !errors.Is(err, boom) {
			t.Errorf("dial: %v", err)
		}
		if _, err := c.Send(context.Background(), []byte("MSH|^~\\&|\rEVN")); !errors.Is(err, ErrNoControlID) {
			t.Errorf("no control id: %v", err)
		}
		var e *hl7.Error
		if _, err := c.Send(context.Background(), []byte("no message")); !errors.As(err, &e) {
			t.Errorf("no message: %v", err)
		}
		closes := script(t, func(conn net.Conn, _ string) { conn.Close() })
		if _, err := closes.Send(context.Background(), message("1")); !errors.Is(err, io.EOF) {
			t.Errorf("closed: %v", err)
		}
		if err := closes.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// TestClientAndServer runs both ends, several senders at once.
func TestClientAndServer(t *testing.T) {
	addr := start(t, &Server{Handler: accept})
	c := &Client{Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
	defer c.Close()
	errs := make(chan error, 20)
	for i := range cap(errs) {
		go func() {
			id := string(rune('a' + i))
			m, err := c.Send(context.Background(), message(id))
			if err == nil {
				if code, got, _ := m.Acknowledgment(); code != hl7.AA || got != id {
					err = errors.New("wrong acknowledgment")
				}
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
