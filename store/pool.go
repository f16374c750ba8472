package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// maxOpenSegments bounds the segments that are open at a time beyond those in use.
const maxOpenSegments = 4

// pool opens segments when they are needed and closes those that were not for the longest.
type pool struct {
	log *slog.Logger
	wg  sync.WaitGroup // closings

	mu    sync.Mutex
	open  []*segment
	clock uint64
}

// acquire opens a segment, if it is not open, for one user.
func (p *pool) acquire(g *segment) (*bolt.DB, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.db == nil {
		db, err := openSegment(g)
		if err != nil {
			return nil, err
		}
		g.db = db
		p.open = append(p.open, g)
	}
	p.clock++
	g.users, g.used = g.users+1, p.clock
	p.trim()
	return g.db, nil
}

// openSegment opens the file for reading and checks that it is the right one. One that is not, or that
// is no database, is put aside.
func openSegment(g *segment) (db *bolt.DB, err error) {
	if g.look(); g.bad.Load() != nil {
		return nil, g.bad.Load().err
	}
	err = guard(func() (err error) {
		db, err = bolt.Open(g.path, 0o400, &bolt.Options{ReadOnly: true, Timeout: time.Second})
		if err != nil {
			return err
		}
		return g.verify(db)
	}, func() {})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, ErrCorrupt):
		if db != nil && !errors.Is(err, errPages) {
			_ = guard(db.Close, func() {})
		}
		g.quarantine("it is not what was frozen")
		return nil, g.bad.Load().err
	}
	return nil, fmt.Errorf("open segment %d: %w", g.Number, err)
}

// release gives a segment back.
func (p *pool) release(g *segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g.users--
	p.trim()
}

// adopt takes over a database that is open already: that of the live file which is being frozen. The caller
// is a user of it, until nobody takes it for the live file any more.
func (p *pool) adopt(g *segment, db *bolt.DB) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	g.db, g.used, g.users = db, p.clock, 1
	p.open = append(p.open, g)
	p.trim()
}

// forget lets go of a segment whose database cannot be closed any more.
func (p *pool) forget(g *segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g.db = nil
	p.drop(g)
}

func (p *pool) drop(g *segment) {
	for i, o := range p.open {
		if o == g {
			p.open = append(p.open[:i:i], p.open[i+1:]...)
			return
		}
	}
}

// trim closes what was not used for the longest, if too many are open.
func (p *pool) trim() {
	for len(p.open) > maxOpenSegments {
		var idle *segment
		for _, g := range p.open {
			// A file that was the live one may have Views that began before it was frozen. Until they
			// end it stays locked against everybody else, so it is not to be opened anew meanwhile.
			if g.users == 0 && (idle == nil || g.used < idle.used) && g.db.Stats().OpenTxN == 0 {
				idle = g
			}
		}
		if idle == nil {
			return
		}
		db := idle.db
		idle.db = nil
		p.drop(idle)
		// Closing waits for a View that has found this file just now, before it was frozen.
		p.wg.Go(func() { _ = guard(db.Close, func() {}) })
	}
}

// close closes what is open; nobody uses the pool any more.
func (p *pool) close() {
	p.mu.Lock()
	for _, g := range p.open {
		db := g.db
		p.wg.Go(func() { _ = guard(db.Close, func() {}) })
	}
	p.open = nil
	p.mu.Unlock()
	p.wg.Wait()
}
