package outbox

import (
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

const actionMode store.Action = "test.mode"

// source changes the mode of where messages are from.
func (b *box) source(was, mode contact.Mode) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		if _, err := contact.SetMode(tx, contact.OfListener("adt"), was, mode); err != nil {
			return err
		}
		return tx.Record(store.Entry{Action: actionMode, Outcome: store.OK})
	})
}

// of is a text of the source that was decided in a mode, and whose time comes after a while.
func of(n int, mode contact.Mode, after time.Duration) Message {
	m := notice(n)
	m.From, m.Mode, m.Due = contact.OfListener("adt"), mode, time.Now().Add(after)
	return m
}

// rehearse is the daemon's sweep of what the modes hold back.
func (b *box) rehearse() {
	b.t.Helper()
	b.expire()
	b.do(func(tx *store.Tx) error { return Rehearse(tx, b.src) })
}

// held holds that a message ended as one that shadow holds back.
func (b *box) held(m Message) {
	b.t.Helper()
	if got := b.get(m.ID); got.State != Canceled || got.Cause != "shadow mode" || len(got.Attempts) != 0 {
		b.t.Errorf("message is %s (%s), after %d attempts", got.State, got.Cause, len(got.Attempts))
	}
	b.recorded(m.ID, ActionCanceled)
}

// TestModeOfTheHandOver: what waits goes by the mode that its source and the site have when its time comes.
func TestModeOfTheHandOver(t *testing.T) {
	run := func(name string, fn func(b *box)) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.report(modem("a", "red"))
				fn(b)
				b.coherent()
			})
		})
	}
	run("a source goes live", func(b *box) {
		past, later := b.put(of(1, contact.Shadow, 0)), b.put(of(2, contact.Shadow, time.Hour))
		itself := of(3, contact.Shadow, time.Hour) // a message for training
		itself.From = ""
		itself = b.put(itself)
		time.Sleep(time.Second)
		b.source(contact.Shadow, contact.Live)
		b.none("a") // what was due in shadow was not rehearsed yet, and does not go all at once
		b.rehearse()
		b.held(past)
		time.Sleep(time.Hour)
		b.expire()
		if job := b.must("a"); job.Message.ID != later.ID {
			b.t.Error("another message goes")
		} else {
			b.settle(job, sentAs(1))
		}
		b.rehearse()
		b.none("a")
		b.held(itself)
	})
	run("a source goes back to shadow", func(b *box) {
		b.source(contact.Shadow, contact.Live)
		now, later := b.put(of(1, contact.Live, 0)), b.put(of(2, contact.Live, time.Hour))
		code := of(3, contact.Live, 0)
		code.Lane = OTP
		b.report(Sender{Name: "a", SIM: "sim-a", Network: "red"}) // it is not ready, and all waits
		code = b.put(code)
		time.Sleep(time.Second)
		b.source(contact.Live, contact.Shadow)
		b.report(modem("a", "red"))
		b.none("a")
		time.Sleep(time.Hour)
		b.rehearse()
		b.none("a")
		for _, m := range []Message{now, later, code} {
			b.held(m)
		}
	})
	run("live, shadow, and live again", func(b *box) {
		b.source(contact.Shadow, contact.Live)
		b.report(Sender{Name: "a", SIM: "sim-a", Network: "red"})
		now, later := b.put(of(1, contact.Live, 0)), b.put(of(2, contact.Live, time.Hour))
		time.Sleep(time.Second)
		b.source(contact.Live, contact.Shadow)
		time.Sleep(time.Second)
		b.source(contact.Shadow, contact.Live)
		b.report(modem("a", "red"))
		b.none("a")
		b.held(now)
		time.Sleep(time.Hour)
		b.expire()
		if job := b.must("a"); job.Message.ID != later.ID {
			b.t.Error("another message goes")
		}
	})
	run("from pilot to live", func(b *box) {
		b.mode(contact.Live, phone(1))
		b.source(contact.Shadow, contact.Pilot)
		b.report(Sender{Name: "a", SIM: "sim-a", Network: "red"})
		pilot := b.put(of(1, contact.Pilot, 0))
		time.Sleep(time.Second)
		b.source(contact.Pilot, contact.Live)
		b.report(modem("a", "red"))
		if job := b.must("a"); job.Message.ID != pilot.ID {
			b.t.Error("another message goes")
		}
	})
	run("a code stays as its caller was told", func(b *box) {
		m := of(1, contact.Shadow, time.Minute)
		m.Lane = OTP
		m = b.put(m)
		b.source(contact.Shadow, contact.Live)
		time.Sleep(time.Minute)
		b.rehearse()
		b.none("a")
		b.held(m)
	})
	run("the site goes live", func(b *box) {
		b.mode(contact.Shadow)
		past, later := b.put(of(1, contact.Live, 0)), b.put(of(2, contact.Live, time.Hour))
		time.Sleep(time.Second)
		b.mode(contact.Live)
		b.rehearse()
		b.held(past)
		time.Sleep(time.Hour)
		b.expire()
		if job := b.must("a"); job.Message.ID != later.ID {
			b.t.Error("another message goes")
		}
	})
	run("the site goes back to shadow", func(b *box) {
		later := b.put(of(1, contact.Live, time.Hour))
		b.mode(contact.Shadow)
		time.Sleep(time.Hour)
		b.rehearse()
		b.none("a")
		b.held(later)
	})
}
