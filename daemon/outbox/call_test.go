package outbox

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// caller is a modem that takes calls.
func caller(name, carrier string) Sender {
	s := modem(name, carrier)
	s.Voice = true
	return s
}

// called is a code that goes by call alone.
func called(n int) Message {
	m := code(n)
	m.Route = []Step{{Channel: Call}}
	return m
}

// A call's outcome is its own: one that was heard is delivered, one that nobody took is not, and neither is a text's.
func TestCallOutcomes(t *testing.T) {
	b := newBox(t)
	b.report(caller("a", "red"))
	for want, action := range map[State]store.Action{Delivered: ActionDelivered, Undelivered: ActionUndelivered} {
		m := b.put(called(1))
		job := b.must("a")
		for _, never := range []State{Sent, Refused} {
			var invalid *InvalidError
			err := b.try(func(tx *store.Tx) error { return Settle(tx, job.Message.ID, job.Attempt, Result{Outcome: never}) })
			if !errors.As(err, &invalid) {
				t.Errorf("a call was settled as %s: %v", never, err)
			}
		}
		b.settle(job, Result{Outcome: want, Cause: "busy"})
		b.state(m.ID, want)
		b.recorded(m.ID, ActionSending, action)
	}
	b.put(code(2))
	job := b.must("a")
	err := b.try(func(tx *store.Tx) error { return Settle(tx, job.Message.ID, job.Attempt, Result{Outcome: Delivered}) })
	if err == nil {
		t.Error("a text was settled as delivered")
	}
}

// A sender without voice takes no call, and a contact that wants none gets none.
func TestCallNeedsVoice(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), caller("b", "red"))
	b.put(called(1))
	b.none("a")
	b.settle(b.must("b"), Result{Outcome: Delivered})

	yes := true
	m := code(2)
	m.Route = []Step{{Channel: SMS}, {Channel: Call}}
	b.do(func(tx *store.Tx) error { return contact.Flag(tx, m.To, contact.Flags{NoVoice: &yes}, "patient") })
	m = b.put(m)
	b.settle(b.must("a"), Result{Outcome: Refused, Cause: "no such number"})
	b.none("a", "b")
	b.state(m.ID, Refused)
}

// A text that the network took before a call that nobody took may still be read: the message stays sent, and the text's receipt is
// credited to the text, also while the call is on, which no receipt is for.
func TestReceiptDuringACall(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.report(caller("a", "red"))
				m := code(1)
				m.Route = []Step{{Channel: SMS}, {Channel: Call}}
				m = b.put(m)
				text := b.must("a")
				b.settle(text, sentAs(7))
				time.Sleep(time.Until(m.Expires) / 2)
				b.expire()
				call := b.must("a")
				if call.Message.Route[call.Message.Step].Channel != Call {
					t.Fatal("no call at half of the life")
				}
				b.receive(call, 99, 0x00) // nobody's
				if !late {
					b.receive(text, 7, 0x00)
				}
				b.settle(call, Result{Outcome: Undelivered, Cause: "no answer"})
				if late {
					b.state(m.ID, Sent)
					b.receive(text, 7, 0x00)
				}
				b.state(m.ID, Delivered)
				if a := b.get(m.ID).Attempts; a[1].Outcome != Undelivered || len(a[1].Parts) != 0 || a[0].Outcome != Delivered {
					t.Errorf("attempts %v", a)
				}
			})
		})
	}
}

// What a call says is shown by no verb of fmt.
func TestSpokenRedacts(t *testing.T) {
	s := Spoken{Code: "482917", Phone: "617-555-1000"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{s, Rendered{Call: s}, Job{Rendered: Rendered{Call: s}}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "482917") || strings.Contains(got, "617") {
				t.Errorf("%s shows %q", verb, got)
			}
		}
	}
}

// A modem whose calls are proven goes before one that only says so, while it is idle and for a moment; a text is anybody's.
func TestProvenModemCallsFirst(t *testing.T) {
	b := newBox(t)
	proven := caller("b", "red")
	proven.Proven = true
	b.report(caller("a", "red"), proven)
	b.put(called(1))
	b.none("a")
	job := b.must("b")
	b.put(called(2)) // the proven one is busy
	b.settle(b.must("a"), Result{Outcome: Delivered})
	b.settle(job, Result{Outcome: Delivered})
	b.put(called(3)) // it hangs
	b.none("a")
	time.Sleep(provenFirst)
	b.settle(b.must("a"), Result{Outcome: Delivered})
	b.put(code(4))
	b.must("a")
}
