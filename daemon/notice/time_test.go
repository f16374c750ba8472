package notice

import (
	"errors"
	"testing"
	"time"

	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

func TestQuietHoursHoldATextUntilTheMorning(t *testing.T) {
	inBubble(t, func(b *box) {
		night := time.Now().Add(11 * time.Hour) // 23:00
		n := b.mustAsk(Request{To: patient, At: night})
		urgent := b.mustAsk(Request{To: patient, At: night, Urgent: true})
		time.Sleep(11*time.Hour + time.Second)
		b.Do(outbox.Expire)
		job, ok := b.Send(outbox.Sent)
		if !ok || job.Message.Ref != urgent.ID {
			t.Fatal("the urgent one does not go out at night")
		}
		if _, ok := b.Send(outbox.Sent); ok {
			t.Fatal("a text goes out at night")
		}
		time.Sleep(9 * time.Hour) // 08:00
		b.Do(outbox.Expire)
		if job, ok := b.Send(outbox.Sent); !ok || job.Message.Ref != n.ID {
			t.Error("it does not go out in the morning")
		}
	})
}

// A backlog that drains into the night is held, and not lost.
func TestFoundInQuietHoursIsQueuedAnew(t *testing.T) {
	inBubble(t, func(b *box) {
		n := b.mustAsk(Request{To: patient})
		short := b.mustAsk(Request{To: patient, Expires: time.Now().Add(12 * time.Hour)})
		time.Sleep(10 * time.Hour) // 22:00, and no sender took it before
		if _, ok := b.Send(outbox.Sent); ok {
			t.Fatal("a text goes out at night")
		}
		if got, s := b.state(n.ID); s != outbox.Queued || got.Message == n.Message {
			t.Fatalf("it is %s, same message %t", s, got.Message == n.Message)
		}
		if got, s := b.state(short.ID); s != outbox.Canceled || got.Cause != ErrPointless.Error() {
			t.Errorf("one that is pointless in the morning is %s: %q", s, got.Cause)
		}
		time.Sleep(10*time.Hour + time.Second)
		b.Do(outbox.Expire)
		if job, ok := b.Send(outbox.Sent); !ok || job.Message.Ref != n.ID {
			t.Error("it does not go out in the morning")
		}
	})
}

// Hours of its own hold when it is handed over, too, and agree with the quiet hours of the site; where they never do, the text is pointless.
func TestOwnHoursHoldAtTheHandOver(t *testing.T) {
	inBubble(t, func(b *box) {
		n := b.mustAsk(Request{To: patient, Hours: Hours{"09:30", "16:00"}})
		time.Sleep(5 * time.Hour) // 17:00, and no sender took it before
		if _, ok := b.Send(outbox.Sent); ok {
			t.Fatal("a text goes out after its hours")
		}
		if got, s := b.state(n.ID); s != outbox.Queued || got.Message == n.Message {
			t.Fatalf("it is %s, same message %t", s, got.Message == n.Message)
		}
		time.Sleep(16*time.Hour + 29*time.Minute) // 09:29, when the quiet hours are over
		b.Do(outbox.Expire)
		if _, ok := b.Send(outbox.Sent); ok {
			t.Fatal("a text goes out before its hours")
		}
		time.Sleep(time.Minute)
		b.Do(outbox.Expire)
		if job, ok := b.Send(outbox.Sent); !ok || job.Message.Ref != n.ID {
			t.Error("it does not go out in its hours")
		}
		if _, _, err := b.ask(Request{To: patient, Hours: Hours{"22:00", "23:00"}, Expires: time.Now().Add(100 * time.Hour)}); !errors.Is(err, ErrPointless) {
			t.Errorf("with hours that are all quiet: %v", err)
		}
	})
}

func TestTooLateIsRefusedAndCostsNothing(t *testing.T) {
	inBubble(t, func(b *box) {
		_, _, err := b.ask(Request{To: patient, At: time.Now().Add(11 * time.Hour), Expires: time.Now().Add(12 * time.Hour)})
		if !errors.Is(err, ErrPointless) {
			t.Fatalf("at night, pointless in the morning: %v", err)
		}
		if r := b.Last(); r.Entry.Action != ActionSend || r.Entry.Outcome != store.Refused || outboxtest.Attr(r.Entry, "cause") != ErrPointless.Error() {
			t.Errorf("entry is %v", r.Entry)
		}
		b.Do(func(tx *store.Tx) error {
			for _, budget := range []limit.Budget{perNumberAsked, perNumber} {
				if left, _, err := limit.Peek(tx, budget, patient.E164()); err != nil || left != budget.Max {
					t.Errorf("%s has %d left, %v", budget.Name, left, err)
				}
			}
			return nil
		})
	})
}
