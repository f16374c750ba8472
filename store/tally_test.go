package store_test

import (
	"errors"
	"testing"

	"pinward/store"
	"pinward/store/storetest"
)

// TestTallyCountsWhatIsDurable: an entry is counted when it is on the disk, and one that was rolled back never.
func TestTallyCountsWhatIsDurable(t *testing.T) {
	s := storetest.Open(t)
	kind := store.Tallied{Action: "test.tally", Outcome: store.Refused}
	entry := store.Entry{Action: kind.Action, Outcome: kind.Outcome}
	for range 3 {
		storetest.Update(t, s, func(tx *store.Tx) error { return tx.Record(entry) })
	}
	stop := errors.New("stop")
	err := s.Update(t.Context(), store.Actor{Kind: "test", ID: "t"}, func(tx *store.Tx) error {
		return errors.Join(tx.Record(entry), stop)
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if got := s.Tally()[kind]; got != 3 {
		t.Errorf("%d are counted, want 3", got)
	}
}
