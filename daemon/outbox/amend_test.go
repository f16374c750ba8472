package outbox

import (
	"errors"
	"testing"
	"time"

	"pinward/store"
)

func (b *box) amend(job Job, res Result) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error { return Amend(tx, job.Message.ID, job.Attempt, res) })
}

// The network took it after all: the code that waits to be tried again is not sent twice, and its
// receipt finds it.
func TestAmendSentTakesCodeOutOfLine(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), modem("b", "blue"))
	m := code(1)
	m.Route = fullRoute()
	m = b.put(m)
	job := b.must("a")
	b.settle(job, Result{Outcome: Unknown})
	b.state(m.ID, Queued)
	b.amend(job, sentAs(7))
	b.state(m.ID, Sent)
	if got := b.get(m.ID); got.Step != 0 || !got.Attempts[0].Late || got.Attempts[0].Outcome != Sent {
		t.Errorf("step %d, attempt %+v", got.Step, got.Attempts[0])
	}
	b.none("a", "b")
	b.coherent()
	before := b.size()
	b.amend(job, sentAs(7)) // twice
	b.amend(job, Result{Outcome: NotSent})
	if b.size() != before {
		t.Error("an answer that came twice left an entry")
	}
	b.receive(job, 7, 0)
	b.state(m.ID, Delivered)
	b.amend(job, Result{Outcome: Refused})
	b.state(m.ID, Delivered)
}

func TestAmendSentWhileOnAirAgain(t *testing.T) {
	for _, second := range []State{NotSent, Unknown, Sent} {
		t.Run(string(second), func(t *testing.T) {
			b := newBox(t)
			b.report(modem("a", "red"), modem("b", "blue"))
			m := b.put(code(1))
			first := b.must("a")
			b.settle(first, Result{Outcome: Unknown})
			again := b.must("b")
			b.amend(first, sentAs(7))
			b.state(m.ID, Sending)
			b.settle(again, Result{Outcome: second})
			b.state(m.ID, Sent)
			b.none("a", "b")
			b.receive(first, 7, 0)
			b.state(m.ID, Delivered)
			b.coherent()
		})
	}
}

// A message that was given up is what the answer says of it.
func TestAmendOfWhatWasGivenUp(t *testing.T) {
	t.Run("sent", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(notice(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.amend(job, sentAs(3))
		b.state(m.ID, Sent)
		b.recorded(m.ID, ActionSending, ActionUnknown, ActionSent)
		b.none("a")
		b.receive(job, 3, 0x46)
		b.state(m.ID, Undelivered)
	})
	t.Run("not sent", func(t *testing.T) { // it never left: it may go now
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(notice(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.amend(job, Result{Outcome: NotSent})
		b.state(m.ID, Queued)
		b.settle(b.must("b"), sentAs(1))
		b.state(m.ID, Sent)
		b.coherent()
	})
	t.Run("refused", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(code(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.amend(job, Result{Outcome: Refused, Code: 1})
		b.state(m.ID, Refused)
		b.none("a", "b")
		b.recorded(m.ID, ActionSending, ActionUnknown, ActionRefused)
		b.coherent()
	})
	t.Run("refused, and there is a call", func(t *testing.T) {
		b := newBox(t)
		v := modem("a", "red")
		v.Voice = true
		b.report(v)
		m := code(1)
		m.Route = []Step{{Channel: SMS}, {Channel: Call}}
		m = b.put(m)
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.amend(job, Result{Outcome: Refused, Code: 1})
		if job := b.must("a"); job.Message.Step != 1 {
			t.Error("the route does not go on with the call")
		}
	})
	t.Run("refused by the SIM", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(notice(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.amend(job, Result{Outcome: Refused, Class: SIMClass})
		b.state(m.ID, Queued)
		b.must("b")
	})
	t.Run("sent, after it was canceled", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(code(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.do(func(tx *store.Tx) error { return Cancel(tx, m.ID) })
		b.amend(job, sentAs(1))
		b.state(m.ID, Sent)
		b.none("a")
		b.coherent()
	})
	t.Run("not sent, too late", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.report(modem("a", "red"))
			m := b.put(notice(1))
			job := b.must("a")
			b.settle(job, Result{Outcome: Unknown})
			time.Sleep(48 * time.Hour)
			b.amend(job, Result{Outcome: NotSent})
			b.state(m.ID, Expired)
		})
	})
}

// What a newer attempt or a receipt said counts more than an old answer.
func TestAmendContradicted(t *testing.T) {
	t.Run("a receipt proves that it left", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := notice(1)
		b.src["notice"] = func(*store.Tx, Message) (Rendered, error) { return Rendered{Text: "long", Parts: 2, Report: true}, nil }
		m = b.put(m)
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.receive(job, 5, 0) // one of two
		b.amend(job, Result{Outcome: NotSent})
		b.state(m.ID, Unknown)
		b.amend(job, Result{Outcome: Sent, Parts: []Part{{Ref: 5}, {Ref: 6}}})
		b.receive(job, 6, 0)
		b.state(m.ID, Delivered)
		if n := len(b.get(m.ID).Attempts[0].Parts); n != 2 {
			t.Errorf("%d parts", n)
		}
	})
	t.Run("a newer one was refused", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(code(1))
		first := b.must("a")
		b.settle(first, Result{Outcome: Unknown})
		b.settle(b.must("b"), Result{Outcome: Refused, Code: 1})
		b.amend(first, sentAs(1))
		b.state(m.ID, Refused)
		b.receive(first, 1, 0) // but a receipt is proof
		b.state(m.ID, Delivered)
	})
	t.Run("the route has come to its call", func(t *testing.T) {
		b := newBox(t)
		v := modem("a", "red")
		v.Voice = true
		b.report(v)
		m := code(1)
		m.Route = []Step{{Channel: SMS}, {Channel: Call}}
		m = b.put(m)
		first := b.must("a")
		b.settle(first, Result{Outcome: Unknown})
		b.amend(first, sentAs(1))
		if job := b.must("a"); job.Message.Route[job.Message.Step].Channel != Call {
			t.Error("the call was forgotten")
		}
	})
}

// An answer to parts while the rest stays unknown makes their receipts find them.
func TestAmendLearnsParts(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	b.src["notice"] = func(*store.Tx, Message) (Rendered, error) { return Rendered{Text: "long", Parts: 2, Report: true}, nil }
	m := b.put(notice(1))
	job := b.must("a")
	b.settle(job, Result{Outcome: Unknown})
	b.amend(job, Result{Outcome: Unknown, Parts: []Part{{Ref: 5}}})
	b.receive(job, 5, 0)
	if got := b.get(m.ID); got.State != Unknown || got.Attempts[0].Parts[0].State != Delivered {
		t.Errorf("message %s, part %s", got.State, got.Attempts[0].Parts[0].State)
	}
}

func TestAmendBeforeSettle(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := b.put(code(1))
	job := b.must("a")
	for _, attempt := range []int{job.Attempt, -1, 5} {
		err := b.try(func(tx *store.Tx) error { return Amend(tx, m.ID, attempt, sentAs(1)) })
		if _, ok := errors.AsType[*InvalidError](err); !ok {
			t.Errorf("attempt %d: %v", attempt, err)
		}
	}
	b.state(m.ID, Sending)
}
