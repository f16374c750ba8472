package notice

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/text"
	"pinward/store"
)

// drain lets a day pass from hour to hour, and counts the texts that go out.
func (b *box) drain(hours int) (n int) {
	b.T.Helper()
	for range hours {
		b.Do(outbox.Expire)
		for misses := 0; misses < 8; { // a look that meets only texts that are held gives none
			if _, ok := b.Send(outbox.Sent); ok {
				n++
			} else {
				misses++
			}
		}
		time.Sleep(time.Hour)
	}
	return n
}

func TestAFeedGoneWildReachesOnePersonSoOften(t *testing.T) {
	inBubble(t, func(b *box) {
		const asked = 50
		for range asked {
			b.mustAsk(Request{To: patient, Expires: time.Now().Add(60 * time.Hour)})
		}
		most := perNumber.Max - perNumber.Reserve
		for day := range 2 {
			if n := b.drain(24); n != most {
				t.Errorf("%d texts to one number on day %d, want %d", n, day+1, most)
			}
		}
		b.mustAsk(Request{To: patient, Staff: true})
		if _, ok := b.Send(outbox.Sent); !ok {
			t.Error("what staff sends finds no room")
		}
		b.drain(24)
		dropped := 0
		for _, r := range b.Entries() {
			switch r.Entry.Action {
			case ActionDrop:
				dropped++
			case ActionHold:
				if outboxtest.Attr(r.Entry, "cause") != "limit notice.number.day" {
					t.Fatalf("held for %q", outboxtest.Attr(r.Entry, "cause"))
				}
			}
		}
		if _, ok := b.Send(outbox.Sent); ok || dropped == 0 {
			t.Errorf("what is pointless by now: waits %t, %d dropped", ok, dropped)
		}
	})
}

// There is an end to what a feed can lay up for one number; a cancellation is
// never too much, and staff has its own room.
func TestThereIsAnEndToWhatIsAskedForOneNumber(t *testing.T) {
	inBubble(t, func(b *box) {
		most := perNumberAsked.Max - perNumberAsked.Reserve
		at := time.Now().Add(72 * time.Hour)
		b.Do(func(tx *store.Tx) error {
			slots := text.Values{}
			slots.SetSite("Main Street")
			slots.SetInstant("start", at)
			for range most {
				if _, _, err := Send(tx, Request{Template: "appointment.reminder", To: patient, At: at, Slots: slots, Mode: contact.Live}); err != nil {
					return err
				}
			}
			return nil
		})
		_, _, err := b.ask(Request{To: patient, At: at})
		if full, ok := errors.AsType[*limit.Exceeded](err); !ok || full.RetryAfter <= 0 {
			t.Fatalf("one more than %d: %v", most, err)
		}
		if r := b.Last(); r.Entry.Outcome != store.Refused || outboxtest.Attr(r.Entry, "cause") != "limit notice.number.asked" {
			t.Errorf("entry is %v", r.Entry)
		}
		b.mustAsk(Request{To: patient, At: at, Template: cancellation})
		b.mustAsk(Request{To: patient, At: at, Staff: true})
	})
}

// What a number is told ahead costs nothing today, and goes on its day.
func TestBookedAheadUsesUpNoOtherDay(t *testing.T) {
	inBubble(t, func(b *box) {
		const days = 30
		for day := range days {
			start := time.Now().Add(time.Duration(day+2) * 24 * time.Hour)
			b.mustAsk(Request{To: patient, At: start.Add(-24 * time.Hour), Expires: start, Group: fmt.Sprint("visit ", day), Key: "24h"})
		}
		b.mustAsk(Request{To: patient})
		for day := range days {
			want := 1
			if n := b.drain(24); n != want {
				t.Fatalf("%d texts on day %d, want %d", n, day, want)
			}
		}
		if n := b.drain(24); n != 1 {
			t.Errorf("%d texts on the last day", n)
		}
	})
}

// One that finds the day's texts used up is held until there is room, and
// dropped only where that is too late; a text that has to be handed over again
// is charged once.
func TestHeldUntilThereIsRoom(t *testing.T) {
	inBubble(t, func(b *box) {
		most := perNumber.Max - perNumber.Reserve
		for range most {
			b.mustAsk(Request{To: patient})
			b.Send(outbox.NotSent)
			time.Sleep(time.Minute)
			b.Do(outbox.Expire)
			if _, ok := b.Send(outbox.Sent); !ok {
				t.Fatal("it does not go at the second try")
			}
		}
		later := b.mustAsk(Request{To: patient, Expires: time.Now().Add(36 * time.Hour)})
		short := b.mustAsk(Request{To: patient, Expires: time.Now().Add(12 * time.Hour)})
		gone := b.mustAsk(Request{To: patient, Template: cancellation})
		other := b.mustAsk(Request{To: outboxtest.Phone("+16175551235")})
		out := map[string]bool{}
		for range 4 {
			if job, ok := b.Send(outbox.Sent); ok {
				out[job.Message.Ref] = true
			}
		}
		if !out[gone.ID] || !out[other.ID] || len(out) != 2 {
			t.Errorf("out are %d: the cancellation %t, another's %t", len(out), out[gone.ID], out[other.ID])
		}
		if got, s := b.state(short.ID); s != outbox.Canceled || got.Cause != ErrPointless.Error() {
			t.Errorf("one that is pointless tomorrow is %s: %q", s, got.Cause)
		}
		if _, s := b.state(later.ID); s != outbox.Queued {
			t.Errorf("one that is of use tomorrow is %s", s)
		}
		if n := b.drain(22); n != 0 {
			t.Errorf("%d more on the same day", n)
		}
		if n := b.drain(4); n != 1 {
			t.Errorf("%d on the next day, want 1", n)
		}
	})
}
