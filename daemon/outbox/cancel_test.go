package outbox

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/store"
)

func TestExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		m := b.put(code(1))
		time.Sleep(5 * time.Minute)
		b.expire()
		b.state(m.ID, Expired)
		b.recorded(m.ID, ActionExpired)
		b.report(modem("a", "red"))
		b.none("a")
		b.coherent()
	})
}

func TestLaterOnesComeDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := notice(1)
		m.Due = time.Now().Add(time.Hour)
		m = b.put(m)
		b.none("a")
		b.view(func(tx *store.Tx) error {
			at, ok, err := NextDue(tx)
			if !ok || !at.Equal(m.Due) {
				t.Errorf("next is due at %v, want %v", at, m.Due)
			}
			return err
		})
		due, stop := b.store.Watch(Due)
		defer stop()
		time.Sleep(time.Hour)
		b.expire()
		select {
		case <-due:
		default:
			t.Error("the senders were not woken")
		}
		b.must("a")
	})
}

func TestCancel(t *testing.T) {
	cancel := func(b *box, id string) error {
		return b.try(func(tx *store.Tx) error { return Cancel(tx, id) })
	}
	t.Run("waiting", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(code(1))
		if err := cancel(b, m.ID); err != nil {
			t.Fatal(err)
		}
		b.none("a")
		b.state(m.ID, Canceled)
		if err := cancel(b, m.ID); !errors.Is(err, ErrOver) {
			t.Errorf("canceled twice: %v", err)
		}
		b.coherent()
	})
	for outcome, want := range map[State]State{Sent: Sent, NotSent: Canceled, Unknown: Unknown} {
		t.Run("on air, then "+string(outcome), func(t *testing.T) {
			b := newBox(t)
			b.report(modem("a", "red"), modem("b", "blue"))
			m := code(1)
			m.Route = fullRoute()
			m = b.put(m)
			job := b.must("a")
			if err := cancel(b, m.ID); err != nil {
				t.Fatal(err)
			}
			b.settle(job, Result{Outcome: outcome})
			b.none("a", "b")
			b.state(m.ID, want)
		})
	}
	t.Run("out, with steps to come", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.report(modem("a", "red"), modem("b", "blue"))
			b.prove("a", 6, true)
			m := code(near)
			m.Route, m.Ref = fullRoute(), "VE1"
			m = b.put(m)
			b.settle(b.must("a"), sentAs(99))
			b.do(func(tx *store.Tx) error {
				if n, err := CancelRef(tx, "VE1"); n != 1 || err != nil {
					return fmt.Errorf("canceled %d: %w", n, err)
				}
				n, err := CancelRef(tx, "VE1")
				if n != 0 {
					t.Errorf("canceled again: %d", n)
				}
				return err
			})
			time.Sleep(time.Minute)
			b.expire()
			b.none("a", "b")
			b.state(m.ID, Sent)
		})
	})
}

func TestHasten(t *testing.T) {
	voice := modem("v", "red")
	voice.Voice = true
	hasten := func(b *box, id string) error {
		return b.try(func(tx *store.Tx) error { return Hasten(tx, id) })
	}
	route := []Step{{Channel: SMS}, {Channel: Call}}
	t.Run("sent", func(t *testing.T) {
		b := newBox(t)
		b.report(voice)
		m := code(1)
		m.Route = route
		m = b.put(m)
		b.settle(b.must("v"), sentAs(1))
		if err := hasten(b, m.ID); err != nil {
			t.Fatal(err)
		}
		if job := b.must("v"); job.Message.Step != 1 || !job.Message.Forced {
			t.Fatal("the call was not forced")
		}
	})
	t.Run("on air", func(t *testing.T) {
		b := newBox(t)
		b.report(voice)
		m := code(1)
		m.Route = route
		m = b.put(m)
		job := b.must("v")
		if err := hasten(b, m.ID); err != nil {
			t.Fatal(err)
		}
		b.settle(job, sentAs(1))
		if job := b.must("v"); job.Message.Step != 1 {
			t.Fatal("the call did not follow")
		}
	})
	t.Run("later", func(t *testing.T) {
		b := newBox(t)
		b.report(voice)
		m := notice(1)
		m.Due = time.Now().Add(time.Hour)
		m = b.put(m)
		if err := hasten(b, m.ID); err != nil {
			t.Fatal(err)
		}
		b.settle(b.must("v"), sentAs(1))
		if err := hasten(b, m.ID); !errors.Is(err, ErrNoStep) {
			t.Errorf("past the end of the route: %v", err)
		}
	})
}
