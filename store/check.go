package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"pinward/store/audit"
)

// Check reads the whole store: every value and every entry must open, and every kept hash and every
// signed head must fit the entries. bbolt has no checksums but on two pages, so this is how a bit that
// rotted is found before it is needed. It reads in short pieces, beside everything else that goes on.
func (s *Store) Check(ctx context.Context) error {
	if err := s.checkTables(ctx); err != nil {
		return err
	}
	return s.checkLog(ctx)
}

// inPieces calls piece with snapshots until it says that it is done.
func (s *Store) inPieces(ctx context.Context, piece func(*span, *ring) (done bool, err error)) error {
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		tx := &Tx{store: s, view: true}
		err := guard(func() (err error) {
			if err = s.settle(tx); err != nil {
				return err
			}
			p, err := tx.span()
			if err != nil {
				return err
			}
			done, err = piece(p, tx.ring)
			return err
		}, tx.end)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTables opens every value of every table, also of those that no room declares any more.
func (s *Store) checkTables(ctx context.Context) error {
	names, err := s.tableBuckets(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		var from []byte
		err := s.inPieces(ctx, func(p *span, r *ring) (bool, error) {
			b := p.live.Bucket([]byte(name))
			if b == nil {
				return false, fmt.Errorf("%w: a table went missing", ErrCorrupt)
			}
			c := b.Cursor()
			n := 0
			for k, v := c.Seek(from); k != nil; k, v = c.Next() {
				if n++; n > pieceSize {
					from = bytes.Clone(k)
					return false, nil
				}
				if _, _, err := r.unseal(&s.id, name, k, math.MaxUint16, v, name[2:]); err != nil {
					return false, err
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkLog opens every entry and computes the tree and its heads anew.
func (s *Store) checkLog(ctx context.Context) error {
	size := s.durable.Load().size
	var edge audit.Edge
	var before []byte // the head before
	return s.inPieces(ctx, func(p *span, r *ring) (bool, error) {
		signers, err := readSigners(p.live)
		if err != nil {
			return false, err
		}
		at, note, err := p.head(edge.Size() + 1)
		if err != nil {
			return false, err
		}
		list, err := p.records(edge.Size(), size, pieceSize)
		if err != nil {
			return false, err
		}
		for _, e := range list {
			if err := checkEntry(p, r, e, &edge); err != nil {
				return false, err
			}
			if note != nil && at == edge.Size() {
				if err := s.checkHead(note, before, &edge, signers); err != nil {
					return false, err
				}
				before = note
				if at, note, err = p.head(at + 1); err != nil {
					return false, err
				}
			}
		}
		return edge.Size() == size, nil
	})
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
func (s *Store) checkHead(note, before []byte, edge *audit.Edge, signers []signer) error {
	for _, k := range signers {
		h, err := audit.VerifyNote(note, k.key)
		if err != nil {
			continue
		}
		var prev [sha256.Size]byte
		if before != nil {
			prev = audit.NoteHash(before)
		}
		if h.Origin != s.origin || h.Size != edge.Size() || h.Root != edge.Root() || h.Prev != prev {
			return fmt.Errorf("%w: the head over %d entries does not fit them", ErrCorrupt, edge.Size())
		}
		return nil
	}
	return fmt.Errorf("%w: the head over %d entries is not signed by a signer of this store", ErrCorrupt, edge.Size())
}
