package store

import (
	"context"
	"time"
)

// headLoop signs heads, and takes old code keys off the ring, until ctx is done.
func (s *Store) headLoop(ctx context.Context) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failed:
			return
		case <-s.sign:
		case <-tick.C:
			if err := s.dropCodes(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("code keys not dropped", "error", err)
			}
		}
		if err := s.signHead(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("head not signed", "error", err)
		}
	}
}
