package store

import (
	"maps"
	"sync"

	"pinward/store/audit"
)

// Tallied is one kind of entry.
type Tallied struct {
	Action  audit.Action
	Outcome audit.Outcome
}

// tally counts the entries that became durable since Open, by kind. Actions are words of the program, so
// there are few kinds.
type tally struct {
	mu sync.Mutex
	by map[Tallied]uint64
}

func (t *tally) add(entries []pendingEntry) {
	if len(entries) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[Tallied]uint64{}
	}
	for i := range entries {
		t.by[Tallied{entries[i].entry.Action, entries[i].entry.Outcome}]++
	}
}

// Tally tells how many entries of each kind became durable since Open, for figures by the minute: it reads
// nothing.
func (s *Store) Tally() map[Tallied]uint64 {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	return maps.Clone(s.tally.by)
}
