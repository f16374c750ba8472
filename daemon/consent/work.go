package consent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// ItemKind says what a person has to settle.
type ItemKind string

// The kinds of work items.
const (
	ItemDoubtfulStop ItemKind = "doubtful_stop" // texts are stopped; was it meant so?
	ItemWrongNumber  ItemKind = "wrong_number"  // ask the patient for the right one
	ItemCancel       ItemKind = "cancel"        // CANCEL after a reminder: does the appointment stand?
	ItemDeclined     ItemKind = "declined"      // NO to a question
)

// WorkItem is one thing that the daemon leaves to a person.
type WorkItem struct {
	ID     string        `json:"id"` // "WI" and 32 hex digits, in order of opening
	Kind   ItemKind      `json:"kind"`
	Phone  contact.Phone `json:"phone"`
	Ref    string        `json:"ref,omitempty"`  // the verification or notice it is about
	Body   string        `json:"body,omitempty"` // key of the text that came in, gone after BodyLife; see Body
	Opened time.Time     `json:"opened"`
	Closed time.Time     `json:"closed,omitzero"`
	By     string        `json:"by,omitempty"`   // actor that closed it
	Note   string        `json:"note,omitempty"` // what was done, in the person's words
}

// ErrNoItem says that no work item has this id, or it is closed already.
var ErrNoItem = errors.New("no such open work item")

var (
	items = store.NewTable[WorkItem]("consent.items") // key: the 16 bytes of the id
	// openItems lists what is open, so that a long history costs nothing.
	openItems = store.NewTable[struct{}]("consent.items.open")
)

// Open adds a work item; id and time are filled in.
func Open(tx *store.Tx, w WorkItem) (WorkItem, error) {
	key := instantKey(tx)
	w.ID = "WI" + hex.EncodeToString(key)
	w.Opened = tx.Now()
	if err := items.Put(tx, key, w); err != nil {
		return WorkItem{}, fmt.Errorf("open work item: %w", err)
	}
	if err := openItems.Put(tx, key, struct{}{}); err != nil {
		return WorkItem{}, fmt.Errorf("open work item: %w", err)
	}
	err := tx.Record(store.Entry{Action: ActionItemOpened, Outcome: store.OK, Object: w.ID, Attrs: []store.Attr{
		{Key: "kind", Value: string(w.Kind)}, {Key: "ref", Value: w.Ref},
	}})
	return w, err
}

// Items lists the open work items, oldest first, at most limit of them
// (0 = all).
func Items(tx *store.Tx, limit int) ([]WorkItem, error) {
	var out []WorkItem
	err := openItems.Each(tx, store.Range{}, func(key []byte, _ struct{}) error {
		w, ok, err := items.Get(tx, key)
		if err != nil {
			return err
		}
		if ok {
			out = append(out, w)
		}
		if limit > 0 && len(out) >= limit {
			return store.Stop
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list work items: %w", err)
	}
	return out, nil
}

// Close settles a work item; the note says what was done.
func Close(tx *store.Tx, id, note string) (WorkItem, error) {
	key, err := itemKey(id)
	if err != nil {
		return WorkItem{}, err
	}
	w, ok, err := items.Get(tx, key)
	if err != nil {
		return WorkItem{}, fmt.Errorf("read work item: %w", err)
	}
	if !ok || !w.Closed.IsZero() {
		return WorkItem{}, ErrNoItem
	}
	w.Closed, w.By, w.Note = tx.Now(), tx.Actor().ID, note
	if err := items.Put(tx, key, w); err != nil {
		return WorkItem{}, fmt.Errorf("close work item: %w", err)
	}
	if err := openItems.Delete(tx, key); err != nil {
		return WorkItem{}, fmt.Errorf("close work item: %w", err)
	}
	err = tx.Record(store.Entry{Action: ActionItemClosed, Outcome: store.OK, Object: id, Attrs: []store.Attr{
		{Key: "kind", Value: string(w.Kind)}, {Key: "note", Value: note},
	}})
	return w, err
}

func itemKey(id string) ([]byte, error) {
	rest, ok := strings.CutPrefix(id, "WI")
	key, err := hex.DecodeString(rest)
	if !ok || err != nil || len(key) != 16 {
		return nil, ErrNoItem
	}
	return key, nil
}
