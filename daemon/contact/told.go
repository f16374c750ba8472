package contact

import "time"

// What an event may tell of a person. Each has a clock of its own: a transfer to another bed says nothing of numbers, nor does many an
// appointment, and neither may make stale what a registration told a minute before and brings a minute later. The numbers are kept in records.
const (
	tellsPhones = iota + 1
	tellsLanguage
	tellsBorn
	tellsUnwanted
	tellsProtected
	tellsNoVoice
	tellsVIP
	tellsConfidential
	tellsWard
	tellsClass
	tellsEnd
)

// earlier is something that the last event did not speak of, and when it was told; the zero time is never.
type earlier struct {
	What int
	At   time.Time
}

func (e earlier) equal(o earlier) bool { return e.What == o.What && e.At.Equal(o.At) }

// told is when each thing was told, while one event is heard.
type told struct {
	at            [tellsEnd]time.Time
	now           time.Time // of the event
	heard, missed bool      // something of it was newer, was older
}

// told is when each thing about s was told.
func (s Subject) told() *told {
	t := &told{}
	for i := range t.at {
		t.at[i] = s.AsOf
	}
	for _, e := range s.Earlier {
		if e.What > 0 && e.What < tellsEnd {
			t.at[e.What] = e.At
		}
	}
	return t
}

// hear begins an event.
func (t *told) hear(at time.Time) *told {
	t.now = at
	return t
}

// hears tells whether the event speaks of something, and nothing newer did before.
func hears[T any](t *told, what int, said *T) bool {
	switch {
	case said == nil:
		return false
	case t.now.Before(t.at[what]):
		t.missed = true
		return false
	}
	t.at[what], t.heard = t.now, true
	return true
}

// before lists what was last told before an instant.
func (t *told) before(asOf time.Time) (list []earlier) {
	for what := tellsPhones; what < tellsEnd; what++ {
		if t.at[what].Before(asOf) {
			list = append(list, earlier{what, t.at[what]})
		}
	}
	return list
}
