package contact

import (
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

// TestNamesGoWithTheirAppointment: when an appointment is deleted, nothing tells any more what it was called.
func TestNamesGoWithTheirAppointment(t *testing.T) {
	s := storetest.Open(t)
	placer, filler := AppointmentID{"EPIC", "P9"}, AppointmentID{"CAD", "F9"}
	for _, by := range [][2]AppointmentID{{placer, {}}, {placer, filler}, {{}, filler}} {
		storetest.Update(t, s, func(tx *store.Tx) error {
			id, err := NameAppointment(tx, by[0], by[1], true)
			if err != nil || id != placer {
				t.Errorf("it is %v, %v", id == filler, err)
			}
			_, _, err = Book(tx, Appointment{ID: id, Subject: jane, Start: ago(48 * time.Hour), AsOf: ago(49 * time.Hour)})
			return err
		})
	}
	names := func() (n int) {
		storetest.View(t, s, func(tx *store.Tx) error {
			if err := appointmentNames.Each(tx, store.Range{}, func([]byte, appointmentName) error { n++; return nil }); err != nil {
				return err
			}
			return namesOf.Each(tx, store.Range{}, func([]byte, struct{}) error { n++; return nil })
		})
		return n
	}
	if n := names(); n != 4 {
		t.Errorf("%d names", n)
	}
	age := store.Age{Before: ago(time.Hour)}
	storetest.Update(t, s, func(tx *store.Tx) error {
		keys, _, err := OldAppointments(tx, nil, 100, 100, age)
		if err != nil {
			return err
		}
		n, err := ForgetAppointments(tx, keys, age)
		if n != 1 {
			t.Errorf("%d appointments deleted", n)
		}
		return err
	})
	if n := names(); n != 0 {
		t.Errorf("%d names are left", n)
	}
}
