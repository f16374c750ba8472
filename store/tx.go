package store

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"pinward/store/audit"
)

// Tx is one transaction: a decision with all that it changes. It is valid only until its function
// returns, and is for one goroutine only.
type Tx struct {
	store  *Store
	actor  audit.Actor
	now    time.Time
	ring   *ring
	view   bool
	own    bool // the store's own: it may write in clear, and records as the daemon
	renews bool // it makes new keys itself, after an entry of its own
	over   bool // its function has returned
	err    error

	// layers are what the transaction sees over the file, topmost first. In an Update the first is
	// its own overlay; the others belong to batches that are not durable yet.
	layers  []*layer
	snap    *bolt.Tx // the file; opened at the first read that gets to it
	file    *file    // that snap is of
	pending *pending // changes over its tables

	buckets []openBucket // of snap, looked up so far
	blinds  []blinded    // made so far
	known   known        // values of tables that are DecodedOnce
	looked  looked       // what the last keys hold beneath its own overlay

	size     uint64 // entries that are durable
	seq      uint64 // the next entry's place
	entries  []pendingEntry
	recorded int
	must     bool // wrote to a table that is not bookkeeping
	ringNew  bool
	restored time.Time
	keys     Keys // that wrap the ring from here on, if they change
	// untrusted says that the clock stands before the last entry: it was set back.
	untrusted bool
	raw       []rawPut
	indexed   []indexed
	topics    []*Topic
}

// openBucket is a table in the snapshot; bucket is nil if it is not there.
type openBucket struct {
	table  *tableInfo
	bucket *bolt.Bucket
	cursor *bolt.Cursor // nil before the first use, and while a walk has it
	rows   *rows        // pending changes over it
	at     []int        // where in its keys values are covered
}

// blinded remembers what [Tx.Blind] returned: a decision looks one number up in a dozen places.
type blinded struct {
	purpose, value string
	sum            [16]byte
}

// maxBlinds bounds what one transaction remembers of them.
const maxBlinds = 32

// Now is the instant of the transaction, in UTC: the same at each call, and never before that of the
// last audit entry.
func (tx *Tx) Now() time.Time { return tx.now }

// RisingID is a new id of 32 hex digits that sorts by the instant of its transaction, to the nanosecond: a listing
// by id is one by age, and what is written together stands together in the file, where ids without any order would
// have each record on a page of its own. 48 bits are milliseconds, 20 the nanoseconds in them, 60 are random.
func (tx *Tx) RisingID() string {
	var b [16]byte
	rand.Read(b[8:])
	ms := uint64(tx.now.UnixMilli())
	ns := uint64(tx.now.Nanosecond() % 1e6)
	binary.BigEndian.PutUint64(b[:8], ms<<16|ns>>4)
	b[8] = byte(ns)<<4 | b[8]&0x0f
	return hex.EncodeToString(b[:])
}

// Actor is who asked for the transaction; of a View it is empty.
func (tx *Tx) Actor() audit.Actor { return tx.actor }

// Recorded is how many entries the transaction has recorded so far.
func (tx *Tx) Recorded() int { return tx.recorded }

// Record adds an entry to the audit log, with the transaction's actor and instant. If it fails the
// transaction fails, whether or not the error is returned.
func (tx *Tx) Record(e audit.Entry) error {
	if err := tx.record(tx.actor, e); err != nil {
		return err
	}
	tx.recorded++
	return nil
}

func (tx *Tx) record(by audit.Actor, e audit.Entry) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	if err := e.Validate(by); err != nil {
		return tx.fail(err)
	}
	if e.Attrs = slices.Clone(e.Attrs); tx.untrusted && len(e.Attrs) < audit.MaxAttrs {
		e.Attrs = append(e.Attrs, audit.Attr{Key: "clock", Value: "untrusted"})
	}
	if tx.entries == nil {
		tx.entries = make([]pendingEntry, 0, 4)
	}
	tx.entries = append(tx.entries, pendingEntry{
		seq: tx.seq, at: tx.now, actor: by, name: tx.store.pseudonym(tx.ring, by), entry: e, key: last(tx.ring.keys[PurposeAudit]),
	})
	tx.seq++
	return nil
}

// Signal wakes those who watch the topic, once the transaction is durable.
func (tx *Tx) Signal(t *Topic) {
	if tx.mayWrite() == nil && !slices.Contains(tx.topics, t) {
		tx.topics = append(tx.topics, t)
	}
}

// Blind turns a value that may not stand in a key, such as a phone number, into one that may:
// 16 bytes of HMAC-SHA-256 under the long-lived index key. The same purpose and value always give the
// same result; different purposes never meet.
func (tx *Tx) Blind(purpose, value string) []byte {
	for i := range tx.blinds {
		if b := &tx.blinds[i]; b.value == value && b.purpose == purpose {
			return bytes.Clone(b.sum[:])
		}
	}
	sum := tx.ring.blind(purpose, value)
	tx.store.strict.made(sum)
	if len(tx.blinds) < maxBlinds {
		tx.blinds = append(tx.blinds, blinded{purpose, value, [16]byte(sum)})
	}
	return sum
}

func (r *ring) blind(purpose, value string) []byte {
	var stack [128]byte
	b := append(stack[:0], "blind/v1"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(purpose)))
	b = append(append(b, purpose...), value...)
	return r.index.sum(make([]byte, 0, 32), b)[:16]
}

// CodeEpoch is the number of today's code key, the day since 1970 in UTC. An Update makes the key if
// it is not there yet; a View does not.
func (tx *Tx) CodeEpoch() uint32 {
	today := day(tx.now)
	if tx.ring.code[today] != nil || tx.mayWrite() != nil {
		return today
	}
	_, dead := tx.ring.liveCodes(today)
	tx.ring, tx.ringNew = tx.ring.withCode(today), true
	if err := tx.keyEntry(purposeCode, today, tx.ring.code[today].key); err == nil {
		_ = tx.keysDropped(dead) // if it fails, so does the transaction
	}
	return today
}

// CodeMAC is HMAC-SHA-256 of msg under the code key of a day, 32 bytes; [ErrKeyGone] if that key was
// dropped, two days after its own, or was never made. It may be called from several goroutines.
func (tx *Tx) CodeMAC(epoch uint32, msg []byte) ([]byte, error) {
	k := tx.ring.code[epoch]
	if k == nil {
		return nil, ErrKeyGone
	}
	return k.sum(make([]byte, 0, 32), msg), nil
}

// use says why the transaction cannot be used, if it cannot.
func (tx *Tx) use() error {
	if tx.over {
		return errTxDone
	}
	return nil
}

func (tx *Tx) mayWrite() error {
	if tx.over {
		return errTxDone
	}
	if tx.view {
		return ErrReadOnly
	}
	return nil
}

// fail makes the transaction fail in the end, even if its function swallows the error: half of a
// decision must not become durable.
func (tx *Tx) fail(err error) error {
	if tx.err == nil {
		tx.err = err
	}
	return err
}

func (tx *Tx) put(t *tableInfo, key, plain []byte) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	if len(key) == 0 || len(key) > maxKey {
		return tx.fail(fmt.Errorf("write to %s: a key has 1 to %d bytes", t.name, maxKey))
	}
	if plain != nil && !tx.store.strict.declares(t, key) {
		return tx.fail(fmt.Errorf("write to %s: a blinded value stands in its key where none is declared", t.name))
	}
	if err := tx.keyFor(t.purpose); err != nil {
		return tx.fail(err)
	}
	tx.layers[0].put(t, &change{string(key), plain})
	tx.must = tx.must || t.bookkeeping == ""
	return nil
}

// get finds what stands under a key: plain in a layer, or sealed in the file, where it is valid as
// long as the transaction. It is nil if there is nothing.
func (tx *Tx) get(t *tableInfo, key []byte) (value []byte, sealed bool, err error) {
	if err := tx.use(); err != nil {
		return nil, false, err
	}
	if len(key) == 0 {
		return nil, false, fmt.Errorf("read from %s: the key is empty", t.name)
	}
	below := tx.layers
	if len(below) > 0 { // in an Update the first is its own, and alone changes under it
		if plain, ok := below[0].get(t, key); ok {
			return plain, false, nil
		}
		below = below[1:]
	}
	if l := tx.looked.find(t, key); l != nil {
		return l.value, l.sealed, nil
	}
	if value, sealed, err = tx.getBelow(t, key, below); err == nil {
		tx.looked.note(t, key, value, sealed)
	}
	return value, sealed, err
}

// getBelow is get beneath the transaction's own overlay.
func (tx *Tx) getBelow(t *tableInfo, key []byte, layers []*layer) (value []byte, sealed bool, err error) {
	for _, l := range layers {
		if plain, ok := l.get(t, key); ok {
			return plain, false, nil
		}
	}
	b, err := tx.bucket(t)
	if b.bucket == nil || err != nil {
		return nil, false, err
	}
	laid := tx.file.cover.lay(b.at, key)
	if b.rows != nil {
		if sealed, ok := b.rows.Get(string(laid)); ok {
			return *sealed, true, nil
		}
	}
	c := tx.takeCursor(t)
	at, v := c.Seek(laid)
	tx.giveCursor(t, c)
	if !bytes.Equal(at, laid) {
		return nil, true, nil
	}
	if v == nil {
		v = []byte{} // a nested bucket: none was written here, and it does not open
	}
	return v, true, nil
}

// takeCursor takes a cursor over a table that [Tx.bucket] has found in the file. One is kept for each, as
// making one costs as much as a look.
func (tx *Tx) takeCursor(t *tableInfo) (c *bolt.Cursor) {
	b := tx.opened(t)
	if c, b.cursor = b.cursor, nil; c == nil {
		c = b.bucket.Cursor()
	}
	return c
}

// giveCursor gives it back.
func (tx *Tx) giveCursor(t *tableInfo, c *bolt.Cursor) {
	if b := tx.opened(t); b != nil {
		b.cursor = c
	}
}

// opened is a table that was looked up in the file already, nil if it was not.
func (tx *Tx) opened(t *tableInfo) *openBucket {
	for i := range tx.buckets {
		if tx.buckets[i].table == t {
			return &tx.buckets[i]
		}
	}
	return nil
}

// bucket is a table in the file; there is no bucket in it if nothing was ever written to it.
func (tx *Tx) bucket(t *tableInfo) (openBucket, error) {
	snap, err := tx.snapshot()
	if err != nil {
		return openBucket{}, err
	}
	if b := tx.opened(t); b != nil {
		return *b, nil
	}
	b := openBucket{table: t, bucket: snap.Bucket([]byte(t.bucket)), rows: tx.pending.of(t.bucket), at: tx.file.cover.of(t.bucket)}
	if tx.buckets == nil {
		tx.buckets = make([]openBucket, 0, 12)
	}
	tx.buckets = append(tx.buckets, b)
	return b, nil
}

// snapshot is the file as it is at the first read. In an Update it may or may not hold the batch that
// is being committed; that batch's layer lies above it either way.
func (tx *Tx) snapshot() (*bolt.Tx, error) {
	for tx.snap == nil {
		d := tx.store.durable.Load()
		f := d.file
		snap, err := f.db.Begin(false)
		if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			if tx.store.durable.Load().file != f {
				continue // the store rolled, and the old file was closed meanwhile
			}
			return nil, ErrClosed
		}
		if err != nil {
			return nil, fmt.Errorf("read store: %w", err)
		}
		tx.snap, tx.file, tx.pending = snap, f, d.pending
	}
	return tx.snap, nil
}

// end closes the transaction for good.
func (tx *Tx) end() {
	tx.over = true
	if tx.snap != nil {
		_ = tx.snap.Rollback() // of a read: it cannot fail in a way that matters
		tx.snap = nil
	}
}
