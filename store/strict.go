package store

import (
	"slices"
	"sync"
)

// strict knows every value that was blinded, see Options.Strict. A nil one knows nothing and is content.
type strict struct {
	mu    sync.Mutex
	known map[[blindSize]byte]struct{}
}

func (s *strict) made(sum []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[[blindSize]byte]struct{}{}
	}
	s.known[[blindSize]byte(sum)] = struct{}{}
}

// declares reports whether a table declares every blinded value that stands in a key.
func (s *strict) declares(t *tableInfo, key []byte) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range len(key) - blindSize + 1 {
		if _, blinded := s.known[[blindSize]byte(key[i:])]; blinded && !slices.Contains(t.blinded, i) {
			return false
		}
	}
	return true
}
