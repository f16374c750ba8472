package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// mergeFrom is how many changes are pending before any is merged under load: the more there are, the
	// more of them share a page. Each takes some 400 bytes of memory.
	mergeFrom = 16 << 10
	// mergeParts is in how many pieces so many are merged, each in one write between two batches: what a
	// caller may have to wait for.
	mergeParts = 8
	// mergeIdle is how long nothing has to come until the rest is merged.
	mergeIdle = 200 * time.Millisecond
	// mergeAgain is how long the committer waits after a merge failed.
	mergeAgain = time.Second
)

// mergeAtOnce is how many changes are merged in one write under load. When nothing comes they are fewer:
// whoever comes then is alone and expects the disk to be free.
func (s *Store) mergeAtOnce() int { return max(1, s.mergeFrom/mergeParts) }

func (s *Store) mergeIdly() int { return max(1, s.mergeAtOnce()/4) }

// maxPending is how many changes may be pending if they cannot be merged, as the disk is full. Then
// commits fail, too.
func (s *Store) maxPending() int { return 2 * s.mergeFrom }

// journal is where the committer stands in writing the journal and in merging it. The committer owns it; rest and told
// are the loop's.
type journal struct {
	generation uint64 // into which commits write
	next       uint32 // the next chunk in it
	passing    bool   // a pass is under way: older generations go at its end
	bucket     string // the last change that it merged
	key        string
	rest       time.Time // not before this, after a merge failed
	told       bool      // that it failed, since the last that did not
}

// landing is a write of the file that may be visible before it is durable. Who meets it waits for what
// it ends in, and then sees what is pending over it.
type landing struct {
	file    *file
	txid    int
	pending *pending
	ticket  *batch // done and err are its end
}

// merge moves up to most pending changes into their tables, in one write. If we crash before that is
// durable nothing was merged; after it the changes are in their tables and, until the pass is over, in
// the journal as well, which is the same.
func (s *Store) merge(most int) error {
	old, j := s.durable.Load(), &s.journal
	if old.pending.size() == 0 {
		return nil
	}
	if err := s.Err(); err != nil { // it is open what the file holds: nothing more goes into it
		return err
	}
	if !j.passing {
		j.passing, j.bucket, j.key = true, "", ""
		if j.next > 0 {
			j.generation, j.next = j.generation+1, 0
		}
	}
	list, over := old.pending.after(j.bucket, j.key, most)
	next := old.pending.edit()
	next.drop(list)
	below := uint64(0) // generations that end with this
	switch {
	case next.n == 0:
		below = j.generation + 1
	case over:
		below = j.generation
	}
	d := *old
	d.pending = next.pending
	ticket := &batch{done: make(chan struct{})}
	txid, fatal, err := s.inFile(old.file, d.pending, ticket, s.writeMerge, func(tx *bolt.Tx) error {
		if err := putMerged(tx, list); err != nil {
			return err
		}
		return dropGenerations(tx, below)
	})
	if err != nil {
		err = fmt.Errorf("merge journal: %w", err)
		if fatal {
			s.fail(err)
		}
		ticket.finish(err)
		return err
	}
	if over || next.n == 0 {
		j.passing = false
	} else {
		last := list[len(list)-1]
		j.bucket, j.key = last.bucket, last.key
	}
	if next.n == 0 {
		j.generation, j.next = j.generation+1, 0
	}
	d.txid = txid
	s.lockNext()
	s.durable.Store(&d)
	s.mu.Unlock()
	ticket.finish(nil)
	return nil
}

func putMerged(tx *bolt.Tx, list []mergedRow) error {
	var bucket *bolt.Bucket
	for i, m := range list {
		if i == 0 || list[i-1].bucket != m.bucket {
			if bucket = tx.Bucket([]byte(m.bucket)); bucket == nil {
				return fmt.Errorf("%w: a table that the journal has changes of is missing", ErrCorrupt)
			}
		}
		var err error
		if m.value == nil {
			err = bucket.Delete([]byte(m.key))
		} else {
			err = bucket.Put([]byte(m.key), m.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropGenerations drops what is merged of the journal.
func dropGenerations(tx *bolt.Tx, below uint64) error {
	top := tx.Bucket(bucketJournal)
	var old [][]byte
	err := top.ForEachBucket(func(name []byte) error {
		if binary.BigEndian.Uint64(name) < below {
			old = append(old, slices.Clone(name))
		}
		return nil
	})
	for _, name := range old {
		err = errors.Join(err, top.DeleteBucket(name))
	}
	return err
}

// mergeAll merges all that is pending. The committer runs it.
func (s *Store) mergeAll() error {
	for s.durable.Load().pending.size() > 0 {
		if err := s.merge(s.mergeAtOnce()); err != nil {
			return err
		}
	}
	return nil
}

// mergeBehind is what the committer does after each batch: it keeps what is pending within bounds.
func (s *Store) mergeBehind() {
	if s.durable.Load().pending.size() >= s.mergeFrom && s.Err() == nil {
		s.tryMerge(s.mergeAtOnce())
	}
}

// tryMerge merges a piece, and tells whether it could. A failure is nobody's: the changes are durable,
// and who needs the space is told by the commits.
func (s *Store) tryMerge(most int) bool {
	if time.Now().Before(s.journal.rest) {
		return false
	}
	err := s.merge(most)
	if err != nil {
		s.journal.rest = time.Now().Add(mergeAgain)
		if !s.journal.told {
			s.log.Warn("journal of the store not merged", "error", err)
		}
	}
	s.journal.told = err != nil
	return err == nil
}

// idle waits until there is something to do for the loop, and merges what is pending when nothing comes for a while.
func (s *Store) idle() {
	for {
		d := s.durable.Load()
		size := d.pending.size()
		if size == 0 || s.Err() != nil {
			<-s.wake
			return
		}
		// No longer than that, whatever the clock says of the last commit.
		wait, most := min(mergeIdle, mergeIdle-time.Since(later(d.when, s.since))), s.mergeIdly()
		if size >= s.mergeFrom {
			wait, most = 0, s.mergeAtOnce()
		}
		timer := time.NewTimer(max(0, wait, time.Until(s.journal.rest)))
		select {
		case <-s.wake:
			timer.Stop()
			return
		case <-timer.C:
		}
		if now := s.durable.Load(); now.when != d.when && size < s.mergeFrom {
			continue // something came meanwhile
		}
		s.committer <- struct{}{}
		s.tryMerge(most)
		<-s.committer
	}
}

// merged merges all that is pending now, and then runs then before the next batch: for those who read the
// file as it stands. Most is merged beside the writer, the rest in a short pause.
func (s *Store) merged(then func()) error {
	for range 4 * mergeParts {
		if s.durable.Load().pending.size() <= s.mergeAtOnce() {
			break
		}
		if err := s.between(func() error { return s.merge(s.mergeAtOnce()) }); err != nil {
			return err
		}
	}
	return s.between(func() error {
		err := s.mergeAll()
		if err == nil && then != nil {
			then()
		}
		return err
	})
}
