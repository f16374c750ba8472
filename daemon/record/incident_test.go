package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// TestAReplyOpensItsIncidentOnce: also when the same entries come again; and it affects those of whom
// something went to the number since it was last proven, and nobody else.
func TestAReplyOpensItsIncidentOnce(t *testing.T) {
	b := newBox(t)
	to := a("phone", "+16175551234")
	b.add(portal,
		store.Entry{Action: "notice.send", Object: "N1", Subject: "RIV|1", Attrs: []store.Attr{to}},
		store.Entry{Action: "verification.approve", Object: "VE1", Subject: "RIV|1", Attrs: []store.Attr{to}},
		store.Entry{Action: "notice.send", Object: "N2", Subject: "RIV|2", Attrs: []store.Attr{to}},
		store.Entry{Action: "notice.send", Object: "N3", Subject: "RIV|2", Attrs: []store.Attr{to}},
		store.Entry{Action: "notice.send", Object: "N4", Outcome: store.Refused, Subject: "RIV|3", Attrs: []store.Attr{to}},
		store.Entry{Action: "notice.send", Object: "N5", Subject: "RIV|4", Attrs: []store.Attr{a("phone", "+16175551235")}},
		store.Entry{Action: actionWrongNumber, Attrs: []store.Attr{to}})
	var list []Incident
	for range 2 {
		err := b.store.Update(context.Background(), portal, func(tx *store.Tx) error {
			all, err := between(tx, 0, 100)
			if err != nil {
				return err
			}
			if err := openForReplies(tx, all); err != nil {
				return err
			}
			list, err = Incidents(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(list) != 1 || !strings.HasPrefix(list[0].ID, "IR") {
		t.Fatalf("%d incidents", len(list))
	}
	err := b.store.View(context.Background(), func(tx *store.Tx) error {
		affected, err := AffectedBy(tx, list[0])
		if len(affected) != 1 || affected[0].Subject != (contact.SubjectID{Authority: "RIV", MRN: "2"}) || affected[0].Texts != 2 {
			t.Errorf("it affects %d patients: %+v", len(affected), affected)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := b.search(Query{Action: string(ActionIncident)}).Records; len(r) != 1 || r[0].Entry.Object != list[0].ID {
		t.Errorf("%d entries of it", len(r))
	}
}

// TestClocks: which duties there are for how many patients, and their last days.
func TestClocks(t *testing.T) {
	i := Incident{Discovered: time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC)}
	for _, c := range []struct {
		patients int
		want     []string
	}{
		{1, []string{"164.404(b) 2026-04-30", "164.408(c) 2027-03-01"}},
		{499, []string{"164.404(b) 2026-04-30", "164.408(c) 2027-03-01"}},
		{500, []string{"164.404(b) 2026-04-30", "164.408(b) 2026-04-30"}},
		{501, []string{"164.404(b) 2026-04-30", "164.406(b) 2026-04-30", "164.408(b) 2026-04-30"}},
	} {
		clocks, err := Clocks(i, c.patients)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range clocks {
			got = append(got, fmt.Sprint(strings.TrimPrefix(k.Cite, "45 CFR "), " ", k.By.Format(time.DateOnly)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d patients: %v, want %v", c.patients, got, c.want)
		}
	}
}

// TestIncidentByHand: what cannot be is refused, and a closed one stays closed.
func TestIncidentByHand(t *testing.T) {
	b := newBox(t)
	err := b.store.Update(context.Background(), nurse, func(tx *store.Tx) error {
		for _, bad := range []Incident{{}, {What: strings.Repeat("x", maxWords+1)}, {What: "x", Discovered: tx.Now().Add(time.Hour)}} {
			if _, err := OpenIncident(tx, bad); !errors.Is(err, ErrIncident) {
				t.Errorf("opened: %v", err)
			}
		}
		i, err := OpenIncident(tx, Incident{What: " a list was lost ", Subjects: []contact.SubjectID{mary}})
		if err != nil {
			return err
		}
		if i.What != "a list was lost" || i.By != "mary" || i.Discovered.IsZero() {
			t.Errorf("opened as %+v", i)
		}
		if _, err := CloseIncident(tx, i.ID, " "); !errors.Is(err, ErrOutcome) {
			t.Errorf("closed without a word: %v", err)
		}
		if _, err := CloseIncident(tx, "IH1", "nothing"); !errors.Is(err, ErrNoIncident) {
			t.Errorf("closed one that is not there: %v", err)
		}
		if i, err = CloseIncident(tx, i.ID, "nothing"); err != nil || i.Closed.IsZero() || i.ClosedBy != "mary" {
			t.Errorf("closed as %+v, %v", i, err)
		}
		if _, err := CloseIncident(tx, i.ID, "again"); !errors.Is(err, ErrIncidentClosed) {
			t.Errorf("closed twice: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
