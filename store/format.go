package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// formatVersion numbers the layout of the file. 1 was one file for ever; since 2 the log goes on in
// segments that were frozen, and the keyring has keys by purpose; since 3 blinded values in keys may be
// covered; since 4 there is a journal. A file of format 1 is opened as generation 1; any older one becomes format 4 by being opened,
// so that the older program refuses it from then on.
const formatVersion = 4

// The store's own buckets. A table's bucket is "t/" and its name, that of the index "x/" and its name.
var (
	bucketMeta    = []byte("meta")
	bucketAudit   = []byte("audit")   // sequence -> leaf and sealed body
	bucketTree    = []byte("tree")    // level, index -> hash of a complete subtree
	bucketHeads   = []byte("heads")   // size -> signed note
	bucketSigners = []byte("signers") // sequence of the entry that says so -> SubjectPublicKeyInfo
	// number of a segment -> SegmentInfo, vouched for; missing in a file of format 1
	bucketSegments = []byte("segments")

	keyFormat   = []byte("format")   // uint32
	keyID       = []byte("id")       // 16 random bytes
	keyOrigin   = []byte("origin")   // text
	keyKeyring  = []byte("keyring")  // wrapped
	keyState    = []byte("state")    // sealed: size, last instant, number of seals by purpose
	keyTold     = []byte("told")     // uint32, the last segment that has an entry
	keyScrub    = []byte("scrub")    // vouched for: ScrubReport
	keyRestored = []byte("restored") // vouched for: when this became another store than that of the backup
	keyIndex    = []byte("index")    // in clear: what the index covers in this file
	keyPlace    = []byte("place")    // vouched for: which generation this file is; none is the first
	keySegments = []byte("segments") // vouched for: all of bucketSegments in one, for a fast start
	keyCover    = []byte("cover")    // vouched for: coverNote; none is generation 0
	// and "behind/" with what is done each month: since when the clock stands before its last time, see monthly
)

// initialise writes what a new file needs: an id, a name, and a keyring with an index key and its first
// cover. The other keys are made at their first use.
func initialise(ctx context.Context, tx *bolt.Tx, o Options) error {
	for _, b := range [][]byte{bucketMeta, bucketAudit, bucketTree, bucketHeads, bucketSigners, bucketSegments, bucketJournal} {
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
	first, err := newCoverKey(1, day(time.Now()), randomKey())
	if err != nil {
		return err
	}
	r := (&ring{index: newMacKey(randomKey())}).withCovers(first)
	wrapped, err := r.wrap(ctx, o.Keys)
	if err != nil {
		return err
	}
	m := tx.Bucket(bucketMeta)
	return errors.Join(
		m.Put(keyFormat, binary.BigEndian.AppendUint32(nil, formatVersion)),
		m.Put(keyID, id[:]),
		m.Put(keyOrigin, []byte(origin)),
		m.Put(keyKeyring, wrapped),
		writeCover(tx, r, &id, (&cover{}).next(first)))
}

// file is one generation of the live file: what transactions read and write, with the segments that
// were frozen before it. It never changes.
type file struct {
	db       *bolt.DB
	place    place
	segments []*segment // oldest first
	cover    *cover
}

// place says where a file stands in the row of files that hold the log.
type place struct {
	Number uint32 // generation, counts from 1
	// Base is the number of entries below this file: that of the last head before the roll. The file
	// holds the tree's right edge at Base, and every entry from there on.
	Base  uint64
	Since time.Time // when it became the live file; zero in the first
}

// load reads the format, the keys, the state and the tree's edge, and checks the log's tail. It
// changes nothing of the Store but what says how to open values.
func (s *Store) load(ctx context.Context, db *bolt.DB, tx *bolt.Tx, o Options) (*durable, error) {
	m := tx.Bucket(bucketMeta)
	if m == nil {
		return nil, fmt.Errorf("%w: it is no store", ErrCorrupt)
	}
	format := m.Get(keyFormat)
	if len(format) != 4 || len(m.Get(keyID)) != len(s.id) {
		return nil, fmt.Errorf("%w: its format is not given", ErrCorrupt)
	}
	v := binary.BigEndian.Uint32(format)
	if v > formatVersion {
		return nil, fmt.Errorf("%w: format %d, known is %d", ErrNewer, v, formatVersion)
	}
	for _, b := range [][]byte{bucketAudit, bucketTree, bucketHeads, bucketSigners} {
		if tx.Bucket(b) == nil {
			return nil, fmt.Errorf("%w: bucket %s is missing", ErrCorrupt, b)
		}
	}
	s.id = [16]byte(m.Get(keyID))
	s.origin = string(m.Get(keyOrigin))
	if o.Origin != "" && o.Origin != s.origin {
		return nil, errors.New("the store belongs to another origin")
	}
	r, err := unwrapRing(ctx, o.Keys, bytes.Clone(m.Get(keyKeyring)))
	if err != nil {
		return nil, err
	}
	d := &durable{format: v, txid: tx.ID(), file: &file{db: db, place: place{Number: 1}}}
	d.ring = r
	if sealed := m.Get(keyPlace); sealed != nil {
		if err := r.vouched(&s.id, string(keyPlace), sealed, &d.file.place); err != nil {
			return nil, err
		}
	}
	if d.file.cover, d.grown, err = s.loadCover(tx, r); err != nil {
		return nil, err
	}
	if v := m.Get(keyRestored); v != nil {
		if err := r.vouched(&s.id, string(keyRestored), v, &d.restored); err != nil {
			return nil, err
		}
	}
	if d.file.segments, err = s.loadSegments(tx, r, d.file.place); err != nil {
		return nil, err
	}
	if err := s.loadState(tx, &d.state); err != nil {
		return nil, err
	}
	if err := s.loadJournal(tx, d); err != nil {
		return nil, err
	}
	return d, s.loadLog(tx, d)
}

// upgrade makes a file of an older format one of this format, and notes how tables are covered that are
// new in this program. All else that is new in format 2 to 4 is made when it is first needed.
func (s *Store) upgrade(d *durable) error {
	return d.file.db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(bucketSegments); err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(bucketJournal); err != nil {
			return err
		}
		if err := writeCover(tx, d.ring, &s.id, d.file.cover); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint32(nil, formatVersion))
	})
}

// adopt makes what was loaded the state that transactions start from.
func (s *Store) adopt(d *durable) {
	s.durable.Store(d)
	s.edge = d.edge.Clone()
	s.batch = newBatch(d.state)
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
	plain, _, err := st.ring.unseal(&s.id, string(bucketMeta), keyState, 0, sealed, "the log's state")
	if err != nil {
		return err
	}
	if len(plain) != 24 && len(plain) != stateSize {
		return fmt.Errorf("%w: the log's state is cut", ErrCorrupt)
	}
	st.size = binary.BigEndian.Uint64(plain)
	st.last = time.Unix(0, int64(binary.BigEndian.Uint64(plain[8:]))).UTC()
	if len(plain) == 24 { // format 1 counted data and audit as one
		for _, p := range []Purpose{PurposeData, PurposeAudit} {
			s.seals[p].Store(binary.BigEndian.Uint64(plain[16:]))
		}
		return nil
	}
	for i := range s.seals {
		s.seals[i].Store(binary.BigEndian.Uint64(plain[16+8*i:]))
	}
	return nil
}

// stateSize is the size of the encoded state.
const stateSize = 8 + 8 + 8*int(purposes)

func encodeState(st *state, seals *[purposes]uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, st.size)
	b = binary.BigEndian.AppendUint64(b, uint64(st.last.UnixNano()))
	for _, n := range seals {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}
