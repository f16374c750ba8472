package intake

import (
	"errors"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/store"
)

// One patient's appointments of a day make one text. The reminders of a day hang on the first appointment
// for which one can still come, and speak of all; the others have none of their own. What is told of a
// change waits a moment, for engines send the appointments of a patient one after the other.

// DefaultGather is how long a text that would go at once waits for others about the same day.
const DefaultGather = 3 * time.Second

// maxGather keeps a word about today from coming too late.
const maxGather = 10 * time.Minute

func (p Policy) gather() time.Duration {
	if p.Gather == 0 {
		return DefaultGather
	}
	return time.Duration(p.Gather)
}

const oneText = "one text tells of the day's appointments"

// span is from a moment on until before another.
type span struct{ from, to time.Time }

func (s span) same(at time.Time) bool { return !at.Before(s.from) && at.Before(s.to) }

// day is the local day of an instant, by the clock that texts are written by.
func (w *work) day(at time.Time) span { return dayOf(at, w.site.Location()) }

func dayOf(at time.Time, zone *time.Location) span {
	y, m, d := at.In(zone).Date()
	return span{time.Date(y, m, d, 0, 0, 0, 0, zone), time.Date(y, m, d+1, 0, 0, 0, 0, zone)}
}

// sameDay lists the patient's other appointments of the day of a, by start, ended ones as well.
func sameDay(tx *store.Tx, zone *time.Location, a contact.Appointment) ([]contact.Appointment, error) {
	d := dayOf(a.Start, zone)
	list, err := contact.AppointmentsBetween(tx, a.Subject, d.from, d.to)
	if err != nil {
		return nil, err
	}
	others := list[:0]
	for _, o := range list {
		if o.ID != a.ID {
			others = append(others, o)
		}
	}
	return others, nil
}

// remindDay schedules the reminders of the day of a.
func (w *work) remindDay(a contact.Appointment, again bool) error {
	others, err := sameDay(w.tx, w.site.Location(), a)
	if err != nil {
		return err
	}
	day, placed := make([]contact.Appointment, 0, 1+len(others)), false
	for _, o := range others {
		if !placed && a.Start.Before(o.Start) {
			day, placed = append(day, a), true
		}
		ok, err := w.remindable(o)
		if err != nil {
			return err
		}
		if ok {
			day = append(day, o)
		}
	}
	if !placed {
		day = append(day, a)
	}
	if len(day) == 1 {
		return w.schedule(a, reminderText, again)
	}
	for i, o := range day {
		keep := ""
		if i == 0 {
			keep = reminderText + perDay
		}
		n, err := w.withdrawReminders(o, keep)
		if err != nil {
			return err
		}
		if i == 0 {
			again = n > 0 || again && o.ID == a.ID
		}
	}
	w.did("%d appointments of one day in one text", len(day))
	return w.schedule(day[0], reminderText+perDay, again)
}

// remindRest schedules anew what hangs on the other appointments of the day of one that is not the
// patient's any more on that day.
func (w *work) remindRest(gone contact.Appointment) error {
	if gone.Subject.IsZero() || !gone.Start.After(w.tx.Now()) {
		return nil // it was in the text that went
	}
	others, err := sameDay(w.tx, w.site.Location(), gone)
	if err != nil {
		return err
	}
	for _, o := range others {
		if ok, err := w.remindable(o); err != nil {
			return err
		} else if !ok {
			continue
		}
		quiet, err := w.suppressed(o.Subject)
		if err != nil || quiet {
			return err
		}
		// What waits tells of the one that is gone.
		n, err := w.withdrawReminders(o, "")
		if err != nil {
			return err
		}
		return w.remindDay(o, n > 0)
	}
	return nil
}

// remindable tells whether a reminder of an appointment can still come: a lead is left, or the one that
// goes at once has not gone.
func (w *work) remindable(a contact.Appointment) (bool, error) {
	now := w.tx.Now()
	if a.Status != contact.Booked || a.Start.Before(now.Add(soonest)) || w.dayOnly(a) {
		return false, nil
	}
	leads := w.policy.leads()
	if a.Start.Add(-leads[len(leads)-1]).After(now) {
		return true, nil
	}
	for _, key := range []string{atOnceKey, restarted(atOnceKey, a)} {
		if waits, err := waits(w.tx, a, key); err != nil || waits {
			return waits, err
		}
	}
	return false, nil
}

// withdrawReminders cancels the reminders of an appointment that wait, but for those of one template.
func (w *work) withdrawReminders(a contact.Appointment, keep string) (int, error) {
	keys := []string{atOnceKey}
	for _, lead := range w.policy.leads() {
		keys = append(keys, leadKey(lead))
	}
	n := 0
	for _, key := range keys {
		for _, key := range []string{key, restarted(key, a)} {
			r, err := notice.FindKey(w.tx, a.Key, key)
			switch {
			case errors.Is(err, notice.ErrNotFound):
				continue
			case err != nil:
				return n, err
			case r.Template == keep:
				continue
			}
			done, err := notice.Cancel(w.tx, r.ID, oneText)
			if err != nil {
				return n, err
			}
			if done {
				n++
			}
		}
	}
	return n, nil
}
