package record

import (
	"context"
	"fmt"
	"strings"

	"pinward/store"
)

// The index finds the entries of one patient, number or actor among millions, see [store.Index]. The number
// in its name is that of its form: another one makes it anew.
var index = store.NewIndex("record.index/3", "record.index")

// indexer is the name of the follower that makes the index; followers of older forms are forgotten, so that
// a program that goes back to one makes it anew.
const (
	indexer      = "index/3"
	indexerOlder = "index/2"
)

// The purposes of the blinded values.
const (
	bySubject = "record/subject"
	byPhone   = "record/phone"
	byActor   = "record/actor"
)

// Index keeps the index up with the log until ctx ends, and opens the incidents that replies make.
func Index(ctx context.Context, s *store.Store, by store.Actor) error {
	if err := s.Update(ctx, by, func(tx *store.Tx) error { return cursors.Delete(tx, []byte(indexerOlder)) }); err != nil {
		return fmt.Errorf("index audit: %w", err)
	}
	return Follow(ctx, s, by, indexer, func(ctx context.Context, records []store.Record) error {
		return s.Update(ctx, by, func(tx *store.Tx) error {
			if err := openForReplies(tx, records); err != nil {
				return err
			}
			return addToIndex(tx, records)
		})
	})
}

// addToIndex notes what stands in records that follow each other.
func addToIndex(tx *store.Tx, records []store.Record) error {
	done := map[store.Mark]bool{}
	var marks []store.Mark
	for _, r := range records {
		for _, at := range spots(r) {
			m := store.Mark{Seq: r.Seq / chunk * chunk, Epoch: r.Header.Epoch, Purpose: at[0], Value: at[1]}
			if !done[m] {
				done[m] = true
				marks = append(marks, m)
			}
		}
	}
	if err := index.Add(tx, records[0].Seq, records[len(records)-1].Seq+1, marks); err != nil {
		return fmt.Errorf("index audit: %w", err)
	}
	return nil
}

// spots are the purposes and values under which an entry is found.
func spots(r store.Record) (list [][2]string) {
	if r.Shredded {
		return nil
	}
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
// each cut to the entries below end, as [store.Index.Each] does.
func (q Query) stretchesBelow(tx *store.Tx, end uint64, fn func(from, to uint64) error) error {
	if purpose, value, ok := q.indexed(); ok {
		return index.Each(tx, purpose, value, end, fn)
	}
	for end > 0 {
		from := (end - 1) / chunk * chunk
		if err := fn(from, end); err != nil {
			return err
		}
		end = from
	}
	return nil
}
