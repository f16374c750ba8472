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

func (b *box) report(a Ask) (r Report) {
	b.t.Helper()
	if what := a.Check(); what != "" {
		b.t.Fatal(what)
	}
	if err := b.store.View(context.Background(), func(tx *store.Tx) (err error) { r, err = Make(tx, a); return err }); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// indexAll brings the index up to the log.
func (b *box) indexAll() {
	b.t.Helper()
	for {
		var list []store.Record
		err := b.store.View(context.Background(), func(tx *store.Tx) (err error) { list, err = Next(tx, indexer, 10_000); return err })
		if err != nil {
			b.t.Fatal(err)
		}
		patients, err := patientsOf(context.Background(), b.store, list, b.about)
		if err != nil {
			b.t.Fatal(err)
		}
		err = b.store.Update(context.Background(), portal, func(tx *store.Tx) (err error) {
			if list, err = Next(tx, indexer, 10_000); err != nil || len(list) == 0 {
				return err
			}
			if err := addToIndex(tx, list, patients); err != nil {
				return err
			}
			return Advance(tx, indexer, list[len(list)-1].Seq+1)
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
	}
}

// roll has the live file frozen, as at the end of a month.
func (b *box) roll() {
	b.t.Helper()
	if err := b.store.Roll(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// TestIndexFindsTheSame: with no index, with one up to some place, and with all of it, also over several
// files, a search gives the same entries on the same pages.
func TestIndexFindsTheSame(t *testing.T) {
	b := newBox(t)
	b.about = func(_ *store.Tx, ref string) (About, error) { // each text is for the patient of its number
		if ref == "gone" {
			return About{}, errors.New("it cannot be read")
		}
		return About{Subject: contact.SubjectID{Authority: "RIV", MRN: ref}}, nil
	}
	fill := func(from, to int) {
		for i := from; i < to; i += 100 {
			var batch []store.Entry
			for n := i; n < i+100; n++ {
				e := store.Entry{Action: "verification.start", Object: fmt.Sprint(n), Subject: fmt.Sprintf("RIV|%d", n%700)}
				if n%350 == 7 {
					e.Attrs = []store.Attr{a("phones", "+16175551299,+16175551234")}
				}
				switch { // what becomes of a text stands far from where it was asked for, without the patient
				case n%170 == 3:
					e = store.Entry{Action: "message.sent", Object: fmt.Sprint(n), Attrs: []store.Attr{a("ref", "late")}}
				case n%1000 == 11:
					e = store.Entry{Action: "message.sent", Object: fmt.Sprint(n), Attrs: []store.Attr{a("ref", "gone")}}
				}
				batch = append(batch, e)
			}
			by := portal
			if i%1500 == 0 {
				by = nurse
			}
			b.add(by, batch...)
		}
	}
	queries := []Query{
		{Subject: contact.SubjectID{Authority: "RIV", MRN: "42"}}, {Phone: phone("+16175551234"), Limit: 3}, {Actor: "mary", Limit: 90},
		{Subject: contact.SubjectID{Authority: "RIV", MRN: "nobody"}}, {Actor: "AC01", Action: "verification.start", Limit: 1000},
		{Subject: contact.SubjectID{Authority: "RIV", MRN: "late"}, About: b.about, Limit: 5}, {Subject: contact.SubjectID{Authority: "RIV", MRN: "late"}},
	}
	find := func(q Query) (got []string) {
		for {
			p := b.search(q)
			for _, r := range p.Records {
				got = append(got, r.Entry.Object)
			}
			if q.Before = p.Next; q.Before == 0 {
				return got
			}
		}
	}
	fill(0, 4000)
	for _, step := range []func(){
		func() {}, b.roll, b.indexAll, func() { fill(4000, 6000) }, b.roll, b.indexAll, func() { fill(6000, 6100) }, b.roll, b.roll, b.indexAll,
	} {
		step()
		var every []store.Record
		for all := (Query{Limit: maxPage}); ; { // not by the index
			p := b.search(all)
			every = append(every, p.Records...)
			if all.Before = p.Next; all.Before == 0 {
				break
			}
		}
		for i, q := range queries {
			var want []string
			for _, r := range every {
				if ok, _ := q.ofPatient(nil, r); ok { // whose text it was needs no store here
					want = append(want, r.Entry.Object)
				}
			}
			if got := find(q); !slices.Equal(got, want) || len(want) == 0 && q.About != nil {
				t.Errorf("query %d finds %d entries, want %d", i, len(got), len(want))
			}
		}
	}
}

// TestActivityCountsWhoDidWhat: patients are counted together, colleagues each.
func TestActivityCountsWhoDidWhat(t *testing.T) {
	b := newBox(t)
	b.add(nurse, store.Entry{Action: "verification.start"}, store.Entry{Action: "verification.start", Outcome: store.Refused}, store.Entry{Action: ActionView})
	b.add(store.Actor{Kind: store.KindPatient, ID: "p1"}, store.Entry{Action: "consent.stop"})
	b.add(store.Actor{Kind: store.KindPatient, ID: "p2"}, store.Entry{Action: "consent.stop"})
	var got []string
	for _, row := range b.report(Ask{Kind: KindActivity}).Rows {
		if !strings.HasPrefix(row[0], "daemon:") {
			got = append(got, strings.Join(row[:5], " "))
		}
	}
	want := []string{"patient consent.stop 2 0 0", "user:mary record.view 1 0 0", "user:mary verification.start 1 1 0"}
	if !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestIncidentsAreListed with the day by which patients have to be told of a breach.
func TestIncidentsAreListed(t *testing.T) {
	inBubble(t, func(b *box) {
		b.add(nurse, store.Entry{Action: "user.login"}, store.Entry{Action: "user.login", Outcome: store.Refused}, store.Entry{Action: "verification.start"})
		b.add(portal, store.Entry{Action: "consent.wrong_number", Subject: mary.Key(), Object: "W1"})
		rows := b.report(Ask{Kind: KindIncidents}).Rows
		if len(rows) != 2 || rows[0][1] != "a login failed, or was locked out" || rows[1][5] != mary.Key() || rows[1][8] != "2000-03-01" {
			t.Errorf("rows %q", rows)
		}
		if rows := b.report(Ask{Kind: KindIncidents, From: time.Now().Add(time.Hour)}).Rows; len(rows) != 0 {
			t.Errorf("rows of another time %q", rows)
		}
	})
}

// TestAskIsChecked: what cannot be reported is said in words.
func TestAskIsChecked(t *testing.T) {
	now := time.Now()
	for _, a := range []Ask{{Kind: "gossip"}, {Kind: KindDisclosures}, {Kind: KindActivity, From: now, To: now}} {
		if a.Check() == "" {
			t.Errorf("%+v passes", a)
		}
	}
}

// TestHoldIsLiftedByTwo: the same person twice is not two, and what is held is held by its time.
func TestHoldIsLiftedByTwo(t *testing.T) {
	b := newBox(t)
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	do := func(by store.Actor, fn func(*store.Tx) error) error {
		return b.store.Update(context.Background(), by, fn)
	}
	var h Hold
	for _, bad := range []Hold{{}, {Matter: "x", From: day(2), To: day(1)}, {Matter: strings.Repeat("x", 201)}} {
		if err := do(nurse, func(tx *store.Tx) error { _, err := PutHold(tx, bad); return err }); !errors.Is(err, ErrHold) {
			t.Errorf("a wrong hold: %v", err)
		}
	}
	if err := do(nurse, func(tx *store.Tx) (err error) {
		h, err = PutHold(tx, Hold{Matter: "Docket 26-17", From: day(10), To: day(20), Subject: mary})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	held := func(from, to time.Time) (yes bool) {
		if err := b.store.View(context.Background(), func(tx *store.Tx) (err error) { yes, err = Held(tx, from, to); return err }); err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if held(day(1), day(10)) || !held(day(1), day(11)) || !held(day(15), day(16)) || held(day(20), day(30)) {
		t.Error("it holds another time than its own")
	}
	lift := func(by store.Actor, id string) (lifted bool, err error) {
		err = do(by, func(tx *store.Tx) (err error) { lifted, err = LiftHold(tx, id); return err })
		return lifted, err
	}
	if _, err := lift(nurse, "H0"); !errors.Is(err, ErrNoHold) {
		t.Errorf("no such hold: %v", err)
	}
	if done, err := lift(nurse, h.ID); done || err != nil {
		t.Errorf("by one: %v, %v", done, err)
	}
	if done, err := lift(nurse, h.ID); done || !errors.Is(err, ErrSameLifts) || !held(day(15), day(16)) {
		t.Errorf("by the same again: %v, %v", done, err)
	}
	if done, err := lift(portal, h.ID); !done || err != nil || held(day(15), day(16)) {
		t.Errorf("by another: %v, %v", done, err)
	}
	var got []string
	for _, r := range b.search(Query{Action: "audit."}).Records {
		got = append(got, string(r.Entry.Action))
	}
	if want := []string{"audit.hold.lifted", "audit.hold.lifting", "audit.hold"}; !slices.Equal(got, want) {
		t.Errorf("entries %v", got)
	}
}
