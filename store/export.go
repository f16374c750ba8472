package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sort"

	"pinward/store/audit"
)

// pieceSize is how many records Export copies out of the file at a time.
const pieceSize = 4096

// Export signs a head and writes the audit log up to it as a tar stream, for [audit.Unpack] and
// [audit.Verify]. It holds neither patient data nor keys in clear. w may be slow: the file is read in
// short pieces, so that no reader keeps the writer waiting.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	return s.ExportRange(ctx, w, 0, math.MaxUint64)
}

// ExportRange is Export of a part of the log: of the entries from the sequence number from on and
// below to, and of those around them up to the nearest signed heads.
func (s *Store) ExportRange(ctx context.Context, w io.Writer, from, to uint64) error {
	if err := s.signHead(ctx); err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	src, err := s.source(ctx, from, to)
	if err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	return audit.WriteTar(w, src)
}

// source is what the bundle of a part of the log is made from. Heads only come in, so the two found
// here stay what they are.
func (s *Store) source(ctx context.Context, from, to uint64) (src audit.Source, err error) {
	head := s.durable.Load().head
	var base uint64
	err = s.inPieces(ctx, func(p *span, _ *ring) (_ bool, err error) {
		if to < head.size {
			_, note, err := p.head(max(to, 1))
			if err != nil {
				return false, err
			}
			if head, err = readHead(note); err != nil {
				return false, err
			}
		}
		if base, err = p.lastHead(min(from, head.size-1)); err != nil {
			return false, err
		}
		src.Base, err = p.edge(base)
		return true, err
	})
	if err != nil {
		return src, err
	}
	src.Checkpoint = head.note
	src.Signers, err = s.signersUsed(ctx, base, head.size)
	src.Heads, src.Leaves, src.Anchors = s.headsFrom(ctx, base, head.size), s.leaves(ctx, base, head.size), s.attestations(ctx, base, head.size)
	return src, err
}

// lastHead is the size of the last head over at most so many entries, 0 if there is none: the greatest
// size that is itself that of the first head over at least as many.
func (p *span) lastHead(most uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(most), func(i int) bool {
		at, note, err := p.head(uint64(i) + 1)
		failed = errors.Join(failed, err)
		return note == nil || at > most
	})
	return uint64(n), failed
}

// headsFrom yields the notes of the heads over at least from and fewer than end entries.
func (s *Store) headsFrom(ctx context.Context, from, end uint64) iter.Seq2[[]byte, error] {
	next := max(from, 1)
	return inOrder(ctx, s, func(p *span) (list [][]byte, err error) {
		for len(list) < pieceSize {
			at, note, err := p.head(next)
			if err != nil || note == nil || at >= end {
				return list, err
			}
			list, next = append(list, note), at+1
		}
		return list, nil
	})
}

// attestations yields the anchors whose entries are from the sequence number from on and below end.
func (s *Store) attestations(ctx context.Context, from, end uint64) iter.Seq2[audit.AnchorEntry, error] {
	next := from
	return func(yield func(audit.AnchorEntry, error) bool) {
		for {
			var piece []audit.AnchorEntry
			err := s.View(ctx, func(tx *Tx) error {
				return anchors.Each(tx, Range{From: seqKey(next)}, func(key []byte, attestation []byte) error {
					seq := binary.BigEndian.Uint64(key)
					if seq >= end || len(piece) == pieceSize {
						return Stop
					}
					piece, next = append(piece, audit.AnchorEntry{Seq: seq, Attestation: attestation}), seq+1
					return nil
				})
			})
			if err != nil {
				yield(audit.AnchorEntry{}, err)
				return
			}
			if len(piece) == 0 {
				return
			}
			for _, a := range piece {
				if !yield(a, nil) {
					return
				}
			}
		}
	}
}

// leaves yields the leaves from the sequence number from on and below end.
func (s *Store) leaves(ctx context.Context, from, end uint64) iter.Seq2[audit.Leaf, error] {
	next := from
	return inOrder(ctx, s, func(p *span) (list []audit.Leaf, err error) {
		records, err := p.records(next, end, pieceSize)
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
