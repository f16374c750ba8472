package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// span is the log as one, over a snapshot of the live file and the segments below it. Each entry, kept
// hash and head stands in the file whose range holds it: an entry by its sequence, a hash by the last
// entry under it, a head by the last entry that it covers.
type span struct {
	live *bolt.Tx
	id   *[16]byte // of the live file
	file *file
}

// in runs fn on the file that holds an entry, with the id under which its values are sealed. What fn
// keeps must be copied; fn calls nobody else's code.
func (p *span) in(seq uint64, fn func(tx *bolt.Tx, id *[16]byte) error) error {
	if seq >= p.file.place.Base {
		return fn(p.live, p.id)
	}
	g := p.file.holds(seq)
	if g == nil {
		return fmt.Errorf("%w: no segment holds entry %d", ErrCorrupt, seq)
	}
	return g.view(func(tx *bolt.Tx) error { return fn(tx, &g.Store) })
}

// holds returns the segment that holds an entry, nil if that is the live file.
func (f *file) holds(seq uint64) *segment {
	for i := len(f.segments) - 1; i >= 0; i-- { // what is asked for is recent, as a rule
		if g := f.segments[i]; seq >= g.From && seq < g.To {
			return g
		}
	}
	return nil
}

// end is the first entry after the file that holds seq.
func (f *file) end(seq, size uint64) uint64 {
	if g := f.holds(seq); g != nil {
		return g.To
	}
	return size
}

// record is an entry as it is stored.
type stored struct {
	seq   uint64
	id    *[16]byte
	bytes []byte
}

// record returns a copy of a stored entry; its bytes are nil if it is missing.
func (p *span) record(seq uint64) (r stored, err error) {
	err = p.in(seq, func(tx *bolt.Tx, id *[16]byte) error {
		r = stored{seq, id, bytes.Clone(tx.Bucket(bucketAudit).Get(seqKey(seq)))}
		return nil
	})
	return r, err
}

// records returns copies of up to most stored entries from seq on, in order and without a gap, below
// size. It is empty only at the end.
func (p *span) records(seq, size uint64, most int) (list []stored, err error) {
	end := min(p.file.end(seq, size), size)
	if seq >= end {
		return nil, nil
	}
	err = p.in(seq, func(tx *bolt.Tx, id *[16]byte) error {
		c := tx.Bucket(bucketAudit).Cursor()
		k, v := c.Seek(seqKey(seq))
		for n := seq; n < end && len(list) < most; n++ {
			if len(k) != 8 || binary.BigEndian.Uint64(k) != n {
				return fmt.Errorf("%w: audit entry %d is missing", ErrCorrupt, n)
			}
			list = append(list, stored{n, id, bytes.Clone(v)})
			k, v = c.Next()
		}
		return nil
	})
	return list, err
}

// size is the number of entries that the snapshot holds.
func (p *span) size() uint64 {
	if k, _ := p.live.Bucket(bucketAudit).Cursor().Last(); len(k) == 8 {
		return binary.BigEndian.Uint64(k) + 1
	}
	return p.file.place.Base
}

// head returns a copy of the first head over at least size entries, nil if there is none.
func (p *span) head(size uint64) (at uint64, note []byte, err error) {
	seek := func(tx *bolt.Tx, below uint64) bool {
		k, v := tx.Bucket(bucketHeads).Cursor().Seek(seqKey(size))
		if len(k) != 8 || binary.BigEndian.Uint64(k) > below {
			return false
		}
		at, note = binary.BigEndian.Uint64(k), bytes.Clone(v)
		return true
	}
	for size > 0 && size <= p.file.place.Base {
		g := p.file.holds(size - 1)
		if g == nil {
			break
		}
		found := false
		if err := g.view(func(tx *bolt.Tx) error { found = seek(tx, g.To); return nil }); err != nil || found {
			return at, note, err
		}
		size = g.To + 1
	}
	seek(p.live, ^uint64(0))
	return at, note, nil
}

// node returns the root of the n-th complete subtree of 2^level leaves. Where the segment that holds it
// is damaged, the next one may have it in its right edge.
func (p *span) node(level int, n uint64) (tlog.Hash, error) {
	h, err := p.nodeOf(level, n)
	if err == nil {
		return h, nil
	}
	for _, g := range p.file.segments {
		if g.From < (n+1)<<level {
			continue
		}
		found := false
		_ = g.view(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketTree).Get(nodeKey(level, n))
			if found = len(b) == len(h); found {
				h = tlog.Hash(b)
			}
			return nil
		})
		if found {
			return h, nil
		}
		break
	}
	return h, err
}

func (p *span) nodeOf(level int, n uint64) (h tlog.Hash, err error) {
	if b := p.live.Bucket(bucketTree).Get(nodeKey(level, n)); len(b) == len(h) {
		return tlog.Hash(b), nil // also the right edge at Base, on all levels
	}
	last := (n+1)<<level - 1
	switch {
	case level >= groupLevel:
		err = p.in(last, func(tx *bolt.Tx, _ *[16]byte) error {
			b := tx.Bucket(bucketTree).Get(nodeKey(level, n))
			if len(b) != len(h) {
				return fmt.Errorf("%w: a hash of the audit tree is missing", ErrCorrupt)
			}
			h = tlog.Hash(b)
			return nil
		})
		return h, err
	case level == 0:
		r, err := p.record(n)
		if err != nil {
			return h, err
		}
		leaf, _, _, err := cutRecord(n, r.bytes)
		return leaf.Hash(), err
	}
	left, err := p.node(level-1, 2*n)
	if err != nil {
		return h, err
	}
	right, err := p.node(level-1, 2*n+1)
	return tlog.NodeHash(left, right), err
}

// ReadHashes makes the span a [tlog.HashReader].
func (p *span) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		h, err := p.node(level, uint64(n))
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}

// edge returns the right edge of the tree of size leaves.
func (p *span) edge(size uint64) (audit.Edge, error) {
	var nodes []tlog.Hash
	for rest := size; rest != 0; {
		level := bits.Len64(rest) - 1
		rest &^= 1 << level
		h, err := p.node(level, size>>level-1)
		if err != nil {
			return audit.Edge{}, err
		}
		nodes = append(nodes, h)
	}
	e, _ := audit.NewEdge(size, nodes)
	return e, nil
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
