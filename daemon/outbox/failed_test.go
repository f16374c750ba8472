package outbox

import (
	"testing"
	"time"

	"pinward/store"
)

func TestNotSentGoesElsewhereAtOnce(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), modem("b", "red"))
	m := b.put(code(1))
	b.settle(b.must("a"), Result{Outcome: NotSent, Code: 331})
	b.none("a")
	b.settle(b.must("b"), sentAs(1))
	b.state(m.ID, Sent)
	b.recorded(m.ID, ActionSending, ActionNotSent, ActionSending, ActionSent)
}

func TestNotSentPrefersOtherCarrierStep(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), modem("b", "red"), modem("c", "blue"))
	m := code(1)
	m.Route = fullRoute()
	m = b.put(m)
	b.settle(b.must("a"), Result{Outcome: NotSent})
	b.none("b")
	if job := b.must("c"); job.Message.Step != 1 {
		t.Fatalf("step %d", job.Message.Step)
	}
	b.recorded(m.ID, ActionSending, ActionNotSent, ActionStep, ActionSending)
}

func TestNotSentBacksOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := code(1)
		m.Expires = time.Now().Add(10 * time.Minute)
		m = b.put(m)
		var at []time.Duration
		start := time.Now()
		for time.Since(start) < 3*time.Minute {
			for _, name := range []string{"a", "b"} {
				if job, ok := b.next(name); ok {
					at = append(at, time.Since(start))
					b.settle(job, Result{Outcome: NotSent, Code: 38})
				}
			}
			time.Sleep(time.Second)
		}
		// Both at once, then with growing pauses: 4, 8, 16, 30, 30, ... s.
		want := []time.Duration{0, 0, 4, 12, 28, 58, 88, 118, 148, 178}
		if len(at) != len(want) {
			t.Fatalf("tried at %v", at)
		}
		for i := range at {
			if at[i] != want[i]*time.Second {
				t.Fatalf("tried at %v", at)
			}
		}
		b.state(m.ID, Queued)
	})
}

func TestRefusedByRecipient(t *testing.T) {
	voice := modem("a", "red")
	voice.Voice = true
	for _, s := range []Sender{voice, modem("a", "red")} {
		b := newBox(t)
		b.report(s, modem("b", "blue"))
		m := code(1)
		m.Route = fullRoute()
		m = b.put(m)
		b.settle(b.must("a"), Result{Outcome: Refused, Code: 1, Class: "recipient"})
		b.none("b") // never again by text
		if job, ok := b.next("a"); ok != s.Voice || ok && job.Message.Route[job.Message.Step].Channel != Call {
			t.Fatalf("a call followed: %t", ok)
		}
		if !s.Voice {
			b.state(m.ID, Refused)
		}
	}
}

func TestRefusedSIMGoesElsewhere(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), modem("b", "red"))
	m := b.put(notice(1))
	b.settle(b.must("a"), Result{Outcome: Refused, Code: 50, Class: SIMClass})
	b.none("a")
	b.settle(b.must("b"), sentAs(1))
	b.state(m.ID, Sent)
}

func TestUnknown(t *testing.T) {
	unknown := Result{Outcome: Unknown, Cause: "no answer in 300 s"}
	t.Run("a code goes again", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(code(1))
		b.settle(b.must("a"), unknown)
		b.settle(b.must("b"), sentAs(1))
		b.state(m.ID, Sent)
	})
	t.Run("a code is given up in the end", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.report(modem("a", "red"))
			m := b.put(code(1))
			for range maxUnknown {
				b.settle(b.must("a"), unknown)
				time.Sleep(31 * time.Second)
			}
			b.none("a")
			b.state(m.ID, Unknown)
		})
	})
	t.Run("a notice does not", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.report(modem("a", "red"), modem("b", "blue"))
			m := notice(1)
			m.Route = []Step{{Channel: SMS}, {Channel: SMS, OtherCarrier: true}}
			m = b.put(m)
			b.settle(b.must("a"), unknown)
			for range 10 {
				time.Sleep(3 * time.Hour)
				b.expire()
				b.none("a", "b")
			}
			b.state(m.ID, Unknown)
		})
	})
	t.Run("one whose template says so does", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := notice(1)
		m.Repeat = true
		b.put(m)
		b.settle(b.must("a"), unknown)
		b.must("b")
	})
}

// gammu#311: a text of several parts that is tried again must not be mixed with its first parts.
func TestMultipartIsRetriedWholeUnderNewReference(t *testing.T) {
	b := newBox(t)
	b.src["code"] = func(*store.Tx, Message) (Rendered, error) { return Rendered{Text: "long", Report: true, Parts: 3}, nil }
	b.report(modem("a", "red"))
	m := b.put(code(1))
	first := b.must("a")
	b.settle(first, Result{Outcome: Unknown, Parts: []Part{{Ref: 1, State: Sent}}})
	b.do(func(tx *store.Tx) error { return Hasten(tx, m.ID) })
	second := b.must("a")
	if second.Attempt != 1 || second.ConcatRef == first.ConcatRef {
		t.Fatalf("attempt %d has reference %d, the first had %d", second.Attempt, second.ConcatRef, first.ConcatRef)
	}
	b.settle(second, sentAs(2, 3, 4))
	for _, ref := range []byte{4, 2} {
		b.receive(second, ref, 0)
		b.state(m.ID, Sent)
	}
	b.receive(second, 3, 0)
	b.state(m.ID, Delivered)
	b.restart()
	b.report(modem("a", "red"))
	b.put(code(2))
	if third := b.must("a"); third.ConcatRef != second.ConcatRef+1 {
		t.Error("the counter of references is not kept over a restart")
	}
}

func TestMultipartFailsWithOnePart(t *testing.T) {
	b := newBox(t)
	b.src["notice"] = func(*store.Tx, Message) (Rendered, error) { return Rendered{Text: "long", Report: true, Parts: 2}, nil }
	b.report(modem("a", "red"))
	m := b.put(notice(1))
	job := b.must("a")
	b.settle(job, sentAs(1, 2))
	b.receive(job, 1, 0)
	b.receive(job, 2, 0x41)
	b.state(m.ID, Undelivered)
}

func TestRecoverAfterRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "blue"))
		c, n := b.put(code(1)), b.put(notice(2))
		time.Sleep(time.Millisecond)
		waiting := b.put(notice(3))
		b.must("a")
		b.must("b")
		if got := b.restart(); got != 2 {
			t.Fatalf("recovered %d, want 2", got)
		}
		b.state(c.ID, Queued) // a code goes again
		b.state(n.ID, Unknown)
		b.state(waiting.ID, Queued)
		b.coherent()
		b.none("a") // none is ready before it says so
		b.report(modem("a", "red"))
		time.Sleep(2 * time.Second) // the pause after what may have been the SIM's fault
		for _, want := range []string{c.ID, waiting.ID} {
			job := b.must("a")
			if job.Message.ID != want {
				t.Fatal("wrong message after the restart")
			}
			b.settle(job, sentAs(1))
		}
		b.none("a")
		if got := b.restart(); got != 0 {
			t.Errorf("recovered %d without any in hand", got)
		}
	})
}
