package record

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Query selects entries. Zero fields select all.
type Query struct {
	Action  string            // whole, or a prefix that ends in a dot: "verification."
	Actor   string            // the actor's id
	Object  string            // id of the record acted on, or of one it refers to
	Subject contact.SubjectID // the patient
	Phone   contact.Phone     // the number a text went to or came from
	From    time.Time         // inclusive
	To      time.Time         // exclusive
	Limit   int               // entries on a page; 0 = 100
	Before  uint64            // only entries with a lower sequence number; 0 = from the newest
	About   Finder            // finds what became of the texts for Subject as well; nil: entries that name it alone
}

// Page is one page of entries, newest first.
type Page struct {
	Records []store.Record
	Next    uint64 // Before of the next page; 0 = there is none
}

const (
	defaultPage = 100
	maxPage     = 1000
	chunk       = store.Stretch // entries read at once, walking backwards
	// maxLooked bounds one call: a query that matches little comes back with a
	// short page and Next, so that a page shows progress and holds no snapshot
	// open for long. To open a month's file and find nothing counts as a chunk.
	maxLooked = 50_000
)

// ActionSearch is the entry of a person who looked into the log.
const ActionSearch store.Action = "audit.search"

// Search reads entries, newest first. It reads only; a door that answers a
// person calls Note as well.
func Search(tx *store.Tx, q Query) (Page, error) {
	limit := min(q.Limit, maxPage)
	if limit <= 0 {
		limit = defaultPage
	}
	end, err := tx.Size()
	if err != nil {
		return Page{}, err
	}
	if q.Before > 0 {
		end = min(end, q.Before)
	}
	if !q.To.IsZero() {
		if end, err = firstAt(tx, end, q.To); err != nil {
			return Page{}, err
		}
	}
	page := Page{}
	looked := 0
	err = q.stretchesBelow(tx, end, func(from, to uint64) error {
		if looked >= maxLooked {
			page.Next = to
			return store.Stop
		}
		if from == to {
			looked += chunk
			return nil
		}
		records, err := between(tx, from, to)
		if err != nil {
			return err
		}
		looked += len(records)
		for _, r := range slices.Backward(records) {
			if !q.From.IsZero() && r.Time.Before(q.From) {
				return store.Stop
			}
			of, more := q.ofPatient(tx, r)
			if looked += more; of {
				page.Records = append(page.Records, r)
			}
			if len(page.Records) == limit {
				page.Next = r.Seq // 0 at the very first entry, which is the end
				return store.Stop
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, store.Stop) {
		return Page{}, err
	}
	return page, nil
}

// Note records that somebody searched the log and for what; the numbers and
// names searched for are in the sealed part only.
func Note(tx *store.Tx, q Query) error {
	attrs := []store.Attr{}
	for _, a := range []store.Attr{
		{Key: "action", Value: clip(q.Action)}, {Key: "actor", Value: clip(q.Actor)},
		{Key: "phone", Value: q.Phone.E164()}, {Key: "from", Value: stamp(q.From)}, {Key: "to", Value: stamp(q.To)},
	} {
		if a.Value != "" {
			attrs = append(attrs, a)
		}
	}
	return tx.Record(store.Entry{
		Action: ActionSearch, Outcome: store.OK, Object: clip(q.Object), Subject: clip(q.Subject.Key()), Attrs: attrs,
	})
}

func clip(s string) string {
	if len(s) > 256 {
		return strings.ToValidUTF8(s[:256], "")
	}
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (q Query) matches(r store.Record) bool {
	e := r.Entry
	if a := string(e.Action); q.Action != "" && a != q.Action && (!strings.HasSuffix(q.Action, ".") || !strings.HasPrefix(a, q.Action)) {
		return false
	}
	return (q.Actor == "" || r.Actor.ID == q.Actor) &&
		(q.Object == "" || e.Object == q.Object || Attr(e, "ref") == q.Object || Attr(e, "message") == q.Object) &&
		(q.Phone.IsZero() || names(e, q.Phone.E164()))
}

// ofPatient tells whether an entry is one that is looked for, and how many others were looked at to know it.
func (q Query) ofPatient(tx *store.Tx, r store.Record) (ok bool, looked int) {
	if !q.matches(r) {
		return false, 0
	}
	if q.Subject.IsZero() || r.Entry.Subject != "" {
		return q.Subject.IsZero() || r.Entry.Subject == q.Subject.Key(), 0
	}
	about, looked := whose(tx, r, q.About)
	return about.Subject == q.Subject, looked
}

// Attr is the value of an entry's attribute, "" if it has none.
func Attr(e store.Entry, key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// names reports whether an entry names a number, alone or in a list.
func names(e store.Entry, e164 string) bool {
	for _, a := range e.Attrs {
		if a.Value == e164 || (strings.Contains(a.Value, ",") && slices.Contains(strings.Split(a.Value, ","), e164)) {
			return true
		}
	}
	return false
}

// between reads the entries [from, to).
func between(tx *store.Tx, from, to uint64) ([]store.Record, error) {
	records := make([]store.Record, 0, to-from)
	err := tx.Entries(from, func(r store.Record) error {
		if r.Seq >= to {
			return store.Stop
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	return records, nil
}

// one reads one entry; ok is false behind the end.
func one(tx *store.Tx, seq uint64) (r store.Record, ok bool, err error) {
	err = tx.Entries(seq, func(got store.Record) error {
		r, ok = got, true
		return store.Stop
	})
	if err != nil {
		return store.Record{}, false, fmt.Errorf("read audit: %w", err)
	}
	return r, ok, nil
}

// firstAt is the sequence number of the first entry at or after an instant,
// within the first end ones. Entries never go back in time.
func firstAt(tx *store.Tx, end uint64, at time.Time) (uint64, error) {
	return first(end, func(seq uint64) (bool, error) {
		r, ok, err := one(tx, seq)
		return !ok || !r.Time.Before(at), err
	})
}

// first is the least number below end for which is holds, end if there is
// none; is must stay true once it is.
func first(end uint64, is func(uint64) (bool, error)) (uint64, error) {
	var failed error
	n := sort.Search(int(end), func(i int) bool {
		if failed != nil {
			return true
		}
		ok, err := is(uint64(i))
		failed = err
		return ok || err != nil
	})
	return uint64(n), failed
}
