package text

import (
	"errors"
	"strings"
	"testing"

	"pinward/store"
	"pinward/store/storetest"
)

func TestGuard(t *testing.T) {
	against := []string{"DOE", "JANE", "Núñez", "MRN12345", "617-555-1234", "E11.9", "x", "12 Elm Street", "87654321"}
	for name, c := range map[string]struct {
		slot, val string
		caught    bool
	}{
		"place":                 {"site", "Main St 12", false},
		"name in a place":       {"site", "Dr Doe Clinic", true},
		"whole words only":      {"site", "Doecke Building", false},
		"accents and case":      {"site", "casa nunez", true},
		"number in a link":      {"link", "https://portal.example.org/p/mrn12345", true},
		"escaped name":          {"link", "https://portal.example.org/p/%4aane", true},
		"digits in a link":      {"link", "https://portal2.example.org/p/87654321", true},
		"token in a link":       {"link", "https://portal.example.org/j/x7Kp2", false},
		"patient's phone":       {"phone", "+1 (617) 555-1234", true},
		"hospital's phone":      {"phone", "617-555-1000", false},
		"number of a house":     {"site", "Main St 12", false},
		"single letter":         {"site", "Building X", false},
		"brand is everybody's":  {"brand", "Jane Foundation", false},
		"instants are no words": {"start", "2026-11-26T19:30:00Z", false},
	} {
		err := Guard(Values{c.slot: c.val}, against)
		if c.caught != reasonIs(err, c.slot, FromEHR) || !c.caught && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func lintable(body string) Template {
	return Template{Name: "site.own", Lang: "en", Class: Care, Body: body}
}

func TestLint(t *testing.T) {
	if p := Lint(lintable("{brand}: See you at {site}. {stop}")); len(p) != 0 {
		t.Fatalf("a good template: %v", p)
	}
	code := func(body string) Template {
		return Template{Name: "site.own", Lang: "en", Class: Code, Body: body}
	}
	answers := lintable("{brand}: Will you come? {stop}")
	answers.Replies = []string{"yes", "Cancel"}
	spanish := lintable("{brand}: Su código está aquí, " + strings.Repeat("x", 40) + " {stop}")
	spanish.Lang = "es"
	chinese := Template{Name: "site.own", Lang: "zh", Class: Care, Body: "{brand}: 预约 {start:date} {start:time} {stop}"}
	chineseLong := chinese
	chineseLong.Body += strings.Repeat("约", 40)
	for name, tm := range map[string]Template{
		"forbidden word":       lintable("{brand}: Your biopsy is at {site}. {stop}"),
		"forbidden in capital": lintable("{brand}: DIALYSIS at {site}. {stop}"),
		"link in fixed text":   lintable("{brand}: See portal.example.org/x at {site}. {stop}"),
		"brand not first":      lintable("Hello from {brand}. {stop}"),
		"no way out":           lintable("{brand}: See you at {site}."),
		"unknown slot":         lintable("{brand}: {patient}. {stop}"),
		"open brace":           lintable("{brand}: {site {stop}"),
		"stray brace":          lintable("{brand}: site} {stop}"),
		"slots side by side":   lintable("{brand}: {site}{phone} {stop}"),
		"two parts":            lintable("{brand}: " + strings.Repeat("x", 120) + " {stop}"),
		"two parts by accent":  spanish,
		"control character":    lintable("{brand}: \x1b {stop}"),
		"answer that stops":    answers,
		"code without a code":  code("{brand}: hello"),
		"care with a code":     lintable("{brand}: {code} {stop}"),
		"code with a way out":  code("{brand}: {code} {stop}"),
		"digits beside code":   code("{brand}: {code}, not 123456"),
		"no such language":     {Name: "site.own", Lang: "English", Class: Care, Body: "{brand}: {stop}"},
		"no such class":        {Name: "site.own", Lang: "en", Class: "spam", Body: "{brand}: {stop}"},
		"bad name":             {Name: "../own", Lang: "en", Class: Care, Body: "{brand}: {stop}"},
		"no words of ours":     {Name: "site.own", Lang: "zh", Class: Code, Body: "{brand}: {code}{purpose}"},
		"empty":                lintable(""),
		"Chinese, two parts":   chineseLong,
	} {
		if p := Lint(tm); len(p) == 0 {
			t.Errorf("%s: nothing wrong found", name)
		}
	}
	if p := Lint(chinese); len(p) != 0 {
		t.Errorf("a short Chinese template: %v", p)
	}
}

// TestForbiddenList holds words that must be caught, and names of hospitals that must not be.
func TestForbiddenList(t *testing.T) {
	for _, w := range []string{"Oncology", "cardiology", "HIV", "VIH", "biopsy", "results", "resultado", "chemo", "Psychiatry",
		"embarazo", "atorvastatin", "amoxicillin", "metformin", "diazepam", "insulin", "covid-19", "prescription", "receta", "lab"} {
		if forbiddenWord("at the "+w+" desk") == "" {
			t.Errorf("%s passes", w)
		}
	}
	for _, s := range []string{"Sacred Heart", "St. Mary's", "Children's Hospital", "Mass Eye and Ear", "Riverside Medical Center",
		"Main Street Pharmacy", "April", "Cancel", "Abril", "University Clinic", "Brigham Women's", "Elm Labrador Rd", "Carolina", "Davis Rd", "Rivera"} {
		if w := forbiddenWord(s); w != "" {
			t.Errorf("%s is caught by %q", s, w)
		}
	}
}

func TestSaveAndFind(t *testing.T) {
	s := storetest.Open(t)
	own := Template{Name: "appointment.reminder", Lang: "en", Class: Care, Body: "{brand}: See you at {site}. {stop}"}
	name := func(lang string) (tm Template) {
		t.Helper()
		storetest.View(t, s, func(tx *store.Tx) (err error) {
			tm, err = Find(tx, "appointment.reminder", lang)
			return err
		})
		return tm
	}
	if tm := name("es-US"); tm.Lang != "es" || tm.Version != 0 {
		t.Errorf("es-US falls back to %s", tm.Lang)
	}
	if tm := name("zh"); tm.Lang != "en" {
		t.Errorf("zh falls back to %s", tm.Lang)
	}
	for want := 1; want <= 2; want++ {
		storetest.Update(t, s, func(tx *store.Tx) error {
			saved, err := Save(tx, own)
			if saved.Version != want || saved.Reviewer != storetest.Tester.ID || saved.Reviewed.IsZero() {
				t.Errorf("saved version %d by %s", saved.Version, saved.Reviewer)
			}
			return err
		})
		own.Body = "{brand}: We await you at {site}. {stop}"
	}
	if tm := name("en-GB"); tm.Version != 2 || tm.Body != own.Body {
		t.Errorf("in force is version %d", tm.Version)
	}
	if tm := name("es"); tm.Version != 0 || tm.Lang != "es" {
		t.Error("an English text of the site stands before the shipped Spanish one")
	}
	storetest.View(t, s, func(tx *store.Tx) error {
		old, err := FindVersion(tx, own.Name, "en", 1)
		if err != nil || old.Body != "{brand}: See you at {site}. {stop}" {
			t.Errorf("version 1 is %q, %v", old.Body, err)
		}
		if v0, err := FindVersion(tx, own.Name, "en", 0); err != nil || v0.Version != 0 {
			t.Errorf("the shipped version: %v", err)
		}
		if _, err := FindVersion(tx, own.Name, "en", 9); !errors.Is(err, ErrNoTemplate) {
			t.Errorf("a version that never was: %v", err)
		}
		if _, err := Find(tx, "no.such", "en"); !errors.Is(err, ErrNoTemplate) {
			t.Errorf("no such template: %v", err)
		}
		list, err := List(tx)
		if err != nil || len(list) != len(shipped) {
			t.Errorf("%d templates in force, %v", len(list), err)
		}
		return nil
	})
	if e := storetest.Entries(t, s); len(e) != 2 || e[0].Action != ActionTemplate || e[0].Object != "appointment.reminder/en" {
		t.Errorf("%d entries", len(e))
	}
	bad := own
	bad.Body = "{brand}: Your biopsy. {stop}"
	err := s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error {
		_, err := Save(tx, bad)
		return err
	})
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 1 {
		t.Errorf("saved against the guard: %v", err)
	}
}
