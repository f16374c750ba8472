package outbox

import (
	"errors"
	"testing"
	"time"

	"pinward/store"
)

// carrier plays what a network does with texts: whether it drops them, and whether it sends receipts.
type carrier struct{ drops, receipts bool }

// say sends one code to the n-th number by whichever of the senders gets it, types it if it arrives and
// the network sends no receipts, and returns who had it.
func (b *box) say(n int, nets map[string]carrier) string {
	b.t.Helper()
	m := code(n)
	m.Ref = "VE" + m.To.E164()
	m = b.put(m)
	for name, net := range nets {
		job, ok := b.next(name)
		if !ok {
			continue
		}
		if job.Message.ID != m.ID {
			b.t.Fatal("another message came")
		}
		b.settle(job, sentAs(byte(n)))
		switch {
		case net.drops:
		case net.receipts:
			time.Sleep(3 * time.Second)
			b.receive(job, byte(n), 0)
		default:
			b.do(func(tx *store.Tx) error { return Converted(tx, m.Ref) })
		}
		return name
	}
	b.t.Fatal("nobody took the code")
	return ""
}

// filtered tells whether a sender's SIM is among the troubles as filtered.
func (b *box) filtered(name string) bool {
	b.t.Helper()
	found := false
	b.view(func(tx *store.Tx) error {
		all, err := SIMTroubles(tx)
		for _, tr := range all {
			found = found || tr.Sender == name && tr.Kind == TroubleFiltered && !tr.Since.IsZero()
		}
		return err
	})
	return found
}

// only lets one sender be ready.
func (b *box) only(name string) {
	b.t.Helper()
	for n, c := range map[string]string{"a": "red", "b": "red", "c": "blue"} {
		s := modem(n, c)
		s.Ready = n == name || name == "all"
		b.report(s)
	}
}

// filter has sender a prove itself on a prefix, and then be filtered there.
func (b *box) filter(receipts bool) {
	b.t.Helper()
	b.only("a")
	for i := range 6 {
		b.say(i, map[string]carrier{"a": {receipts: receipts}})
	}
	for i := range 6 {
		b.say(20+i, map[string]carrier{"a": {drops: true}})
	}
	time.Sleep(filterWait + time.Second)
	b.expire()
	if !b.filtered("a") {
		b.t.Fatal("a SIM whose texts vanish is not suspected")
	}
}

// Accepted without receipt and without conversion on one prefix: its own alarm, and codes go by
// another SIM, of another carrier first (issue: routes).
func TestFilteringMovesCodes(t *testing.T) {
	for name, receipts := range map[string]bool{"by receipts": true, "by typed codes": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.filter(receipts)
				b.recorded("sim-a", ActionSIMSet, ActionFiltered)
				b.only("all")
				m := b.put(code(50))
				b.none("a", "b") // b is of the same carrier, and c is idle
				b.settle(b.must("c"), sentAs(1))
				b.state(m.ID, Sent)

				s := modem("c", "blue")
				s.Ready = false
				b.report(s)
				b.put(code(51))
				b.none("a")
				b.settle(b.must("b"), sentAs(2)) // better of the same carrier than none

				b.put(code(10_000)) // another prefix: nothing is known against a
				b.settle(b.must("a"), sentAs(3))

				b.only("a") // never strands a code
				b.put(code(52))
				b.settle(b.must("a"), sentAs(4))
			})
		})
	}
}

// A code does not wait for ever for a better SIM that is ready and never takes it.
func TestFilteringStrandsNoCode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.filter(true)
		b.only("all")
		b.put(code(50))
		b.none("a")
		time.Sleep(shunFor(OTP))
		b.must("a")
	})
}

// The sender that wrote to a patient before is not preferred where it is filtered.
func TestFilteringOverrulesStickiness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.filter(true)
		b.only("all")
		b.put(code(1)) // who knows the number of a
		b.none("a")
		b.must("c")
	})
}

// One episode is one alarm, and a proof that arrives ends it.
func TestFilteringEndsByProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.filter(true)
		b.put(code(40)) // by the only one there is; and it arrives
		job := b.must("a")
		b.settle(job, sentAs(9))
		for range 5 {
			time.Sleep(filterWait)
			b.expire()
		}
		b.recorded("sim-a", ActionSIMSet, ActionFiltered)
		b.receive(job, 9, 0)
		b.recorded("sim-a", ActionSIMSet, ActionFiltered, ActionCleared)
		if b.filtered("a") {
			t.Error("it is suspected still")
		}
		b.only("all")
		b.put(code(41))
		b.must("a")
	})
}

// An old text that arrives late is no proof that the filter is gone.
func TestFilteringNotEndedByOldText(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.only("a")
		b.put(code(90))
		old := b.must("a")
		b.settle(old, sentAs(200))
		b.filter(true)
		b.receive(old, 200, 0)
		if !b.filtered("a") {
			t.Error("a receipt from before the silence ended it")
		}
	})
}

// Once an hour one message tries whether the way is open again: a notice before any code, and a code
// only if its route goes on by itself.
func TestFilteringTrial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.filter(true)
		b.only("all")
		n := b.put(notice(60))
		b.none("a")
		b.settle(b.must("c"), sentAs(1))
		_ = n
		time.Sleep(trialEvery)
		b.put(code(61))
		b.none("a") // a code is no trial yet
		b.settle(b.must("c"), sentAs(2))
		b.put(notice(62))
		b.none("c", "b")
		b.settle(b.must("a"), sentAs(3))
		b.put(notice(63)) // one an hour
		b.none("a")
		b.settle(b.must("c"), sentAs(4))

		time.Sleep(trialCode)
		m := code(64)
		m.Route = fullRoute()
		m = b.put(m)
		b.none("c", "b")
		job := b.must("a")
		b.settle(job, sentAs(5))
		time.Sleep(ReceiptWait)
		b.expire() // silence means something there: the route goes on at once
		b.settle(b.must("c"), sentAs(6))
		b.receive(job, 5, 0) // it was open after all
		b.recorded("sim-a", ActionSIMSet, ActionFiltered, ActionCleared)
	})
}

// Nothing goes by the suspected way any more, a trial neither: after a day nothing speaks against it. A
// text by it within that day, and were it lost as well, holds the suspicion up.
func TestFilteringEndsWithoutTraffic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.filter(true)
		time.Sleep(filterSpan - time.Hour)
		b.expire()
		b.say(40, map[string]carrier{"a": {drops: true}}) // there is no other
		time.Sleep(2 * time.Hour)
		b.only("a") // it is still there
		b.expire()
		if !b.filtered("a") {
			t.Fatal("a day after it began it is over, with a lost text of two hours ago")
		}
		time.Sleep(filterSpan)
		b.only("a")
		b.expire()
		if b.filtered("a") {
			t.Fatal("a suspicion stays for ever where nothing goes")
		}
		b.recorded("sim-a", ActionSIMSet, ActionFiltered, ActionCleared)
		b.only("all")
		b.put(code(1))
		b.must("a") // who wrote to this patient before
	})
}

// Admission reckons with a suspected sender only after the time for which codes are kept from it.
func TestAdmitKnowsSuspectedWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.filter(true)
		b.only("all")
		busy := func(n int) bool {
			err := b.try(func(tx *store.Tx) error { return Admit(tx, code(n)) })
			_, is := errors.AsType[*Busy](err)
			if err != nil && !is {
				t.Fatal(err)
			}
			return is
		}
		for i, name := range []string{"b", "c"} {
			s := modem(name, map[string]string{"b": "red", "c": "blue"}[name])
			s.PartTime = 30 * time.Second
			b.report(s)
			b.put(code(10_000 + i)) // to another prefix
			b.must(name)
		}
		if busy(50) {
			t.Error("refused, though the suspected sender takes it after a while")
		}
		b.put(code(50)) // it is before the next one, and the suspected sender takes it in ten seconds
		if !busy(51) {
			t.Error("admitted, as if the suspected sender took it at once")
		}
		if busy(10_050) {
			t.Error("a code to a prefix where nobody is suspected is refused")
		}
		b.only("a")
		if busy(51) {
			t.Error("refused where there is no other sender")
		}
	})
}

// What is no filtering: one dead handset, little traffic, old silence, a network without receipts whose
// patients seldom type, and a prefix where nobody ever had a proof.
func TestNoFiltering(t *testing.T) {
	quiet := carrier{drops: true}
	for name, play := range map[string]func(b *box){
		"one dead handset": func(b *box) {
			for range 8 {
				b.say(30, map[string]carrier{"a": quiet})
			}
		},
		"two dead handsets": func(b *box) {
			for i := range 10 {
				b.say(30+i%2, map[string]carrier{"a": quiet})
			}
		},
		"little traffic": func(b *box) {
			for i := range 4 {
				b.say(30+i, map[string]carrier{"a": quiet})
			}
		},
		"spread over days": func(b *box) {
			for i := range 8 {
				b.say(30+i, map[string]carrier{"a": quiet})
				time.Sleep(12 * time.Hour)
				b.expire()
			}
		},
		"a proof in between": func(b *box) {
			for i := range 12 {
				b.say(30+i, map[string]carrier{"a": {drops: i%4 != 0, receipts: true}})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.only("a")
				for i := range 6 {
					b.say(i, map[string]carrier{"a": {receipts: true}})
				}
				play(b)
				b.judged("a")
			})
		})
	}
	t.Run("seldom typed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.only("a")
			for i := range 14 {
				b.say(i, map[string]carrier{"a": {drops: i%4 != 0 || i > 8}})
			}
			b.judged("a")
		})
	})
	t.Run("never a proof, by nobody", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.only("a")
			for i := range 19 {
				b.say(i, map[string]carrier{"a": quiet})
			}
			b.judged("a")
		})
	})
	t.Run("only the other carrier sends receipts", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBox(t)
			b.only("c")
			for i := range 10 {
				b.say(i, map[string]carrier{"c": {receipts: true}})
			}
			b.only("a")
			for i := range 10 {
				b.say(20+i, map[string]carrier{"a": quiet})
			}
			b.judged("a")
		})
	})
}

// judged lets every text have its time, and holds that nobody is suspected.
func (b *box) judged(name string) {
	b.t.Helper()
	for range 4 {
		time.Sleep(filterWait)
		b.expire()
	}
	if b.filtered(name) {
		b.t.Error("it is suspected of filtering")
	}
}

// A new SIM that never had a proof is held against another to whose texts people do answer.
func TestFilteringOfNewSIM(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.only("c")
		for i := range 10 {
			b.say(i, map[string]carrier{"c": {}})
		}
		b.only("a")
		for i := range 6 {
			b.say(20+i, map[string]carrier{"a": {drops: true}})
		}
		time.Sleep(filterWait + time.Second)
		b.expire()
		if !b.filtered("a") {
			t.Error("a SIM whose first texts vanish is not suspected")
		}
	})
}
