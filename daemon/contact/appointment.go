package contact

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pinward/store"
)

// AppointmentID is an appointment's identity: the filler's SCH-2, else the placer's SCH-1, with its
// namespace.
type AppointmentID struct {
	Authority, Number string
}

// IsZero reports whether id names no appointment.
func (id AppointmentID) IsZero() bool { return id == AppointmentID{} }

func (id AppointmentID) usable() bool {
	return !id.IsZero() && len(id.Authority) <= maxID && len(id.Number) <= maxID
}

func (id AppointmentID) blind(tx *store.Tx) []byte {
	return tx.Blind("contact.appointment", strconv.Itoa(len(id.Authority))+":"+id.Authority+"|"+id.Number)
}

// AppointmentStatus is where an appointment stands, in the words of FHIR R4 where it has them.
type AppointmentStatus string

// States of an appointment. All but Booked are the end of it, and a tombstone for older events.
const (
	Booked    AppointmentStatus = "booked"
	Cancelled AppointmentStatus = "cancelled" // S15, S16
	NoShow    AppointmentStatus = "noshow"    // S26
	Completed AppointmentStatus = "completed"
	Deleted   AppointmentStatus = "deleted" // S17: booked by mistake, nobody is told
	// Waitlisted was booked and waits for a time again: whoever knows of the old one is told what becomes of it.
	Waitlisted AppointmentStatus = "waitlist"
)

// Appointment is what a reminder needs of one, and no more: no reason, no provider.
type Appointment struct {
	ID       AppointmentID
	Subject  SubjectID
	Start    time.Time
	Minutes  int
	SiteName string // from the site map, never the HL7 location itself
	Status   AppointmentStatus
	Video    bool `json:",omitempty"` // the patient joins it by a link

	AsOf    time.Time // the event that this comes from
	Version int       // counts what was applied; Book and CancelAppointment own it

	// Key is what notices about this appointment are filed under; this room makes it. It gives nothing
	// away and stays the same when the appointment moves.
	Key string
}

// AppointmentChange says what an event did to an appointment.
type AppointmentChange struct {
	New       bool // not known before, or booked anew after it had ended
	Moved     bool // another start or place, while it was booked or waited for a time again
	Ended     bool // was booked, or waited for a time again, until now
	Stale     bool // older than what is known: not applied
	Tombstone bool // the id had ended before; with Stale that is why the booking was not applied
}

// Actions of this room about appointments.
const (
	ActionBook   store.Action = "appointment.book"
	ActionMove   store.Action = "appointment.move"
	ActionUpdate store.Action = "appointment.update"
	ActionEnd    store.Action = "appointment.end"
)

// ErrNoAppointment says that a booking or a cancellation names no appointment, or by more than 256
// bytes, or that a booking has no start.
var ErrNoAppointment = errors.New("no appointment named")

var (
	appointments = store.NewTable[Appointment]("contact.appointments", store.Blinded(0), store.DecodedOnce(), store.Schema(1), store.Packed(appointmentFields))
	// bySubject is keyed by blinded subject, then start, then blinded appointment.
	bySubject = store.NewTable[AppointmentID]("contact.appointments-by-subject", store.Blinded(0, 24), store.Schema(1), store.Packed(appointmentIDFields))
)

// Book keeps an appointment; on a known id it replaces what was known (S12 on a known id is a full
// replacement, S13 and S14 are too). It returns what was known before. After a cancellation an older
// booking is Stale, a newer one books anew.
func Book(tx *store.Tx, a Appointment) (prev Appointment, c AppointmentChange, err error) {
	if !a.ID.usable() || a.Start.IsZero() {
		return Appointment{}, c, fmt.Errorf("book appointment: %w", ErrNoAppointment)
	}
	at := eventTime(tx, a.AsOf)
	prev, found, err := FindAppointment(tx, a.ID)
	if err != nil {
		return Appointment{}, c, err
	}
	c.Tombstone = found && prev.Status != Booked
	if found && at.Before(prev.AsOf) {
		c.Stale = true
		return prev, c, nil
	}
	if !a.Subject.IsZero() {
		s, _, err := survivor(tx, a.Subject)
		if err != nil {
			return Appointment{}, c, err
		}
		a.Subject = s.ID
	} else {
		a.Subject = prev.Subject
	}
	a.Status, a.AsOf, a.Version = Booked, at, prev.Version+1
	a.Start = a.Start.UTC()
	action := ActionUpdate
	switch changed := !a.Start.Equal(prev.Start) || a.SiteName != prev.SiteName; {
	case !found || c.Tombstone && (!changed || prev.Status != Waitlisted):
		c.New, action = true, ActionBook
	case changed:
		c.Moved, action = true, ActionMove
	}
	if err := keepAppointment(tx, prev, &a); err != nil {
		return Appointment{}, c, err
	}
	return prev, c, recordAppointment(tx, action, a)
}

// CancelAppointment ends an appointment with a status other than Booked and returns what was known
// before. An id never heard of leaves a tombstone: its booking may be on the way still.
func CancelAppointment(tx *store.Tx, id AppointmentID, at time.Time, status AppointmentStatus) (prev Appointment, c AppointmentChange, err error) {
	if !id.usable() || status == Booked {
		return Appointment{}, c, fmt.Errorf("cancel appointment: %w", ErrNoAppointment)
	}
	at = eventTime(tx, at)
	prev, found, err := FindAppointment(tx, id)
	if err != nil {
		return Appointment{}, c, err
	}
	c.Tombstone = found && prev.Status != Booked
	if found && at.Before(prev.AsOf) {
		c.Stale = true
		return prev, c, nil
	}
	c.Ended = found && (prev.Status == Booked || prev.Status == Waitlisted && status != Waitlisted)
	a := prev
	a.ID, a.Status, a.AsOf, a.Version = id, status, at, prev.Version+1
	if err := keepAppointment(tx, prev, &a); err != nil {
		return Appointment{}, c, err
	}
	return prev, c, recordAppointment(tx, ActionEnd, a)
}

// FindAppointment returns an appointment, ended ones as well.
func FindAppointment(tx *store.Tx, id AppointmentID) (Appointment, bool, error) {
	a, ok, err := appointments.Get(tx, id.blind(tx))
	if err != nil {
		return Appointment{}, false, fmt.Errorf("find appointment: %w", err)
	}
	return a, ok, nil
}

// AppointmentsOf lists a subject's appointments by start, ended ones as well.
func AppointmentsOf(tx *store.Tx, id SubjectID) ([]Appointment, error) {
	s, _, err := survivor(tx, id)
	if err != nil {
		return nil, err
	}
	ids, err := appointmentIDs(tx, s.ID)
	if err != nil {
		return nil, err
	}
	var list []Appointment
	for _, id := range ids {
		a, ok, err := FindAppointment(tx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// AppointmentsBetween lists a subject's appointments that start in [from, to), by start, ended ones as
// well.
func AppointmentsBetween(tx *store.Tx, id SubjectID, from, to time.Time) ([]Appointment, error) {
	s, _, err := survivor(tx, id)
	if err != nil {
		return nil, err
	}
	prefix := s.ID.blind(tx)
	begin, end := startKey(prefix, from), startKey(prefix, to)
	var ids []AppointmentID
	err = bySubject.Each(tx, store.Range{Prefix: prefix, From: begin}, func(key []byte, id AppointmentID) error {
		if bytes.Compare(key, end) >= 0 {
			return store.Stop
		}
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list appointments: %w", err)
	}
	var list []Appointment
	for _, id := range ids {
		a, ok, err := FindAppointment(tx, id)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// startKey is where a subject's appointments of a start begin; seconds before 1970 sort before those after.
func startKey(subject []byte, start time.Time) []byte {
	return binary.BigEndian.AppendUint64(slices.Clip(subject), uint64(start.Unix())^1<<63)
}

func (a Appointment) bySubject(tx *store.Tx, key []byte) []byte {
	return append(startKey(a.Subject.blind(tx), a.Start), key...)
}

func appointmentIDs(tx *store.Tx, subject SubjectID) ([]AppointmentID, error) {
	var ids []AppointmentID
	err := bySubject.Each(tx, store.Range{Prefix: subject.blind(tx)}, func(_ []byte, id AppointmentID) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list appointments: %w", err)
	}
	return ids, nil
}

// keepAppointment writes a and its place under its subject, and gives it its key.
func keepAppointment(tx *store.Tx, prev Appointment, a *Appointment) error {
	key := a.ID.blind(tx)
	a.Key = "appointment/" + hex.EncodeToString(key)
	if err := appointments.Put(tx, key, *a); err != nil {
		return fmt.Errorf("keep appointment: %w", err)
	}
	if prev.Subject == a.Subject && prev.Start.Equal(a.Start) {
		return nil
	}
	if !prev.Subject.IsZero() {
		if err := bySubject.Delete(tx, prev.bySubject(tx, key)); err != nil {
			return fmt.Errorf("unlink appointment: %w", err)
		}
	}
	if a.Subject.IsZero() {
		return nil
	}
	if err := bySubject.Put(tx, a.bySubject(tx, key), a.ID); err != nil {
		return fmt.Errorf("link appointment: %w", err)
	}
	return nil
}

// moveAppointments gives a merged subject's appointments to the survivor. The merge is the entry.
func moveAppointments(tx *store.Tx, from, to SubjectID) error {
	ids, err := appointmentIDs(tx, from)
	if err != nil {
		return err
	}
	for _, id := range ids {
		prev, ok, err := FindAppointment(tx, id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		a := prev
		a.Subject = to
		if err := keepAppointment(tx, prev, &a); err != nil {
			return err
		}
	}
	return nil
}

func recordAppointment(tx *store.Tx, action store.Action, a Appointment) error {
	return record(tx, store.Entry{Action: action, Object: a.Key, Subject: a.Subject.Key(), Attrs: []store.Attr{
		{Key: "appointment", Value: a.ID.Authority + "|" + a.ID.Number},
		{Key: "start", Value: a.Start.UTC().Format(time.RFC3339)},
		{Key: "status", Value: string(a.Status)},
		{Key: "version", Value: strconv.Itoa(a.Version)},
	}})
}
