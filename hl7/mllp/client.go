package mllp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"pinward/hl7"
)

// Client sends messages to one peer, one after the other over one connection that it keeps. It
// may be used from several goroutines; they wait for each other. The fields are
// set before use.
type Client struct {
	// Dial opens a connection. Required.
	Dial func(ctx context.Context) (net.Conn, error)
	// Timeout is how long one Send may take, dialling included; 0 means 10 s.
	Timeout time.Duration
	// MaxFrame is the largest answer; 0 means DefaultMaxFrame.
	MaxFrame int

	once sync.Once
	turn chan struct{} // holds a token while a Send or Close owns the fields below
	conn net.Conn
	r    *Reader
}

// ErrNoControlID means that a message cannot be sent, as its answer could not be told.
var ErrNoControlID = errors.New("send message: no control id in MSH-10")

func (c *Client) take(ctx context.Context) error {
	c.once.Do(func() { c.turn = make(chan struct{}, 1) })
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Send sends a payload and waits for the acknowledgment whose MSA-2 is its MSH-10.
// What answers another message is passed over: it came too late for its own. A
// commit acknowledgment (CA) is the answer, unless MSH-16 asks for an application
// acknowledgment on success (AL or SU); then that one is waited for. CE and CR are
// always the answer.
//
// AE and AR are answers too and no error. On an error nobody knows whether the
// message arrived: the connection is closed, and the caller may send the same
// payload with the same MSH-10 again.
func (c *Client) Send(ctx context.Context, msg []byte) (*hl7.Message, error) {
	m, err := hl7.Options{MaxBytes: hl7.MaxBytes}.Parse(msg)
	if err != nil {
		return nil, fmt.Errorf("send message: %w", err)
	}
	id := m.ControlID()
	if id == "" {
		return nil, ErrNoControlID
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.take(ctx); err != nil {
		return nil, fmt.Errorf("send message: %w", err)
	}
	defer func() { <-c.turn }()
	if err := ctx.Err(); err != nil {
		// take may have found both: nothing is sent on a context that has ended.
		return nil, fmt.Errorf("send message: %w", err)
	}

	ack, err := c.exchange(ctx, msg, id, wantsApplicationAck(m))
	if err != nil {
		c.drop()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("send message: %w", err)
	}
	return ack, nil
}

func wantsApplicationAck(m *hl7.Message) bool {
	switch m.MSH(16).String() {
	case "AL", "SU":
		return true
	}
	return false
}

func (c *Client) exchange(ctx context.Context, msg []byte, id string, application bool) (*hl7.Message, error) {
	if c.conn != nil && stale(c.conn) {
		c.drop()
	}
	if c.conn == nil {
		conn, err := c.Dial(ctx)
		if err != nil {
			return nil, fmt.Errorf("dial: %w", err)
		}
		c.conn, c.r = conn, NewReader(conn, c.MaxFrame)
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	defer func() {
		if !stop() {
			// The deadline is, or will be, in the past: of no use to the next Send.
			c.drop()
		}
	}()
	if _, err := conn.Write(AppendFrame(make([]byte, 0, len(msg)+3), msg)); err != nil {
		return nil, fmt.Errorf("write frame: %w", err)
	}
	for {
		frame, err := c.r.Next()
		if err != nil {
			return nil, fmt.Errorf("wait for acknowledgment: %w", err)
		}
		// Broken or not, only what answers our message counts.
		ack, _ := hl7.Options{MaxBytes: hl7.MaxBytes}.Parse(frame)
		code, answered, ok := ack.Acknowledgment()
		if !ok || answered != id || code == hl7.CA && application {
			continue
		}
		return ack, nil
	}
}

// drop closes the connection; the next Send dials anew.
func (c *Client) drop() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn, c.r = nil, nil
	}
}

// Close closes the connection when a running Send is done. A later Send dials anew.
func (c *Client) Close() error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	c.drop()
	<-c.turn
	return nil
}
