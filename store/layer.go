package store

import (
	"slices"
	"time"

	"pinward/store/audit"
)

// layer is a set of changes over what lies below it: one transaction's overlay, or a batch.
type layer map[*tableInfo]*changes

// changes are a layer's changes to one table. A nil value is a deletion.
type changes struct {
	values map[string][]byte
	keys   []string // those of values, sorted
}

func (l layer) put(t *tableInfo, key string, value []byte) {
	c := l[t]
	if c == nil {
		c = &changes{values: map[string][]byte{}}
		l[t] = c
	}
	if _, ok := c.values[key]; !ok {
		i, _ := slices.BinarySearch(c.keys, key)
		c.keys = slices.Insert(c.keys, i, key)
	}
	c.values[key] = value
}

// get looks a key up; ok says that the layer decides about it.
func (l layer) get(t *tableInfo, key []byte) (value []byte, ok bool) {
	c := l[t]
	if c == nil {
		return nil, false
	}
	value, ok = c.values[string(key)]
	return value, ok
}

// batch is what one commit makes durable: the overlays of all transactions that were applied since
// the batch before. It is owned by Store.mu until the committer takes it; then only the committer
// changes it, and transactions may read its layer until it is done.
type batch struct {
	layer   layer
	entries []pendingEntry
	raw     []rawPut // heads, signers: public, and in clear
	topics  map[*Topic]struct{}
	txs     int // transactions in it

	state    state // at the end of the batch
	ringNew  bool  // state.ring is not the one on the disk
	previous state // where a new batch begins if this one fails

	done chan struct{} // closed when err is final
	err  error
}

// state is what transactions build on beside the tables.
type state struct {
	size uint64    // entries
	last time.Time // instant of the last entry
	ring *ring
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
	return &batch{layer: layer{}, topics: map[*Topic]struct{}{}, state: s, previous: s, done: make(chan struct{})}
}

// empty reports whether there is nothing to commit.
func (b *batch) empty() bool {
	return len(b.layer) == 0 && len(b.entries) == 0 && len(b.raw) == 0 && len(b.topics) == 0 && !b.ringNew
}

// finish tells everybody who waits.
func (b *batch) finish(err error) {
	b.err = err
	close(b.done)
}
