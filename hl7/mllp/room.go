package mllp

import (
	"errors"
	"sync"
)

// smallFrame is what a frame may take without asking: nearly every message is smaller, and
// goes through whatever other connections hold.
const smallFrame = 32 << 10

// errNoRoom closes a connection, so that its sender sends again later.
var errNoRoom = errors.New("read frame: other connections take all memory for large frames")

// rooms share out the memory for large frames, so that connections which fill it and stall cost
// what Limits.Memory says and no more. One address has at most half.
type rooms struct {
	mu    sync.Mutex
	taken int            // under mu
	by    map[*tally]int // under mu; entries are above zero
}

// take books n more bytes of limit for an address.
func (r *rooms) take(t *tally, n, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken+n > limit || r.by[t]+n > limit/2 {
		return false
	}
	if r.by == nil {
		r.by = make(map[*tally]int)
	}
	r.taken += n
	r.by[t] += n
	return true
}

func (r *rooms) give(t *tally, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	if r.by[t] -= n; r.by[t] == 0 {
		delete(r.by, t)
	}
}

// hold books what a frame takes beyond smallFrame, in steps, as it comes in.
func (c *conn) hold(held *int, total int) error {
	const step = 64 << 10
	if total <= smallFrame || total <= *held {
		return nil
	}
	more := (total+step-1)/step*step - *held
	if !c.srv.rooms.take(c.tally, more, c.limits.Memory) {
		return errNoRoom
	}
	*held += more
	return nil
}
