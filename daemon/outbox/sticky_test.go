package outbox

import (
	"testing"
	"time"
)

func TestStickiness(t *testing.T) {
	setup := func(t *testing.T) *box {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "blue"))
		b.put(code(1))
		b.settle(b.must("b"), sentAs(1)) // the patient knows the number of b now
		return b
	}
	t.Run("same number while it is idle", func(t *testing.T) {
		b := setup(t)
		b.put(code(1))
		b.none("a")
		b.must("b")
	})
	t.Run("a code does not wait for a busy one", func(t *testing.T) {
		b := setup(t)
		b.put(code(2))
		b.must("b")
		b.put(code(1))
		b.must("a")
	})
	t.Run("a notice does", func(t *testing.T) {
		b := setup(t)
		b.put(code(2))
		job := b.must("b")
		m := b.put(notice(1))
		b.none("a")
		b.settle(job, sentAs(2))
		if got := b.must("b"); got.Message.ID != m.ID {
			t.Fatal("b got another message")
		}
	})
	t.Run("not when the SIM is not well", func(t *testing.T) {
		b := setup(t)
		s := modem("b", "blue")
		s.Ready = false
		b.report(s)
		b.put(notice(1))
		b.must("a")
	})
	t.Run("not when its budget is used up", func(t *testing.T) {
		b := setup(t)
		b.caps("b", -1, 1)
		b.report(modem("b", "blue"))
		b.put(notice(1))
		b.must("a")
	})
	t.Run("a code waits a moment only, if the loop of its SIM hangs", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := setup(t)
			b.put(code(1))
			b.none("a")
			due, stop := b.store.Watch(Due)
			defer stop()
			time.Sleep(time.Second)
			b.expire()
			select {
			case <-due:
			default:
				t.Error("the others were not woken")
			}
			b.must("a")
		})
	})
}
