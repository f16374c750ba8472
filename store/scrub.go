package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"pinward/store/audit"
)

// maxFindings bounds what a scrub lists; one that finds more says so by its last.
const maxFindings = 100

// Finding is one thing that is not what was written. It holds no key and no value.
type Finding struct {
	Table    string `json:"table,omitempty"` // of a value
	From, To uint64 // entries that are concerned, To not among them; of a value both are 0
	What     string
}

// ScrubReport is what a scrub found so far.
type ScrubReport struct {
	Started  time.Time
	Finished time.Time // zero while it is under way
	Values   uint64    // opened
	Entries  uint64    // opened and found in the tree
	Findings []Finding

	At cursor // where it goes on
}

// cursor is a place in the row of all that a scrub reads: the tables by name and key, then the log.
type cursor struct {
	Table string            `json:",omitempty"` // "" when the tables are done
	Key   []byte            `json:",omitempty"` // as it stands in the file
	Cover uint32            `json:",omitempty"` // generation that Key is of
	Seq   uint64            // next entry
	Prev  [sha256.Size]byte // hash of the last head that was read
	Loose bool              // that head was not read, since its segment is damaged
}

// scrub walks a store.
type scrub struct {
	*Store
	ScrubReport
	skip func(SegmentInfo) bool // segments that are not here, and need not be

	edge   audit.Edge // at At.Seq; only while inside of it
	inside bool
	tables bool // At.Table stands at a table
}

// step reads one piece; done says that it was the last. An error is that of the reading as a whole,
// such as a store that was closed: what is damaged is a finding.
func (c *scrub) step(ctx context.Context, size uint64) (done bool, err error) {
	if c.tables {
		return false, c.stepTable(ctx)
	}
	if c.At.Seq >= size {
		return true, nil
	}
	err = c.inPieces(ctx, func(p *span, r *ring) (bool, error) { return true, c.stepLog(p, r, size) })
	return false, err
}

func (c *scrub) found(f Finding) {
	switch {
	case len(c.Findings) < maxFindings-1:
		c.Findings = append(c.Findings, f)
	case len(c.Findings) == maxFindings-1:
		c.Findings = append(c.Findings, Finding{What: "there are more"})
	}
}

// stepTable opens the next values of the table where the cursor stands, also of a table that no room
// declares any more.
func (c *scrub) stepTable(ctx context.Context) error {
	names, err := c.tableBuckets(ctx)
	if err != nil {
		return err
	}
	i, here := slices.BinarySearch(names, c.At.Table)
	if i == len(names) {
		c.At.Table, c.At.Key, c.tables = "", nil, false
		return nil
	}
	if !here {
		c.At.Table, c.At.Key = names[i], nil
	}
	name, next := c.At.Table, []byte(nil)
	err = c.inPieces(ctx, func(p *span, r *ring) (bool, error) {
		b := p.live.Bucket([]byte(name))
		if b == nil {
			return true, nil
		}
		cover := p.file.cover
		at := cover.of(name)
		if cover.generation() != c.At.Cover {
			c.At.Cover, c.At.Key = cover.generation(), nil // another order: begin again
		}
		cur := b.Cursor()
		k, v := cur.Seek(c.At.Key)
		for n := 0; k != nil && n < pieceSize; n++ {
			if _, _, err := r.unseal(&c.id, name, cover.lifted(at, k), math.MaxUint16, v, name[2:]); err != nil {
				c.found(Finding{Table: name[2:], What: damageOf(err)})
			}
			c.Values++
			k, v = cur.Next()
		}
		next = bytes.Clone(k)
		return true, nil
	})
	if errors.Is(err, ErrCorrupt) {
		c.found(Finding{Table: name[2:], What: damageOf(err)})
		err = nil
	}
	if c.At.Key = next; next == nil {
		c.At.Table = name + "\x00" // whatever comes next
	}
	return err
}

// stepLog opens the next entries, computes the tree and its heads anew and compares.
func (c *scrub) stepLog(p *span, r *ring, size uint64) error {
	g := p.file.holds(c.At.Seq)
	if g != nil && c.skip != nil && c.skip(g.SegmentInfo) {
		c.leave(g.To)
		return nil
	}
	err := c.pieceOfLog(p, r, size)
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	g = p.file.holds(c.At.Seq) // the piece may have come to the end of one, and met the next
	if g != nil && g.bad.Load() != nil {
		c.found(Finding{From: g.From, To: g.To, What: damageOf(err)})
		c.leave(g.To)
		return nil
	}
	// Go on behind the subtree that the entry is in: its hash is kept.
	next := min((c.At.Seq>>groupLevel+1)<<groupLevel, p.file.end(c.At.Seq, size))
	c.found(Finding{From: c.At.Seq, To: next, What: damageOf(err)})
	c.leave(next)
	return nil
}

// leave goes on elsewhere, without the head before.
func (c *scrub) leave(seq uint64) { c.At.Seq, c.At.Loose, c.inside = seq, true, false }

func (c *scrub) pieceOfLog(p *span, r *ring, size uint64) error {
	if err := c.enter(p); err != nil {
		return err
	}
	signers, err := readSigners(p.live)
	if err != nil {
		return err
	}
	at, note, err := p.head(c.At.Seq + 1)
	if err != nil {
		return err
	}
	list, err := p.records(c.At.Seq, size, pieceSize)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := checkEntry(p, r, e, &c.edge); err != nil {
			return err
		}
		headed := note != nil && at == c.At.Seq+1
		if headed {
			if err := c.checkHead(note, signers); err != nil {
				return err // of this entry's file
			}
		}
		c.At.Seq++
		c.Entries++
		if !headed {
			continue
		}
		c.At.Prev, c.At.Loose = audit.NoteHash(note), false
		if at, note, err = p.head(at + 1); err != nil {
			return err
		}
	}
	return nil
}

// enter computes the edge where the cursor stands, from kept hashes. Those at the beginning of a file
// must be those that were signed when the one before was frozen.
func (c *scrub) enter(p *span) (err error) {
	if c.inside {
		return nil
	}
	if c.edge, err = p.edge(c.At.Seq); err != nil {
		return err
	}
	for _, g := range p.file.segments {
		if g.To == c.At.Seq && c.edge.Root() != g.Root {
			return fmt.Errorf("%w: the tree's edge at entry %d is not the one that was signed", ErrCorrupt, g.To)
		}
	}
	c.inside = true
	return nil
}

// checkEntry opens an entry, adds it to the tree, and compares the hashes that become complete by it
// with those that are kept.
func checkEntry(p *span, r *ring, e stored, edge *audit.Edge) error {
	if _, err := r.openEntry(e); err != nil {
		return err
	}
	leaf, _, _, err := cutRecord(e.seq, e.bytes)
	if err != nil {
		return err
	}
	edge.Append(leaf.Hash(), func(level int, n uint64, h tlog.Hash) {
		if level < groupLevel || err != nil {
			return
		}
		if kept, e2 := p.node(level, n); e2 != nil || kept != h {
			err = fmt.Errorf("%w: a kept hash of the audit tree does not fit entry %d", ErrCorrupt, e.seq)
		}
	})
	return err
}

// checkHead checks one head against the tree, its signers and the head before it.
func (c *scrub) checkHead(note []byte, signers []signer) error {
	for _, k := range signers {
		h, err := audit.VerifyNote(note, k.key)
		if err != nil {
			continue
		}
		linked := h.Prev == c.At.Prev || c.At.Loose
		if h.Origin != c.origin || h.Size != c.edge.Size() || h.Root != c.edge.Root() || !linked {
			return fmt.Errorf("%w: the head over %d entries does not fit them", ErrCorrupt, c.edge.Size())
		}
		return nil
	}
	return fmt.Errorf("%w: the head over %d entries is not signed by a signer of this store", ErrCorrupt, c.edge.Size())
}
