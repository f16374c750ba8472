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

// Templates of the texts about an appointment; with perDay, about all of a patient's on one day.
const (
	reminderText  = "appointment.reminder"
	movedText     = "appointment.moved"
	cancelledText = "appointment.cancelled"
	perDay        = ".day"
)

// bookVisit keeps an appointment and makes its reminders agree with it.
func (w *work) bookVisit() error {
	if w.ends() != "" {
		return w.endVisit()
	}
	if w.visit.timeless() {
		w.because("the appointment has no time that holds (SCH-25)")
		return w.unbook()
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
	another := !c.New && !prev.Subject.IsZero() && prev.Subject != a.Subject
	switch {
	case w.visit.status == "STARTED":
		w.did("appointment has started")
		if err := w.withdraw(a, "the appointment has started"); err != nil {
			return err
		}
		return w.joinLink(a, true)
	case another:
		w.did("appointment given to another patient")
		err = w.giveVisit(prev, a)
	case c.Moved:
		w.did("appointment moved")
		err = w.moveVisit(prev, a)
	case c.New:
		w.did("appointment booked")
		err = w.remind(a, c.Tombstone)
	case prev.Video && !a.Video:
		w.did("appointment updated")
		_, err = notice.CancelKey(w.tx, a.Key, "join@"+stamp(a.Start), "the visit is not by video any more")
	default:
		w.did("appointment updated")
	}
	if err != nil {
		return err
	}
	return w.joinLink(a, false)
}

// unbook takes back an appointment that was booked and waits for a time again: what waits tells of one that does not hold.
func (w *work) unbook() error {
	prev, known, err := contact.FindAppointment(w.tx, w.visit.appointment.ID)
	if err != nil || !known || prev.Status != contact.Booked {
		return err
	}
	_, c, err := contact.CancelAppointment(w.tx, prev.ID, w.at, contact.Waitlisted)
	if err != nil {
		return err
	}
	if c.Stale {
		w.because("appointment: the event is older than what is known")
		return nil
	}
	if err := w.withdraw(prev, "the appointment has no time that holds"); err != nil {
		return err
	}
	return w.remindRest(prev)
}

// giveVisit withdraws what waits for the patient who had the appointment, and reminds the one who has it.
func (w *work) giveVisit(prev, a contact.Appointment) error {
	if err := w.withdraw(prev, "the appointment is another patient's"); err != nil {
		return err
	}
	if err := w.remindRest(prev); err != nil {
		return err
	}
	return w.remind(a, true)
}

// moveVisit withdraws what waits for the old time. The person is told of another time, and of another
// place if they had read the old one.
func (w *work) moveVisit(prev, a contact.Appointment) error {
	if err := w.withdraw(a, "the appointment moved"); err != nil {
		return err
	}
	if !w.day(prev.Start).same(a.Start) {
		if err := w.remindRest(prev); err != nil {
			return err
		}
	}
	if a.Start.Equal(prev.Start) && prev.SiteName == "" {
		return w.remind(a, true)
	}
	if err := w.tell(a, movedText, "moved@"+stamp(a.Start)); err != nil {
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
	if err := w.remindRest(prev); err != nil {
		return err
	}
	discontinued := w.rule.does(EndVisit) && w.rule.Notice.Template == ""
	if status != contact.Cancelled || discontinued {
		return nil
	}
	prev.Status = status
	return w.tell(prev, cancelledText, "cancelled@"+stamp(prev.Start))
}

func (w *work) withdraw(a contact.Appointment, why string) error {
	n, err := notice.CancelGroup(w.tx, a.Key, why)
	if n > 0 {
		w.did("%d texts cancelled", n)
	}
	return err
}

// tell sends a text about an appointment, if it is still of use. It waits a moment for others of the
// same day, which it then tells of as well.
func (w *work) tell(a contact.Appointment, template, key string) error {
	now := w.tx.Now()
	switch {
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
	first, template, err := gather(w.tx, w.site.Location(), a, template)
	if err != nil {
		return err
	}
	expires := a.Start
	if latest := now.Add(notBefore); expires.After(latest) {
		expires = latest
	}
	got, err := w.text(notice.Request{
		Template: template, Subject: a.Subject, Slots: w.slots(first), At: now.Add(w.policy.gather()), Expires: expires,
		Group: a.Key, Key: key, Mode: w.mode, Order: w.order(appointmentPlacer(a), a.Subject),
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
func (w *work) slots(a contact.Appointment) text.Values { return slotsOf(w.site, a) }

func slotsOf(site contact.Site, a contact.Appointment) text.Values {
	v := text.Values{}
	v.SetSite(a.SiteName)
	if a.SiteName == "" {
		v.SetSite(site.Brand)
	}
	v.SetInstant("start", a.Start)
	return v
}

// remind schedules the reminders of an appointment, together with those of the patient's others of the
// day. A reminder that went for another start does not stand in for this one if the appointment is known
// to be another (again).
func (w *work) remind(a contact.Appointment, again bool) error {
	now := w.tx.Now()
	switch {
	case a.Subject.IsZero():
		w.because("reminders: no patient")
		return nil
	case a.Start.Before(now.Add(soonest)):
		return nil
	case w.dayOnly(a):
		w.because("reminders: the start has no time of day")
		return nil
	}
	quiet, err := w.suppressed(a.Subject)
	if err != nil || quiet {
		return err
	}
	return w.remindDay(a, again)
}

// dayOnly tells whether only the day of a start is known: that reads as its midnight, and so do those who
// pad it with zeros. A sender whose clock is another's has its midnight in the middle of our day: that is a time.
func (w *work) dayOnly(a contact.Appointment) bool {
	const opens, closes = 6, 22
	midnight := func(zone *time.Location) bool {
		h, m, _ := a.Start.In(zone).Clock()
		return h == 0 && m == 0
	}
	here := a.Start.In(w.site.Location()).Hour()
	return midnight(w.site.Location()) || midnight(w.zone) && (here < opens || here >= closes)
}

// schedule queues the reminders that hang on an appointment: one at each lead that is still to come, or
// one at once when there is none and the start is not now.
func (w *work) schedule(a contact.Appointment, template string, again bool) error {
	now := w.tx.Now()
	queued, late := 0, true
	leads := w.policy.leads()
	for i, lead := range leads {
		// Each is of use until the next one goes: what was held for a day, or found no modem, is not told twice in one minute.
		at, until := a.Start.Add(-lead), a.Start
		if i+1 < len(leads) {
			until = a.Start.Add(-leads[i+1])
		}
		if !at.After(now) {
			continue
		}
		late = false
		if at.Sub(now) > notBefore {
			w.because("reminders: the start is too far ahead")
			continue
		}
		ok, err := w.reminder(a, template, leadKey(lead), at, until, again)
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
	if late && !(w.told && a.ID == w.visit.appointment.ID) {
		ok, err := w.reminder(a, template, atOnceKey, now.Add(w.policy.gather()), a.Start, again)
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
func (w *work) reminder(a contact.Appointment, template, key string, at, until time.Time, again bool) (bool, error) {
	req := notice.Request{
		Template: template, Subject: a.Subject, Slots: w.slots(a), At: at, Expires: until,
		Group: a.Key, Key: key, Mode: w.mode, Order: w.order(appointmentPlacer(a), a.Subject),
	}
	got, err := w.text(req, a)
	if got == already && again {
		req.Key = restarted(key, a)
		got, err = w.text(req, a)
	}
	return got == taken, err
}

// atOnceKey is the key of a reminder for which no lead is left.
const atOnceKey = "now"

// restarted is the key of a reminder whose first one went for another start.
func restarted(key string, a contact.Appointment) string { return key + "@" + stamp(a.Start) }

// remindAll schedules reminders of somebody who could not be texted until now. What waits or went out
// already stays; again brings back what was withdrawn.
func (w *work) remindAll(id contact.SubjectID, again bool) error {
	list, err := contact.AppointmentsOf(w.tx, id)
	if err != nil {
		return err
	}
	soon := w.tx.Now().Add(soonest)
	var done span
	for _, a := range list[max(len(list)-maxAppointments, 0):] {
		if a.Status != contact.Booked || a.Start.Before(soon) || a.ID == w.visit.appointment.ID {
			continue // the one at hand has its turn
		}
		if err := w.joinLink(a, false); err != nil {
			return err
		}
		if done.same(a.Start) {
			continue
		}
		if err := w.remind(a, again); err != nil {
			return err
		}
		done = w.day(a.Start)
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
