package modemsim

import (
	"container/heap"
	"sync"
	"time"
)

// agenda is what will happen, in order: each thing that takes time in the
// simulated world waits here. One goroutine, owned by the Network, runs the
// entries under the world's lock, so that they never overlap, and entries due at
// the same instant run in the order in which they were made.
type agenda struct {
	world *sync.Mutex // guards queue and last too
	queue entries
	last  uint64
	wake  chan struct{}
	quit  chan struct{}
	done  chan struct{}
}

type entry struct {
	due   time.Time
	order uint64
	f     func() // nil once cancelled
}

// cancel makes the entry do nothing. The caller holds the world's lock.
func (e *entry) cancel() {
	if e != nil {
		e.f = nil
	}
}

func newAgenda(world *sync.Mutex) *agenda {
	a := &agenda{world: world, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go a.run()
	return a
}

// after runs f in d, under the world's lock. The caller holds that lock.
func (a *agenda) after(d time.Duration, f func()) *entry {
	if d < 0 {
		d = 0
	}
	a.last++
	e := &entry{due: time.Now().Add(d), order: a.last, f: f}
	heap.Push(&a.queue, e)
	if a.queue[0] == e {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	return e
}

func (a *agenda) run() {
	defer close(a.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(a.runDue())
		select {
		case <-a.quit:
			return
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// runDue runs what is due and returns how long the next entry has to wait.
func (a *agenda) runDue() time.Duration {
	a.world.Lock()
	defer a.world.Unlock()
	for len(a.queue) > 0 {
		e := a.queue[0]
		if wait := time.Until(e.due); wait > 0 {
			return wait
		}
		heap.Pop(&a.queue)
		if f := e.f; f != nil {
			e.f = nil
			f()
		}
	}
	return time.Hour
}

// stop ends the goroutine and waits for it. The caller does not hold the lock.
func (a *agenda) stop() {
	close(a.quit)
	<-a.done
}

// entries is a heap by due time, then by order of making.
type entries []*entry

func (q entries) Len() int { return len(q) }
func (q entries) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].order < q[j].order
}
func (q entries) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *entries) Push(x any) { *q = append(*q, x.(*entry)) }

// Pop implements heap.Interface.
func (q *entries) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
