package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// rewrite copies what the live file holds into a new file, beside the writer. Whatever is committed
// meanwhile is noted by its key and copied again, and the last of it in a short pause of the writer.
// So the new file is in the end what the old one is, however long the copying took, and no long
// snapshot keeps the old file from growing.
type rewrite struct {
	store  *Store
	whole  bool      // the log goes along: a compaction, and no roll
	as     *[16]byte // the id of the new file, if it is another store
	anew   bool      // values are sealed anew under the keys in use
	cover  *cover    // of the new file
	atOnce int       // coverAtOnce, but in tests
	dst    *bolt.DB
	tmp    string // name of dst until it becomes the live file

	mu      sync.Mutex
	changed map[string]map[string]struct{} // bucket -> keys written since they were copied, not covered

	sealed [purposes]uint64 // values sealed anew on the way
}

// rewritePiece is how many bytes are copied under one snapshot, about.
const rewritePiece = 1 << 20

// beginRewrite makes the new file and has the committer note what it writes from here on.
func (s *Store) beginRewrite(whole bool) (*rewrite, error) {
	var suffix [8]byte
	_, _ = rand.Read(suffix[:])
	w := &rewrite{
		store: s, whole: whole, cover: s.durable.Load().file.cover, atOnce: s.coverAtOnce,
		tmp: filepath.Join(filepath.Dir(s.path), fileNew+hex.EncodeToString(suffix[:])),
	}
	var err error
	if err := s.space.room(s.liveBytes()); err != nil {
		return nil, err
	}
	if w.dst, err = openBolt(w.tmp, 0); err != nil {
		_ = os.Remove(w.tmp)
		return nil, err
	}
	w.dst.NoSync = true // until it is whole: if we crash before that, it is removed
	w.changed = map[string]map[string]struct{}{}
	if err := s.merged(func() { s.rewriting.Store(w) }); err != nil {
		w.abandon()
		return nil, err
	}
	return w, nil
}

// abandon ends a rewrite that came to nothing.
func (w *rewrite) abandon() {
	w.store.rewriting.Store(nil)
	_ = guard(w.dst.Close, func() {})
	_ = os.Remove(w.tmp)
}

// note keeps the keys that a commit wrote. The committer calls it when the commit is visible: a copy
// that was made before saw the old value, and one that is made later sees the new one.
func (w *rewrite) note(b *batch, p *prepared) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range p.values {
		w.noteKey(p.values[i].table.bucket, p.values[i].key)
	}
	for _, set := range [][]rawPut{p.nodes, b.raw} {
		for _, r := range set {
			w.noteKey(string(r.bucket), string(r.key))
		}
	}
	for i := range b.indexed {
		for _, k := range b.indexed[i].keys {
			w.noteKey("x/"+b.indexed[i].Name, string(k))
		}
	}
	for i := range b.entries {
		w.noteKey(string(bucketAudit), string(seqKey(b.entries[i].seq)))
	}
}

func (w *rewrite) noteKey(bucket, key string) {
	if !w.copies(bucket) {
		return
	}
	keys := w.changed[bucket]
	if keys == nil {
		keys = map[string]struct{}{}
		w.changed[bucket] = keys
	}
	keys[key] = struct{}{}
}

// copies reports whether a bucket goes into the new file key by key. The notes in meta are written
// anew at the end; what belongs to the log, as its index does, goes along in a compaction only.
func (w *rewrite) copies(bucket string) bool {
	switch bucket {
	case string(bucketMeta), string(bucketJournal):
		return false
	case string(bucketAudit), string(bucketTree), string(bucketHeads), string(bucketSegments):
		return w.whole
	}
	return !isRetired(bucket) && (w.whole || !isIndex(bucket))
}

// copyAll copies every bucket once.
func (w *rewrite) copyAll(ctx context.Context) error {
	var names [][]byte
	err := w.read(ctx, func(src *bolt.Tx) error {
		return src.ForEach(func(name []byte, _ *bolt.Bucket) error {
			if w.copies(string(name)) {
				names = append(names, bytes.Clone(name))
			}
			return nil
		})
	})
	for _, name := range names {
		switch {
		case err != nil:
		case w.recovers(string(name)):
			err = w.copyRecovered(ctx, string(name))
		default:
			err = w.copyBucket(ctx, name)
		}
	}
	return err
}

func (w *rewrite) copyBucket(ctx context.Context, name []byte) error {
	r, cover := w.store.durable.Load().ring, w.cover
	at := cover.of(string(name))
	for from := []byte{}; from != nil; {
		err := w.read(ctx, func(src *bolt.Tx) error {
			return w.dst.Update(func(dst *bolt.Tx) error {
				to, err := dst.CreateBucketIfNotExists(name)
				if err != nil {
					return err
				}
				to.FillPercent = 0.9 // keys come in order
				c := src.Bucket(name).Cursor()
				k, v := c.Seek(from)
				for n := 0; k != nil && n < rewritePiece; k, v = c.Next() {
					n += len(k) + len(v)
					if v, err = w.value(r, string(name), cover.lifted(at, k), v); err != nil {
						return err
					}
					if err := to.Put(k, v); err != nil {
						return err
					}
				}
				from = bytes.Clone(k)
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read runs fn over a snapshot of the live file.
func (w *rewrite) read(ctx context.Context, fn func(src *bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := guard(func() error { return w.store.durable.Load().file.db.View(fn) }, func() {})
	if err != nil {
		return fmt.Errorf("copy live file: %w", asFull(err))
	}
	return nil
}

// pending is the number of keys to be copied again.
func (w *rewrite) pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, keys := range w.changed {
		n += len(keys)
	}
	return n
}

// take gives the keys that were written since they were copied, and begins a new list. It must come
// before the snapshot from which they are copied: a commit between the two is then in the new list, and
// copied once more than needed; the other way round its keys would be taken from the list with what
// they held before.
func (w *rewrite) take() map[string]map[string]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.changed
	w.changed = map[string]map[string]struct{}{}
	return changed
}

// catchUp copies again what was written since.
func (w *rewrite) catchUp(changed map[string]map[string]struct{}, src, dst *bolt.Tx) error {
	r, old := w.store.durable.Load().ring, w.store.durable.Load().file.cover
	for name, set := range changed {
		was, is := old.of(name), w.cover.of(name)
		to, err := dst.CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		from := src.Bucket([]byte(name))
		keys := make([]string, 0, len(set))
		for k := range set {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			key := w.cover.lay(is, []byte(k))
			if v := from.Get(old.lay(was, []byte(k))); v != nil {
				if v, err = w.value(r, name, []byte(k), v); err == nil {
					err = to.Put(key, v)
				}
			} else {
				err = to.Delete(key)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// calmDown is how many keys may be left for the pause.
const calmDown = 2000

// nearly copies until little is left, and makes that durable. The pause that follows then takes about
// as long as a commit.
func (w *rewrite) nearly(ctx context.Context) error {
	if err := w.copyAll(ctx); err != nil {
		return err
	}
	for range 20 { // under any load that lets up for a moment; else the pause is longer
		changed := w.take()
		err := w.store.at("taken")
		if err == nil {
			err = w.read(ctx, func(src *bolt.Tx) error {
				return w.dst.Update(func(dst *bolt.Tx) error { return w.catchUp(changed, src, dst) })
			})
		}
		if err != nil {
			return err
		}
		if w.pending() < calmDown {
			break
		}
	}
	w.dst.NoSync = false
	if err := w.dst.Sync(); err != nil {
		return fmt.Errorf("sync new file: %w", asFull(err))
	}
	return nil
}

// between has the committer run fn between two batches, and waits for it. Until fn returns, nothing
// becomes durable. After a failed commit fn is not run: what the file holds is open then.
func (s *Store) between(fn func() error) error {
	done := make(chan error, 1)
	s.mu.Lock()
	switch {
	case s.err != nil:
		done <- s.err
	case s.closed:
		done <- ErrClosed
	default:
		s.interludes = append(s.interludes, func(err error) {
			if err == nil {
				err = fn()
			}
			done <- err
		})
	}
	s.mu.Unlock()
	s.wakeUp()
	return <-done
}

// fail ends the store: it is not known what is on the disk.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.failed)
	}
}

// at marks a crash point. Tests fail there, or kill the process.
func (s *Store) at(point string) error {
	if s.crash == nil {
		return nil
	}
	return s.crash(point)
}
