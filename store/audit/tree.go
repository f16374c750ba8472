package audit

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Edge is the right edge of an RFC 6962 tree: the roots of the perfect subtrees that make it up,
// largest first. It is all that is needed to append and to compute the root, in O(log n) space.
// The zero value is the empty tree. A copy made with [Edge.Clone] is independent.
type Edge struct {
	size  uint64
	nodes []tlog.Hash
}

// NewEdge returns the edge of a tree of size leaves whose perfect subtrees have the roots given,
// largest first; ok is false if their number is not the one that size asks for.
func NewEdge(size uint64, nodes []tlog.Hash) (e Edge, ok bool) {
	return Edge{size, nodes}, bits.OnesCount64(size) == len(nodes)
}

// Size is the number of leaves.
func (e *Edge) Size() uint64 { return e.size }

// Clone returns an independent copy.
func (e *Edge) Clone() Edge { return Edge{e.size, append([]tlog.Hash(nil), e.nodes...)} }

// Append adds one leaf by its hash. Each node that becomes complete by it, the leaf included, is
// passed to complete, lowest level first; complete may be nil.
func (e *Edge) Append(leaf tlog.Hash, complete func(level int, n uint64, h tlog.Hash)) {
	e.push(0, leaf, complete)
}

// push appends a perfect subtree of 2^level leaves; the size must be a multiple of that.
func (e *Edge) push(level int, h tlog.Hash, complete func(level int, n uint64, h tlog.Hash)) {
	n := e.size >> level
	e.size += 1 << level
	if complete != nil {
		complete(level, n, h)
	}
	for n&1 == 1 {
		h = nodeHash(&e.nodes[len(e.nodes)-1], &h)
		e.nodes = e.nodes[:len(e.nodes)-1]
		n >>= 1
		level++
		if complete != nil {
			complete(level, n, h)
		}
	}
	e.nodes = append(e.nodes, h)
}

// Root is the tree's root hash; of the empty tree SHA-256 of nothing (RFC 6962, section 2.1).
func (e *Edge) Root() tlog.Hash {
	if len(e.nodes) == 0 {
		return sha256.Sum256(nil)
	}
	h := e.nodes[len(e.nodes)-1]
	for i := len(e.nodes) - 2; i >= 0; i-- {
		h = nodeHash(&e.nodes[i], &h)
	}
	return h
}

// nodeHash is tlog.NodeHash without copying its arguments.
func nodeHash(left, right *tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}
