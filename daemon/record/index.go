package record

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"pinward/store"
)

// The index finds the entries of one patient, number or actor among millions: under the blinded value
// it notes in which stretches of the log that value occurs. A stretch is as long as what Search reads at
// once, so that a key stands for many entries: a patient's texts come in a few bursts. Nothing in a key
// leads back to a value without the index key.
//
// Blinded values are random, so an index in their order would be written all over, and each commit cost
// more the longer the log is. Keys therefore begin with the era, a fixed number of entries: what is
// written stays within the newest era, older ones are never touched again, and a search looks into one
// place an era, the newest first.
var index = store.NewTable[struct{}]("record.index",
	store.Bookkeeping("in which stretches of the log a patient, number or actor occurs; made from the entries"))

// indexer is the name of the follower that makes the index. The number is that of the keys' form:
// another one makes the index anew.
const indexer = "index/2"

// The purposes of the blinded values.
const (
	bySubject = "record/subject"
	byPhone   = "record/phone"
	byActor   = "record/actor"
)

// stretch is the n-th run of chunk entries of the log.
func stretch(seq uint64) uint64 { return seq / chunk }

// perEra is how many stretches an era has: a stretch's place in its era is the last byte of a key.
const perEra = 256

// indexPrefix is what the keys of a value begin with in an era.
func indexPrefix(blind []byte, era uint64) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(era)), blind[:16]...)
}

func indexKey(blind []byte, n uint64) []byte {
	return append(indexPrefix(blind, n/perEra), byte(n%perEra))
}

// Index keeps the index up with the log until ctx ends.
func Index(ctx context.Context, s *store.Store, by store.Actor) error {
	return Follow(ctx, s, by, indexer, func(ctx context.Context, records []store.Record) error {
		return s.Update(ctx, by, func(tx *store.Tx) error { return addToIndex(tx, records) })
	})
}

func addToIndex(tx *store.Tx, records []store.Record) error {
	type spot struct {
		purpose, value string
		stretch        uint64
	}
	done := map[spot]bool{}
	for _, r := range records {
		for _, at := range spots(r) {
			sp := spot{at[0], at[1], stretch(r.Seq)}
			if done[sp] {
				continue
			}
			done[sp] = true
			key := indexKey(tx.Blind(sp.purpose, sp.value), sp.stretch)
			if _, there, err := index.Get(tx, key); err != nil {
				return fmt.Errorf("index audit: %w", err)
			} else if there {
				continue
			}
			if err := index.Put(tx, key, struct{}{}); err != nil {
				return fmt.Errorf("index audit: %w", err)
			}
		}
	}
	return nil
}

// spots are the purposes and values under which an entry is found.
func spots(r store.Record) (list [][2]string) {
	list = append(list, [2]string{byActor, r.Actor.ID})
	if r.Entry.Subject != "" {
		list = append(list, [2]string{bySubject, r.Entry.Subject})
	}
	for _, a := range r.Entry.Attrs {
		for v := range strings.SplitSeq(a.Value, ",") {
			if strings.HasPrefix(v, "+") {
				list = append(list, [2]string{byPhone, v})
			}
		}
	}
	return list
}

// indexed is what of a query the index knows, the rarest first; ok is false if it knows nothing of it.
func (q Query) indexed() (purpose, value string, ok bool) {
	switch {
	case !q.Subject.IsZero():
		return bySubject, q.Subject.Key(), true
	case !q.Phone.IsZero():
		return byPhone, q.Phone.E164(), true
	case q.Actor != "":
		return byActor, q.Actor, true
	}
	return "", "", false
}

// stretchesBelow calls fn for the stretches that may hold what a query looks for, the newest first,
// each cut to the entries below end. Those that the index has not come to yet come first, all of them.
func (q Query) stretchesBelow(tx *store.Tx, end uint64, fn func(from, to uint64) error) error {
	known := uint64(0)
	purpose, value, ok := q.indexed()
	if ok {
		c, err := at(tx, indexer)
		if err != nil {
			return err
		}
		known = min(c.Next, end)
	}
	for to := end; to > known; {
		from := max(known, stretch(to-1)*chunk)
		if err := fn(from, to); err != nil {
			return err
		}
		to = from
	}
	if known == 0 {
		return nil
	}
	blind, last := tx.Blind(purpose, value), stretch(known-1)
	for era, over := int64(last/perEra), false; era >= 0 && !over; era-- {
		r := store.Range{Prefix: indexPrefix(blind, uint64(era)), Reverse: true}
		if uint64(era) == last/perEra {
			r.From = indexKey(blind, last)
		}
		err := index.Each(tx, r, func(key []byte, _ struct{}) error {
			from := (uint64(era)*perEra + uint64(key[len(key)-1])) * chunk
			err := fn(from, min(from+chunk, known))
			over = err != nil // Each keeps a Stop to itself
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
