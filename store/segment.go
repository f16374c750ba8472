package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// segmentName is the form of a segment's file name, by its number.
const segmentName = "segment-%06d.db"

// SegmentInfo describes a frozen part of the log. The live file vouches for each of its segments.
type SegmentInfo struct {
	Number uint32    `json:"number"` // counts from 1, in the order of their entries
	From   uint64    `json:"from"`   // the first entry
	To     uint64    `json:"to"`     // the first entry after it
	Root   [32]byte  `json:"root"`   // of the tree over all entries below To; a signed head has it too
	Store  [16]byte  `json:"store"`  // the id under which its values are sealed
	Frozen time.Time `json:"frozen"`
	Bytes  int64     `json:"bytes"` // of the file
	// Indexed is what the index in this file covers, zero if it has none.
	Indexed IndexSpan `json:"indexed,omitzero"`
}

// SegmentID names a segment by what it holds: number and root.
type SegmentID string

// ID names the segment by what it holds.
func (i SegmentInfo) ID() SegmentID {
	return SegmentID(fmt.Sprintf("%06d-%s", i.Number, hex.EncodeToString(i.Root[:8])))
}

// segment is a frozen file. Its database is opened when something in it is asked for.
type segment struct {
	SegmentInfo
	path string
	pool *pool
	bad  atomic.Pointer[damage] // why it is out of use; nil if it is not

	judging sync.Mutex // one decides what is bad about it: the file is gone before bad says so

	told bool // bad is an entry; owned by the upkeep

	// Owned by pool.mu.
	db    *bolt.DB // nil while closed
	users int
	used  uint64 // the pool's clock at the last use
}

// damage is why a segment cannot be read any more.
type damage struct {
	err   error
	aside string // where the file is now, "" if it is missing
}

// loadSegments reads what the live file says about the segments before it, and sees whether their files
// are there. None is opened: a start costs the same after six years as on the first day.
func (s *Store) loadSegments(tx *bolt.Tx, r *ring, at place) ([]*segment, error) {
	infos := s.listedSegments(tx, r)
	if checkRow(infos, at) != nil { // none is kept, or an older program has rolled since
		var err error
		if infos, err = s.vouchedSegments(tx, r); err != nil {
			return nil, err
		}
		if err := checkRow(infos, at); err != nil {
			return nil, err
		}
	}
	if len(infos) == 0 {
		return nil, nil
	}
	there, err := namesIn(filepath.Dir(s.path))
	if err != nil {
		return nil, err
	}
	list := make([]*segment, len(infos))
	for i := range infos {
		g := s.segment(infos[i])
		if !there[filepath.Base(g.path)] {
			g.look()
		}
		list[i] = g
	}
	return list, nil
}

// segment is one that is not open.
func (s *Store) segment(i SegmentInfo) *segment {
	return &segment{SegmentInfo: i, pool: s.pool, path: strings.TrimSuffix(s.path, fileName) + fmt.Sprintf(segmentName, i.Number)}
}

// vouchedSegments reads the segments one by one.
func (s *Store) vouchedSegments(tx *bolt.Tx, r *ring) (infos []SegmentInfo, err error) {
	b := tx.Bucket(bucketSegments)
	if b == nil {
		return nil, nil
	}
	err = b.ForEach(func(k, v []byte) error {
		var i SegmentInfo
		if err := r.vouched(&s.id, string(bucketSegments), v, &i); err != nil {
			return err
		}
		if len(k) != 4 || binary.BigEndian.Uint32(k) != i.Number {
			return fmt.Errorf("%w: its segments are not in a row", ErrCorrupt)
		}
		infos = append(infos, i)
		return nil
	})
	return infos, err
}

// checkRow checks that segments follow each other, from the first entry to the live file.
func checkRow(infos []SegmentInfo, at place) error {
	next := uint64(0)
	for n, i := range infos {
		if int(i.Number) != n+1 || i.From != next {
			return fmt.Errorf("%w: its segments are not in a row", ErrCorrupt)
		}
		next = i.To
	}
	if next != at.Base || at.Number != uint32(len(infos)+1) {
		return fmt.Errorf("%w: its segments end at entry %d and not at %d", ErrCorrupt, next, at.Base)
	}
	return nil
}

// look finds out whether the file is there and whole as far as its size tells.
func (g *segment) look() {
	g.judging.Lock()
	defer g.judging.Unlock()
	if g.bad.Load() != nil {
		return
	}
	info, err := os.Stat(g.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		g.bad.Store(&damage{err: g.error(ErrCorrupt, "it is missing; put it back from a backup")})
	case err == nil && info.Size() < g.Bytes:
		g.setAside("it was cut")
	}
}

// error says what is wrong with the segment, and what that means.
func (g *segment) error(kind error, what string) error {
	return fmt.Errorf("%w: segment %s: %s; entries %d to %d cannot be read or proved until then, everything else can",
		kind, filepath.Base(g.path), what, g.From, g.To-1)
}

// quarantine puts the file aside, where nothing is deleted, and goes on without it.
func (g *segment) quarantine(what string) {
	g.judging.Lock()
	defer g.judging.Unlock()
	if g.bad.Load() == nil {
		g.setAside(what)
	}
}

func (g *segment) setAside(what string) {
	d := &damage{}
	aside, err := putAside(g.path)
	if err != nil {
		d.err = g.error(ErrCorrupt, what+"; it could not be put aside")
	} else {
		d.aside = aside
		d.err = g.error(ErrCorrupt, what+"; it is kept as "+filepath.Base(aside)+"; put a copy back from a backup")
	}
	g.bad.Store(d)
	g.pool.log.Error("segment is damaged and out of use", "error", d.err)
}

// view runs fn over the segment. What fn keeps of it must be copied. A segment that does not hang
// together is put aside; fn must therefore call nobody else's code.
func (g *segment) view(fn func(*bolt.Tx) error) error {
	if d := g.bad.Load(); d != nil {
		return d.err
	}
	db, err := g.pool.acquire(g)
	if err != nil {
		return err
	}
	var tx *bolt.Tx
	err = guard(func() (err error) {
		if tx, err = db.Begin(false); err != nil {
			return fmt.Errorf("read segment: %w", err)
		}
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Rollback()
	}, func() {})
	if errors.Is(err, errPages) {
		g.pool.forget(g) // its locks may be held for ever
		g.quarantine("its pages do not hang together")
		return g.bad.Load().err
	}
	if err != nil && tx != nil {
		_ = guard(func() error { _ = tx.Rollback(); return nil }, func() {})
	}
	g.pool.release(g)
	return err
}

// verify checks a segment when it is opened: it is the file that the live one vouches for.
func (g *segment) verify(db *bolt.DB) error {
	return db.View(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketAudit, bucketTree, bucketHeads} {
			if tx.Bucket(b) == nil {
				return fmt.Errorf("%w: bucket %s is missing", errPages, b)
			}
		}
		h, err := readHead(tx.Bucket(bucketHeads).Get(binary.BigEndian.AppendUint64(nil, g.To)))
		if err != nil || h.root != g.Root || [16]byte(tx.Bucket(bucketMeta).Get(keyID)) != g.Store {
			return fmt.Errorf("%w: it is another file than the one that was frozen", errPages)
		}
		return nil
	})
}
