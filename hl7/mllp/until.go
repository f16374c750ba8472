package mllp

import (
	"context"
	"sync"
	"time"
)

// until is a context that ends at a time, and makes the timer for it only when somebody waits: nearly every message
// is handled without. Its owner calls stop.
type until struct {
	context.Context // of the connection
	at              time.Time

	mu      sync.Mutex
	stopped bool
	timed   context.Context // nil before somebody waits
	cancel  context.CancelFunc
}

func newUntil(parent context.Context, d time.Duration) *until {
	return &until{Context: parent, at: time.Now().Add(d)}
}

// Deadline is the time at which the context ends.
func (u *until) Deadline() (time.Time, bool) { return u.at, true }

// Done is closed when the context ends.
func (u *until) Done() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.timed == nil {
		u.timed, u.cancel = context.WithDeadline(u.Context, u.at)
		if u.stopped {
			u.cancel()
		}
	}
	return u.timed.Done()
}

// Err tells why the context has ended, nil if it has not.
func (u *until) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.timed != nil:
		return u.timed.Err()
	case u.Context.Err() != nil:
		return u.Context.Err()
	case u.stopped:
		return context.Canceled
	case !time.Now().Before(u.at):
		return context.DeadlineExceeded
	}
	return nil
}

// stop ends it for whoever still waits.
func (u *until) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped = true; u.cancel != nil {
		u.cancel()
	}
}
