package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// maxTail is how many entries without a head a roll copies.
const maxTail = 4 * headAfter

// Roll freezes the live file as a segment and goes on in a new one that holds the live tables and the
// tree's right edge. The store does so by itself once a month and when the file has grown large; an
// operator may do so before. Transactions go on meanwhile but for a pause about as long as a commit.
//
// Errors to branch on: [ErrFull], after which all is as before.
func (s *Store) Roll(ctx context.Context) error {
	if s.hasRetired() { // or it would stay in the segment for ever
		if err := s.Compact(ctx); err != nil {
			return err
		}
	}
	if err := s.rewriteFile(ctx, false); err != nil {
		return fmt.Errorf("roll store: %w", err)
	}
	if err := s.tellRolls(ctx); err != nil {
		return fmt.Errorf("record roll: %w", err)
	}
	return nil
}

// rewriteFile puts a new file in the place of the live one: by a roll, or whole by a compaction.
func (s *Store) rewriteFile(ctx context.Context, whole bool) (err error) {
	if !s.rewrites.TryLock() {
		return ErrBusy
	}
	defer s.rewrites.Unlock()
	w, err := s.beginRewrite(whole)
	if err != nil {
		return err
	}
	if err = w.nearly(ctx); err == nil {
		err = s.at("copied")
	}
	if err == nil && !whole {
		err = s.signHead(ctx) // the segment ends with a head
	}
	if err == nil {
		err = s.between(w.replace)
	}
	if err != nil {
		w.abandon()
	}
	return err
}

// replace makes the new file the live one. The committer runs it, so the old file does not change.
//
// Until the rename the old file is the live one, whatever else lies in the folder: a segment's name
// for it is taken away at the next start, and the new file is removed. From the rename on the new one
// is, and nothing is missing: the old file has had its segment's name before, durably.
func (w *rewrite) replace() error {
	s := w.store
	old := s.durable.Load()
	next, txid, err := w.complete(old)
	if err != nil {
		return asFull(err)
	}
	if err := s.at("filled"); err != nil {
		return err
	}
	var frozen *segment
	if !w.whole {
		frozen = next.segments[len(next.segments)-1]
		if err := errors.Join(os.Link(s.path, frozen.path), syncDir(filepath.Dir(s.path)), s.at("linked")); err != nil {
			_ = os.Remove(frozen.path)
			return asFull(fmt.Errorf("freeze file: %w", err))
		}
	}
	if err := s.rename(w.tmp, s.path); err != nil {
		err = fmt.Errorf("replace file: %w", err)
		if _, gone := os.Stat(w.tmp); gone == nil { // it was not done
			if frozen != nil {
				_ = os.Remove(frozen.path)
			}
			return err
		}
		s.fail(err) // it was done: the old file's other name is all that it has
		return err
	}
	if err := errors.Join(syncDir(filepath.Dir(s.path)), s.at("renamed")); err != nil {
		s.fail(fmt.Errorf("replace file: %w", err)) // which file is the live one after a power cut is open
		return err
	}
	if frozen != nil {
		s.pool.adopt(frozen, old.file.db) // before anybody sees the segment, and opens it a second time
	}
	d := *old
	d.file, d.txid = next, txid
	s.mu.Lock()
	s.durable.Store(&d)
	s.rewriting.Store(nil)
	for i, n := range w.sealed {
		s.seals[i].Add(n)
	}
	s.mu.Unlock()
	if frozen != nil {
		s.pool.release(frozen)
		_ = os.Chmod(frozen.path, 0o400) // against mistakes only; nothing here writes to it
	} else {
		s.pool.wg.Go(func() { _ = guard(old.file.db.Close, func() {}) }) // waits for Views of it
	}
	return nil
}

// complete writes the rest into the new file and makes it durable.
func (w *rewrite) complete(old *durable) (next *file, txid int, err error) {
	s := w.store
	next = &file{db: w.dst, place: old.file.place, segments: old.file.segments, cover: w.cover}
	if !w.whole {
		if old.head.note == nil || old.head.size <= old.file.place.Base {
			return nil, 0, errors.New("there is nothing to freeze: no head since the last time")
		}
		if old.size-old.head.size > maxTail {
			return nil, 0, errors.New("too many entries have no head yet")
		}
		next.place = place{Number: old.file.place.Number + 1, Base: old.head.size, Since: time.Now().UTC().Round(0)}
		info := SegmentInfo{
			Number: old.file.place.Number, From: old.file.place.Base, To: old.head.size, Root: old.head.root,
			Store: s.id, Frozen: next.place.Since, Bytes: s.fileSize(),
		}
		next.segments = append(next.segments[:len(next.segments):len(next.segments)], s.segment(info))
	}
	err = guard(func() error {
		return old.file.db.View(func(src *bolt.Tx) error {
			return w.dst.Update(func(dst *bolt.Tx) error {
				txid = dst.ID()
				if err := w.catchUp(w.take(), src, dst); err != nil {
					return err
				}
				if !w.whole {
					p := &span{live: src, id: &s.id, file: old.file}
					if err := copyEdge(p, dst, old); err != nil {
						return err
					}
				}
				if err := copyMeta(src, dst); err != nil {
					return err
				}
				if !w.whole {
					if next.segments[len(next.segments)-1].Indexed, err = moveSpan(src, dst); err != nil {
						return err
					}
				}
				if w.as != nil {
					return w.rename(dst, old, next)
				}
				if w.anew {
					if err := w.putState(dst, old, &s.id); err != nil {
						return err
					}
				}
				return writePlace(dst, old.ring, &s.id, next)
			})
		})
	}, func() {})
	return next, txid, err
}

// copyEdge gives a new file what it needs of the log below its base, and the entries above that.
func copyEdge(p *span, dst *bolt.Tx, old *durable) error {
	base := old.head.size
	for _, b := range [][]byte{bucketAudit, bucketTree, bucketHeads, bucketSegments} {
		if _, err := dst.CreateBucketIfNotExists(b); err != nil {
			return err
		}
	}
	tree, log := dst.Bucket(bucketTree), dst.Bucket(bucketAudit)
	edge, err := p.edge(base)
	if err != nil {
		return err
	}
	for rest := base; rest != 0; {
		level := bits.Len64(rest) - 1
		rest &^= 1 << level
		n := base>>level - 1
		h, err := p.node(level, n)
		if err != nil {
			return err
		}
		if err := tree.Put(nodeKey(level, n), h[:]); err != nil {
			return err
		}
	}
	for seq := base; seq < old.size; seq++ {
		record := p.live.Bucket(bucketAudit).Get(seqKey(seq))
		leaf, _, _, err := cutRecord(seq, record)
		if err != nil {
			return err
		}
		if err := log.Put(seqKey(seq), record); err != nil {
			return err
		}
		appendHash(&edge, leaf.Hash(), func(key, hash []byte) { err = errors.Join(err, tree.Put(key, hash)) })
		if err != nil {
			return err
		}
	}
	return dst.Bucket(bucketHeads).Put(seqKey(base), old.head.note)
}

// appendHash adds a leaf to an edge and gives keep the hashes that are kept.
func appendHash(edge *audit.Edge, leaf tlog.Hash, keep func(key, hash []byte)) {
	edge.Append(leaf, func(level int, n uint64, h tlog.Hash) {
		if level >= groupLevel {
			keep(nodeKey(level, n), bytes.Clone(h[:]))
		}
	})
}

func copyMeta(src, dst *bolt.Tx) error {
	to, err := dst.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := dst.CreateBucketIfNotExists(bucketJournal); err != nil {
		return err
	}
	return src.Bucket(bucketMeta).ForEach(to.Put)
}

// writePlace notes which file this is, and vouches for the segments below it.
func writePlace(dst *bolt.Tx, r *ring, id *[16]byte, f *file) error {
	at, err := r.vouch(id, string(keyPlace), f.place)
	if err != nil {
		return err
	}
	if err := dst.Bucket(bucketMeta).Put(keyPlace, at); err != nil {
		return err
	}
	all := r.vouchBytes(id, string(keySegments), encodeSegments(f.segments))
	if err := dst.Bucket(bucketMeta).Put(keySegments, all); err != nil {
		return err
	}
	if err := writeCover(dst, r, id, f.cover); err != nil {
		return err
	}
	list := dst.Bucket(bucketSegments)
	for _, g := range f.segments {
		v, err := r.vouch(id, string(bucketSegments), g.SegmentInfo)
		if err != nil {
			return err
		}
		if err := list.Put(binary.BigEndian.AppendUint32(nil, g.Number), v); err != nil {
			return err
		}
	}
	return nil
}
