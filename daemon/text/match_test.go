package text

import (
	"errors"
	"testing"
	"time"
)

// TestMatchReadsEveryShippedTextBack: what a template gives is matched by that template, with values that
// give the same text again.
func TestMatchReadsEveryShippedTextBack(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, zone)
	hosts := []string{"portal.example.org"}
	ours := Values{}
	ours.SetBrand("Riverside")
	matched := 0
	for _, tpl := range shipped {
		if tpl.Class != Care && tpl.Class != Marketing {
			continue
		}
		v := Values{}
		v.SetBrand("Riverside")
		v.SetSite("Main Street")
		v.SetPhone("617-555-1000")
		v.SetInstant("start", time.Date(2027, 3, 4, 15, 30, 0, 0, zone))
		if err := v.SetLink("https://portal.example.org/x", hosts); err != nil {
			t.Fatal(err)
		}
		body, err := Render(tpl, v, zone)
		if err != nil {
			t.Fatal(err)
		}
		got, values, err := Match([]Template{tpl}, body, ours, hosts, zone, now)
		if err != nil || got.Name != tpl.Name || got.Lang != tpl.Lang {
			t.Errorf("%s/%s: matched %s/%s, %v", tpl.Name, tpl.Lang, got.Name, got.Lang, err)
			continue
		}
		matched++
		values.SetBrand("Riverside")
		if again, err := Render(got, values, zone); err != nil || again != body {
			t.Errorf("%s/%s: renders %q, %v", tpl.Name, tpl.Lang, again, err)
		}
		slots, err := tpl.Slots()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range slots {
			if s.Type == Time && s.Name == "start" && tpl.Name == "appointment.reminder" && values["start"] != "2027-03-04T20:30:00Z" {
				t.Errorf("%s/%s: start is another instant", tpl.Name, tpl.Lang)
			}
		}
		if _, _, err := Match(shipped, body+".", ours, hosts, zone, now); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%s/%s: matched with a letter more: %v", tpl.Name, tpl.Lang, err)
		}
		if _, _, err := Match([]Template{tpl, tpl}, body, ours, hosts, zone, now); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%s/%s: matched where two templates give it: %v", tpl.Name, tpl.Lang, err)
		}
	}
	if matched < 20 {
		t.Errorf("%d templates matched", matched)
	}
}

// TestMatchNeverTakesACode: a client cannot send a code, or an answer of ours, as a text of its own.
func TestMatchNeverTakesACode(t *testing.T) {
	ours := Values{}
	ours.SetBrand("Riverside")
	for _, body := range []string{
		"Riverside: 123456 is your code. Valid 5 min.", "Riverside: This message shows that texting works. You need not do anything.",
		"Riverside: Your visit on Fri Feb 30, 3:30 PM is cancelled. To rebook call 617-555-1000. Reply STOP to opt out.",
		"Riverside: Your pickup is ready at Oncology Ward. Questions? 617-555-1000. Reply STOP to opt out.",
		"Riverside: You have a new document in your portal: https://evil.example/ Reply STOP to opt out.",
	} {
		if t2, _, err := Match(shipped, body, ours, []string{"portal.example.org"}, time.UTC, time.Now()); !errors.Is(err, ErrNoMatch) {
			t.Errorf("matched %s: %v", t2.Name, err)
		}
	}
}
