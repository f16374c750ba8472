package store

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// put writes a prepared batch in one transaction of the file.
func (s *Store) put(f *file, b *batch, p *prepared) (txid int, fatal bool, err error) {
	generation, next := s.journal.generation, s.journal.next
	txid, fatal, err = s.inFile(f, p.pending, b, s.write, func(tx *bolt.Tx) error {
		if err := fill(tx, b, p); err != nil {
			return err
		}
		return fillJournal(tx, p, generation, next)
	})
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
	}
	return txid, fatal, err
}

// inFile does one write of the file: fn in one transaction, after which the pending changes are those
// given. ticket ends with it.
func (s *Store) inFile(f *file, p *pending, ticket *batch, write, fn func(*bolt.Tx) error) (txid int, fatal bool, err error) {
	var tx *bolt.Tx
	err = guard(func() (err error) {
		if tx, err = f.db.Begin(true); err != nil {
			return err
		}
		txid = tx.ID()
		if err := fn(tx); err != nil {
			return err
		}
		s.landing.Store(&landing{f, txid, p, ticket})
		// If we crash before this returns, the write is there whole or not at all, and nobody was
		// told either way.
		return write(tx)
	}, func() {})
	if err == nil {
		return txid, false, nil
	}
	if tx != nil {
		if undo := guard(func() error { _ = tx.Rollback(); return nil }, func() {}); undo != nil {
			s.broken = true
			return 0, true, err
		}
	}
	return 0, !isFull(err) || mayBeDone(f.db, txid), asFull(err)
}

// mayBeDone looks whether the file's newest meta page is that of a commit which reported an error.
func mayBeDone(db *bolt.DB, txid int) bool {
	done := true
	_ = guard(func() error {
		return db.View(func(tx *bolt.Tx) error { done = tx.ID() >= txid; return nil })
	}, func() {})
	return done
}

func asFull(err error) error {
	if isFull(err) {
		return as(ErrFull, err)
	}
	return err
}

// fill puts the batch into the file's transaction.
func fill(tx *bolt.Tx, b *batch, p *prepared) error {
	var bucket *bolt.Bucket
	var table *tableInfo
	for i := range p.values {
		v := &p.values[i]
		if v.table != table {
			var err error
			if bucket, err = tx.CreateBucketIfNotExists([]byte(v.table.bucket)); err != nil {
				return err
			}
			table = v.table
		}
		if !p.direct {
			continue // the bucket alone: what the file says of its tables is true before the merge
		}
		if v.value == nil {
			if err := bucket.Delete([]byte(v.laid)); err != nil {
				return err
			}
		} else if err := bucket.Put([]byte(v.laid), v.value); err != nil {
			return err
		}
	}
	log := tx.Bucket(bucketAudit)
	log.FillPercent = 0.9 // it only grows at its end
	for i, r := range p.records {
		var key [8]byte
		binary.BigEndian.PutUint64(key[:], b.entries[i].seq)
		if err := log.Put(key[:], r); err != nil {
			return err
		}
	}
	for _, set := range [][]rawPut{p.nodes, b.raw} {
		for _, r := range set {
			if err := tx.Bucket(r.bucket).Put(r.key, r.value); err != nil {
				return err
			}
		}
	}
	for i := range b.indexed {
		if err := b.indexed[i].fill(tx); err != nil {
			return err
		}
	}
	m := tx.Bucket(bucketMeta)
	if p.keyring != nil {
		if err := m.Put(keyKeyring, p.keyring); err != nil {
			return err
		}
	}
	return m.Put(keyState, p.state)
}

// fillJournal appends the batch to the journal.
func fillJournal(tx *bolt.Tx, p *prepared, generation uint64, next uint32) error {
	if len(p.chunks) == 0 {
		return nil
	}
	b, err := tx.Bucket(bucketJournal).CreateBucketIfNotExists(binary.BigEndian.AppendUint64(nil, generation))
	if err != nil {
		return err
	}
	b.FillPercent = 0.9 // it only grows at its end
	for i := range p.chunks {
		if err := b.Put(binary.BigEndian.AppendUint32(nil, next+uint32(i)), p.chunks[i].bytes); err != nil {
			return err
		}
	}
	return nil
}
