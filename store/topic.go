package store

import "sync"

// Topic is something that a reader may wait for, for example "a message became due". Rooms declare
// theirs as package-level variables.
type Topic struct{ name string }

// NewTopic returns a new topic. The name is for people only.
func NewTopic(name string) *Topic { return &Topic{name} }

// String returns the topic's name.
func (t *Topic) String() string { return t.name }

// watchers are the channels to be signalled, by topic.
type watchers struct {
	mu sync.Mutex
	by map[*Topic]map[chan struct{}]struct{}
}

// Watch returns a channel that receives after each durable commit in which a transaction called
// tx.Signal(t). It holds one signal: several commits may become one, and none is lost. Call stop when
// done; the channel is never closed.
func (s *Store) Watch(t *Topic) (ch <-chan struct{}, stop func()) {
	w := &s.watch
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[*Topic]map[chan struct{}]struct{}{}
	}
	if w.by[t] == nil {
		w.by[t] = map[chan struct{}]struct{}{}
	}
	w.by[t][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by[t], c)
	}
}

func (w *watchers) signal(topics map[*Topic]struct{}) {
	if len(topics) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range topics {
		for c := range w.by[t] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}
