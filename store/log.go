package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// groupLevel is the lowest level of the tree whose hashes are kept: a subtree of 64 leaves. What lies
// below is hashed again from the records when a proof needs it, which spares two puts an entry.
const groupLevel = 6

// recordVersion is the first byte of a stored record; leaf, then nonce, ciphertext and tag of blind
// and body follow.
const recordVersion = 1

// nodeKey is the key of the root of the n-th subtree of 2^level leaves.
func nodeKey(level int, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(level)}, n)
}

// sealEntry makes the stored record and the leaf hash of an entry. plain is scratch.
func (s *Store) sealEntry(e *pendingEntry, blind *[audit.BlindSize]byte, plain []byte) (record []byte, leaf tlog.Hash, scratch []byte) {
	plain = append(plain, blind[:]...)
	plain = audit.AppendBody(plain, e.at, &e.actor, &e.entry)
	h := audit.Header{Sequence: e.seq, Epoch: e.key.epoch, Second: e.at.Unix(), Actor: e.name, Outcome: e.entry.Outcome, Action: e.entry.Action}
	record = make([]byte, 1, 1+audit.MaxLeaf+len(plain)+28)
	record[0] = recordVersion
	record = audit.AppendLeaf(record, &h, blind, plain[audit.BlindSize:])
	l := audit.Leaf(record[1:])
	var stack [256]byte
	return e.key.aead.Seal(record, nil, plain, append(append(stack[:0], s.id[:]...), l...)), l.Hash(), plain
}

// cutRecord splits a stored record into its leaf and its sealed part.
func cutRecord(seq uint64, record []byte) (leaf audit.Leaf, h audit.Header, sealed []byte, err error) {
	if len(record) == 0 || record[0] != recordVersion {
		return nil, h, nil, fmt.Errorf("%w: audit entry %d is missing or no entry", ErrCorrupt, seq)
	}
	leaf, h, sealed, err = audit.CutLeaf(record[1:])
	if err != nil || h.Sequence != seq {
		return nil, h, nil, fmt.Errorf("%w: audit entry %d is not what was written", ErrCorrupt, seq)
	}
	return leaf, h, sealed, nil
}

// unsealEntry opens a stored record.
func (r *ring) unsealEntry(e stored) (leaf audit.Leaf, blind *[audit.BlindSize]byte, body []byte, err error) {
	seq := e.seq
	leaf, h, sealed, err := cutRecord(seq, e.bytes)
	if err != nil {
		return nil, nil, nil, err
	}
	k := find(r.keys[PurposeAudit], h.Epoch)
	if k != nil && k.key == nil {
		return leaf, nil, nil, fmt.Errorf("open audit entry %d: %w", seq, ErrShredded)
	}
	if k == nil {
		return nil, nil, nil, fmt.Errorf("open audit entry %d: the key of its epoch is gone", seq)
	}
	var stack [256]byte
	plain, err := k.aead.Open(nil, nil, sealed, append(append(stack[:0], e.id[:]...), leaf...))
	if err != nil || len(plain) < audit.BlindSize {
		return nil, nil, nil, fmt.Errorf("%w: audit entry %d does not open", ErrCorrupt, seq)
	}
	return leaf, (*[audit.BlindSize]byte)(plain), plain[audit.BlindSize:], nil
}

func (r *ring) openEntry(e stored) (audit.Record, error) {
	leaf, blind, body, err := r.unsealEntry(e)
	if errors.Is(err, ErrShredded) {
		return audit.OpenHeader(leaf)
	}
	if err != nil {
		return audit.Record{}, err
	}
	rec, err := audit.Open(leaf, blind, body)
	if err != nil {
		return rec, fmt.Errorf("%w: audit entry %d: %w", ErrCorrupt, e.seq, err)
	}
	return rec, nil
}

// entriesAtOnce is how many records Entries copies at a time.
const entriesAtOnce = 64

// Entries calls fn for the durable entries in order, from the sequence number given on. Of an entry
// whose key was shredded the header is all there is: its Record says so. fn returns [Stop] to end early. A cursor that feeds somebody else is the Seq of the last record plus one.
func (tx *Tx) Entries(from uint64, fn func(audit.Record) error) error {
	if err := tx.use(); err != nil {
		return err
	}
	p, err := tx.span()
	if err != nil {
		return err
	}
	size := min(tx.size, p.size())
	for {
		list, err := p.records(from, size, entriesAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			rec, err := tx.ring.openEntry(e)
			if err != nil {
				return err
			}
			if err := fn(rec); err != nil {
				if errors.Is(err, Stop) {
					return nil
				}
				return err
			}
		}
		from += uint64(len(list))
	}
}

// Size is the number of durable entries that the transaction sees.
func (tx *Tx) Size() (uint64, error) {
	if err := tx.use(); err != nil {
		return 0, err
	}
	p, err := tx.span()
	if err != nil {
		return 0, err
	}
	return min(tx.size, p.size()), nil
}

// Head is the latest signed head, a C2SP checkpoint note; nil if none was signed yet.
func (tx *Tx) Head() []byte { return bytes.Clone(tx.store.durable.Load().head.note) }

// Reveal returns what proves one entry to somebody who holds a head or the signer's fingerprint: the
// entry opened, and its place in the tree of the latest head. It tells nothing of other entries but
// their hashes. The entry must be under a signed head.
func (tx *Tx) Reveal(seq uint64) (audit.Opening, error) {
	if err := tx.use(); err != nil {
		return audit.Opening{}, err
	}
	head := tx.store.durable.Load().head
	if seq >= head.size {
		return audit.Opening{}, fmt.Errorf("reveal entry %d: it is under no signed head yet", seq)
	}
	p, err := tx.span()
	if err != nil {
		return audit.Opening{}, err
	}
	e, err := p.record(seq)
	if err != nil {
		return audit.Opening{}, err
	}
	leaf, blind, body, err := tx.ring.unsealEntry(e)
	if err != nil {
		return audit.Opening{}, err
	}
	proof, err := tlog.ProveRecord(int64(head.size), int64(seq), p)
	if err != nil {
		return audit.Opening{}, fmt.Errorf("reveal entry %d: %w", seq, err)
	}
	return audit.Opening{Leaf: bytes.Clone(leaf), Blind: blind[:], Body: body, Proof: proof, Note: head.note}, nil
}

// span is the log as the transaction's snapshot has it.
func (tx *Tx) span() (*span, error) {
	snap, err := tx.snapshot()
	if err != nil {
		return nil, err
	}
	return &span{live: snap, id: &tx.store.id, file: tx.file}, nil
}

// loadLog checks the log against its last head, and reads every entry that came after it, since no
// signature covers those yet: the next head must not sign a damaged one.
func (s *Store) loadLog(snap *bolt.Tx, d *durable) error {
	keys, err := readSigners(snap)
	if err != nil {
		return err
	}
	if _, note := snap.Bucket(bucketHeads).Cursor().Last(); note != nil {
		if d.head, err = readHead(bytes.Clone(note)); err != nil {
			return err
		}
		signed := false
		for _, k := range keys {
			h, err := audit.VerifyNote(note, k.key)
			signed = signed || err == nil && h.Origin == s.origin
		}
		if !signed {
			return fmt.Errorf("%w: the last head is not signed by a signer of this store", ErrCorrupt)
		}
	}
	if d.head.size > d.size {
		return fmt.Errorf("%w: the log is shorter than its last head", ErrCorrupt)
	}
	p := &span{live: snap, id: &s.id, file: d.file}
	if d.head.size < d.file.place.Base {
		return fmt.Errorf("%w: the head over the segments is missing", ErrCorrupt)
	}
	if d.edge, err = p.edge(d.head.size); err != nil {
		return err
	}
	if d.head.note != nil && d.edge.Root() != d.head.root {
		return fmt.Errorf("%w: the audit log is not the one that its last head signed", ErrCorrupt)
	}
	for seq := d.head.size; seq < d.size; seq++ {
		e, err := p.record(seq)
		if err != nil {
			return err
		}
		if _, err := d.ring.openEntry(e); err != nil {
			return err
		}
		leaf, _, _, _ := cutRecord(seq, e.bytes)
		d.edge.Append(leaf.Hash(), nil)
	}
	if e, err := p.record(0); d.size > 0 && d.file.place.Base == 0 && err == nil {
		_, h, _, _ := cutRecord(0, e.bytes)
		s.began = time.Unix(h.Second, 0).UTC()
	}
	if len(d.file.segments) > 0 {
		s.began = d.file.segments[0].Frozen
	}
	if p.size() != d.size {
		return fmt.Errorf("%w: the log does not end where its state says", ErrCorrupt)
	}
	return nil
}
