package record

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"pinward/store"
)

// The index finds the entries of one patient, number or actor among millions, see [store.Index]. The number
// in its name is that of its form: another one makes it anew.
var index = store.NewIndex("record.index/4", "record.index")

// indexer is the name of the follower that makes the index; followers of older forms are forgotten, so that
// a program that goes back to one makes it anew.
const indexer = "index/4"

var indexersOlder = []string{"index/2", "index/3"}

// The purposes of the blinded values.
const (
	bySubject = "record/subject"
	byPhone   = "record/phone"
	byActor   = "record/actor"
)

// Index keeps the index up with the log until ctx ends, and opens the incidents that replies make. find finds whom a text was for.
func Index(ctx context.Context, s *store.Store, by store.Actor, find Finder) error {
	forget := func(tx *store.Tx) error {
		for _, name := range indexersOlder {
			if err := cursors.Delete(tx, []byte(name)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.Update(ctx, by, forget); err != nil {
		return fmt.Errorf("index audit: %w", err)
	}
	return Follow(ctx, s, by, indexer, func(ctx context.Context, records []store.Record) error {
		patients, err := patientsOf(ctx, s, records, find)
		if err != nil {
			return err
		}
		return s.Update(ctx, by, func(tx *store.Tx) error {
			if err := openForReplies(tx, records); err != nil {
				return err
			}
			return addToIndex(tx, records, patients)
		})
	})
}

// patientsOf finds whom the texts were for of which some entries tell what became, by sequence number: such an entry names no patient.
// It is done outside of the transaction that writes, for which everybody else would wait.
func patientsOf(ctx context.Context, s *store.Store, records []store.Record, find Finder) (map[uint64]string, error) {
	patients := map[uint64]string{}
	err := s.View(ctx, func(tx *store.Tx) error {
		for _, r := range records {
			if id := AboutText(tx, r, find).Subject; !id.IsZero() {
				patients[r.Seq] = id.Key()
			}
		}
		return nil
	})
	return patients, err
}

// addToIndex notes what stands in records that follow each other, and the patients of those that name none.
func addToIndex(tx *store.Tx, records []store.Record, patients map[uint64]string) error {
	done := map[store.Mark]bool{}
	var marks []store.Mark
	for _, r := range records {
		for _, at := range spots(r, patients[r.Seq]) {
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

// spots are the purposes and values under which an entry is found; patient is whom it is about where it names nobody.
func spots(r store.Record, patient string) (list [][2]string) {
	if r.Shredded {
		return nil
	}
	list = append(list, [2]string{byActor, r.Actor.ID})
	if subject := cmp.Or(r.Entry.Subject, patient); subject != "" {
		list = append(list, [2]string{bySubject, subject})
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
