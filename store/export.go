package store

import (
	"context"
	"fmt"
	"io"
	"iter"

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
	keys, err := s.signersUsed(ctx, head.size)
	if err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	return audit.WriteTar(w, audit.Source{
		Checkpoint: head.note, Signers: keys, Heads: s.headsBefore(ctx, head.size), Leaves: s.leaves(ctx, head.size),
	})
}

// headsBefore yields the notes of the heads over fewer entries than size.
func (s *Store) headsBefore(ctx context.Context, size uint64) iter.Seq2[[]byte, error] {
	next := uint64(1)
	return inOrder(ctx, s, func(p *span) (list [][]byte, err error) {
		for len(list) < pieceSize {
			at, note, err := p.head(next)
			if err != nil || note == nil || at >= size {
				return list, err
			}
			list, next = append(list, note), at+1
		}
		return list, nil
	})
}

// leaves yields the first size leaves.
func (s *Store) leaves(ctx context.Context, size uint64) iter.Seq2[audit.Leaf, error] {
	next := uint64(0)
	return inOrder(ctx, s, func(p *span) (list []audit.Leaf, err error) {
		records, err := p.records(next, size, pieceSize)
		next += uint64(len(records))
		for _, e := range records {
			leaf, _, _, err := cutRecord(e.seq, e.bytes)
			if err != nil {
				return nil, err
			}
			list = append(list, leaf)
		}
		return list, err
	})
}

// inOrder yields what piece returns, each time from a new snapshot, until it returns nothing.
func inOrder[T any](ctx context.Context, s *Store, piece func(*span) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var list []T
			err := s.inPieces(ctx, func(p *span, _ *ring) (_ bool, err error) {
				list, err = piece(p)
				return true, err
			})
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if len(list) == 0 {
				return
			}
			for _, item := range list {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}
