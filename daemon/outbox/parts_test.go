package outbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pinward/store"
)

// long has the Source of a kind make so many parts of every text.
func (b *box) long(kind Kind, parts int) {
	b.src[kind] = func(tx *store.Tx, m Message) (Rendered, error) {
		text, err := say(tx, m)
		text.Parts = parts
		return text, err
	}
}

// A text of three parts does not begin where two may go: no cap is passed by a single part.
func TestNoTextPassesTheCapByItsParts(t *testing.T) {
	for name, c := range map[string]struct {
		perMinute, perDay int
		lane              Lane
		want              int // texts of three parts that go at once
	}{
		"minute, codes":            {7, -1, OTP, 2},
		"day, codes":               {-1, 7, OTP, 2},
		"half of a minute, notice": {11, -1, Notice, 1},
		"half of a day, notice":    {-1, 12, Notice, 2},
		"half of a day, bulk":      {-1, 17, Bulk, 2},
		"exactly":                  {6, 6, OTP, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.long("code", 3)
			b.caps("a", c.perMinute, c.perDay)
			b.report(modem("a", "red"))
			var last Message
			for i := range c.want + 1 {
				m := code(i)
				m.Lane = c.lane
				last = b.put(m)
			}
			for range c.want {
				b.settle(b.must("a"), sentAs(1, 2, 3))
			}
			b.none("a")
			b.state(last.ID, Queued)
			b.coherent()
			s := modem("b", "blue") // another SIM has room for it
			b.report(s)
			if job := b.must("b"); job.Message.ID != last.ID || job.Message.Attempts[0].Planned != 3 {
				t.Error("another SIM got another text")
			}
		})
	}
}

// What needs more parts than the budget has room for waits for it, and shorter texts that came later
// do not use the room up; codes do.
func TestLongTextIsNotStarvedByShortOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.long("notice", 3)
		b.caps("a", 8, -1)
		b.report(modem("a", "red"))
		short := func(n int, l Lane) Message {
			m := notice(n)
			m.Kind, m.Lane = "code", l
			time.Sleep(time.Millisecond) // they are due one after the other
			return b.put(m)
		}
		short(1, Notice)
		short(2, Notice)
		for range 2 {
			b.settle(b.must("a"), sentAs(1))
		}
		long := b.put(notice(3))
		later, bulk := short(4, Notice), short(5, Bulk)
		b.none("a")
		b.recorded(long.ID, ActionNotSent) // it was rendered, and is known to be long now
		b.none("a")
		c := b.put(code(6))
		if job := b.must("a"); job.Message.ID != c.ID {
			t.Fatal("a code waits for a notice")
		} else {
			b.settle(job, sentAs(1))
		}
		b.none("a")
		b.view(func(tx *store.Tx) error {
			at, ok, err := NextDue(tx)
			if wait := time.Until(at); !ok || wait <= 0 || wait > 65*time.Second {
				t.Errorf("the budget is said to have room in %v", wait)
			}
			return err
		})
		time.Sleep(66 * time.Second)
		for i, want := range []Message{long, later} {
			if job := b.must("a"); job.Message.ID != want.ID {
				t.Fatalf("text %d is another one", i)
			} else {
				b.settle(job, sentAs(1))
			}
		}
		b.none("a")
		b.state(bulk.ID, Queued)
	})
}

// A text that is longer than the caps of any SIM goes nowhere, holds nothing up, and its end says why.
func TestTextLongerThanAnyCap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.long("notice", 3)
		b.caps("a", 4, -1)
		b.report(modem("a", "red"))
		m := notice(1)
		m.Expires = time.Now().Add(10 * time.Minute)
		m = b.put(m)
		b.none("a")
		other := notice(2)
		other.Kind = "code"
		other = b.put(other)
		if job := b.must("a"); job.Message.ID != other.ID {
			t.Fatal("it was given")
		} else {
			b.settle(job, sentAs(1))
		}
		time.Sleep(11 * time.Minute)
		b.expire()
		b.state(m.ID, Expired)
		if got := b.get(m.ID); got.Cause != "it has more parts than the caps of any SIM allow" || len(got.Attempts) != 0 {
			t.Errorf("%d attempts, %s", len(got.Attempts), got.Cause)
		}
		b.coherent()
	})
}

// A claim is for one part. Where the code needs more, and its SIM has no room, it is given back.
func TestClaimOfMorePartsThanThereIsRoom(t *testing.T) {
	b := newBox(t)
	b.caps("a", 1, -1)
	b.report(prompt("a", "red"), modem("b", "blue"))
	b.long("code", 2)
	m := b.put(code(1))
	b.state(m.ID, Sending)
	if _, ok, err := b.claimed("a"); ok || !errors.Is(err, ErrAskNext) {
		t.Fatalf("in a View: %t, %v", ok, err)
	}
	b.none("a")
	b.state(m.ID, Queued)
	if job := b.must("b"); job.Message.ID != m.ID || job.Message.Attempts[1].Planned != 2 {
		t.Errorf("b got %+v", job.Message.Attempts)
	}
	b.coherent()
}

// What the modem made of a text beyond what its Source told counts as well.
func TestMorePartsThanToldAreCharged(t *testing.T) {
	b := newBox(t)
	b.caps("a", 2, -1)
	b.report(modem("a", "red"))
	b.put(code(1))
	b.settle(b.must("a"), sentAs(1, 2))
	b.put(code(2))
	b.none("a")
}

// Random texts of one to four parts through SIMs with small caps, for two days: no stretch of a minute
// or of a day holds more than its cap, or more than half of it that are no codes; what did not leave is
// given back; and every text that fits goes.
func TestNoStretchHoldsMoreThanItsCap(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				rng := rand.New(rand.NewPCG(seed, 3))
				parts := map[string]int{}
				b.src["code"] = func(tx *store.Tx, m Message) (Rendered, error) {
					text, err := say(tx, m)
					text.Parts = parts[m.Ref]
					return text, err
				}
				names := []string{"a", "b"}
				given := map[string][]gift{}
				b.caps("a", 8, 60)
				b.caps("b", 12, 90)
				b.report(prompt("a", "red"), modem("b", "blue"))
				for i := range 200 {
					m := code(rng.IntN(50))
					m.Lane, m.Ref, m.Expires = lanes[rng.IntN(3)], fmt.Sprint(i), time.Now().Add(48*time.Hour)
					parts[m.Ref] = 1 + rng.IntN(4)
					b.put(m)
					for _, name := range names {
						job, ok := b.next(name)
						if !ok {
							continue
						}
						a := job.Message.Attempts[job.Attempt]
						if a.Planned != parts[job.Message.Ref] {
							t.Fatalf("charged for %d of %d parts", a.Planned, parts[job.Message.Ref])
						}
						if rng.IntN(8) == 0 {
							b.settle(job, Result{Outcome: NotSent})
							continue
						}
						given[name] = append(given[name], gift{a.At, job.Message.Lane, a.Planned})
						b.settle(job, sentAs(1))
					}
					time.Sleep(time.Duration(rng.IntN(30*60)) * time.Second / time.Duration(1+59*rng.IntN(2)))
					b.expire()
				}
				within(t, given["a"], time.Minute, 8)
				within(t, given["b"], time.Minute, 12)
				within(t, given["a"], 24*time.Hour, 60)
				within(t, given["b"], 24*time.Hour, 90)
				if len(given["a"]) < 25 || len(given["b"]) < 25 {
					t.Errorf("only %d and %d texts went", len(given["a"]), len(given["b"]))
				}
				b.coherent()
			})
		})
	}
}

// gift is one text that a SIM was given.
type gift struct {
	at    time.Time
	lane  Lane
	parts int
}

// within holds every stretch of a length against the cap, and against half of it without codes.
func within(t *testing.T, all []gift, length time.Duration, limit int) {
	t.Helper()
	for i, first := range all {
		sum, other := 0, 0
		for _, g := range all[i:] {
			if g.at.Sub(first.at) >= length {
				break
			}
			if sum += g.parts; g.lane != OTP {
				other += g.parts
			}
		}
		if sum > limit || other > limit/2 {
			t.Fatalf("%d parts within %s, %d of them no codes, where %d may go", sum, length, other, limit)
		}
	}
}
