package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pinward/store"
)

func (b *box) status(name string) (st FollowerStatus) {
	b.t.Helper()
	err := b.store.View(context.Background(), func(tx *store.Tx) (err error) {
		st, err = StatusOf(tx, name)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

func (b *box) update(fn func(tx *store.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), portal, fn); err != nil {
		b.t.Fatal(err)
	}
}

func TestAFollowerThatBeginsIsToldOfWhatComes(t *testing.T) {
	b := newBox(t)
	b.add(portal, store.Entry{Action: "old"})
	b.update(func(tx *store.Tx) error { return Begin(tx, "hl7/engine") })
	b.add(portal, store.Entry{Action: "new"})
	b.update(func(tx *store.Tx) error { return Begin(tx, "hl7/engine") }) // changes nothing: the new one waits
	var got []string
	b.update(func(tx *store.Tx) error {
		list, err := Next(tx, "hl7/engine", 10)
		for _, r := range list {
			got = append(got, string(r.Entry.Action))
		}
		return err
	})
	if !slices.Equal(got, []string{"new"}) {
		t.Errorf("it is told of %q", got)
	}
	if st := b.status("hl7/engine"); st.Backlog != 1 || st.Oldest.IsZero() {
		t.Errorf("backlog %+v", st)
	}
}

func TestFollowersThatAreNotNamedAnyMoreAreForgotten(t *testing.T) {
	b := newBox(t)
	b.update(func(tx *store.Tx) error {
		for _, name := range []string{"hl7/a", "hl7/b", "index/9"} {
			if err := Advance(tx, name, 1); err != nil {
				return err
			}
		}
		return ForgetFollowers(tx, "hl7/", func(name string) bool { return name == "hl7/a" })
	})
	for name, next := range map[string]uint64{"hl7/a": 1, "hl7/b": 0, "index/9": 1} {
		if st := b.status(name); st.Next != next {
			t.Errorf("%s is at %d", name, st.Next)
		}
	}
}

// The matrix of a delivery: not done; done in part; done, and the error comes all the same (the entry
// comes again); done.
func TestDeliverGoesOnOverFailuresInOrderAndAtLeastOnce(t *testing.T) {
	inBubble(t, func(b *box) {
		ctx, cancel := context.WithCancel(context.Background())
		b.update(func(tx *store.Tx) error { return Begin(tx, "test") })
		first := b.status("test").Next
		for i := range 5 {
			b.add(portal, store.Entry{Action: "tick", Object: fmt.Sprint(i)})
		}
		down := errors.New("receiver is down")
		var got []uint64
		var at []time.Time
		calls := 0
		give := func(_ context.Context, records []store.Record) (int, error) {
			calls++
			at = append(at, time.Now())
			switch calls {
			case 1, 2, 3:
				return 0, down
			case 4:
				got = append(got, records[0].Seq, records[1].Seq)
				return 2, down
			case 5: // the third arrived, and nobody knows
				got = append(got, records[0].Seq)
				return 0, down
			}
			for _, r := range records {
				got = append(got, r.Seq)
			}
			return len(records), nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Deliver(ctx, b.store, portal, "test", give, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := b.status("test"); st.Trouble == "" || st.Since.IsZero() || st.Backlog != 5 {
			t.Errorf("while the receiver is down: %+v", st)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := b.status("test"); st.Trouble != "" || st.Backlog != 0 || st.At.IsZero() || !st.Oldest.IsZero() {
			t.Errorf("after it came back: %+v", st)
		}
		cancel()
		<-done
		if want := []uint64{first, first + 1, first + 2, first + 2, first + 3, first + 4}; !slices.Equal(got, want) {
			t.Errorf("entries %d, not %d", got, want)
		}
		for i, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, time.Second} {
			if d := at[i+1].Sub(at[i]); d != pause {
				t.Errorf("pause %d is %s, not %s", i, d, pause)
			}
		}
	})
}

func TestDeliverKeepsWhatWasGivenWhenTheBoxStops(t *testing.T) {
	inBubble(t, func(b *box) {
		ctx, cancel := context.WithCancel(context.Background())
		b.add(portal, store.Entry{Action: "tick"})
		Deliver(ctx, b.store, portal, "test", func(_ context.Context, records []store.Record) (int, error) {
			cancel()
			return len(records), nil
		}, slog.New(slog.DiscardHandler))
		if st := b.status("test"); st.Backlog != 0 {
			t.Errorf("%d entries would go again", st.Backlog)
		}
	})
}
