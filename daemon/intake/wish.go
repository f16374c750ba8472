package intake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/store"
)

// ActionWish is the entry of a patient's STOP or START for one peer that is to be told: it goes back from
// the log, as what becomes of a request does.
const ActionWish store.Action = "hl7.wish"

// maxTold bounds the entries of one text: a number that more patients have is a ward's, and nobody's own.
const maxTold = 50

// TellWish has the peers told that ask for it, and that told us of somebody with this number: one message
// for each patient, since a phone may be several persons'. The choice itself has its own entry.
func TellWish(tx *store.Tx, from contact.Phone, wish hl7.Wish) error {
	p, err := PolicyOf(tx)
	if err != nil {
		return err
	}
	var asking []string
	for _, name := range slices.Sorted(maps.Keys(p.Peers)) {
		if slices.Contains(p.Peers[name].Back, hl7.ClassOptOut) {
			asking = append(asking, name)
		}
	}
	if len(asking) == 0 {
		return nil
	}
	ids, err := contact.SubjectsOf(tx, from)
	if err != nil {
		return err
	}
	n := 0
	for _, id := range ids {
		s, known, err := contact.Find(tx, id)
		if err != nil {
			return err
		}
		if !known || s.Dead != nil || strings.HasSuffix(s.ID.Authority, apart) {
			continue
		}
		for _, name := range asking {
			if !s.Knows(contact.FeedSource(name)) {
				continue
			}
			if n++; n > maxTold {
				return nil
			}
			if err := tx.Record(store.Entry{Action: ActionWish, Outcome: store.OK, Subject: s.ID.Key(), Attrs: []store.Attr{
				{Key: "peer", Value: name}, {Key: "wish", Value: string(wish)}, {Key: "order", Value: p.Peers[name].about(name, s.ID).Encode()},
			}}); err != nil {
				return fmt.Errorf("tell of wish: %w", err)
			}
		}
	}
	return nil
}

// about is what a peer is told by that asked for nothing: the names that policy knows it and us by, and
// the patient as known here.
func (p PeerPolicy) about(name string, id contact.SubjectID) hl7.Order {
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		app, _, _ := strings.Cut(list[0], "^")
		return app
	}
	return hl7.Order{
		Peer: name, App: first(p.Apps), Facility: first(p.Facilities), OurApp: first(p.ReceivingApps), OurFacility: first(p.ReceivingFacilities),
		Patient: hl7.CX{ID: id.MRN, Authority: hl7.HD{NamespaceID: id.Authority}},
	}
}
