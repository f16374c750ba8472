package outbox

import "testing"

// A carrier that answers 21 for an empty balance, or 10 for what the SIM's contract bars, must not end a
// code or a notice that another SIM would deliver.
func TestDoubtfulRefusalAsksOneMoreSIM(t *testing.T) {
	for _, answer := range []int{10, 21} {
		refused := Result{Outcome: Refused, Code: answer, Class: "recipient"}
		for _, of := range []func(int) Message{code, notice} {
			b := newBox(t)
			b.report(modem("a", "red"), modem("b", "red"), modem("c", "red"))
			m := b.put(of(1))
			b.settle(b.must("a"), refused)
			b.none("a")
			b.settle(b.must("b"), sentAs(1))
			b.state(m.ID, Sent)

			m = b.put(of(2)) // what two refuse is refused
			b.settle(b.must("c"), refused)
			b.settle(b.must("a"), refused)
			b.none("b")
			b.state(m.ID, Refused)
		}
		// The first part of a notice is out: it does not go again. A code may.
		halfway := Result{Outcome: Refused, Code: answer, Class: "recipient", Parts: []Part{{Ref: 7, State: Sent}}}
		for _, c := range []struct {
			of   func(int) Message
			want State
		}{{notice, Refused}, {code, Queued}} {
			b := newBox(t)
			b.report(modem("a", "red"), modem("b", "red"))
			m := b.put(c.of(1))
			b.settle(b.must("a"), halfway)
			b.state(m.ID, c.want)
		}
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(code(1))
		b.settle(b.must("a"), refused)
		b.none("a")
		b.state(m.ID, Refused)
	}
}
