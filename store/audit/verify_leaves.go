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
	marks       []mark
}

// mark is an entry that the checks of anchors and clock look at, among all the others.
type mark struct {
	seq            uint64
	second, before int64 // of the entry, and of the one before it
	action         Action
	outcome        Outcome
}

// marked reports whether an action is one of those that say how the log itself was kept.
func marked(action []byte) bool {
	switch string(action) {
	case string(ActionCounter), string(ActionAnchor), string(ActionAnchorLost), string(ActionAnchorLate),
		string(ActionRollback), string(ActionRestored), string(ActionClock), string(ActionStart):
		return true
	}
	return false
}

// subtree is the root of 2^level leaves.
type subtree struct {
	level int
	hash  tlog.Hash
}

// readLeaves hashes all files of leaves, several at a time, and joins them to the tree.
func (v *verifier) readLeaves(ctx context.Context) error {
	size := v.heads[len(v.heads)-1].Size
	from := v.base.size / chunkLeaves * chunkLeaves // where the first file would begin if it were whole
	n := int((size - from + chunkLeaves - 1) / chunkLeaves)
	total := newCounts()
	var edge Edge
	var clock int64
	next := 0 // head to be checked
	if v.heads[next].Size == 0 {
		return refuse("a head covers nothing")
	}
	// The subtrees on which the first file stands; the file itself begins with those beside it.
	for _, l := range v.base.levels() {
		if l.level >= chunkLevel {
			edge.push(l.level, l.hash, nil)
		}
	}
	if v.base.size > 0 {
		next++ // it is the head of the base, and fits it
	}
	workers := runtime.GOMAXPROCS(0)
	for lo := 0; lo < n; lo += workers {
		pieces := make([]piece, min(workers, n-lo))
		err := parallel(len(pieces), func(i int) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return v.readPiece(lo+i, from, &pieces[i])
		})
		if err != nil {
			return err
		}
		for i := range pieces {
			p := &pieces[i]
			start := from + uint64(lo+i)*chunkLeaves
			if p.first < clock {
				return refuse("time goes back at entry %d", start)
			}
			if lo+i == 0 {
				v.report.First = time.Unix(p.first, 0).UTC()
			} else if len(p.marks) > 0 && p.marks[0].seq == start {
				p.marks[0].before = clock
			}
			v.marks = append(v.marks, p.marks...)
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
func (v *verifier) readPiece(file int, from uint64, p *piece) error {
	name := fmt.Sprintf(leavesPattern, file)
	data, err := v.read(name)
	if err != nil {
		return err
	}
	seq := from + uint64(file)*chunkLeaves
	end := min(seq+chunkLeaves, v.heads[len(v.heads)-1].Size)
	if seq < v.base.size { // the first file of a part, which need not begin where a file does
		for _, l := range v.base.levels() {
			if l.level < chunkLevel {
				p.edge.push(l.level, l.hash, nil)
			}
		}
		seq = v.base.size
	}
	begin := seq
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
		if seq == begin {
			p.first, p.last = h.Second, h.Second
		}
		if h.Second < p.last {
			return refuse("time goes back at entry %d", seq)
		}
		if marked(action) {
			p.marks = append(p.marks, mark{seq, h.Second, p.last, Action(action), h.Outcome})
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
	v.progress(end - begin)
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
