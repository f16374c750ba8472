package contact

import (
	"fmt"
	"strconv"
	"time"

	"pinward/store"
)

// ActionPurge is recorded for appointments that were deleted, since their day is long over. It tells how many.
const ActionPurge store.Action = "appointment.purge"

// Tombstone is how long an appointment of which only the end is known is kept at least: its booking may be on the way still, and nobody
// knows for which day. Nothing is planned for further ahead (notice.MaxWait).
const Tombstone = 400 * 24 * time.Hour

// OldAppointments collects the keys of appointments that are to be deleted, in a View: it goes on from where an earlier call came
// to, as [store.Table.Collect] does. As their keys have no order of time, it goes through all of them.
func OldAppointments(tx *store.Tx, from []byte, look, most int, age store.Age) (keys [][]byte, next []byte, err error) {
	keys, next, err = appointments.Collect(tx, from, look, most, func(_ []byte, a Appointment) (bool, error) {
		return a.past(age), nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for old appointments: %w", err)
	}
	return keys, next, nil
}

// ForgetAppointments deletes of the appointments that OldAppointments collected those that still are old, and says how many. An event of
// before that comes after all is taken as the first of its appointment, and that is over by then.
func ForgetAppointments(tx *store.Tx, keys [][]byte, age store.Age) (n int, err error) {
	for _, key := range keys {
		a, ok, err := appointments.Get(tx, key)
		if err != nil {
			return n, fmt.Errorf("delete old appointments: %w", err)
		}
		if !ok || !a.past(age) {
			continue
		}
		if err := appointments.Delete(tx, key); err != nil {
			return n, fmt.Errorf("delete old appointments: %w", err)
		}
		if err := forgetNames(tx, key); err != nil {
			return n, err
		}
		if !a.Subject.IsZero() {
			if err := bySubject.Delete(tx, a.bySubject(tx, key)); err != nil {
				return n, fmt.Errorf("unlink old appointments: %w", err)
			}
		}
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, record(tx, store.Entry{Action: ActionPurge, Attrs: []store.Attr{{Key: "count", Value: strconv.Itoa(n)}}})
}

// past tells whether an appointment is over for so long that it is to be deleted. Both its start and the last word of it have to be
// past: a hospital may say long after that somebody did not come.
func (a Appointment) past(age store.Age) bool {
	over := a.AsOf
	switch {
	case a.Start.IsZero():
		over = over.Add(Tombstone)
	case a.Start.After(over):
		over = a.Start
	}
	from := a.AsOf
	if !a.Start.IsZero() && a.Start.Before(from) {
		from = a.Start
	}
	return age.Past(from, over)
}
