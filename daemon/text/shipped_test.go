package text

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

// TestEveryTemplateFitsOnePart fills every shipped template with the largest values, in every way
// that our own words can fall, and holds it to 160 septets of the GSM alphabet.
func TestEveryTemplateFitsOnePart(t *testing.T) {
	for _, tm := range shipped {
		t.Run(tm.Name+"/"+tm.Lang, func(t *testing.T) {
			if problems := Lint(tm); len(problems) > 0 {
				t.Fatalf("lint: %v", problems)
			}
			pieces, err := parse(tm.Body)
			if err != nil {
				t.Fatal(err)
			}
			w := wordsFor(tm.Lang)
			for purpose := range w.purposes {
				for warning := range w.warnings {
					v := largest(pieces, tm.Lang)
					v.SetPurpose(purpose)
					v.SetWarning(warning)
					out, err := Render(tm, v, time.UTC)
					if err != nil {
						t.Fatalf("purpose %q, warning %q: %v", purpose, warning, err)
					}
					if n, gsm := Septets(out); !gsm || n > OnePartSeptets {
						t.Fatalf("%d units, GSM %t: %s", n, gsm, out)
					}
				}
			}
		})
	}
}

// TestCodesFitWithTheLinesOfPhones adds the line for iOS, or the hash for Android with its 140 bytes.
func TestCodesFitWithTheLinesOfPhones(t *testing.T) {
	for _, tm := range shipped {
		if tm.Class != Code {
			continue
		}
		pieces, _ := parse(tm.Body)
		auto := largest(pieces, tm.Lang)
		auto.SetCode("482917")
		auto.SetAutofill(strings.Repeat("h", MaxHost-8) + ".example")
		out, err := Render(tm, auto, time.UTC)
		if err != nil || !strings.HasSuffix(out, ".example #482917") || strings.Count(out, "\n") != 1 {
			t.Errorf("%s/%s with auto-fill: %v: %s", tm.Name, tm.Lang, err, out)
		}
		android := largest(pieces, tm.Lang)
		android.SetAndroid("FA+9qCX9VSu")
		out, err = Render(tm, android, time.UTC)
		if err != nil || len(out) > AndroidBytes || !strings.HasSuffix(out, "\nFA+9qCX9VSu") {
			t.Errorf("%s/%s with a hash: %v, %d bytes: %s", tm.Name, tm.Lang, err, len(out), out)
		}
	}
}

// TestEveryTemplateStandsInBothLanguages also sees that none lacks what a person needs to know.
func TestEveryTemplateStandsInBothLanguages(t *testing.T) {
	names := map[string]bool{}
	for _, tm := range shipped {
		names[tm.Name] = true
		if !strings.HasPrefix(tm.Body, "{brand}: ") {
			t.Errorf("%s/%s does not say first who writes", tm.Name, tm.Lang)
		}
		if tm.Class == Care && !strings.HasSuffix(tm.Body, "{stop}") {
			t.Errorf("%s/%s does not say how to opt out", tm.Name, tm.Lang)
		}
	}
	for name := range names {
		en, ok1 := builtin(name, "en")
		es, ok2 := builtin(name, "es")
		if !ok1 || !ok2 {
			t.Errorf("%s is missing in a language", name)
			continue
		}
		a, _ := en.Slots()
		b, _ := es.Slots()
		if en.Class != es.Class || en.Repeatable != es.Repeatable || len(en.Replies) != len(es.Replies) {
			t.Errorf("%s differs between its languages", name)
		}
		for _, s := range b {
			found := false
			for _, r := range a {
				found = found || r == s
			}
			if !found {
				t.Errorf("%s/es has a slot %s that English has not", name, s.Name)
			}
		}
	}
	for _, name := range []string{"verification", "appointment.reminder", "appointment.moved", "appointment.cancelled", "result.ready",
		"appointment.reminder.day", "appointment.moved.day", "appointment.cancelled.day",
		"prescription.ready", "telehealth.link", "optout.confirm", "optout.codes", "optout.doubtful", "optin.confirm", "help", "unread", "test"} {
		if !names[name] {
			t.Errorf("%s is not shipped", name)
		}
	}
	for key := range english.purposes {
		if _, ok := spanish.purposes[key]; !ok {
			t.Errorf("purpose %q has no Spanish words", key)
		}
	}
	for _, w := range []words{english, spanish} {
		for _, m := range []map[string]string{w.purposes, w.warnings} {
			for key, text := range m {
				if forbiddenWord(text) != "" || key != "" && !strings.HasPrefix(text, " ") {
					t.Errorf("words for %q: %q", key, text)
				}
			}
		}
	}
}

// TestWithdraw: the shipped text holds again, and a later version is not taken for an earlier one.
func TestWithdraw(t *testing.T) {
	s := storetest.Open(t)
	storetest.Update(t, s, func(tx *store.Tx) error {
		own, err := Find(tx, "verification", "en")
		if err != nil {
			return err
		}
		if err := Withdraw(tx, own.Name, own.Lang); !errors.Is(err, ErrNoTemplate) {
			t.Errorf("a shipped one: %v", err)
		}
		own.Repeatable = !own.Repeatable
		for want := 1; want <= 3; want++ {
			kept, err := Save(tx, own)
			if err != nil || kept.Version != want {
				t.Fatalf("version %d, %v; want %d", kept.Version, err, want)
			}
			if err := Withdraw(tx, own.Name, own.Lang); err != nil {
				return err
			}
			if now, err := Find(tx, own.Name, own.Lang); err != nil || now.Version != 0 {
				t.Errorf("in force is version %d, %v", now.Version, err)
			}
			if old, err := FindVersion(tx, own.Name, own.Lang, want); err != nil || old.Version != want {
				t.Errorf("what was: %d, %v", old.Version, err)
			}
		}
		return nil
	})
}
