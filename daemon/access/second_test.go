package access

import (
	"context"
	"errors"
	"testing"
	"time"

	"pinward/store"
)

// TestSecondPerson: one person's word does nothing, however often it is given; another's within a day
// does it once.
func TestSecondPerson(t *testing.T) {
	inBubble(t, func(b *box) {
		say := func(who, what string) (ok bool, err error) {
			err = b.store.Update(context.Background(), store.Actor{Kind: "user", ID: who}, func(tx *store.Tx) (err error) {
				ok, err = Agree(tx, what)
				return err
			})
			return ok, err
		}
		for _, step := range []struct {
			who, what string
			wait      time.Duration
			agreed    bool
			err       error
		}{
			{"ann", "site live", 0, false, nil},
			{"ann", "site live", 0, false, ErrSecondPerson},
			{"bo", "client live AC1", 0, false, nil}, // another matter
			{"bo", "site live", AskLife, true, nil},
			{"bo", "site live", 0, false, nil}, // done: it begins anew
			{"ann", "site live", AskLife + time.Second, false, nil},
			{"ann", "site live", 0, false, ErrSecondPerson},
			{"ann", "site live", AskLife + time.Second, false, nil},
			{"bo", "site live", 0, true, nil},
		} {
			time.Sleep(step.wait)
			if ok, err := say(step.who, step.what); ok != step.agreed || !errors.Is(err, step.err) {
				t.Errorf("%s says %q: %t, %v", step.who, step.what, ok, err)
			}
		}
		n := map[store.Action]int{}
		b.view(func(tx *store.Tx) error {
			return tx.Entries(0, func(r store.Record) error {
				n[r.Entry.Action]++
				return nil
			})
		})
		if n[ActionAsk] != 5 || n[ActionAgree] != 2 {
			t.Errorf("entries %v", n)
		}
	})
}
