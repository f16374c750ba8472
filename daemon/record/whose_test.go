package record

import (
	"slices"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
	"pinward/store/storetest"
)

// TestTextsOfAPatientAreFoundForYears: what a text was made for is gone after a week; the entry that asked for it tells whose it was, and
// no other patient's that was asked for in the same transaction.
func TestTextsOfAPatientAreFoundForYears(t *testing.T) {
	inBubble(t, func(b *box) {
		john := contact.SubjectID{Authority: "RIV", MRN: "43"}
		b.about = func(*store.Tx, string) (About, error) { return About{}, nil }
		sent := map[contact.SubjectID]uint64{}
		for range 3 {
			ids := map[contact.SubjectID]string{}
			storetest.Update(t, b.store, func(tx *store.Tx) error {
				for _, who := range []contact.SubjectID{john, mary} {
					ids[who] = "SM" + tx.RisingID()
					err := tx.Record(store.Entry{Action: "notice.send", Outcome: store.OK, Object: ids[who], Subject: who.Key(),
						Attrs: []store.Attr{a("phone", "+16175551234"), a("on_behalf_of", "jdoe")}})
					if err != nil {
						return err
					}
				}
				return nil
			})
			b.add(portal, slices.Repeat([]store.Entry{{Action: "verification.start"}}, 700)...)
			time.Sleep(30 * 24 * time.Hour)
			for who, id := range ids {
				b.add(portal, store.Entry{Action: "message.delivered", Attrs: []store.Attr{a("ref", id)}})
				sent[who]++
			}
			b.add(portal, store.Entry{Action: "message.sent", Attrs: []store.Attr{a("ref", "SM"+"00ff")}}, store.Entry{Action: "message.sent"})
			b.indexAll()
		}
		q := Query{Subject: mary, About: b.about, Limit: 2}
		n := uint64(0)
		for pages := 0; ; pages++ {
			p := b.search(q)
			for _, r := range p.Records {
				if r.Entry.Action != "message.delivered" {
					continue
				}
				n++
				storetest.View(t, b.store, func(tx *store.Tx) error {
					if got := AboutText(tx, r, b.about); got.Subject != mary || got.Phone != phone("+16175551234") || got.OnBehalfOf != "jdoe" {
						t.Errorf("a text of another: %v", got.Subject == john)
					}
					return nil
				})
			}
			if q.Before = p.Next; q.Before == 0 || pages > 50 {
				break
			}
		}
		if n != sent[mary] {
			t.Errorf("%d texts found, want %d", n, sent[mary])
		}
	})
}

// TestSearchCountsWhatItLooksUp: to find out whose a text was is work, and a call does no more of it than of any other.
func TestSearchCountsWhatItLooksUp(t *testing.T) {
	b := newBox(t)
	b.add(portal, store.Entry{Action: "message.sent", Attrs: []store.Attr{a("ref", "SM0123456789abcdef0123456789abcdef")}})
	r := b.search(Query{Action: "message.sent"}).Records[0]
	storetest.View(t, b.store, func(tx *store.Tx) error {
		gone := func(*store.Tx, string) (About, error) { return About{}, nil }
		for name, c := range map[string]struct {
			q    Query
			most int
		}{
			"no patient": {Query{About: gone}, 0}, "nobody finds": {Query{Subject: mary}, 0}, "another action": {Query{Subject: mary, About: gone, Action: "x"}, 0},
			"looked up": {Query{Subject: mary, About: gone}, 100},
		} {
			if _, n := c.q.ofPatient(tx, r); n > c.most || (n == 0) != (c.most == 0) {
				t.Errorf("%s: %d looked at", name, n)
			}
		}
		return nil
	})
}
