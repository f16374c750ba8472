package contact

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

var visit = AppointmentID{"SCHED", "4711"}

func book(t testing.TB, s *store.Store, a Appointment) (prev Appointment, c AppointmentChange) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) (err error) {
		prev, c, err = Book(tx, a)
		return err
	})
	return prev, c
}

func cancel(t testing.TB, s *store.Store, at time.Time, status AppointmentStatus) (c AppointmentChange) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) (err error) {
		_, c, err = CancelAppointment(tx, visit, at, status)
		return err
	})
	return c
}

func TestBookMoveCancel(t *testing.T) {
	s := storetest.Open(t)
	start := ago(-48 * time.Hour).Truncate(time.Minute)
	a := Appointment{ID: visit, Subject: jane, Start: start, Minutes: 20, SiteName: "Main St", AsOf: ago(10 * time.Minute)}
	if _, c := book(t, s, a); c != (AppointmentChange{New: true}) {
		t.Fatalf("booked: %+v", c)
	}
	a.AsOf = ago(9 * time.Minute)
	if _, c := book(t, s, a); c != (AppointmentChange{}) {
		t.Fatalf("said again: %+v", c)
	}
	a.AsOf, a.Start = ago(8*time.Minute), start.Add(time.Hour)
	prev, c := book(t, s, a)
	if c != (AppointmentChange{Moved: true}) || !prev.Start.Equal(start) || prev.Version != 2 {
		t.Fatalf("moved: %+v from version %d", c, prev.Version)
	}
	a.AsOf, a.SiteName = ago(7*time.Minute), "River St"
	if _, c := book(t, s, a); c != (AppointmentChange{Moved: true}) {
		t.Fatalf("moved to another site: %+v", c)
	}
	old := a
	old.AsOf, old.Start = ago(time.Hour), start
	if prev, c := book(t, s, old); c != (AppointmentChange{Stale: true}) || !prev.Start.Equal(a.Start) {
		t.Fatalf("an older booking: %+v", c)
	}
	if c := cancel(t, s, ago(5*time.Minute), Cancelled); c != (AppointmentChange{Ended: true}) {
		t.Fatalf("cancelled: %+v", c)
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		list, err := AppointmentsOf(tx, jane)
		if err != nil || len(list) != 1 || list[0].Status != Cancelled || list[0].Version != 5 {
			t.Fatalf("%d appointments, %v", len(list), err)
		}
		if strings.Contains(list[0].Key, visit.Number) || !strings.HasPrefix(list[0].Key, "appointment/") {
			t.Error("the key gives the appointment away")
		}
		return nil
	})
	var actions []store.Action
	for _, e := range storetest.Entries(t, s) {
		actions = append(actions, e.Action)
		if e.Subject != jane.Key() {
			t.Errorf("%s is about nobody", e.Action)
		}
	}
	want := []store.Action{ActionBook, ActionUpdate, ActionMove, ActionMove, ActionEnd}
	if len(actions) != len(want) {
		t.Fatalf("entries %v, want %v", actions, want)
	}
	for i := range want {
		if actions[i] != want[i] {
			t.Fatalf("entries %v, want %v", actions, want)
		}
	}
}

// TestCancelledIDLeavesATombstone: feeds deliver a cancellation before the booking that it cancels.
func TestCancelledIDLeavesATombstone(t *testing.T) {
	s := storetest.Open(t)
	if c := cancel(t, s, ago(5*time.Minute), Cancelled); c != (AppointmentChange{}) {
		t.Fatalf("cancelled unseen: %+v", c)
	}
	a := Appointment{ID: visit, Subject: jane, Start: ago(-48 * time.Hour), AsOf: ago(10 * time.Minute)}
	if _, c := book(t, s, a); c != (AppointmentChange{Stale: true, Tombstone: true}) {
		t.Fatalf("an older booking after it: %+v", c)
	}
	a.AsOf = ago(time.Minute)
	if _, c := book(t, s, a); c != (AppointmentChange{New: true, Tombstone: true}) {
		t.Fatalf("a newer booking after it: %+v", c)
	}
	if c := cancel(t, s, ago(3*time.Minute), Deleted); c != (AppointmentChange{Stale: true}) {
		t.Fatalf("an older cancellation: %+v", c)
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		a, ok, err := FindAppointment(tx, visit)
		if !ok || a.Status != Booked || a.Subject != jane {
			t.Errorf("status %s", a.Status)
		}
		return err
	})
}

func TestAppointmentWithoutIdentity(t *testing.T) {
	s := storetest.Open(t)
	for name, fn := range map[string]func(*store.Tx) error{
		"no id":     func(tx *store.Tx) error { _, _, err := Book(tx, Appointment{Start: ago(0)}); return err },
		"no start":  func(tx *store.Tx) error { _, _, err := Book(tx, Appointment{ID: visit}); return err },
		"no ending": func(tx *store.Tx) error { _, _, err := CancelAppointment(tx, visit, ago(0), Booked); return err },
		"cancel nothing": func(tx *store.Tx) error {
			_, _, err := CancelAppointment(tx, AppointmentID{}, ago(0), Cancelled)
			return err
		},
	} {
		if err := s.Update(t.Context(), storetest.Tester, fn); !errors.Is(err, ErrNoAppointment) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
