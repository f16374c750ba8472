package intake

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// by has people say live, one after the other.
func (b *box) by(names ...string) {
	b.T.Helper()
	for _, name := range names {
		err := b.Store.Update(context.Background(), store.Actor{Kind: "user", ID: name}, func(tx *store.Tx) error {
			_, err := b.in.GoLive(tx)
			return err
		})
		if err != nil {
			b.T.Fatal(err)
		}
	}
	b.in.Refresh()
}

// sweep is what the daemon does each second, and a modem that takes what there is; it tells how many texts went.
func (b *box) sweep() (went int) {
	b.T.Helper()
	b.Do(outbox.Expire)
	b.Do(func(tx *store.Tx) error { return outbox.Rehearse(tx, sources) })
	for {
		if _, ok := b.Send(outbox.Sent); !ok {
			return went
		}
		went++
	}
}

// heldBack counts the messages that a mode held back.
func (b *box) heldBack() (n int) {
	b.T.Helper()
	for _, r := range b.Entries(outbox.ActionCanceled) {
		if outboxtest.Attr(r.Entry, "rehearsed") == "true" && outboxtest.Attr(r.Entry, "cause") == "shadow mode" {
			n++
		}
	}
	return n
}

// TestLiveReachesWhatWaits: who was booked in shadow is reminded once the listener is live, and who was booked live is not once it is back
// in shadow. What was for training stays there.
func TestLiveReachesWhatWaits(t *testing.T) {
	adt := Listener{Name: "adt", Mode: contact.Live, TwoPersons: true}
	booked := func() string { return siu("S12", time.Now().Add(60*time.Hour), "") }
	run := func(name string, fn func(b *box)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoxIn(t, adt)
				b.policy(releasing)
				b.Do(b.in.begin)
				time.Sleep(12 * time.Hour) // the clock of a bubble begins at midnight
				fn(b)
			})
		})
	}
	run("live", func(b *box) {
		sendOK(b.T.(*testing.T), b, booked())
		sendOK(b.T.(*testing.T), b, strings.Replace(b.message(strings.ReplaceAll(booked(), "A77", "A78")), "|P|2.5.1", "|T|2.5.1", 1))
		sendOK(b.T.(*testing.T), b, result)
		time.Sleep(time.Second)
		b.by("ann", "bob")
		if went := b.sweep(); went != 0 {
			b.T.Errorf("%d texts of before went", went)
		}
		before := b.heldBack()
		if before != 1 {
			b.T.Errorf("%d texts were held back, want the result's", before)
		}
		time.Sleep(37 * time.Hour)
		if went := b.sweep(); went != 1 {
			b.T.Errorf("%d reminders went, want that of the day before", went)
		}
		if n := b.heldBack() - before; n != 1 {
			b.T.Errorf("%d texts were held back, want the one for training", n)
		}
	})
	run("shadow", func(b *box) {
		b.by("ann", "bob")
		sendOK(b.T.(*testing.T), b, booked())
		b.Do(b.in.EndLive)
		time.Sleep(37 * time.Hour)
		if went := b.sweep(); went != 0 || b.heldBack() != 1 {
			b.T.Errorf("%d reminders went, %d were held back", went, b.heldBack())
		}
		time.Sleep(time.Second)
		b.by("ann", "bob")
		time.Sleep(22 * time.Hour)
		if went := b.sweep(); went != 1 {
			b.T.Errorf("%d reminders went after it was live again, want that of the same day", went)
		}
	})
	run("by the configuration", func(b *box) {
		b.by("ann", "bob")
		sendOK(b.T.(*testing.T), b, booked())
		n := b.count(ActionLive)
		b.listen(adt)
		b.Do(b.in.begin)
		if b.count(ActionLive) != n {
			b.T.Error("a start that changes nothing leaves an entry")
		}
		b.listen(Listener{Name: "adt", TwoPersons: true})
		b.Do(b.in.begin)
		last := b.Entries(ActionLive)[n].Entry
		if outboxtest.Attr(last, "step") != "configured" || outboxtest.Attr(last, "mode") != "shadow" {
			b.T.Errorf("the entry is %v", last.Attrs)
		}
		time.Sleep(37 * time.Hour)
		if went := b.sweep(); went != 0 || b.heldBack() != 1 {
			b.T.Errorf("%d reminders went, %d were held back", went, b.heldBack())
		}
	})
	run("a pilot", func(b *box) {
		b.listen(Listener{Name: "adt", Mode: contact.Pilot, TwoPersons: true})
		b.Do(b.in.begin)
		sendOK(b.T.(*testing.T), b, booked())
		b.site(func(s *contact.Site) { s.Pilot = []contact.Phone{outboxtest.Phone("+16175551234")} })
		b.Do(b.in.EndLive)
		time.Sleep(37 * time.Hour)
		if went := b.sweep(); went != 0 || b.heldBack() != 1 {
			b.T.Errorf("%d reminders went, %d were held back", went, b.heldBack())
		}
		time.Sleep(time.Second)
		b.by("ann", "bob")
		time.Sleep(22 * time.Hour)
		if went := b.sweep(); went != 1 {
			b.T.Errorf("%d reminders went after it was let go on, want that of the same day", went)
		}
	})
	run("held, and released", func(b *box) {
		b.pause("rule", "oru.result", true)
		sendOK(b.T.(*testing.T), b, result)
		b.by("ann", "bob")
		b.release("oru.result")
		sent := b.Entries(notice.ActionSend)
		if mode := outboxtest.Attr(sent[len(sent)-1].Entry, "mode"); mode != "live" {
			b.T.Errorf("it was released in mode %s", mode)
		}
		if went := b.sweep(); went != 1 {
			b.T.Errorf("%d texts went", went)
		}
	})
}

// begin is Begin in a transaction of the start, which has an entry.
func (in *Intake) begin(tx *store.Tx) error {
	if err := in.Begin(tx); err != nil {
		return err
	}
	return tx.Record(store.Entry{Action: "test.start", Outcome: store.OK})
}
