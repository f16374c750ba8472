package intake

import (
	"errors"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/store"
)

// waits tells whether a text about an appointment is queued and did not go yet.
func waits(tx *store.Tx, a contact.Appointment, key string) (bool, error) {
	n, err := notice.FindKey(tx, a.Key, key)
	if errors.Is(err, notice.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return notice.Waiting(tx, n)
}

// gather makes one text of what is about to be told of a, and what waits to be told of others of its day.
// It gives the appointment to print, and the template. Where some of the day stand while others are
// cancelled, each is told by its time.
func gather(tx *store.Tx, zone *time.Location, a contact.Appointment, template string) (contact.Appointment, string, error) {
	others, err := sameDay(tx, zone, a)
	if err != nil {
		return a, template, err
	}
	first, key := a, strings.TrimPrefix(template, "appointment.")
	var told []contact.Appointment
	for _, o := range others {
		booked := o.Status == contact.Booked
		if booked && o.Start.After(tx.Now()) && template == cancelledText {
			return a, template, nil
		}
		if booked != (template == movedText) {
			continue
		}
		if waits, err := waits(tx, o, key+"@"+stamp(o.Start)); err != nil {
			return a, template, err
		} else if waits {
			told = append(told, o)
			if o.Start.Before(first.Start) {
				first = o
			}
		}
	}
	if len(told) == 0 {
		return a, template, nil
	}
	for _, o := range others {
		if o.Status == contact.Booked && template == movedText && o.Start.After(tx.Now()) && o.Start.Before(first.Start) {
			first = o
		}
	}
	for _, o := range told {
		if _, err := notice.CancelKey(tx, o.Key, key+"@"+stamp(o.Start), oneText); err != nil {
			return a, template, err
		}
	}
	return first, template + perDay, nil
}

// sole makes a reminder that was held agree with what the patient has on that day by now: it is false
// where another appointment's reminder tells of this one.
func (h *held) sole(tx *store.Tx) (bool, error) {
	if strings.TrimSuffix(h.Text.Template, perDay) != reminderText {
		return true, nil
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return false, err
	}
	d := dayOf(h.Visit.Start, site.Location())
	list, err := contact.AppointmentsBetween(tx, h.Visit.Subject, d.from, d.to)
	if err != nil {
		return false, err
	}
	n := 0
	for _, o := range list {
		if o.Status != contact.Booked || !o.Start.After(tx.Now()) {
			continue
		}
		if n++; n == 1 && o.ID != h.Visit.ID {
			return false, nil
		}
	}
	if h.Text.Template = reminderText; n > 1 {
		h.Text.Template += perDay
	}
	return true, nil
}

// gather makes word of a change that was held one text with what waits to be told of others of its day. It
// waits a moment for those that are released behind it.
func (h *held) gather(tx *store.Tx) error {
	base := strings.TrimSuffix(h.Text.Template, perDay)
	if h.Visit.ID.IsZero() || base != movedText && base != cancelledText {
		return nil
	}
	_, err := notice.FindKey(tx, h.Text.Group, h.Text.Key)
	if !errors.Is(err, notice.ErrNotFound) {
		return err // told already: what waits stays
	}
	site, err := contact.SiteOf(tx)
	if err != nil {
		return err
	}
	p, err := PolicyOf(tx)
	if err != nil {
		return err
	}
	if at := tx.Now().Add(p.gather()); h.Text.At.Before(at) {
		h.Text.At = at
	}
	first, template, err := gather(tx, site.Location(), h.Visit, base)
	if err != nil || template == base {
		return err // it may be one of a day by what waited when it was held
	}
	told, err := time.Parse(time.RFC3339, h.Text.Slots["start"])
	if h.Text.Template == base || err != nil || first.Start.Before(told) {
		h.Text.Slots = slotsOf(site, first)
	}
	h.Text.Template = template
	return nil
}
