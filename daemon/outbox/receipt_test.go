package outbox

import (
	"slices"
	"testing"
	"time"

	"pinward/store"
)

func TestReceiptBeforeCMGS(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := b.put(code(1))
	job := b.must("a")
	b.receive(job, 9, 0)  // ours
	b.receive(job, 77, 0) // another's
	b.state(m.ID, Sending)
	b.settle(job, sentAs(9))
	b.state(m.ID, Delivered)
	b.recorded(m.ID, ActionSending, ActionSent, ActionDelivered)
	b.do(func(tx *store.Tx) error {
		n, err := earlies.Len(tx)
		if n != 0 {
			t.Errorf("%d early receipts are kept for ever", n)
		}
		return err
	})
}

func TestReceiptTwice(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := b.put(code(1))
	job := b.must("a")
	b.settle(job, sentAs(9))
	b.receive(job, 9, 0)
	before := b.size()
	b.receive(job, 9, 0)
	b.receive(job, 9, 0x46)
	b.state(m.ID, Delivered)
	if b.size() != before {
		t.Error("a second receipt left an entry")
	}
}

func TestReceiptForeign(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := b.put(code(1))
	job := b.must("a")
	b.settle(job, sentAs(9))
	for _, rc := range []Receipt{
		{SIM: "sim-b", Ref: 9, To: m.To},
		{SIM: "sim-a", Ref: 8, To: m.To},
		{SIM: "sim-a", Ref: 9, To: phone(2)},
		{SIM: "sim-a", Ref: 9, To: m.To, Status: 0x20},
		{SIM: "sim-a", Ref: 9, To: m.To, Status: 0xff},
		{},
	} {
		b.do(func(tx *store.Tx) error { return Receive(tx, rc) })
		b.state(m.ID, Sent)
	}
}

// TP-MR is one octet, and some modems always give 0: the oldest text that waits for its receipt gets it.
func TestReceiptReferenceRepeats(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	var all []Job
	for range 3 {
		b.put(code(1))
		job := b.must("a")
		b.settle(job, sentAs(0))
		all = append(all, job)
	}
	for i, job := range all {
		b.state(job.Message.ID, Sent)
		b.receive(job, 0, 0)
		b.state(job.Message.ID, Delivered)
		if i+1 < len(all) {
			b.state(all[i+1].Message.ID, Sent)
		}
	}
}

func TestReceiptOfOldTextIsNotForTheNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		old := b.put(code(1))
		b.settle(b.must("a"), sentAs(5))
		time.Sleep(time.Hour) // its receipt never came, the counter wrapped
		m := b.put(code(1))
		job := b.must("a")
		b.settle(job, sentAs(5))
		b.receive(job, 5, 0)
		b.state(m.ID, Delivered)
		b.state(old.ID, Sent)
		b.receive(job, 5, 0) // hours late
		b.state(old.ID, Delivered)
	})
}

func TestReceiptResolvesUnknown(t *testing.T) {
	t.Run("notice", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(notice(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.receive(job, 200, 0)
		b.state(m.ID, Delivered)
		b.recorded(m.ID, ActionSending, ActionUnknown, ActionDelivered)
	})
	t.Run("code that waits again", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(code(1))
		job := b.must("a")
		b.settle(job, Result{Outcome: Unknown})
		b.state(m.ID, Queued)
		b.receive(job, 200, 0)
		b.state(m.ID, Delivered)
		b.none("a", "b")
		b.coherent()
	})
	t.Run("code that is on air again", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "red"))
		m := b.put(code(1))
		first := b.must("a")
		b.settle(first, Result{Outcome: Unknown})
		second := b.must("b")
		b.receive(first, 200, 0)
		b.state(m.ID, Delivered)
		b.settle(second, Result{Outcome: NotSent})
		b.state(m.ID, Delivered)
		b.none("a", "b")
		b.coherent()
	})
	t.Run("early, then unknown", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(notice(1))
		job := b.must("a")
		b.receive(job, 200, 0)
		b.settle(job, Result{Outcome: Unknown})
		b.state(m.ID, Delivered)
	})
	t.Run("not by the second receipt of an older text", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		b.put(notice(1))
		old := b.must("a")
		b.settle(old, sentAs(7))
		b.receive(old, 7, 0)
		m := b.put(notice(1))
		job := b.must("a")
		b.receive(old, 7, 0)
		b.settle(job, Result{Outcome: Unknown})
		b.receive(old, 7, 0)
		b.state(m.ID, Unknown)
	})
}

func TestUndeliveredMovesOnAtOnce(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"), modem("b", "blue"))
	m := code(1)
	m.Route = fullRoute()
	m = b.put(m)
	job := b.must("a")
	b.settle(job, sentAs(1))
	b.receive(job, 1, 0x41)
	second := b.must("b")
	if second.Message.Step != 1 {
		t.Fatalf("step %d", second.Message.Step)
	}
	b.settle(second, sentAs(2))
	b.receive(second, 2, 0)
	b.state(m.ID, Delivered)
	b.recorded(m.ID, ActionSending, ActionSent, ActionUndelivered, ActionStep, ActionSending, ActionSent, ActionDelivered)
}

func TestLateReceiptTakesMessageOutOfLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "blue"))
		b.prove("a", 6, true)
		m := code(near)
		m.Route = fullRoute()
		m = b.put(m)
		job := b.must("a")
		b.settle(job, sentAs(99))
		time.Sleep(ReceiptWait)
		b.expire()
		b.state(m.ID, Queued)
		b.receive(job, 99, 0)
		b.state(m.ID, Delivered)
		b.none("a", "b")
		if !slices.Contains(b.entries(m.ID), ActionStep) {
			t.Error("the step left no entry")
		}
		b.coherent()
	})
}

func TestReceiptIndexIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		b.put(code(1))
		b.settle(b.must("a"), sentAs(1))
		for range 3 {
			time.Sleep(ReceiptsFor)
			b.expire()
		}
		b.view(func(tx *store.Tx) error {
			n, err := handed.Len(tx)
			if n != 0 {
				t.Errorf("%d attempts are still in the index", n)
			}
			if err != nil {
				return err
			}
			n, err = timers.Len(tx)
			if n != 0 {
				t.Errorf("%d timers are left", n)
			}
			return err
		})
	})
}
