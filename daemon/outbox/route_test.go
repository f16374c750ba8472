package outbox

import (
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
