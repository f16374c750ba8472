package outbox

import (
	"fmt"
	"time"

	"pinward/store"
)

// usage is what a SIM has been given. It goes by SIM and not by sender, because carriers count so,
// and a SIM that moves to another modem takes its history along.
type usage struct {
	Minute window `json:"minute"`
	Day    window `json:"day"`
	Concat byte   `json:"concat"` // last concatenation reference (23.040 9.2.3.24.1)
}

var usages = store.NewTable[usage]("outbox.usage", store.Blinded(0),
	store.Bookkeeping("parts given to each SIM of late, and its concatenation counter"))

// span is a sliding length of time in buckets. A bucket counts until all of it is out of the span,
// so that no stretch of that length ever holds more than the budget.
type span struct {
	bucket  time.Duration
	buckets int64
}

var (
	minute = span{5 * time.Second, 12}
	day    = span{time.Hour, 24}
)

func (s span) index(t time.Time) int64 { return t.UnixNano() / int64(s.bucket) }

// window holds the buckets that are not empty, oldest first.
type window []bucket

type bucket struct {
	Index int64 `json:"i"`
	Codes int   `json:"c,omitempty"`
	Other int   `json:"o,omitempty"`
}

func (w window) sums(s span, now time.Time) (codes, other int) {
	for _, b := range w {
		if b.Index >= s.index(now)-s.buckets {
			codes += b.Codes
			other += b.Other
		}
	}
	return codes, other
}

func (w window) total(s span, now time.Time) int {
	codes, other := w.sums(s, now)
	return codes + other
}

// add counts n parts given at a time, which may be a little back, and drops what is out of the span.
func (w window) add(s span, l Lane, at time.Time, n int, now time.Time) window {
	kept := make(window, 0, len(w)+1)
	i, found := s.index(at), false
	for _, b := range w {
		if b.Index < s.index(now)-s.buckets {
			continue
		}
		if b.Index == i {
			b.count(l, n)
			found = true
		}
		kept = append(kept, b)
	}
	if !found && n > 0 {
		b := bucket{Index: i}
		b.count(l, n)
		kept = append(kept, b)
	}
	return kept
}

func (b *bucket) count(l Lane, n int) {
	if l == OTP {
		b.Codes = max(0, b.Codes+n)
	} else {
		b.Other = max(0, b.Other+n)
	}
}

// room tells whether n more parts of the lane fit into a budget: codes into all of it, the others into
// their share. A budget of 0 is none.
func (w window) room(s span, limit int, l Lane, now time.Time, n int) bool {
	if limit <= 0 {
		return true
	}
	codes, other := w.sums(s, now)
	return codes+other+n <= limit && (l == OTP || other+n <= share(limit, l))
}

// share is what a lane may use of a budget: codes all of it, the others half, but at least one part.
func share(limit int, l Lane) int {
	if l == OTP {
		return limit
	}
	return max(1, limit/2)
}

// holds tells whether n parts of a lane ever fit into the budgets of the sender's SIM.
func (s Standing) holds(l Lane, n int) bool {
	return (s.PerMinute <= 0 || n <= share(s.PerMinute, l)) && (s.PerDay <= 0 || n <= share(s.PerDay, l))
}

// release is when the oldest bucket stops counting.
func (w window) release(s span, now time.Time) time.Time {
	for _, b := range w {
		if b.Index >= s.index(now)-s.buckets {
			return time.Unix(0, (b.Index+s.buckets+1)*int64(s.bucket)).UTC()
		}
	}
	return now
}

func (u *usage) room(s *member, l Lane, now time.Time, parts int) bool {
	return u.Minute.room(minute, s.PerMinute, l, now, parts) && u.Day.room(day, s.PerDay, l, now, parts)
}

// release is when a budget that has no room for so many parts of the lane may have it again, at the
// earliest.
func (u *usage) release(s *member, l Lane, now time.Time, parts int) time.Time {
	at := now
	if !u.Minute.room(minute, s.PerMinute, l, now, parts) {
		at = u.Minute.release(minute, now)
	}
	if !u.Day.room(day, s.PerDay, l, now, parts) {
		if d := u.Day.release(day, now); d.After(at) {
			at = d
		}
	}
	return at
}

func usageKey(tx *store.Tx, sim string) []byte { return tx.Blind("outbox.sim", sim) }

// used reads what the sender's SIM has been given.
func (y *yard) used(m *member) (*usage, error) {
	if m.usage == nil {
		u, _, err := usages.Get(y.tx, usageKey(y.tx, m.SIM))
		if err != nil {
			return nil, fmt.Errorf("read usage of SIM: %w", err)
		}
		m.usage = &u
	}
	return m.usage, nil
}

// charge counts n parts for a SIM and, for a hand-over, gives it a new concatenation reference: a
// text whose parts are sent again must not be mixed with what is left of the first time.
func charge(y *yard, sim string, l Lane, at time.Time, n int) (concat byte, err error) {
	key := usageKey(y.tx, sim)
	u, _, err := usages.Get(y.tx, key)
	if err != nil {
		return 0, fmt.Errorf("read usage of SIM: %w", err)
	}
	u.Minute = u.Minute.add(minute, l, at, n, y.now)
	u.Day = u.Day.add(day, l, at, n, y.now)
	if n > 0 {
		u.Concat++
	}
	if err := usages.Put(y.tx, key, u); err != nil {
		return 0, fmt.Errorf("keep usage of SIM: %w", err)
	}
	for _, m := range y.known {
		if m.SIM == sim {
			m.usage = nil
		}
	}
	return u.Concat, nil
}
