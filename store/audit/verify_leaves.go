package audit

import (
	"context"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// piece is what one file of leaves comes to.
type piece struct {
	edge        Edge                 // of its leaves alone
	partial     map[uint64][]subtree // right edges inside it that heads ask for, by size of the whole log
	first, last int64
	counts      counts
}

// subtree is the root of 2^level leaves.
type subtree struct {
	level int
	hash  tlog.Hash
}

// readLeaves hashes all files of leaves, several at a time, and joins them to the tree.
func (v *verifier) readLeaves(ctx context.Context) error {
	size := v.report.Entries
	n := int((size + chunkLeaves - 1) / chunkLeaves)
	total := newCounts()
	var edge Edge
	var clock int64
	next := 0 // head to be checked
	if next < len(v.heads) && v.heads[next].Size == 0 {
		return refuse("a head covers nothing")
	}
	workers := runtime.GOMAXPROCS(0)
	for lo := 0; lo < n; lo += workers {
		pieces := make([]piece, min(workers, n-lo))
		err := parallel(len(pieces), func(i int) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return v.readPiece(lo+i, &pieces[i])
		})
		if err != nil {
			return err
		}
		for i := range pieces {
			p := &pieces[i]
			start := uint64(lo+i) * chunkLeaves
			if p.first < clock {
				return refuse("time goes back at entry %d", start)
			}
			if start == 0 {
				v.report.First = time.Unix(p.first, 0).UTC()
			}
			clock = p.last
			end := start + p.edge.Size()
			for ; next < len(v.heads) && v.heads[next].Size <= end; next++ {
				h := &v.heads[next]
				at := edge.Clone()
				for _, l := range p.partial[h.Size] {
					at.push(l.level, l.hash, nil)
				}
				if at.Size() != h.Size || at.Root() != h.Root {
					return refuse("the entries are not the ones that the head over %d entries signed", h.Size)
				}
			}
			for _, l := range p.edge.levels() {
				edge.push(l.level, l.hash, nil)
			}
			total.add(&p.counts)
		}
	}
	if edge.Size() != size || next != len(v.heads) {
		return refuse("it does not hold the entries that its head covers")
	}
	v.report.Last = time.Unix(clock, 0).UTC()
	v.report.Actions, v.report.Actors = total.byAction(), total.byActor()
	return nil
}

// readPiece reads one file of leaves.
func (v *verifier) readPiece(file int, p *piece) error {
	name := fmt.Sprintf(leavesPattern, file)
	data, err := v.read(name)
	if err != nil {
		return err
	}
	seq := uint64(file) * chunkLeaves
	end := min(seq+chunkLeaves, v.report.Entries)
	p.counts = newCounts()
	p.partial = map[uint64][]subtree{}
	head, _ := slices.BinarySearchFunc(v.heads, seq+1, func(h Head, s uint64) int {
		if h.Size < s {
			return -1
		}
		return 1
	})
	var h Header
	for ; seq < end; seq++ {
		leaf, action, rest, err := cutLeaf(data, &h)
		if err != nil {
			return refuse("%s is cut or altered at entry %d", name, seq)
		}
		if h.Sequence != seq {
			return refuse("%s has entry %d where %d must be", name, h.Sequence, seq)
		}
		if p.edge.Size() == 0 {
			p.first, p.last = h.Second, h.Second
		}
		if h.Second < p.last {
			return refuse("time goes back at entry %d", seq)
		}
		p.last = h.Second
		p.counts.count(action, &h)
		p.edge.Append(leaf.Hash(), nil)
		if head < len(v.heads) && v.heads[head].Size == seq+1 {
			p.partial[seq+1] = p.edge.levels()
			head++
		}
		data = rest
	}
	if len(data) != 0 {
		return refuse("%s goes on after its last entry", name)
	}
	v.progress(p.edge.Size())
	return nil
}

// levels are the edge's perfect subtrees with their levels, largest first.
func (e *Edge) levels() []subtree {
	out := make([]subtree, 0, len(e.nodes))
	rest := e.size
	for _, h := range e.nodes {
		l := bits.Len64(rest) - 1
		rest &^= 1 << l
		out = append(out, subtree{l, h})
	}
	return out
}

func (v *verifier) progress(n uint64) {
	if v.o.Progress == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done += n
	v.o.Progress(v.done, v.report.Entries)
}
