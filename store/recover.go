package store

import (
	"bytes"
	"context"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// coverAtOnce is how many keys are brought into their new order at a time. It bounds the memory that a
// large table takes, and each further part reads all its keys once more.
const coverAtOnce = 1 << 17

// moved is a key as it stands in the old file and in the new one.
type moved struct{ was, is []byte }

func (m moved) compare(o moved) int { return bytes.Compare(m.is, o.is) }

// recovers reports whether the keys of a bucket change on the way into the new file.
func (w *rewrite) recovers(bucket string) bool {
	old := w.store.durable.Load().file.cover
	was, is := old.of(bucket), w.cover.of(bucket)
	return len(was)+len(is) > 0 && (old.key != w.cover.key || !slices.Equal(was, is))
}

// copyRecovered copies a bucket whose keys change, in their new order: in the old one, each piece would
// touch all pages of the new file.
func (w *rewrite) copyRecovered(ctx context.Context, bucket string) error {
	for after := []byte(nil); ; {
		part, more, err := w.nextPart(ctx, bucket, after)
		if err != nil {
			return err
		}
		if err := w.copyPart(ctx, bucket, part); err != nil || !more {
			return err
		}
		after = part[len(part)-1].is
	}
}

// nextPart returns the first keys of a bucket in the new order behind one of them, and whether there are
// more. What is written while it looks is noted, and copied again.
func (w *rewrite) nextPart(ctx context.Context, bucket string, after []byte) (part []moved, more bool, err error) {
	old := w.store.durable.Load().file.cover
	was, is := old.of(bucket), w.cover.of(bucket)
	var end []byte // of the part, once that is known
	for from := []byte{}; from != nil; {
		err := w.read(ctx, func(src *bolt.Tx) error {
			c := src.Bucket([]byte(bucket)).Cursor()
			k, _ := c.Seek(from)
			for n := 0; k != nil && n < pieceSize; n++ {
				m := moved{bytes.Clone(k), w.cover.lay(is, old.lifted(was, k))}
				if behind := bytes.Compare(m.is, after) > 0 || after == nil; behind && (end == nil || bytes.Compare(m.is, end) < 0) {
					part = append(part, m)
				}
				if len(part) == 2*w.atOnce {
					slices.SortFunc(part, moved.compare)
					part, end, more = part[:w.atOnce], part[w.atOnce].is, true
				}
				k, _ = c.Next()
			}
			from = bytes.Clone(k)
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(part, moved.compare)
	return part, more, nil
}

// copyPart copies what stands under keys, in pieces.
func (w *rewrite) copyPart(ctx context.Context, bucket string, part []moved) error {
	r, old := w.store.durable.Load().ring, w.store.durable.Load().file.cover
	was := old.of(bucket)
	for first := true; first || len(part) > 0; first = false {
		err := w.read(ctx, func(src *bolt.Tx) error {
			return w.dst.Update(func(dst *bolt.Tx) error {
				to, err := dst.CreateBucketIfNotExists([]byte(bucket))
				if err != nil {
					return err
				}
				to.FillPercent = 0.9 // keys come in order
				from := src.Bucket([]byte(bucket))
				for n := 0; len(part) > 0 && n < rewritePiece; part = part[1:] {
					m := part[0]
					v := from.Get(m.was)
					if v == nil {
						continue // deleted since
					}
					n += len(m.is) + len(v)
					if v, err = w.value(r, bucket, old.lifted(was, m.was), v); err != nil {
						return err
					}
					if err := to.Put(m.is, v); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
