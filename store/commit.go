package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"pinward/store/audit"
)

// commitLoop makes batch after batch durable, until the store is closed and nothing waits any more.
//
// There is one committer at a time: whoever has put a token into Store.committer. As long as there is much to do that
// is the loop. A transaction that comes while nothing is going on commits by itself (commitAlone): to wake the loop, and
// to be woken by it, takes as long as a third of the commit.
func (s *Store) commitLoop() {
	for over := false; !over; {
		s.committer <- struct{}{}
		over = s.commitAll()
		<-s.committer
		if !over {
			s.idle()
		}
	}
}

// commitAll makes all durable that waits, and tells whether the store is closed.
func (s *Store) commitAll() (over bool) {
	for {
		s.lockNext()
		for len(s.interludes) > 0 {
			fn, failed := s.interludes[0], s.err
			s.interludes = s.interludes[1:]
			s.mu.Unlock()
			fn(failed)
			s.mu.Lock()
		}
		b := s.batch
		if b.empty() {
			closed, failed := s.closed, s.err
			s.mu.Unlock()
			if closed && failed == nil {
				if err := s.mergeAll(); err != nil { // the next Open finds it in the journal
					s.log.Warn("journal of the store not merged", "error", err)
				}
			}
			return closed
		}
		if s.err != nil { // it is open which file is the live one: nothing more goes into either
			s.batch = newBatch(b.previous)
			s.mu.Unlock()
			b.finish(s.err)
			continue
		}
		s.take()
		s.mu.Unlock()

		d, fatal, err := s.commit(b)
		s.publish(b, d, fatal, err)
		s.mergeBehind()
		s.gather(b)
	}
}

// take begins to commit what waits. The caller holds mu, and is the committer.
func (s *Store) take() { s.committing, s.batch = s.batch, s.batch.after() }

// mayCommitAlone makes the caller, who holds mu, the committer of what waits, if nothing else is going on.
func (s *Store) mayCommitAlone() bool {
	if len(s.interludes) > 0 {
		return false
	}
	select {
	case s.committer <- struct{}{}:
		s.take()
		return true
	default:
		return false
	}
}

// commitAlone makes a batch durable on behalf of the transaction that made it.
func (s *Store) commitAlone(b *batch) {
	defer func() {
		if v := recover(); v != nil { // it must end the process as it does in the loop, whoever guards the caller
			why := fmt.Sprintf("%v\n\n%s", v, debug.Stack())
			go panic(why)
			select {}
		}
	}()
	before := s.durable.Load().pending.size()
	var d *durable
	fatal, err := false, s.Err() // the transaction may have found out that the file is damaged
	if err == nil {
		d, fatal, err = s.commit(b)
	}
	s.publish(b, d, fatal, err)
	<-s.committer
	if n := s.durable.Load().pending.size(); before == 0 && n > 0 || n >= s.mergeFrom {
		s.wakeUp() // to merge, at once or when nothing comes for a while
	}
}

// gatherMost is the longest that gather takes: about what a commit costs however little is in it.
const gatherMost = 2 * time.Millisecond

// gather lets the callers that were just told come back with their next transaction, while they keep
// coming. Without it they would take turns: one half waits for the commit of the other, and each
// commit is half as large as it could be. Where transactions take longer than a commit that is as it
// should be, for they run beside it; hence the limit. It yields and never sleeps, and a lone caller is
// not held up at all.
func (s *Store) gather(told *batch) {
	before := -1
	for start := time.Now(); time.Since(start) < gatherMost; {
		s.lockNext()
		n := s.batch.txs
		s.mu.Unlock()
		if told.txs+n < 2 || n == before {
			return
		}
		before = n
		runtime.Gosched()
	}
}

// publish ends a batch. What was run on top of a batch that failed fails with it.
func (s *Store) publish(b *batch, d *durable, fatal bool, err error) {
	s.lockNext()
	s.committing = nil
	if err == nil {
		s.durable.Store(d)
		s.edge = d.edge
		if b.keys != nil {
			s.keys.now.Store(&b.keys)
		}
	} else {
		if fatal && s.err == nil {
			s.err = err
			close(s.failed)
		}
		s.batch.finish(err)
		s.batch = newBatch(b.previous)
	}
	s.mu.Unlock()
	defer b.finish(err)
	if err != nil {
		s.space.failed(err)
		return
	}
	s.space.worked()
	s.tally.add(b.entries)
	s.watch.signal(b.topics)
	if d.size-d.head.size >= headAfter {
		select {
		case s.sign <- struct{}{}:
		default:
		}
	}
}

// prepared is a batch as bytes: nothing is left to be done under the file's lock but to put them.
type prepared struct {
	values  []sealedPut
	chunks  []chunk
	direct  bool     // values go where they belong, and not into the journal
	pending *pending // after the batch
	records [][]byte
	leaves  []tlog.Hash
	nodes   []rawPut
	edge    audit.Edge
	keyring []byte
	state   []byte
	seals   [purposes]uint64
}

type sealedPut struct {
	table *tableInfo
	key   string
	plain []byte // nil is a deletion
	laid  string // key as it stands in the file
	value []byte // sealed; nil is a deletion
}

// sealedSize is how long the sealed value is.
func (v *sealedPut) sealedSize() int {
	if v.plain == nil {
		return 0
	}
	return len(v.plain) + sealExtra
}

// commit makes a batch durable. If it fails, fatal says that it is not known whether the batch is on
// the disk; else it is known that it is not.
func (s *Store) commit(b *batch) (d *durable, fatal bool, err error) {
	old := s.durable.Load()
	if len(b.layer.tables) == 0 && len(b.entries) == 0 && len(b.raw) == 0 && len(b.indexed) == 0 && !b.ringNew {
		return old, false, nil // signals only
	}
	if old.pending.size() >= s.maxPending() {
		if err := s.merge(s.mergeAtOnce()); err != nil {
			return nil, false, fmt.Errorf("commit: %w", err) // it has ended the store if it had to
		}
		old = s.durable.Load()
	}
	w := s.rewriting.Load()
	p, err := s.prepare(b, old, w != nil)
	if err != nil {
		return nil, false, fmt.Errorf("commit: %w", err)
	}
	n := &durable{file: old.file, pending: p.pending, state: b.state, edge: p.edge, when: time.Now(), head: old.head}
	for _, r := range b.raw {
		if string(r.bucket) == string(bucketHeads) {
			if n.head, err = readHead(r.value); err != nil {
				return nil, false, fmt.Errorf("commit: %w", err)
			}
		}
	}
	if n.txid, fatal, err = s.put(old.file, b, p); err != nil {
		return nil, fatal, err
	}
	for i := range p.seals {
		s.seals[i].Store(p.seals[i])
	}
	if s.journal.next += uint32(len(p.chunks)); w != nil {
		w.note(b, p)
	}
	return n, false, nil
}

// prepare seals the values and hashes the entries of a batch.
func (s *Store) prepare(b *batch, old *durable, direct bool) (*prepared, error) {
	p := &prepared{edge: s.edge.Clone(), direct: direct, pending: old.pending}
	ring := b.state.ring
	n := 0
	for _, c := range b.layer.tables {
		n += len(c.items)
	}
	p.values = make([]sealedPut, 0, n)
	for _, c := range b.layer.tables {
		for _, n := range c.items {
			p.values = append(p.values, sealedPut{table: c.table, key: n.key, plain: n.value})
		}
	}
	p.layOut(old.file.cover)
	parallel(len(p.chunks), 4, func(lo, hi int) {
		var name, scratch []byte
		for i := lo; i < hi; i++ {
			c := &p.chunks[i]
			for n := c.from; n < c.to; n++ {
				v := &p.values[n]
				if v.plain == nil {
					v.value = nil
					continue
				}
				key := last(ring.keys[v.table.purpose])
				name = append(name[:0], v.key...)
				v.value, scratch = key.sealWith(scratch, v.value, &s.id, v.table.purpose, v.table.bucket, name, v.table.schema, v.plain)
			}
			if !direct {
				c.bytes = ring.vouchBytes(&s.id, chunkName(s.journal.generation, s.journal.next+uint32(i)), c.bytes)
			}
		}
	})
	if direct {
		p.chunks = nil
	} else {
		p.pending = old.pending.with(p.values)
	}
	p.records = make([][]byte, len(b.entries))
	p.leaves = make([]tlog.Hash, len(b.entries))
	blinds := make([]byte, audit.BlindSize*len(b.entries))
	_, _ = rand.Read(blinds) // never fails: it ends the process instead
	parallel(len(b.entries), 32, func(lo, hi int) {
		var plain []byte
		for i := lo; i < hi; i++ {
			blind := (*[audit.BlindSize]byte)(blinds[i*audit.BlindSize:])
			p.records[i], p.leaves[i], plain = s.sealEntry(&b.entries[i], blind, plain[:0])
		}
	})
	for i := range p.leaves {
		appendHash(&p.edge, p.leaves[i], func(key, hash []byte) { p.nodes = append(p.nodes, rawPut{bucketTree, key, hash}) })
	}
	if b.ringNew {
		var err error
		var keys Keys = s.keys
		if b.keys != nil {
			keys = b.keys
		}
		if p.keyring, err = ring.wrap(context.Background(), keys); err != nil {
			return nil, err
		}
	}
	s.countSeals(b, p)
	p.state = last(ring.keys[PurposeData]).seal(nil, &s.id, PurposeData, string(bucketMeta), keyState, 0, encodeState(&b.state, &p.seals))
	return p, nil
}

// countSeals counts what each current key has sealed when the batch is done.
func (s *Store) countSeals(b *batch, p *prepared) {
	for i := range p.seals {
		if last(b.previous.ring.keys[i]) == last(b.state.ring.keys[i]) {
			p.seals[i] = s.seals[i].Load()
		}
	}
	for i := range p.values {
		p.seals[p.values[i].table.purpose]++
	}
	p.seals[PurposeAudit] += uint64(len(p.records))
	p.seals[PurposeData]++ // the state
}
