package store

import (
	"context"
	"slices"
	"testing"
	"time"
)

// TestClockSteps: a clock that was set is an entry, and what is recorded before it has caught up says
// that its time is not to be trusted.
func TestClockSteps(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	w := newClockWatch(time.Now())
	s.noteClock(context.Background(), &w)
	w.wall = w.wall.Add(time.Hour) // as if it had been an hour later a moment ago
	s.noteClock(context.Background(), &w)
	s.mu.Lock()
	s.batch.state.last = time.Now().Add(time.Hour).UTC()
	s.mu.Unlock()
	mustSave(t, s, 1, "x")
	var got []string
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(4, func(r Record) error {
			for _, a := range r.Entry.Attrs {
				got = append(got, string(r.Entry.Action)+" "+a.Key+"="+a.Value)
			}
			return nil
		})
	})
	if want := []string{"clock.stepped by=-1h0m0s", "test.saved clock=untrusted"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("entries %v, want %v; %v", got, want, err)
	}
}
