package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"pinward/store/audit"
)

// The disk counts as full below max(5 %, 512 MB): what is left belongs to what was accepted already.
const (
	minFreePart  = 20 // a twentieth
	minFreeBytes = 512 << 20
)

// freeAge is how long an answer about free space is used again.
const freeAge = time.Second

// space knows whether something new may be accepted.
type space struct {
	dir  string
	free func(dir string) (free, total uint64, err error)

	mu    sync.Mutex
	asked time.Time
	err   error // the last answer
	full  bool  // a commit found no space, and none has worked since
	gap   gap   // what of this no entry tells yet
}

// gap is the time in which commits found no space: the first of them and the last.
type gap struct{ since, until time.Time }

// check returns nil or an error that wraps ErrFull.
func (s *space) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.asked) >= freeAge {
		s.asked, s.err = now, s.ask()
		s.full = false // the next commit tells again
	}
	if s.full {
		return ErrFull
	}
	return s.err
}

func (s *space) ask() error {
	free, least, err := s.limits()
	if err == nil && free < least {
		err = ErrFull
	}
	return err
}

// limits are what is free, and what has to stay free for what was accepted already.
func (s *space) limits() (free, least uint64, err error) {
	free, total, err := s.free(s.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for free space: %w", err)
	}
	return free, max(total/minFreePart, minFreeBytes), nil
}

// Room tells how many bytes are free on the store's disk, and below how many [Store.Accept] takes nothing new. It is for health
// and monitors.
//
// Errors to branch on: [ErrFull], with both figures: Accept would refuse now, also for a commit that found no space.
func (s *Store) Room() (free, least uint64, err error) {
	if free, least, err = s.space.limits(); err != nil {
		return 0, 0, err
	}
	return free, least, s.space.check()
}

// room returns ErrFull if so many bytes more would take half of what is kept free: a copy that the store
// makes for its own upkeep must not take the last space from commits.
func (s *space) room(need uint64) error {
	free, least, err := s.limits()
	if err != nil {
		return err
	}
	if free < need+least/2 {
		return fmt.Errorf("%w: %d MB are needed for a copy of the live file, %d MB are free", ErrFull, need>>20, free>>20)
	}
	return nil
}

// failed notes a commit that failed; worked, one that did not.
func (s *space) failed(err error) {
	if errors.Is(err, ErrFull) {
		s.mu.Lock()
		s.full, s.asked = true, time.Now()
		s.gap.until = s.asked
		if s.gap.since.IsZero() {
			s.gap.since = s.asked
		}
		s.mu.Unlock()
	}
}

func (s *space) worked() {
	s.mu.Lock()
	s.full = false
	s.mu.Unlock()
}

// untold is the gap that no entry tells yet; zero if there is none. told forgets it, but for what came to it meanwhile.
func (s *space) untold() gap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gap
}

func (s *space) told(g gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gap.since = s.gap.until; s.gap.until.Equal(g.until) {
		s.gap = gap{}
	}
}

// tellGap records that entries could not be written, and that they can be again. While there is no space it fails as they do, and comes
// again. If the process ends before, the log says nothing of it: there was no place to keep it.
func (s *Store) tellGap(ctx context.Context) {
	g := s.space.untold()
	if g.since.IsZero() {
		return
	}
	err := s.update(ctx, &Tx{own: true, actor: self}, func(tx *Tx) error {
		err := tx.Record(audit.Entry{Action: ActionUnwritten, Outcome: audit.Failed, Attrs: []audit.Attr{
			{Key: "since", Value: g.since.UTC().Format(time.RFC3339)}, {Key: "until", Value: g.until.UTC().Format(time.RFC3339)},
		}})
		if err != nil {
			return err
		}
		return tx.Record(audit.Entry{Action: ActionWritten, Outcome: audit.OK})
	})
	switch {
	case err == nil:
		s.space.told(g)
	case ctx.Err() == nil && !errors.Is(err, ErrFull):
		s.log.Warn("not recorded that entries could not be written", "error", err)
	}
}

// statfs asks the file system of dir, for an unprivileged process.
func statfs(dir string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}
