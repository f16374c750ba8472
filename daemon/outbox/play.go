package outbox

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A day is played from midnight on, event by event; what is left at the next midnight is unsent.
var midnight = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

const wholeDay = 24 * time.Hour

// stage is a day under way.
type stage struct {
	load    Load
	rng     *rand.Rand
	actors  []*actor
	codes   []time.Time // arrivals to come, then those that wait, oldest first
	notices []time.Time
	waits   []time.Duration
	day     Day
}

// actor is a modem on the stage.
type actor struct {
	Capacity
	free  time.Time // when it has ended what it has on air
	usage usage
}

// play plays one day of a load that is complete. A trial ends as soon as it is clear that the day does
// not hold.
func play(l Load, trial bool) Day {
	s := &stage{load: l, rng: rand.New(rand.NewPCG(l.Seed, 1))}
	for _, c := range l.Senders {
		s.actors = append(s.actors, &actor{Capacity: c, free: midnight})
	}
	s.arrive()
	end := midnight.Add(wholeDay)
	for now := midnight; now.Before(end) && len(s.codes)+len(s.notices) > 0; now = s.next(now) {
		s.expire(now)
		s.serve(now)
		if trial && s.day.Late+s.day.Expired > 0 {
			return s.day
		}
	}
	s.day.Unsent, s.day.Expired = len(s.notices), s.day.Expired+len(s.codes)
	if slices.Sort(s.waits); len(s.waits) > 0 {
		n := len(s.waits)
		s.day.P50, s.day.P99, s.day.Worst = s.waits[n/2], s.waits[min(n-1, n*99/100)], s.waits[n-1]
	}
	return s.day
}

// arrive lets the codes of the peak come by chance, as people do, and the rest evenly.
func (s *stage) arrive() {
	l := s.load
	from, to := time.Duration(l.From)*time.Hour, time.Duration(l.To)*time.Hour
	length := time.Duration(l.Minutes) * time.Minute
	begin := max(0, min((from+to-length)/2, wholeDay-length))
	if l.CodesPerMinute > 0 {
		gap := float64(time.Minute) / l.CodesPerMinute
		for at := begin; ; {
			at += time.Duration(s.rng.ExpFloat64() * gap)
			if at >= begin+length {
				break
			}
			s.codes = append(s.codes, midnight.Add(at))
		}
	}
	for i := range l.CodesPerDay {
		s.codes = append(s.codes, midnight.Add(wholeDay/time.Duration(l.CodesPerDay)*time.Duration(i)))
	}
	slices.SortFunc(s.codes, time.Time.Compare)
	for i := range l.NoticesPerDay {
		s.notices = append(s.notices, midnight.Add(from+(to-from)/time.Duration(l.NoticesPerDay)*time.Duration(i)))
	}
	s.day.Codes, s.day.Notices = len(s.codes), len(s.notices)
}

func waiting(line []time.Time, now time.Time) bool { return len(line) > 0 && !line[0].After(now) }

func (s *stage) expire(now time.Time) {
	for len(s.codes) > 0 && now.Sub(s.codes[0]) >= s.load.Life {
		s.codes = s.codes[1:]
		s.day.Expired++
	}
}

// serve gives idle modems what waits: codes first, to the one that has rested longest.
func (s *stage) serve(now time.Time) {
	slices.SortStableFunc(s.actors, func(a, b *actor) int { return a.free.Compare(b.free) })
	for _, a := range s.actors {
		if a.free.After(now) {
			continue
		}
		switch {
		case waiting(s.codes, now) && a.Codes && a.room(OTP, now):
			wait := now.Sub(s.codes[0])
			if s.waits = append(s.waits, wait); wait > AdmitWait {
				s.day.Late++
			}
			s.codes = s.codes[1:]
			a.take(s, OTP, now)
		case waiting(s.notices, now) && a.Notices && a.room(Notice, now):
			s.notices = s.notices[1:]
			a.take(s, Notice, now)
		}
	}
	if waiting(s.codes, now) && !s.day.CapReached && s.capped(now) {
		s.day.CapReached, s.day.CapOut = true, now.Sub(midnight)
	}
}

// capped tells whether the day's caps alone keep codes from every modem.
func (s *stage) capped(now time.Time) bool {
	any := false
	for _, a := range s.actors {
		if a.Codes {
			any = true
			if a.usage.Day.room(day, a.PerDay, OTP, now, 1) {
				return false
			}
		}
	}
	return any
}

func (a *actor) room(l Lane, now time.Time) bool {
	return a.usage.Minute.room(minute, a.PerMinute, l, now, 1) && a.usage.Day.room(day, a.PerDay, l, now, 1)
}

// take has the modem send one part, a quarter longer or shorter than usual.
func (a *actor) take(s *stage, l Lane, now time.Time) {
	a.usage.Minute = a.usage.Minute.add(minute, l, now, 1, now)
	a.usage.Day = a.usage.Day.add(day, l, now, 1, now)
	a.free = now.Add(time.Duration(float64(a.partTime()) * (0.75 + s.rng.Float64()/2)))
}

// next is when something may happen: an arrival, a modem that ends, a cap that has room again.
func (s *stage) next(now time.Time) time.Time {
	next := midnight.Add(wholeDay)
	consider := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	for _, line := range [][]time.Time{s.codes, s.notices} {
		if i, _ := slices.BinarySearchFunc(line, now.Add(1), time.Time.Compare); i < len(line) {
			consider(line[i])
		}
	}
	if waiting(s.codes, now) {
		consider(s.codes[0].Add(s.load.Life))
	}
	codes, notices := waiting(s.codes, now), waiting(s.notices, now)
	if !codes && !notices {
		return next
	}
	for _, a := range s.actors {
		switch {
		case a.free.After(now):
			consider(a.free)
		case codes && a.Codes && !a.room(OTP, now), notices && a.Notices && !a.room(Notice, now):
			consider(a.usage.Minute.release(minute, now))
			consider(a.usage.Day.release(day, now))
		}
	}
	return next
}
