package daemon

import (
	"sync"
	"sync/atomic"
	"time"
)

// turn is the lock on the box's keys: one command at a time asks the TPM for them or changes them. It
// knows since when it is held, so that who only wants to look need not wait for a chip that hangs.
type turn struct {
	mu    sync.Mutex
	since atomic.Pointer[time.Time] // nil while nobody holds it
}

// Lock implements sync.Locker.
func (t *turn) Lock() {
	t.mu.Lock()
	now := time.Now()
	t.since.Store(&now)
}

// TryLock takes the lock if nobody holds it.
func (t *turn) TryLock() bool {
	if !t.mu.TryLock() {
		return false
	}
	now := time.Now()
	t.since.Store(&now)
	return true
}

// Unlock implements sync.Locker.
func (t *turn) Unlock() {
	t.since.Store(nil)
	t.mu.Unlock()
}

// held is since when somebody holds the lock; ok is false if nobody does any more.
func (t *turn) held() (since time.Time, ok bool) {
	if at := t.since.Load(); at != nil {
		return *at, true
	}
	return time.Time{}, false
}
