package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"pinward/store/audit"
)

// fileName is the store's file in its folder; fileNew begins the name of one that is being made.
const (
	fileName = "pinward.db"
	fileNew  = ".pinward.db.new-"
)

// formatVersion numbers the layout of the file.
const formatVersion = 1

// The store's own buckets. A table's bucket is "t/" and its name.
var (
	bucketMeta    = []byte("meta")
	bucketAudit   = []byte("audit")   // sequence -> leaf and sealed body
	bucketTree    = []byte("tree")    // level, index -> hash of a complete subtree
	bucketHeads   = []byte("heads")   // size -> signed note
	bucketSigners = []byte("signers") // sequence of the entry that says so -> SubjectPublicKeyInfo

	keyFormat  = []byte("format")  // uint32
	keyID      = []byte("id")      // 16 random bytes
	keyOrigin  = []byte("origin")  // text
	keyKeyring = []byte("keyring") // wrapped
	keyState   = []byte("state")   // sealed: size, last instant, number of seals
)

// openFile opens or makes the file and loads what transactions start from. Everything that touches
// the memory map is guarded: a damaged file is an error, and never the end of the process.
func (s *Store) openFile(ctx context.Context, dir string, o Options) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	s.path = filepath.Join(dir, fileName)
	if _, err := os.Lstat(s.path); errors.Is(err, fs.ErrNotExist) {
		if err := s.create(ctx, dir, o); err != nil {
			return err
		}
	}
	err := guard(func() (err error) {
		if s.db, err = openBolt(s.path, o.LockTimeout); err != nil {
			return err
		}
		return s.db.View(func(tx *bolt.Tx) error { return s.load(ctx, tx, o) })
	}, func() {})
	if err != nil {
		if s.db != nil {
			_ = guard(s.db.Close, func() {})
		}
		return err
	}
	// Ours alone now, so what an interrupted making left behind belongs to nobody.
	old, _ := filepath.Glob(filepath.Join(dir, fileNew+"*"))
	for _, f := range old {
		_ = os.Remove(f)
	}
	return nil
}

// openBolt opens a bbolt file with the settings that the reference measured: the free list synced
// (else a cold start reads the whole file) and held in a map, and a memory map large enough that
// growing seldom has to wait for readers.
func openBolt(path string, timeout time.Duration) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: timeout, FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30, NoStatistics: true,
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case isFull(err):
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	}
	return nil, fmt.Errorf("open file: %w", err)
}

// create makes the file under another name, syncs it and only then gives it its name: bbolt does not
// survive a power cut during its very first writes. If we crash before the link there is no store;
// after it there is a whole one.
func (s *Store) create(ctx context.Context, dir string, o Options) error {
	var suffix [8]byte
	_, _ = rand.Read(suffix[:])
	tmp := filepath.Join(dir, fileNew+hex.EncodeToString(suffix[:]))
	defer func() { _ = os.Remove(tmp) }()
	db, err := openBolt(tmp, o.LockTimeout)
	if err != nil {
		return err
	}
	err = errors.Join(db.Update(func(tx *bolt.Tx) error { return initialise(ctx, tx, o) }), db.Close())
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	// A link, not a rename: it does not replace what another process made meanwhile.
	if err := os.Link(tmp, s.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make file: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// initialise writes what a new file needs: an id, a name, and a keyring with an index key. The other
// keys are made at their first use.
func initialise(ctx context.Context, tx *bolt.Tx, o Options) error {
	for _, b := range [][]byte{bucketMeta, bucketAudit, bucketTree, bucketHeads, bucketSigners} {
		if _, err := tx.CreateBucket(b); err != nil {
			return err
		}
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	origin := o.Origin
	if origin == "" {
		origin = "pinward/" + hex.EncodeToString(id[:8])
	}
	if !audit.ValidOrigin(origin) {
		return errors.New("origin is empty, too long, or holds a space or a plus")
	}
	r := &ring{index: newMacKey(randomKey())}
	wrapped, err := r.wrap(ctx, o.Keys)
	if err != nil {
		return err
	}
	m := tx.Bucket(bucketMeta)
	return errors.Join(
		m.Put(keyFormat, binary.BigEndian.AppendUint32(nil, formatVersion)),
		m.Put(keyID, id[:]),
		m.Put(keyOrigin, []byte(origin)),
		m.Put(keyKeyring, wrapped))
}

// load reads the format, the keys, the state and the tree's edge, and checks the log's tail.
func (s *Store) load(ctx context.Context, tx *bolt.Tx, o Options) error {
	m := tx.Bucket(bucketMeta)
	if m == nil {
		return fmt.Errorf("%w: it is no store", ErrCorrupt)
	}
	format := m.Get(keyFormat)
	if len(format) != 4 || len(m.Get(keyID)) != len(s.id) {
		return fmt.Errorf("%w: its format is not given", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint32(format); v > formatVersion {
		return fmt.Errorf("%w: format %d, known is %d", ErrNewer, v, formatVersion)
	}
	for _, b := range [][]byte{bucketAudit, bucketTree, bucketHeads, bucketSigners} {
		if tx.Bucket(b) == nil {
			return fmt.Errorf("%w: bucket %s is missing", ErrCorrupt, b)
		}
	}
	s.id = [16]byte(m.Get(keyID))
	s.origin = string(m.Get(keyOrigin))
	if o.Origin != "" && o.Origin != s.origin {
		return errors.New("the store belongs to another origin")
	}
	r, err := unwrapRing(ctx, o.Keys, bytes.Clone(m.Get(keyKeyring)))
	if err != nil {
		return err
	}
	d := &durable{txid: tx.ID()}
	d.ring = r
	if err := s.loadState(tx, &d.state); err != nil {
		return err
	}
	if err := s.loadLog(tx, d); err != nil {
		return err
	}
	s.durable.Store(d)
	s.edge = d.edge.Clone()
	s.batch = newBatch(d.state)
	return nil
}

// loadState reads how far the log goes. It is sealed like any value, so that a flipped bit does not
// make the log shorter.
func (s *Store) loadState(tx *bolt.Tx, st *state) error {
	sealed := tx.Bucket(bucketMeta).Get(keyState)
	if sealed == nil {
		if k, _ := tx.Bucket(bucketAudit).Cursor().First(); k != nil {
			return fmt.Errorf("%w: the log's state is missing", ErrCorrupt)
		}
		return nil
	}
	plain, err := st.ring.unseal(&s.id, string(bucketMeta), keyState, 0, sealed, "the log's state")
	if err != nil {
		return err
	}
	if len(plain) != 24 {
		return fmt.Errorf("%w: the log's state is cut", ErrCorrupt)
	}
	st.size = binary.BigEndian.Uint64(plain)
	st.last = time.Unix(0, int64(binary.BigEndian.Uint64(plain[8:]))).UTC()
	s.seals.Store(binary.BigEndian.Uint64(plain[16:]))
	return nil
}

func encodeState(st *state, seals uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, st.size)
	b = binary.BigEndian.AppendUint64(b, uint64(st.last.UnixNano()))
	return binary.BigEndian.AppendUint64(b, seals)
}

func (s *Store) fileSize() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// parallel runs fn over [0, n) in pieces on all processors, if there is enough to do.
func parallel(n, least int, fn func(lo, hi int)) {
	workers := min(runtime.GOMAXPROCS(0), n/least)
	if workers <= 1 {
		fn(0, n)
		return
	}
	done := make(chan struct{})
	for w := range workers {
		go func() {
			fn(n*w/workers, n*(w+1)/workers)
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
}
