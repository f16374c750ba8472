package line

import "context"

// Class is the place of a command in the queue. A waiting command of a higher class goes first; none interrupts a running one.
type Class int

// The classes, first to last.
const (
	HangUp Class = iota // CHUP, CNMA: the network or a person waits
	Call                // other call control
	Code                // sends
	Rest                // housekeeping
	classes
)

// Cmd is one command line.
type Cmd struct {
	Text    string   // without "AT": "+CPIN?"
	Class   Class    // zero value is HangUp: say what it is
	Answers []string // prefixes other than its own name that its answer may have, as "+ICCID" for +CCID
}

// request is a Cmd in the queue and its one result. done has room for it: nobody waits for a caller that went away.
type request struct {
	cmd  Cmd
	run  func(*request) ([]string, error) // what the runner does, in its goroutine
	over bool                             // may run while the line is dirty: a resync
	done chan result
}

type result struct {
	info []string
	err  error
}

// enqueue puts r in its class and wakes the runner.
func (l *Line) enqueue(r *request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.closedErr()
	}
	if l.dirty && !r.over {
		return ErrDirty
	}
	l.queue[r.cmd.Class] = append(l.queue[r.cmd.Class], r)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// remove takes r out of the queue; false says that the runner has it already.
func (l *Line) remove(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue[r.cmd.Class]
	for i := range q {
		if q[i] == r {
			l.queue[r.cmd.Class] = append(q[:i:i], q[i+1:]...)
			return true
		}
	}
	return false
}

// take is the next request: the first of the highest class. A dirty line gives only the resync, and refuses the rest.
func (l *Line) take() *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.queue {
		for len(l.queue[c]) > 0 {
			r := l.queue[c][0]
			l.queue[c] = l.queue[c][1:]
			switch {
			case l.closed:
				r.done <- result{err: notStarted(l.closedErr())}
			case l.dirty && !r.over:
				r.done <- result{err: notStarted(ErrDirty)}
			default:
				return r
			}
		}
	}
	return nil
}

// runner runs one request after the other until the line is closed.
func (l *Line) runner() {
	defer l.wg.Done()
	for {
		if r := l.take(); r != nil {
			info, err := r.run(r)
			r.done <- result{info, err}
			continue
		}
		select {
		case <-l.wake:
		case <-l.ended:
			l.take() // answers what came in between
			if l.at != nil {
				l.in.close()
				<-l.at.Closed()
			}
			return
		}
	}
}

// do queues r and waits for its result or for ctx. When ctx ends while r is running, the line stays with r until its own end;
// only the caller goes.
func (l *Line) do(ctx context.Context, r *request) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, notStarted(err)
	}
	r.done = make(chan result, 1)
	if err := l.enqueue(r); err != nil {
		return nil, notStarted(err)
	}
	select {
	case res := <-r.done:
		return res.info, res.err
	case <-ctx.Done():
	}
	if l.remove(r) {
		return nil, notStarted(ctx.Err())
	}
	select {
	case res := <-r.done: // both at once: the result tells more
		return res.info, res.err
	default:
		return nil, context.Cause(ctx)
	}
}
