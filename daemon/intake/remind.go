package intake

import (
	"errors"
	"fmt"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/text"
)

// bookVisit keeps an appointment and makes its reminders agree with it.
func (w *work) bookVisit() error {
	if w.ends() != "" {
		return w.endVisit()
	}
	if s := w.visit.status; s == "WAITLIST" || s == "BLOCKED" {
		w.because("the appointment has no time that holds (SCH-25)")
		return nil
	}
	prev, c, err := contact.Book(w.tx, w.visit.appointment)
	if err != nil {
		return err
	}
	if c.Stale {
		w.because("appointment: the event is older than what is known")
		return nil
	}
	a, _, err := contact.FindAppointment(w.tx, w.visit.appointment.ID)
	if err != nil {
		return err
	}
	switch {
	case w.visit.status == "STARTED":
		w.did("appointment has started")
		return w.withdraw(a, "the appointment has started")
	case c.Moved:
		w.did("appointment moved")
		return w.moveVisit(prev, a)
	case c.New:
		w.did("appointment booked")
		return w.remind(a, c.Tombstone)
	}
	w.did("appointment updated")
	return nil
}

// moveVisit withdraws what waits for the old time. The person is told of another time, and of another
// place if they had read the old one.
func (w *work) moveVisit(prev, a contact.Appointment) error {
	if err := w.withdraw(a, "the appointment moved"); err != nil {
		return err
	}
	if a.Start.Equal(prev.Start) && prev.SiteName == "" {
		return w.remind(a, true)
	}
	if err := w.tell(a, "appointment.moved", "moved@"+stamp(a.Start)); err != nil {
		return err
	}
	return w.remind(a, true)
}

// endVisit ends an appointment. Only a cancellation of one that was booked, and is still to come, is
// told.
func (w *work) endVisit() error {
	status := w.ends()
	prev, c, err := contact.CancelAppointment(w.tx, w.visit.appointment.ID, w.at, status)
	if err != nil {
		return err
	}
	if c.Stale {
		w.because("appointment: the event is older than what is known")
		return nil
	}
	w.did("appointment %s", status)
	if !c.Ended {
		return nil
	}
	if err := w.withdraw(prev, "the appointment was "+string(status)); err != nil {
		return err
	}
	discontinued := w.rule.does(EndVisit) && w.rule.Notice.Template == ""
	if status != contact.Cancelled || discontinued {
		return nil
	}
	prev.Status = status
	return w.tell(prev, "appointment.cancelled", "cancelled@"+stamp(prev.Start))
}

func (w *work) withdraw(a contact.Appointment, why string) error {
	n, err := notice.CancelGroup(w.tx, a.Key, why)
	if n > 0 {
		w.did("%d texts cancelled", n)
	}
	return err
}

// tell sends a text about an appointment now, if it is still of use.
func (w *work) tell(a contact.Appointment, template, key string) error {
	switch now := w.tx.Now(); {
	case a.Subject.IsZero() || !a.Start.After(now):
		return nil
	case w.tooOld():
		w.because("%s: the event is older than %s", template, w.rule.maxAge())
		return nil
	}
	quiet, err := w.suppressed(a.Subject)
	if err != nil || quiet {
		return err
	}
	expires := a.Start
	if latest := w.tx.Now().Add(notBefore); expires.After(latest) {
		expires = latest
	}
	got, err := w.text(notice.Request{
		Template: template, Subject: a.Subject, Slots: w.slots(a), Expires: expires,
		Group: a.Key, Key: key, Mode: w.mode,
	}, a)
	if got == taken {
		w.did("%s queued", template)
	}
	w.told = w.told || err == nil
	return w.refused(template, err)
}

// tooOld tells whether the event is too old for a text about it.
func (w *work) tooOld() bool {
	return w.rule != nil && !w.at.IsZero() && w.tx.Now().Sub(w.at) > w.rule.maxAge()
}

// suppressed tells, and explains, that nothing is sent about a person on our own.
func (w *work) suppressed(id contact.SubjectID) (bool, error) {
	if w.rule.does(Suppress) {
		w.because("the rule lets no text go")
		return true, nil
	}
	if w.vip == nil || id != w.person.id {
		s, _, err := contact.Find(w.tx, id)
		if err != nil || !s.VIP {
			return false, err
		}
	} else if !*w.vip {
		return false, nil
	}
	w.because("the patient is marked as VIP")
	return true, nil
}

// slots fill the appointment texts. Where the site has not named the place, its brand stands for it:
// a location is never printed as it was sent.
func (w *work) slots(a contact.Appointment) text.Values {
	v := text.Values{}
	v.SetSite(a.SiteName)
	if a.SiteName == "" {
		v.SetSite(w.site.Brand)
	}
	v.SetInstant("start", a.Start)
	return v
}

// remind schedules the reminders of an appointment: one at each lead that is still to come, or one at
// once when there is none and the start is not now. A reminder that went for another start does not
// stand in for this one if the appointment is known to be another (again).
func (w *work) remind(a contact.Appointment, again bool) error {
	now := w.tx.Now()
	switch {
	case a.Subject.IsZero():
		w.because("reminders: no patient")
		return nil
	case a.Start.Before(now.Add(soonest)):
		return nil
	}
	if h, m, _ := a.Start.In(w.zone).Clock(); h == 0 && m == 0 {
		// What is only a day reads as its midnight, and so do those who pad it with zeros.
		w.because("reminders: the start has no time of day")
		return nil
	}
	quiet, err := w.suppressed(a.Subject)
	if err != nil || quiet {
		return err
	}
	queued, late := 0, true
	for _, lead := range w.policy.leads() {
		at := a.Start.Add(-lead)
		if !at.After(now) {
			continue
		}
		late = false
		if at.Sub(now) > notBefore {
			w.because("reminders: the start is too far ahead")
			continue
		}
		ok, err := w.reminder(a, leadKey(lead), at, again)
		if err != nil && w.refused("reminder", err) != nil {
			return err
		}
		if consent.Refused(err) || errors.Is(err, notice.ErrNoNumber) {
			break // so would the next be
		}
		if ok {
			queued++
		}
	}
	if late && !w.told {
		ok, err := w.reminder(a, "now", now, again)
		if w.refused("reminder", err) != nil {
			return err
		}
		if ok {
			queued++
		}
	}
	if queued > 0 {
		w.did("%d reminders scheduled", queued)
	}
	return nil
}

// reminder queues one reminder, and tells whether it did.
func (w *work) reminder(a contact.Appointment, key string, at time.Time, again bool) (bool, error) {
	req := notice.Request{
		Template: "appointment.reminder", Subject: a.Subject, Slots: w.slots(a), At: at, Expires: a.Start,
		Group: a.Key, Key: key, Mode: w.mode,
	}
	got, err := w.text(req, a)
	if got == already && again {
		req.Key += "@" + stamp(a.Start)
		got, err = w.text(req, a)
	}
	return got == taken, err
}

// remindAll schedules reminders of somebody who could not be texted until now. What waits or went out
// already stays.
func (w *work) remindAll(id contact.SubjectID) error {
	list, err := contact.AppointmentsOf(w.tx, id)
	if err != nil {
		return err
	}
	soon := w.tx.Now().Add(soonest)
	for _, a := range list[max(len(list)-maxAppointments, 0):] {
		if a.Status != contact.Booked || a.Start.Before(soon) || a.ID == w.visit.appointment.ID {
			continue // the one at hand has its turn
		}
		if err := w.remind(a, false); err != nil {
			return err
		}
	}
	return nil
}

// maxAppointments bounds what one message writes: those of a person that lie furthest ahead.
const maxAppointments = 50

// leadKey is "24h", "2h", "90m".
func leadKey(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func stamp(at time.Time) string { return at.UTC().Format("20060102T1504Z") }
