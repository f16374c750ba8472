package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	bolt "go.etcd.io/bbolt"

	"pinward/store/audit"
)

// pieceSize is how many records Export copies out of the file at a time.
const pieceSize = 4096

// Export signs a head and writes the audit log up to it as a tar stream, for [audit.Unpack] and
// [audit.Verify]. It holds neither patient data nor keys in clear. w may be slow: the file is read in
// short pieces, so that no reader keeps the writer waiting.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	if err := s.signHead(ctx); err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	head := s.durable.Load().head
	keys, err := s.signersUsed(head.size)
	if err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	return audit.WriteTar(w, audit.Source{
		Checkpoint: head.note, Signers: keys, Heads: s.headsBefore(ctx, head.size), Leaves: s.leaves(ctx, head.size),
	})
}

// headsBefore yields the notes of the heads over fewer entries than size.
func (s *Store) headsBefore(ctx context.Context, size uint64) iter.Seq2[[]byte, error] {
	return pieces(ctx, s, bucketHeads, size, func(_ uint64, note []byte) ([]byte, error) { return note, nil })
}

// leaves yields the first size leaves.
func (s *Store) leaves(ctx context.Context, size uint64) iter.Seq2[audit.Leaf, error] {
	return pieces(ctx, s, bucketAudit, size, func(seq uint64, record []byte) (audit.Leaf, error) {
		leaf, _, _, err := cutRecord(seq, record)
		return leaf, err
	})
}

// pieces yields what make makes of the values of a bucket whose keys are numbers below end. What make
// returns is copied.
func pieces[T ~[]byte](ctx context.Context, s *Store, bucket []byte, end uint64, make func(key uint64, value []byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		next := uint64(0)
		var piece []T
		for next < end {
			piece = piece[:0]
			err := guard(func() error {
				return s.db.View(func(tx *bolt.Tx) error {
					c := tx.Bucket(bucket).Cursor()
					k, v := c.Seek(binary.BigEndian.AppendUint64(nil, next))
					for ; len(k) == 8 && len(piece) < pieceSize; k, v = c.Next() {
						n := binary.BigEndian.Uint64(k)
						if n >= end {
							break
						}
						item, err := make(n, v)
						if err != nil {
							return err
						}
						piece = append(piece, bytes.Clone(item))
						next = n + 1
					}
					return nil
				})
			}, func() {})
			if err = errors.Join(err, ctx.Err()); err != nil {
				yield(nil, err)
				return
			}
			if len(piece) == 0 {
				return
			}
			for _, item := range piece {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}
