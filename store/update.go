package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"pinward/store/audit"
)

// Update runs fn as one transaction in the name of by. If fn returns nil, all that it did is durable
// when Update returns nil; else nothing of it happened.
//
// fn runs at most once, on the caller's goroutine, while every other Update waits: it must not block,
// do I/O or call the Store. A context that is done before fn begins ends Update with its error;
// later it has no effect, so that the answer is true. A panic in fn is returned as [ErrPanicked].
//
// Even an error of fn is returned only when the transactions that fn could see are durable: a caller
// may rest on "that exists already".
func (s *Store) Update(ctx context.Context, by audit.Actor, fn func(*Tx) error) error {
	return s.update(ctx, &Tx{actor: by}, fn)
}

// Accept is Update for what comes from outside and makes the store grow: it is refused with [ErrFull]
// while less than max(5 %, 512 MB) of the disk is free. Sends, receipts and the rest go on by Update.
func (s *Store) Accept(ctx context.Context, by audit.Actor, fn func(*Tx) error) error {
	if err := s.space.check(); err != nil {
		return err
	}
	return s.update(ctx, &Tx{actor: by}, fn)
}

func (s *Store) update(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wait, alone, err := s.apply(tx, fn)
	s.notice(err)
	if alone {
		s.commitAlone(wait)
	}
	if wait != nil {
		<-wait.done
		if wait.err != nil {
			return wait.err
		}
	}
	return err
}

// apply runs the transaction and adds it to the batch that waits. It returns the batch that has to be
// durable before the caller is told, if any; alone says that the caller is the committer and has to make it so.
func (s *Store) apply(tx *Tx, fn func(*Tx) error) (wait *batch, alone bool, err error) {
	s.turn.Lock()
	defer s.turn.Unlock() // also when fn ends its goroutine, as t.FailNow does
	s.lockNext()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, false, s.err
	}
	if s.closed || s.closing && !tx.own {
		return nil, false, ErrClosed
	}
	now := time.Now().UTC().Round(0)
	if !tx.renews {
		err = s.rotate(now)
	}
	if err == nil {
		err = s.run(tx, now, fn)
	}
	if s.batch.empty() {
		return s.committing, false, err
	}
	wait = s.batch
	if alone = s.mayCommitAlone(); !alone {
		s.wakeUp()
	}
	return wait, alone, err
}

// lockNext takes mu, after whoever waited for it before.
func (s *Store) lockNext() {
	s.first.Lock()
	s.mu.Lock()
	s.first.Unlock()
}

// Settled returns when what had been given to the writer before is durable or has failed: at once where
// there is nothing. It gives the writer nothing to do, so that a watchdog may ask it at any time. It does not return
// while a transaction or a commit hangs.
func (s *Store) Settled() {
	s.turn.Lock()
	s.mu.Lock()
	wait := s.batch
	if wait.empty() {
		wait = s.committing
	}
	s.mu.Unlock()
	s.turn.Unlock()
	if wait != nil {
		<-wait.done
	}
}

// run runs one transaction over the batch that waits, and merges it in if it succeeds.
func (s *Store) run(tx *Tx, now time.Time, fn func(*Tx) error) error {
	b := s.batch
	tx.store, tx.ring, tx.seq, tx.size = s, b.state.ring, b.state.size, s.durable.Load().size
	tx.now, tx.restored = now, b.state.restored
	if now.Before(b.state.last) {
		tx.now = b.state.last
		tx.untrusted = b.state.last.Sub(now) >= clockStep
	}
	tx.layers = append(tx.layers, &layer{}, b.layer)
	if s.committing != nil {
		tx.layers = append(tx.layers, s.committing.layer)
	}
	if err := guard(func() error { return fn(tx) }, tx.end); err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if tx.must && tx.recorded == 0 {
		return ErrNoEntry
	}
	for _, c := range tx.layers[0].tables {
		for _, n := range c.items {
			b.layer.put(c.table, n)
		}
	}
	b.txs++
	b.entries = append(b.entries, tx.entries...)
	b.raw = append(b.raw, tx.raw...)
	b.indexed = append(b.indexed, tx.indexed...)
	for _, t := range tx.topics {
		b.topics[t] = struct{}{}
	}
	b.state.restored = tx.restored
	if tx.keys != nil {
		b.keys = tx.keys
	}
	if tx.ringNew {
		b.state.ring, b.ringNew = tx.ring, true
	}
	if len(tx.entries) > 0 {
		b.state.size, b.state.last = tx.seq, tx.now
	}
	return nil
}

// View runs fn over a snapshot of what is durable. It runs beside the writer and other Views. fn must
// not call the Store: the writer may wait for fn to end.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &Tx{store: s, view: true}
	err := guard(func() error {
		if err := s.settle(tx); err != nil {
			return err
		}
		return fn(tx)
	}, tx.end)
	s.notice(err)
	return err
}

// notice looks at what a transaction met. A live file that does not hang together any more ends the
// store: the process ends, and the next Open puts the file aside and says so, where going on would
// answer every request with an error for ever. Single values that do not open are counted.
func (s *Store) notice(err error) {
	switch {
	case errors.Is(err, errPages):
		s.fail(fmt.Errorf("read live file: %w", err))
	case errors.Is(err, ErrCorrupt):
		s.rotten.Add(1)
	}
}

// settle opens the View's snapshot and waits until that is durable: bbolt shows a commit to readers
// when its meta page is written, which is one sync too early.
func (s *Store) settle(tx *Tx) error {
	select {
	case <-s.failed:
		return s.Err()
	default:
	}
	if err := s.match(tx); err != nil {
		return err
	}
	d := s.durable.Load()
	tx.ring, tx.size, tx.restored, tx.now = d.ring, d.size, d.restored, time.Now().UTC().Round(0)
	if tx.now.Before(d.last) {
		tx.now = d.last
	}
	return nil
}

// match opens the snapshot together with the pending changes that are of it.
func (s *Store) match(tx *Tx) error {
	for {
		snap, err := tx.snapshot()
		if err != nil {
			return err
		}
		d := s.durable.Load()
		switch {
		case d.file == tx.file && d.txid == snap.ID():
			tx.pending = d.pending
			return nil
		case d.file != tx.file || d.txid > snap.ID(): // another came between
			_ = snap.Rollback()
			tx.snap = nil
			continue
		}
		l := s.landing.Load()
		if l != nil && l.file == tx.file && l.txid == snap.ID() {
			<-l.ticket.done
			tx.pending = l.pending
			return l.ticket.err
		}
		if s.durable.Load() == d {
			return errors.New("read store: what it holds is not durable")
		}
	}
}

// guard runs fn, then end, and turns a panic, and a fault of the memory map, into an error.
func guard(fn func() error, end func()) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
		debug.SetPanicOnFault(old)
		end()
	}()
	return fn()
}

// rotate gives the batch a data key and an audit key for the month, before its first transaction of that
// month. Keys of other purposes are made when they are needed, see keyFor.
func (s *Store) rotate(now time.Time) error {
	b := s.batch
	if now.Before(b.state.last) {
		now = b.state.last
	}
	if !s.needsKey(b.state.ring, PurposeData, now) && !s.needsKey(b.state.ring, PurposeAudit, now) {
		return nil
	}
	err := s.run(&Tx{own: true, actor: self}, now, func(tx *Tx) error {
		// Both before the first entry: an entry is sealed under the key that is current then.
		made := []Purpose{}
		for _, p := range []Purpose{PurposeData, PurposeAudit} {
			if !s.needsKey(tx.ring, p, tx.now) {
				continue
			}
			next, err := tx.ring.withNext(p, tx.now)
			if err != nil {
				return err
			}
			tx.ring, tx.ringNew = next, true
			made = append(made, p)
		}
		for _, p := range made {
			if err := tx.keyMade(p.String(), last(tx.ring.keys[p])); err != nil {
				return err
			}
		}
		n := *tx.ring
		live, dead := n.liveCodes(day(tx.now))
		n.code, tx.ring = live, &n
		return tx.keysDropped(dead)
	})
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	return nil
}

// needsKey reports whether a purpose has no key for this time, or one that has sealed enough. The
// count is that of the key on the disk; one that waits to get there has sealed little.
func (s *Store) needsKey(r *ring, p Purpose, now time.Time) bool {
	k := last(r.keys[p])
	return k == nil || k.key == nil || k.period != p.period(now) ||
		s.seals[p].Load() >= maxSeals && k.epoch == epochOf(s.durable.Load().ring, p)
}

func epochOf(r *ring, p Purpose) uint32 {
	if k := last(r.keys[p]); k != nil {
		return k.epoch
	}
	return 0
}

// keyFor makes the key under which a table's values are sealed now, if it is not there yet.
func (tx *Tx) keyFor(p Purpose) error {
	if p == PurposeData || !tx.store.needsKey(tx.ring, p, tx.now) {
		return nil // that of the data was made by rotate
	}
	next, err := tx.ring.withNext(p, tx.now)
	if err != nil {
		return err
	}
	tx.ring, tx.ringNew = next, true
	return tx.keyMade(p.String(), last(tx.ring.keys[p]))
}
