package daemon

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/store/storetest"
)

// TestShredMonth lets seven years go by. The month of then is kept within six years and under a hold,
// and shredded when two people have lifted that: its entries stay, and nobody can read them any more.
func TestShredMonth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	k := storetest.NewKeys(t)
	synctest.Test(t, func(t *testing.T) {
		open := func() *store.Store {
			s, err := store.Open(context.Background(), dir, storetest.Options(k))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open() // the bubble's clock begins with January 2000
		note := func(tx *store.Tx) error {
			return tx.Record(store.Entry{Action: "test.noted", Outcome: store.OK, Object: "planted"})
		}
		storetest.Update(t, s, note)
		shred := func(month string) error {
			r := httptest.NewRequest(http.MethodPost, "/key/shred", strings.NewReader(`{"month":"`+month+`"}`))
			_, err := shredMonth(r, s, store.Actor{Kind: store.KindUser, ID: "admin"})
			return err
		}
		refused := func(month, why string) {
			t.Helper()
			if err := shred(month); !errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), why) {
				t.Errorf("shred %s: %v; want a refusal with %q", month, err, why)
			}
		}
		refused("2000-01", "until 2006-02-01")
		refused("1999-12", "no entries")
		refused("January", "such as")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * 365 * 24 * time.Hour)
		s = open()
		storetest.Update(t, s, note)
		hold := record.Hold{}
		storetest.Update(t, s, func(tx *store.Tx) (err error) {
			hold, err = record.PutHold(tx, record.Hold{Matter: "No. 7", To: time.Date(2000, 1, 20, 0, 0, 0, 0, time.UTC)})
			return err
		})
		refused("2000-01", "a hold covers")
		if held, _ := ring(t, s); held != 1 {
			t.Errorf("%d keys are shown as held", held)
		}
		for _, id := range []string{"ann", "bo"} {
			err := s.Update(context.Background(), store.Actor{Kind: store.KindUser, ID: id}, func(tx *store.Tx) error {
				_, err := record.LiftHold(tx, hold.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := shred("2000-01"); err != nil {
			t.Fatal(err)
		}
		refused("2000-01", "already")
		refused("2006-12", "until")
		if held, gone := ring(t, s); held != 0 || gone != 1 {
			t.Errorf("%d held, %d shredded", held, gone)
		}
		readable, unreadable, asked := 0, 0, 0
		storetest.View(t, s, func(tx *store.Tx) error {
			return tx.Entries(0, func(r store.Record) error {
				switch {
				case r.Entry.Action == store.ActionKeyDropped && r.Entry.Outcome == store.Refused:
					asked++
				case r.Entry.Action == "test.noted" && r.Shredded && r.Entry.Object == "":
					unreadable++
				case r.Entry.Action == "test.noted":
					readable++
				}
				return nil
			})
		})
		if readable != 1 || unreadable != 1 || asked != 3 {
			t.Errorf("%d readable, %d shredded, %d refusals in the log", readable, unreadable, asked)
		}
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// ring counts what the list of keys shows.
func ring(t *testing.T, s *store.Store) (held, shredded int) {
	t.Helper()
	v, err := listKeys(httptest.NewRequest(http.MethodGet, "/key/list", nil), s, store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range v.([]RingKey) {
		if k.Held {
			held++
		}
		if k.Shredded {
			shredded++
		}
	}
	return held, shredded
}
