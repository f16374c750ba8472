package contact

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

var (
	jane  = SubjectID{"HOSP", "1001"}
	john  = SubjectID{"HOSP", "1002"}
	other = SubjectID{"HOSP", "1003"}
)

// ago is an event's time; the store's clock is the real one.
func ago(d time.Duration) time.Time { return time.Now().Add(-d).UTC() }

func cell(t testing.TB, e164 string) Number {
	return Number{Phone: phone(t, e164), Equipment: "CP", Use: "PRN"}
}

// upsert applies an update that has to succeed.
func upsert(t testing.TB, s *store.Store, u SubjectUpdate) (c Change) {
	t.Helper()
	storetest.Update(t, s, func(tx *store.Tx) (err error) {
		c, err = Upsert(tx, u)
		return err
	})
	return c
}

func find(t testing.TB, s *store.Store, id SubjectID) (subject Subject, ok bool) {
	t.Helper()
	storetest.View(t, s, func(tx *store.Tx) (err error) {
		subject, ok, err = Find(tx, id)
		return err
	})
	return subject, ok
}

func textable(t testing.TB, s *store.Store, id SubjectID) (p Phone) {
	t.Helper()
	storetest.View(t, s, func(tx *store.Tx) (err error) {
		var ok bool
		p, ok, err = Textable(tx, id)
		if ok == p.IsZero() {
			t.Errorf("textable says %t and gives %v", ok, p)
		}
		return err
	})
	return p
}

func TestUpsertKeepsWhatWasNotSaid(t *testing.T) {
	s := storetest.Open(t)
	a, b := cell(t, "+16175551234"), cell(t, "+16175556789")
	es := "es"
	c := upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Hour), Phones: &[]Number{a}, Language: &es, Source: "hl7:e1"})
	if !c.Created || c.Stale || !c.NumberChanged || !c.Old.IsZero() || c.New != a.Phone {
		t.Fatalf("first event: %+v", c)
	}
	yes := true
	c = upsert(t, s, SubjectUpdate{ID: jane, At: ago(50 * time.Minute), NoVoice: &yes})
	if c.Created || c.NumberChanged || !slices.Equal(c.Fields, []string{"no_voice"}) {
		t.Fatalf("second event: %+v", c)
	}
	c = upsert(t, s, SubjectUpdate{ID: jane, At: ago(40 * time.Minute), Phones: &[]Number{b}})
	if !c.NumberChanged || c.Old != a.Phone || c.New != b.Phone || !slices.Equal(c.Dropped, []Phone{a.Phone}) {
		t.Fatalf("number changed: %+v", c)
	}
	got, ok := find(t, s, jane)
	if !ok || got.Language != "es" || !got.NoVoice || len(got.Phones) != 1 || got.Phones[0].Phone != b.Phone {
		t.Fatalf("kept: %+v", got)
	}
	c = upsert(t, s, SubjectUpdate{ID: jane, At: ago(30 * time.Minute), Phones: &[]Number{}})
	if !c.NumberChanged || c.Old != b.Phone || !c.New.IsZero() || !textable(t, s, jane).IsZero() {
		t.Fatalf("numbers deleted: %+v", c)
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		if ids, err := SubjectsOf(tx, b.Phone); err != nil || len(ids) != 0 {
			t.Errorf("a deleted number still leads to %v, %v", ids, err)
		}
		return nil
	})
}

func TestOlderEventNeverOverwritesNewer(t *testing.T) {
	s := storetest.Open(t)
	a, b := cell(t, "+16175551234"), cell(t, "+16175556789")
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Minute), Phones: &[]Number{a}})
	before := len(storetest.Entries(t, s))
	c := upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Hour), Phones: &[]Number{b}})
	if !c.Stale || c.NumberChanged || textable(t, s, jane) != a.Phone {
		t.Fatalf("an older event was applied: %+v", c)
	}
	if n := len(storetest.Entries(t, s)); n != before {
		t.Errorf("an event that changed nothing left %d entries", n-before)
	}
}

// TestEachThingHasItsOwnClock: an event that says nothing of a thing makes no older word of it stale, and brings none back that a newer
// one took off.
func TestEachThingHasItsOwnClock(t *testing.T) {
	s := storetest.Open(t)
	a, b := cell(t, "+16175551234"), cell(t, "+16175556789")
	yes, ward, es := true, "3W", "es"
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Hour), Phones: &[]Number{a}})
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Minute), Ward: &ward})
	c := upsert(t, s, SubjectUpdate{ID: jane, At: ago(2 * time.Minute), Phones: &[]Number{b}, NoVoice: &yes, Ward: new(string)})
	if got, _ := find(t, s, jane); c.Stale || !c.Partly || !c.NumberChanged || textable(t, s, jane) != b.Phone || !got.NoVoice || got.Ward != "3W" {
		t.Fatalf("behind a transfer: %+v", c)
	}
	c = upsert(t, s, SubjectUpdate{ID: jane, At: ago(3 * time.Minute), Phones: &[]Number{a}, NoVoice: new(bool), Ward: new(string)})
	if !c.Stale || textable(t, s, jane) != b.Phone {
		t.Fatalf("older than both: %+v", c)
	}
	// Said again, it is as new as that; and what was never told may be told by any.
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(90 * time.Second), Phones: &[]Number{b}})
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(100 * time.Second), Phones: &[]Number{a}, Language: &es})
	if got, _ := find(t, s, jane); textable(t, s, jane) != b.Phone || got.Language != "es" {
		t.Error("an older number came back, or a language that nobody had told was not heard")
	}
	storetest.Update(t, s, func(tx *store.Tx) error { _, err := Remove(tx, jane, ago(30*time.Second)); return err })
	if c := upsert(t, s, SubjectUpdate{ID: jane, At: ago(40 * time.Second), Phones: &[]Number{a}, Language: &es}); !c.Stale {
		t.Errorf("older than the removal: %+v", c)
	}
}

// TestSenderWithFastClock: an event dated tomorrow must not make everything until tomorrow stale.
func TestSenderWithFastClock(t *testing.T) {
	s := storetest.Open(t)
	a, b := cell(t, "+16175551234"), cell(t, "+16175556789")
	upsert(t, s, SubjectUpdate{ID: jane, At: time.Now().Add(24 * time.Hour), Phones: &[]Number{a}})
	c := upsert(t, s, SubjectUpdate{ID: jane, At: time.Now(), Phones: &[]Number{b}})
	if c.Stale || textable(t, s, jane) != b.Phone {
		t.Fatalf("the next event is stale: %+v", c)
	}
}

func TestDeathCountsOnItsOwnClock(t *testing.T) {
	s := storetest.Open(t)
	yes, no := true, false
	en, es := "en", "es"
	phones := []Number{cell(t, "+16175551234")}
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(10 * time.Minute), Phones: &phones, Language: &en})

	// Word of the death comes late, in an event older than the last.
	c := upsert(t, s, SubjectUpdate{ID: jane, At: ago(20 * time.Minute), Dead: &yes, Language: &es})
	if got, _ := find(t, s, jane); !c.Stale || !c.Died || got.Dead == nil || got.Language != "en" {
		t.Fatalf("late word of a death: %+v", c)
	}
	if !textable(t, s, jane).IsZero() {
		t.Fatal("the dead are texted")
	}
	// A newer event that is silent about it revives nobody, an older denial neither.
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(5 * time.Minute), Language: &es})
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(30 * time.Minute), Dead: &no})
	if got, _ := find(t, s, jane); got.Dead == nil {
		t.Fatal("revived")
	}
	// A newer denial says that it was a mistake.
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Minute), Dead: &no})
	if textable(t, s, jane) != phones[0].Phone {
		t.Fatal("a mistake cannot be taken back")
	}

	storetest.Update(t, s, func(tx *store.Tx) error {
		died, err := MarkDead(tx, john, ago(time.Minute), true)
		if !died {
			t.Error("somebody never heard of is not kept as dead")
		}
		return err
	})
	upsert(t, s, SubjectUpdate{ID: john, At: ago(time.Second), Phones: &phones})
	if !textable(t, s, john).IsZero() {
		t.Fatal("an event after the death of an unknown person made them textable")
	}
}

func TestNumberThatReturnsIsUnverified(t *testing.T) {
	s := storetest.Open(t)
	a, b := cell(t, "+16175551234"), cell(t, "+16175556789")
	verified := func() bool {
		subject, _ := find(t, s, jane)
		i := slices.IndexFunc(subject.Phones, func(n Number) bool { return n.Phone == a.Phone })
		return !subject.Phones[i].Verified.IsZero()
	}
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(5 * time.Minute), Phones: &[]Number{a}})
	yes := true
	storetest.Update(t, s, func(tx *store.Tx) error {
		return Flag(tx, a.Phone, Flags{WrongNumber: &yes}, "patient")
	})
	if !textable(t, s, jane).IsZero() {
		t.Fatal("a wrong number is texted")
	}
	storetest.Update(t, s, func(tx *store.Tx) error { return Proven(tx, jane, a.Phone) })
	if !verified() || textable(t, s, jane) != a.Phone {
		t.Fatal("a proven number is not verified, or still called wrong")
	}
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(4 * time.Minute), Phones: &[]Number{b, a}})
	if !verified() {
		t.Fatal("a number that stayed lost its proof")
	}
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(3 * time.Minute), Phones: &[]Number{b}})
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(2 * time.Minute), Phones: &[]Number{b, a}})
	if verified() {
		t.Fatal("a number that was away, maybe another's meanwhile, came back verified")
	}
}

func TestWhichNumberIsTexted(t *testing.T) {
	n := func(e164, use, equipment string, rank int, typ LineType) Number {
		return Number{Phone: phone(t, e164), Use: use, Equipment: equipment, Rank: rank, Type: typ}
	}
	home := n("+16175550001", "PRN", "PH", 0, LineUnknown)
	prs := n("+16175550002", "PRS", "PH", 0, LineUnknown)
	cp := n("+16175550003", "PRN", "CP", 0, LineUnknown)
	fax := n("+16175550004", "PRN", "FX", 0, LineUnknown)
	landline := n("+16175550005", "PRN", "PH", 0, LineLandline)
	byPlan := n("+447400123456", "PRN", "PH", 0, LineUnknown)
	chosen := n("+16175550006", "ORN", "PH", 1, LineUnknown)
	tty := n("+16175550007", "PRN", "TTY", 1, LineUnknown)
	for name, c := range map[string]struct {
		phones []Number
		want   Phone
	}{
		"CP before PRS":       {[]Number{home, prs, cp}, cp.Phone},
		"PRS before the plan": {[]Number{byPlan, prs}, prs.Phone},
		"the plan before PRN": {[]Number{home, byPlan}, byPlan.Phone},
		"the person's choice": {[]Number{cp, chosen}, chosen.Phone},
		"no fax":              {[]Number{fax, home}, home.Phone},
		"a TTY may be texted": {[]Number{home, tty}, tty.Phone},
		"a landline never":    {[]Number{landline}, Phone{}},
		"the first of equals": {[]Number{home, n("+16175550009", "PRN", "PH", 0, LineUnknown)}, home.Phone},
		"none":                {nil, Phone{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t)
			upsert(t, s, SubjectUpdate{ID: jane, Phones: &c.phones})
			if got := textable(t, s, jane); got != c.want {
				t.Errorf("texted %s, want %s", got.E164(), c.want.E164())
			}
		})
	}
	s := storetest.Open(t)
	yes, landlineNow := true, LineLandline
	upsert(t, s, SubjectUpdate{ID: jane, Phones: &[]Number{cp, home}})
	storetest.Update(t, s, func(tx *store.Tx) error { return Flag(tx, cp.Phone, Flags{Type: &landlineNow}, "network") })
	if got := textable(t, s, jane); got != home.Phone {
		t.Error("a number learned to be a landline is texted")
	}
	upsert(t, s, SubjectUpdate{ID: jane, NoTexts: &yes})
	if !textable(t, s, jane).IsZero() {
		t.Error("texted against the hospital's record")
	}
}

func TestSharedPhone(t *testing.T) {
	s := storetest.Open(t)
	shared := []Number{cell(t, "+16175551234")}
	for _, id := range []SubjectID{jane, john} {
		upsert(t, s, SubjectUpdate{ID: id, Phones: &shared})
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		ids, err := SubjectsOf(tx, shared[0].Phone)
		if len(ids) != 2 || !slices.Contains(ids, jane) || !slices.Contains(ids, john) {
			t.Errorf("%d share the phone, want jane and john", len(ids))
		}
		return err
	})
}

func TestIDsThatOnlyLookAlike(t *testing.T) {
	s := storetest.Open(t)
	a, b := SubjectID{"a|b", "c"}, SubjectID{"a", "b|c"}
	upsert(t, s, SubjectUpdate{ID: a, Phones: &[]Number{cell(t, "+16175551234")}})
	if _, ok := find(t, s, b); ok {
		t.Error("two ids meet in one record")
	}
}

func TestSubjectNeedsAName(t *testing.T) {
	s := storetest.Open(t)
	long := SubjectID{"HOSP", strings.Repeat("9", maxID+1)}
	for _, id := range []SubjectID{{}, long} {
		err := s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error {
			_, err := Upsert(tx, SubjectUpdate{ID: id})
			_, err2 := Merge(tx, jane, id, time.Time{})
			_, err3 := Remove(tx, id, time.Time{})
			_, err4 := MarkDead(tx, id, time.Time{}, true)
			for _, e := range []error{err2, err3, err4} {
				if !errors.Is(e, ErrNoSubject) {
					t.Errorf("a verb took it: %v", e)
				}
			}
			return err
		})
		if !errors.Is(err, ErrNoSubject) {
			t.Errorf("got %v", err)
		}
	}
}

// TestEndlessPhoneList: a feed may repeat a field a thousand times; an entry has to hold them all.
func TestEndlessPhoneList(t *testing.T) {
	s := storetest.Open(t)
	var many []Number
	for i := range 1000 {
		many = append(many, Number{Phone: phoneOf("+1617555" + string([]byte{'1' + byte(i/1000%9), '0' + byte(i/100%10), '0' + byte(i/10%10), '0' + byte(i%10)}))})
	}
	upsert(t, s, SubjectUpdate{ID: jane, Phones: &many})
	if got, _ := find(t, s, jane); len(got.Phones) != maxPhones {
		t.Errorf("kept %d numbers", len(got.Phones))
	}
}

func TestRemovedSubject(t *testing.T) {
	s := storetest.Open(t)
	phones := []Number{cell(t, "+16175551234")}
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(10 * time.Minute), Phones: &phones})
	storetest.Update(t, s, func(tx *store.Tx) error {
		c, err := Remove(tx, jane, ago(5*time.Minute))
		if c.Stale || !slices.Equal(c.Dropped, []Phone{phones[0].Phone}) {
			t.Errorf("removal: %+v", c)
		}
		return err
	})
	if c := upsert(t, s, SubjectUpdate{ID: jane, At: ago(7 * time.Minute), Phones: &phones}); !c.Stale {
		t.Error("an older event is applied to a removed subject")
	}
	if _, ok := find(t, s, jane); ok {
		t.Fatal("a removed subject is found")
	}
	upsert(t, s, SubjectUpdate{ID: jane, At: ago(time.Minute), Phones: &phones})
	if textable(t, s, jane) != phones[0].Phone {
		t.Fatal("a newer event does not bring a removed subject back")
	}
}

func TestFlagWritesOnlyWhatIsNew(t *testing.T) {
	s := storetest.Open(t)
	p := phone(t, "+16175551234")
	yes := true
	for range 2 {
		storetest.Update(t, s, func(tx *store.Tx) error { return Flag(tx, p, Flags{NoVoice: &yes}, "desk") })
	}
	entries := storetest.Entries(t, s)
	if len(entries) != 1 || entries[0].Action != ActionFlag {
		t.Fatalf("%d entries, want one %s", len(entries), ActionFlag)
	}
	// Bookkeeping: a send leaves its own entry, not one for the SIM that it took.
	storetest.Update(t, s, func(tx *store.Tx) error { return Used(tx, p, "8901260000000000001") })
	storetest.Update(t, s, func(tx *store.Tx) error { return Used(tx, p, "8901260000000000002") })
	storetest.View(t, s, func(tx *store.Tx) error {
		c, err := Of(tx, p)
		if c.Phone != p || !c.NoVoice || c.LastSIM != "8901260000000000002" || c.FirstSeen.IsZero() || c.WrongNumber {
			t.Errorf("contact: voice %t, seen %v", c.NoVoice, c.FirstSeen)
		}
		return err
	})
}
