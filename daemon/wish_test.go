package daemon

import (
	"slices"
	"testing"

	"pinward/daemon/contact"
	"pinward/daemon/intake"
	"pinward/store"
)

// A patient's STOP, and a START behind it, is told to the peer that asks; the same word again is not. What
// is not quite a STOP stops texts, and is told as well.
func TestFlowWishGoesBack(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			phone, err := contact.ParsePhone(patient, contact.Plan{})
			if err != nil {
				return err
			}
			u := contact.SubjectUpdate{ID: contact.SubjectID{Authority: "T", MRN: "1"}, Source: contact.FeedSource("engine"), Phones: &[]contact.Number{{Phone: phone}}}
			if _, err := contact.Upsert(tx, u); err != nil {
				return err
			}
			return intake.SetPolicy(tx, intake.Policy{Peers: map[string]intake.PeerPolicy{"engine": {Back: []string{"optout"}}}})
		}))
		in := inbox{store: f.store, log: f.log, own: f.own}
		for i, body := range []string{"HELP", "STOP", "STOP", "START", "START", "please stop texting"} {
			f.must(in.text(t.Context(), "sim", modemText(patient, body, uint16(i), 1, 1)))
		}
		var got []string
		f.must(f.store.View(t.Context(), func(tx *store.Tx) error {
			return tx.Entries(0, func(r store.Record) error {
				for _, a := range r.Entry.Attrs {
					if r.Entry.Action == intake.ActionWish && a.Key == "wish" {
						got = append(got, a.Value)
					}
				}
				return nil
			})
		}))
		if !slices.Equal(got, []string{"OUT", "IN", "OUT"}) {
			t.Errorf("told are %q", got)
		}
	})
}
