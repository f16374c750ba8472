package contact

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

func merge(t testing.TB, s *store.Store, into, loser SubjectID, at time.Time) (c Change) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) (err error) {
		c, err = Merge(tx, into, loser, at)
		return err
	})
	return c
}

func TestMerge(t *testing.T) {
	s := storetest.Open(t)
	a, b := cell(t, "+16175551234"), cell(t, "+16175556789")
	yes := true
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Hour), Phones: &[]Number{a}})
	upsert(t, s, SubjectUpdate{ID: john, At: ago(time.Hour), Phones: &[]Number{b}, NoVoice: &yes, Confidential: &yes})
	storetest.Update(t, s, func(tx *store.Tx) error {
		_, _, err := Book(tx, Appointment{ID: AppointmentID{"SCHED", "7"}, Subject: john, Start: ago(-48 * time.Hour)})
		return err
	})

	c := merge(t, s, jane, john, ago(30*time.Minute))
	if c.Stale || !slices.Equal(c.Dropped, []Phone{b.Phone}) {
		t.Fatalf("merge: %+v", c)
	}
	got, ok := find(t, s, john)
	if !ok || got.ID != jane || !got.NoVoice || !got.Confidential {
		t.Fatalf("the loser leads to %+v", got)
	}
	if len(got.Phones) != 1 || got.Phones[0].Phone != a.Phone {
		t.Fatal("a number of the loser is used")
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		if ids, _ := SubjectsOf(tx, b.Phone); len(ids) != 0 {
			t.Error("the loser's number still leads to somebody")
		}
		for _, id := range []SubjectID{jane, john} {
			list, err := AppointmentsOf(tx, id)
			if err != nil || len(list) != 1 || list[0].Subject != jane {
				t.Errorf("appointments: %d, %v", len(list), err)
			}
		}
		return nil
	})
	// The same again, and an update of the retired id, change nothing.
	n := len(storetest.Entries(t, s))
	merge(t, s, jane, john, ago(30*time.Minute))
	if c := upsert(t, s, SubjectUpdate{ID: john, At: ago(time.Minute), Phones: &[]Number{b}}); !c.Stale {
		t.Error("a retired id was updated")
	}
	if m := len(storetest.Entries(t, s)); m != n {
		t.Errorf("%d entries for nothing", m-n)
	}
	// Death in any message, even about the retired id, is the survivor's.
	if c := upsert(t, s, SubjectUpdate{ID: john, At: ago(time.Second), Dead: &yes}); !c.Died || !textable(t, s, jane).IsZero() {
		t.Error("word of a death under the retired id is lost")
	}
}

func TestMergeTrail(t *testing.T) {
	s := storetest.Open(t)
	merge(t, s, jane, john, ago(10*time.Minute)) // neither is known yet
	merge(t, s, other, jane, ago(5*time.Minute))
	for _, id := range []SubjectID{jane, john, other} {
		if got, ok := find(t, s, id); !ok || got.ID != other {
			t.Fatalf("the trail ends elsewhere")
		}
	}
	n := len(storetest.Entries(t, s))
	merge(t, s, jane, john, ago(time.Minute)) // said again: john went with jane long ago
	if got, _ := find(t, s, john); got.ID != other || len(storetest.Entries(t, s)) != n {
		t.Error("a merge said again changed the trail")
	}
}

// TestMergeMakesNoRing: the hospital merges, notices that it was the wrong way round, and merges
// back. The newer merge holds, whichever comes first.
func TestMergeMakesNoRing(t *testing.T) {
	for _, newestFirst := range []bool{false, true} {
		s := storetest.Open(t)
		first := func() Change { return merge(t, s, jane, john, ago(10*time.Minute)) }
		back := func() Change { return merge(t, s, john, jane, ago(5*time.Minute)) }
		if newestFirst {
			back()
			if c := first(); !c.Stale {
				t.Error("the older merge was applied over the newer")
			}
		} else {
			first()
			back()
		}
		for _, id := range []SubjectID{jane, john} {
			if got, ok := find(t, s, id); !ok || got.ID != john {
				t.Errorf("newest first %t: %v is not the survivor", newestFirst, ok)
			}
		}
	}
	// A ring of three.
	s := storetest.Open(t)
	merge(t, s, jane, john, ago(10*time.Minute))
	merge(t, s, other, jane, ago(9*time.Minute))
	merge(t, s, john, other, ago(8*time.Minute))
	for _, id := range []SubjectID{jane, john, other} {
		if got, ok := find(t, s, id); !ok || got.ID != john {
			t.Error("a ring of three has no end")
		}
	}
}

func TestMergeWithItself(t *testing.T) {
	s := storetest.Open(t)
	err := s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error {
		_, err := Merge(tx, jane, jane, time.Time{})
		return err
	})
	if !errors.Is(err, ErrSameSubject) {
		t.Errorf("got %v", err)
	}
}
