package store

import (
	"slices"
	"time"

	"pinward/store/audit"
)

// layer is a set of changes over what lies below it: one transaction's overlay, or a batch. Tables are
// few and most overlays hold few keys, so both are searched and not hashed.
type layer struct{ tables []*changes }

// changes are a layer's changes to one table, in the order of their keys.
type changes struct {
	table *tableInfo
	items []*change
}

// change is one key's change; it is replaced and never altered, so layers and walks may share it.
type change struct {
	key   string
	value []byte // nil is a deletion
}

// of returns the changes to a table, nil if there are none.
func (l *layer) of(t *tableInfo) *changes {
	for _, c := range l.tables {
		if c.table == t {
			return c
		}
	}
	return nil
}

func (l *layer) put(t *tableInfo, n *change) {
	c := l.of(t)
	if c == nil {
		c = &changes{table: t}
		l.tables = append(l.tables, c)
	}
	i, found := c.find(n.key)
	if found {
		c.items[i] = n
	} else {
		c.items = slices.Insert(c.items, i, n)
	}
}

// get looks a key up; ok says that the layer decides about it.
func (l *layer) get(t *tableInfo, key []byte) (value []byte, ok bool) {
	c := l.of(t)
	if c == nil {
		return nil, false
	}
	i, found := c.findBytes(key)
	if !found {
		return nil, false
	}
	return c.items[i].value, true
}

// find returns where a key stands, or would stand.
func (c *changes) find(key string) (i int, found bool) {
	lo, hi := 0, len(c.items)
	for lo < hi {
		if h := (lo + hi) / 2; c.items[h].key < key {
			lo = h + 1
		} else {
			hi = h
		}
	}
	return lo, lo < len(c.items) && c.items[lo].key == key
}

// findBytes is find without a string to be made for it: it is asked for each key that is read.
func (c *changes) findBytes(key []byte) (i int, found bool) {
	lo, hi := 0, len(c.items)
	for lo < hi {
		if h := (lo + hi) / 2; c.items[h].key < string(key) {
			lo = h + 1
		} else {
			hi = h
		}
	}
	return lo, lo < len(c.items) && c.items[lo].key == string(key)
}

// batch is what one commit makes durable: the overlays of all transactions that were applied since
// the batch before. It is owned by Store.mu until the committer takes it; then only the committer
// changes it, and transactions may read its layer until it is done.
type batch struct {
	layer   *layer
	entries []pendingEntry
	raw     []rawPut // heads, signers: public, and in clear
	indexed []indexed
	topics  map[*Topic]struct{}
	txs     int // transactions in it

	state    state // at the end of the batch
	ringNew  bool  // state.ring is not the one on the disk
	keys     Keys  // that wrap the ring from this batch on, if they change
	previous state // where a new batch begins if this one fails

	done chan struct{} // closed when err is final
	err  error
}

// state is what transactions build on beside the tables.
type state struct {
	size uint64    // entries
	last time.Time // instant of the last entry
	ring *ring
	// restored is when this became another store than that of the backup it was made from; zero if it
	// never did, or that was lifted.
	restored time.Time
}

// pendingEntry is an entry with its place, not yet hashed.
type pendingEntry struct {
	seq   uint64
	at    time.Time
	actor audit.Actor
	name  audit.Pseudonym
	entry audit.Entry
	key   *sealKey
}

// rawPut writes a value of one of the store's own buckets.
type rawPut struct {
	bucket     []byte
	key, value []byte
}

func newBatch(s state) *batch {
	return &batch{layer: &layer{}, topics: map[*Topic]struct{}{}, state: s, previous: s, done: make(chan struct{})}
}

// after is a batch with room for about as many entries as the one before had.
func (b *batch) after() *batch {
	n := newBatch(b.state)
	n.entries = make([]pendingEntry, 0, min(len(b.entries), 512))
	return n
}

// empty reports whether there is nothing to commit.
func (b *batch) empty() bool {
	return len(b.layer.tables) == 0 && len(b.entries) == 0 && len(b.raw) == 0 && len(b.indexed) == 0 && len(b.topics) == 0 && !b.ringNew
}

// finish tells everybody who waits.
func (b *batch) finish(err error) {
	b.err = err
	close(b.done)
}
