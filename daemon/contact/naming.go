package contact

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"pinward/store"
)

// An appointment may be told of by the placer's id (SCH-1) before its filler gives it one of its own (SCH-2),
// and by either alone later. It keeps the identity that it was first known by.

// appointmentName is which appointment goes by an id that is not its identity, or may not be.
type appointmentName struct {
	ID AppointmentID // zero: several do, and the name says nothing
	// Alone says that the appointment is known by this placer's id and no other yet: a filler's id that comes
	// with it is of the same one. A second one is not, for a series may share the placer's id.
	Alone bool `json:",omitempty"`
}

var (
	appointmentNames = store.NewTable[appointmentName]("contact.appointment-names", store.Blinded(0))
	// namesOf is keyed by blinded appointment, then the name's key, so that names go with their appointment.
	namesOf = store.NewTable[struct{}]("contact.appointment-names-of", store.Blinded(0, 16))
)

// The kinds of ids that name an appointment; one number may be of both, for two appointments.
const (
	placerID = "placer"
	fillerID = "filler"
)

func (id AppointmentID) nameKey(tx *store.Tx, kind string) []byte {
	return tx.Blind("contact.appointment-name", kind+":"+strconv.Itoa(len(id.Authority))+":"+id.Authority+"|"+id.Number)
}

// NameAppointment gives the identity of the appointment that an event names by its placer's id, its filler's,
// or both; the other one is zero. With learn it remembers the names: the caller goes on to book the appointment
// or to end it, which is the entry.
func NameAppointment(tx *store.Tx, placer, filler AppointmentID, learn bool) (AppointmentID, error) {
	byPlacer, named, err := nameOf(tx, placer, placerID)
	if err != nil {
		return AppointmentID{}, err
	}
	keep := func(id AppointmentID, kind string, n appointmentName) error {
		if !learn || id.IsZero() {
			return nil
		}
		return keepName(tx, id.nameKey(tx, kind), n)
	}
	if filler.IsZero() {
		switch {
		case !named:
			return placer, keep(placer, placerID, appointmentName{placer, true})
		case byPlacer.ID.IsZero():
			return placer, nil
		}
		return byPlacer.ID, nil
	}
	if n, known, err := nameOf(tx, filler, fillerID); err != nil || known {
		return n.ID, err
	}
	_, known, err := FindAppointment(tx, filler)
	switch {
	case err != nil:
		return AppointmentID{}, err
	case !named:
		return filler, keep(placer, placerID, appointmentName{ID: filler})
	case byPlacer.Alone && (!known || byPlacer.ID == filler):
		if err := keep(placer, placerID, appointmentName{ID: byPlacer.ID}); err != nil || byPlacer.ID == filler {
			return filler, err
		}
		return byPlacer.ID, keep(filler, fillerID, appointmentName{ID: byPlacer.ID})
	case byPlacer.Alone, byPlacer.ID == filler, byPlacer.ID.IsZero():
		return filler, nil
	}
	old, _, err := FindAppointment(tx, byPlacer.ID)
	switch {
	case err != nil:
		return AppointmentID{}, err
	case old.Status != Booked: // what is booked under the placer's id from now on is this one
		return filler, keep(placer, placerID, appointmentName{ID: filler})
	case byPlacer.ID != placer:
		return filler, keep(placer, placerID, appointmentName{})
	}
	return filler, nil
}

func nameOf(tx *store.Tx, id AppointmentID, kind string) (n appointmentName, known bool, err error) {
	if id.IsZero() {
		return n, false, nil
	}
	if n, known, err = appointmentNames.Get(tx, id.nameKey(tx, kind)); err != nil {
		return n, false, fmt.Errorf("find appointment by name: %w", err)
	}
	return n, known, nil
}

// keepName writes a name, and that it is to go with its appointment. One of several goes with the first.
func keepName(tx *store.Tx, key []byte, n appointmentName) error {
	if err := appointmentNames.Put(tx, key, n); err != nil {
		return fmt.Errorf("keep name of appointment: %w", err)
	}
	if n.ID.IsZero() {
		return nil
	}
	if err := namesOf.Put(tx, append(slices.Clip(n.ID.blind(tx)), key...), struct{}{}); err != nil {
		return fmt.Errorf("keep name of appointment: %w", err)
	}
	return nil
}

// forgetNames deletes the names of an appointment that is deleted, but for those that another one has by now.
func forgetNames(tx *store.Tx, appointment []byte) error {
	return namesOf.Each(tx, store.Range{Prefix: appointment}, func(key []byte, _ struct{}) error {
		name := key[len(appointment):]
		n, known, err := appointmentNames.Get(tx, name)
		if err == nil && known && (n.ID.IsZero() || bytes.Equal(n.ID.blind(tx), appointment)) {
			err = appointmentNames.Delete(tx, name)
		}
		if err != nil {
			return fmt.Errorf("delete name of appointment: %w", err)
		}
		return namesOf.Delete(tx, key)
	})
}
