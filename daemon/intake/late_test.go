package intake

import (
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/notice"
	"pinward/store"
)

// TestHeldTextsThatAreTooLateGo: what nobody releases is dropped when it is of no use any more, with an entry of how many and none of
// whom, and the breaker closes.
func TestHeldTextsThatAreTooLateGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		p := releasing
		p.BreakerFloor = 3
		b.policy(p)
		for i := range 10 {
			sendOK(t, b, resultOf(i))
		}
		if list := b.held(); len(list) != 1 || list[0].Count != 7 {
			t.Fatalf("held %+v", list)
		}
		sweep := func() {
			var at []byte
			for range 3 { // three at a time: it comes round
				b.Do(func(tx *store.Tx) (err error) { at, err = SweepHeld(tx, at, 3); return err })
			}
		}
		sent := b.count(notice.ActionSend)
		sweep()
		if list := b.held(); len(list) != 1 || list[0].Count != 7 || b.count(ActionDrop) != 0 {
			t.Fatalf("dropped too early: %+v", list)
		}
		time.Sleep(25 * time.Hour)
		sweep()
		if list := b.held(); len(list) != 0 {
			t.Errorf("still held: %+v", list)
		}
		if tr := b.trouble(); tr.Held || len(tr.Open) != 0 {
			t.Errorf("trouble %+v", tr)
		}
		if b.count(ActionDrop) != 3 || b.count(notice.ActionSend) != sent {
			t.Errorf("%d entries of it, %d texts", b.count(ActionDrop), b.count(notice.ActionSend)-sent)
		}
		for _, e := range b.Entries() {
			if e.Entry.Action == ActionDrop && (e.Entry.Subject != "" || e.Entry.Object != "oru.result") {
				t.Errorf("entry %v", e.Entry)
			}
		}
	})
}
