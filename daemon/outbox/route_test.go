package outbox

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// prove lets a sender have n texts to the tests' exchange, each with its receipt or without.
func (b *box) prove(name string, n int, receipts bool) {
	b.t.Helper()
	for i := range n {
		m := code(9000 + i)
		m.To = phone(9000 + i)
		b.put(m)
		job := b.must(name)
		b.settle(job, sentAs(byte(i)))
		if receipts {
			b.receive(job, byte(i), 0)
		}
	}
}

// near is a number of the exchange of prove.
const near = 9500

func TestMissingReceipt(t *testing.T) {
	for _, c := range []struct {
		name     string
		texts    int
		receipts bool
		report   bool
		moves    bool
	}{
		{"moves on where receipts are proven", 5, true, true, true},
		{"not after too few texts", 4, true, true, false},
		{"not where receipts do not come", 10, false, true, false},
		{"not where none was asked for", 5, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.report(modem("a", "red"))
				b.prove("a", c.texts, c.receipts)
				time.Sleep(ReceiptWait)
				b.expire()
				b.report(modem("b", "blue"))
				if !c.report {
					b.src["code"] = func(*store.Tx, Message) (Rendered, error) { return Rendered{Text: "x"}, nil }
				}
				m := code(near)
				m.Route = fullRoute()
				m = b.put(m)
				b.settle(b.must("a"), sentAs(100))
				time.Sleep(14 * time.Second)
				b.expire()
				b.none("a", "b")
				time.Sleep(time.Second)
				b.expire()
				b.none("a") // the step asks for another carrier
				if job, ok := b.next("b"); ok != c.moves {
					t.Fatalf("moved on: %t", ok)
				} else if ok && (job.Message.ID != m.ID || job.Message.Step != 1) {
					t.Fatalf("moved to step %d", job.Message.Step)
				}
				b.coherent()
			})
		})
	}
}

func TestProofGoesBySIMAndPrefix(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "blue"))
		b.prove("a", 6, true)
		far := code(25_000) // another exchange
		far.Route = fullRoute()
		b.put(far)
		b.settle(b.must("a"), sentAs(100))
		m := code(near)
		m.Route = fullRoute()
		b.put(m)
		b.settle(b.must("b"), sentAs(1)) // another SIM
		time.Sleep(16 * time.Second)
		b.expire()
		b.none("a", "b")
	})
}

func TestVoiceStartsAtHalfLife(t *testing.T) {
	voice := modem("v", "blue")
	voice.Voice = true
	for name, prepare := range map[string]func(b *box){
		"after a text without proven receipts": func(b *box) { b.settle(b.must("a"), sentAs(1)) },
		"when no sender took the text":         func(b *box) { s := modem("a", "red"); s.Ready = false; b.report(s) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.report(modem("a", "red"))
				m := code(1)
				m.Route = []Step{{Channel: SMS}, {Channel: Call}}
				m = b.put(m)
				prepare(b)
				busy := voice
				busy.Ready = false // known, so that the route does not end
				b.report(busy)
				time.Sleep(149 * time.Second)
				b.expire()
				if got := b.get(m.ID); got.Step != 0 {
					t.Fatalf("step %d before half of the life", got.Step)
				}
				time.Sleep(time.Second)
				b.expire()
				b.report(voice)
				b.none("a")
				job := b.must("v")
				if job.Message.Route[job.Message.Step].Channel != Call {
					t.Fatal("not a call")
				}
			})
		})
	}
}

func TestRouteEndsWhereNoSenderCouldTakeTheNextStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		b.prove("a", 6, true)
		m := code(near)
		m.Route = fullRoute() // there is no other carrier, and no voice
		m = b.put(m)
		job := b.must("a")
		b.settle(job, sentAs(50))
		for range 8 {
			time.Sleep(40 * time.Second)
			b.expire()
			b.none("a")
		}
		b.state(m.ID, Sent)
		b.receive(job, 50, 0x46)
		b.state(m.ID, Undelivered)
	})
}

func TestRouteRespectsNoVoice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		v := modem("a", "red")
		v.Voice = true
		b.report(v)
		m := code(1)
		m.Route = []Step{{Channel: SMS}, {Channel: Call}}
		yes := true
		b.do(func(tx *store.Tx) error { return contact.Flag(tx, m.To, contact.Flags{NoVoice: &yes}, "patient") })
		m = b.put(m)
		b.settle(b.must("a"), sentAs(1))
		time.Sleep(3 * time.Minute)
		b.expire()
		b.none("a")
		b.state(m.ID, Sent)
	})
}

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
