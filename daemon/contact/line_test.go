package contact

import (
	"testing"

	"pinward/store"
	"pinward/store/storetest"
)

func lineOf(t *testing.T, s *store.Store, p Phone, id SubjectID) (line LineType, source string) {
	t.Helper()
	storetest.View(t, s, func(tx *store.Tx) (err error) { line, source, err = LineOf(tx, p, id); return err })
	return line, source
}

// Whose word on a line counts: a person's before a feed's, a feed's before what sends have shown, that before the numbering plan's; and
// what sends have shown is forgotten, or undone by a text that arrives.
func TestWhoseWordOnALineCounts(t *testing.T) {
	s := storetest.Open(t)
	p := phone(t, "+16175550005")
	flag := func(line LineType, source string) {
		t.Helper()
		storetest.Update(t, s, func(tx *store.Tx) error { return Flag(tx, p, Flags{Type: &line}, source) })
	}
	is := func(want LineType, source string) {
		t.Helper()
		if line, from := lineOf(t, s, p, SubjectID{}); line != want || from != source {
			t.Errorf("%q by %q, want %q by %q", line, from, want, source)
		}
	}
	is(LineUnknown, "")
	storetest.Update(t, s, func(tx *store.Tx) error { return TextMissed(tx, p) })
	is(LineUnknown, "") // once may be anything
	storetest.Update(t, s, func(tx *store.Tx) error { return TextMissed(tx, p) })
	is(LineLandline, SourceNetwork)
	storetest.Update(t, s, func(tx *store.Tx) error { return TextArrived(tx, p) })
	is(LineUnknown, "")
	flag(LineLandline, "desk")
	flag(LineMobile, "hl7:engine1")
	flag(LineMobile, SourceNetwork)
	is(LineLandline, "desk")
	storetest.Update(t, s, func(tx *store.Tx) error { return TextArrived(tx, p) })
	is(LineLandline, "desk")
	flag(LineUnknown, "desk") // leaves it to others
	flag(LineMobile, "hl7:engine1")
	is(LineMobile, "hl7:engine1")

	c := Contact{Type: LineLandline, TypeSource: SourceNetwork}
	if line, _ := c.line(c.TypeSince.Add(learnedFor)); line != LineUnknown {
		t.Error("what sends have shown is believed for ever")
	}
}

// A person's own record tells of their number where nobody has said anything of the number itself; who has landlines alone is called.
func TestLandlineOfAPerson(t *testing.T) {
	s := storetest.Open(t)
	id := SubjectID{"RIV", "77"}
	home := Number{Phone: phone(t, "+16175550006"), Use: "PRN", Equipment: "PH", Type: LineLandline, Source: "hl7:engine1"}
	behind := Number{Phone: phone(t, "+16175550007"), Type: LineLandline, Extension: "12"}
	upsert(t, s, SubjectUpdate{ID: id, Phones: &[]Number{behind, home}})
	if line, from := lineOf(t, s, home.Phone, id); line != LineLandline || from != "hl7:engine1" {
		t.Errorf("%q by %q", line, from)
	}
	callable := func(want bool) {
		t.Helper()
		storetest.View(t, s, func(tx *store.Tx) error {
			if _, ok, err := Textable(tx, id); ok || err != nil {
				t.Errorf("a landline is texted: %v", err)
			}
			p, ok, err := Callable(tx, id)
			if ok != want || want && p != home.Phone {
				t.Errorf("called: %v", ok)
			}
			return err
		})
	}
	callable(true)
	no := true
	storetest.Update(t, s, func(tx *store.Tx) error { return Flag(tx, home.Phone, Flags{NoVoice: &no}, "patient") })
	callable(false)
	no = false
	storetest.Update(t, s, func(tx *store.Tx) error { return Flag(tx, home.Phone, Flags{NoVoice: &no}, "patient") })
	callable(true)
	no = true
	upsert(t, s, SubjectUpdate{ID: id, NoVoice: &no})
	callable(false)
	mobile := home
	mobile.Type, mobile.Equipment = LineUnknown, "CP"
	upsert(t, s, SubjectUpdate{ID: id, Phones: &[]Number{mobile}})
	storetest.View(t, s, func(tx *store.Tx) error {
		if p, ok, err := Textable(tx, id); !ok || p != home.Phone {
			t.Errorf("the feed says that it is mobile now: %v, %v", ok, err)
		}
		return nil
	})
}
