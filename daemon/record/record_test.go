package record

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
	"pinward/store/storetest"
)

type box struct {
	t     testing.TB
	store *store.Store
	about Finder
}

var (
	portal = store.Actor{Kind: "client", ID: "AC01"}
	nurse  = store.Actor{Kind: "user", ID: "mary"}
	mary   = contact.SubjectID{Authority: "RIV", MRN: "42"}
)

func newBox(t testing.TB) *box {
	t.Helper()
	s, err := store.Open(context.Background(), t.TempDir(), store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler), HeadEvery: 24 * time.Hour, Strict: storetest.Strict(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &box{t: t, store: s}
}

func inBubble(t *testing.T, fn func(b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(newBox(t)) })
}

func (b *box) add(by store.Actor, entries ...store.Entry) {
	b.t.Helper()
	err := b.store.Update(context.Background(), by, func(tx *store.Tx) error {
		for _, e := range entries {
			if e.Outcome == 0 {
				e.Outcome = store.OK
			}
			if err := tx.Record(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) search(q Query) (p Page) {
	b.t.Helper()
	err := b.store.View(context.Background(), func(tx *store.Tx) (err error) {
		p, err = Search(tx, q)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func phone(e164 string) (p contact.Phone) {
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		panic(err)
	}
	return p
}

func a(key, value string) store.Attr { return store.Attr{Key: key, Value: value} }

func TestSearchFindsByEachOfItsFields(t *testing.T) {
	b := newBox(t)
	b.add(portal,
		store.Entry{Action: "verification.start", Object: "VE1", Subject: mary.Key(), Attrs: []store.Attr{a("phone", "+16175551234"), a("message", "SM1")}},
		store.Entry{Action: "verification.check", Object: "VE1", Outcome: store.Refused})
	b.add(nurse, store.Entry{Action: "verification.start", Object: "VE2"},
		store.Entry{Action: "verificationist", Object: "VE3"},
		store.Entry{Action: "subject.update", Subject: mary.Key(), Attrs: []store.Attr{a("phones", "+16175551299,+16175551234")}})
	b.add(portal, store.Entry{Action: "message.sent", Object: "SM1", Attrs: []store.Attr{a("ref", "VE1")}})
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"action", Query{Action: "verification.start"}, "VE2 VE1"},
		{"prefix", Query{Action: "verification."}, "VE2 VE1 VE1"},
		{"no prefix without the dot", Query{Action: "verification"}, ""},
		{"actor", Query{Actor: "mary"}, " VE3 VE2"},
		{"object and what refers to it", Query{Object: "VE1"}, "SM1 VE1 VE1"},
		{"message", Query{Object: "SM1"}, "SM1 VE1"},
		{"subject", Query{Subject: mary}, " VE1"},
		{"phone, in a list too", Query{Phone: phone("+16175551234")}, " VE1"},
		{"both", Query{Subject: mary, Actor: "mary"}, ""},
		{"nobody", Query{Subject: contact.SubjectID{Authority: "RIV", MRN: "4"}}, ""},
	} {
		var got []string
		for _, r := range b.search(c.q).Records {
			got = append(got, r.Entry.Object)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("by %s: %q, not %q", c.name, s, c.want)
		}
	}
}

func TestPagesMeetWithoutGapOrDoubling(t *testing.T) {
	b := newBox(t)
	const n = 2*chunk + 77
	for i := 0; i < n; {
		var batch []store.Entry
		for ; len(batch) < 100 && i < n; i++ {
			batch = append(batch, store.Entry{Action: store.Action("count." + []string{"even", "odd"}[i%2]), Object: fmt.Sprint(i)})
		}
		b.add(portal, batch...)
	}
	for _, limit := range []int{1, 7, 100, maxPage} {
		next, want, pages := uint64(0), n-1, 0
		for {
			p := b.search(Query{Action: "count.", Limit: limit, Before: next})
			for _, r := range p.Records {
				if r.Entry.Object != fmt.Sprint(want) {
					t.Fatalf("limit %d: entry %s, not %d", limit, r.Entry.Object, want)
				}
				want--
			}
			if next = p.Next; next == 0 {
				break
			}
			if pages++; limit == 1 && pages == 50 {
				want = -1
				break
			}
		}
		if want != -1 {
			t.Errorf("limit %d ends before entry %d", limit, want)
		}
	}
}

func TestSearchByTime(t *testing.T) {
	inBubble(t, func(b *box) {
		var at []time.Time
		for i := range 20 {
			time.Sleep(time.Hour)
			at = append(at, time.Now())
			b.add(portal, store.Entry{Action: "tick", Object: fmt.Sprint(i)}, store.Entry{Action: "tock"})
		}
		p := b.search(Query{Action: "tick", From: at[5], To: at[8]})
		if len(p.Records) != 3 || p.Records[0].Entry.Object != "7" || p.Records[2].Entry.Object != "5" {
			t.Errorf("%d entries from the fifth to before the eighth", len(p.Records))
		}
		if p := b.search(Query{Action: "tick", To: at[0]}); len(p.Records) != 0 {
			t.Errorf("%d entries before the first", len(p.Records))
		}
		if p := b.search(Query{Action: "tick", From: at[19].Add(time.Second)}); len(p.Records) != 0 {
			t.Errorf("%d entries after the last", len(p.Records))
		}
	})
}

func TestNoteTellsWhoLookedForWhat(t *testing.T) {
	b := newBox(t)
	err := b.store.Update(context.Background(), nurse, func(tx *store.Tx) error {
		return Note(tx, Query{Subject: mary, Phone: phone("+16175551234")})
	})
	if err != nil {
		t.Fatal(err)
	}
	r := b.search(Query{Action: string(ActionSearch)}).Records
	if len(r) != 1 || r[0].Actor.ID != "mary" || r[0].Entry.Subject != mary.Key() || Attr(r[0].Entry, "phone") == "" {
		t.Errorf("%d entries", len(r))
	}
}

func TestFollowGivesEachEntryInOrderAndAgainAfterAFailure(t *testing.T) {
	inBubble(t, func(b *box) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for i := range batch + 10 {
			b.add(portal, store.Entry{Action: "tick", Object: fmt.Sprint(i)})
		}
		down := errors.New("receiver is down")
		var got []uint64
		fail := true
		feed := func(_ context.Context, records []store.Record) error {
			if len(got) > 0 && fail {
				fail = false
				return down
			}
			for _, r := range records {
				got = append(got, r.Seq)
			}
			return nil
		}
		if err := Follow(ctx, b.store, portal, "test", feed); !errors.Is(err, down) {
			t.Fatalf("first follower: %v", err)
		}
		var left uint64
		if err := b.store.View(ctx, func(tx *store.Tx) (err error) { left, err = Backlog(tx, "test"); return err }); err != nil || left == 0 {
			t.Fatalf("backlog %d, %v", left, err)
		}
		done := make(chan error, 1)
		go func() { done <- Follow(ctx, b.store, portal, "test", feed) }()
		time.Sleep(2 * followEvery)
		b.add(portal, store.Entry{Action: "tick", Object: "late"})
		time.Sleep(2 * followEvery)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("second follower: %v", err)
		}
		for i, seq := range got {
			if seq != uint64(i) {
				t.Fatalf("entry %d comes at place %d", seq, i)
			}
		}
		if len(got) < batch+11 {
			t.Errorf("%d entries came", len(got))
		}
	})
}

func TestCursorNeverGoesBackAndFollowersAreApart(t *testing.T) {
	b := newBox(t)
	b.add(portal, store.Entry{Action: "tick"}, store.Entry{Action: "tick"})
	err := b.store.Update(context.Background(), portal, func(tx *store.Tx) error {
		if err := errors.Join(Advance(tx, "one", 2), Advance(tx, "one", 1)); err != nil {
			return err
		}
		one, err := Next(tx, "one", 10)
		if err != nil {
			return err
		}
		other, err := Next(tx, "other", 10)
		if len(one) > 0 && one[0].Seq < 2 || len(other) == 0 || other[0].Seq != 0 {
			t.Errorf("one has %d entries to come, other %d", len(one), len(other))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDisclosuresListWhatLeftAboutOnePatient(t *testing.T) {
	inBubble(t, func(b *box) {
		old := contact.SubjectID{Authority: "RIV", MRN: "7"}                                  // merged into mary
		b.add(portal, store.Entry{Action: "notice.send", Object: "SM0", Subject: mary.Key()}) // before the period
		time.Sleep(time.Hour)
		from := time.Now()
		b.add(portal,
			store.Entry{Action: "verification.start", Object: "VE1", Subject: mary.Key(), Attrs: []store.Attr{
				a("service", "portal-login"), a("phone", "+16175551234"), a("message", "SM1"), a("on_behalf_of", "=cmd()")}},
			store.Entry{Action: "verification.start", Object: "VE2", Subject: "RIV|421"},
			store.Entry{Action: "verification.check", Object: "VE1", Subject: mary.Key()},
			store.Entry{Action: "message.sent", Object: "SM1", Attrs: []store.Attr{a("ref", "VE1")}},
			store.Entry{Action: "message.sent", Object: "SM2", Attrs: []store.Attr{a("ref", "VE2")}},
			store.Entry{Action: "notice.send", Outcome: store.Refused, Subject: old.Key(), Attrs: []store.Attr{a("cause", "opted out")}})
		time.Sleep(time.Hour)
		to := time.Now()
		b.add(portal, store.Entry{Action: "notice.send", Object: "SM9", Subject: mary.Key()})
		ask := Ask{Kind: KindDisclosures, From: from, To: to, Subjects: []contact.SubjectID{mary, old}}
		if err := b.store.Update(context.Background(), nurse, func(tx *store.Tx) error { return NoteReport(tx, ask) }); err != nil {
			t.Fatal(err)
		}
		report := b.report(ask)
		if len(report.Rows) != 3 || !report.Complete {
			t.Fatalf("%d lines", len(report.Rows))
		}
		var out strings.Builder
		if err := report.WriteCSV(&out); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || len(rows) != 4 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		if got := rows[1]; got[0] != partPatient || got[2] != "verification.start" || got[4] != "tel:+16175551234" || got[8] != "AC01" || got[9] != "'=cmd()" || got[11] != "SM1" {
			t.Errorf("first line is %q", got)
		}
		if got := rows[2]; got[2] != "message.sent" || got[11] != "SM1" {
			t.Errorf("second line is %q", got)
		}
		if got := rows[3]; got[3] != "refused" || got[12] != "opted out" {
			t.Errorf("third line is %q", got)
		}
		if r := b.search(Query{Action: "report.disclosures"}).Records; len(r) != 1 || r[0].Actor.ID != "mary" || r[0].Entry.Subject != mary.Key() {
			t.Error("the report is no entry of who made it")
		}
	})
}
