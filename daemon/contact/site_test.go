package contact

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pinward/store"
	"pinward/store/storetest"
)

func goodSite() Site {
	return Site{Name: "Riverside General", Brand: "Riverside", Zone: "America/New_York", Area: "617", Mode: Live,
		QuietFrom: "21:00", QuietTo: "08:00", HelpPhone: "617-555-1000", LinkHosts: []string{"portal.example.org"}}
}

func TestSite(t *testing.T) {
	s := storetest.Open(t)
	storetest.View(t, s, func(tx *store.Tx) error {
		site, err := SiteOf(tx)
		if site.Mode != Shadow || site.Location() != time.UTC || site.Language() != "en" {
			t.Errorf("before set-up the mode is %v", site.Mode)
		}
		return err
	})
	want := goodSite()
	want.Pilot = []Phone{phone(t, "+16175551234")}
	storetest.Update(t, s, func(tx *store.Tx) error { return SetSite(tx, want) })
	storetest.View(t, s, func(tx *store.Tx) error {
		got, err := SiteOf(tx)
		if err != nil || len(got.differs(want)) != 0 {
			t.Errorf("kept differs in %v, %v", got.differs(want), err)
		}
		if !got.IsPilot(want.Pilot[0], "") || got.IsPilot(phone(t, "+16175556789"), "") || got.Plan().Area != "617" {
			t.Error("pilot or plan")
		}
		return nil
	})
	e := storetest.Entries(t, s)[0]
	for _, a := range e.Attrs {
		if strings.Contains(a.Value, "5551") || strings.Contains(a.Value, "River") {
			t.Errorf("the entry holds a value: %s", a.Key)
		}
		if a.Key == "changed" && a.Value != "name,brand,zone,area,region,help_phone,mode,pilot,quiet_hours,link_hosts" {
			t.Errorf("changed: %s", a.Value)
		}
	}
}

func TestSiteThatCannotBe(t *testing.T) {
	s := storetest.Open(t)
	for name, spoil := range map[string]func(*Site){
		"no zone":        func(s *Site) { s.Zone = "" },
		"unknown zone":   func(s *Site) { s.Zone = "America/Gotham" },
		"machine's zone": func(s *Site) { s.Zone = "Local" },
		"unknown mode":   func(s *Site) { s.Mode = 7 },
		"bad area":       func(s *Site) { s.Area = "61" },
		"area from 1":    func(s *Site) { s.Area = "117" },
		"bad hour":       func(s *Site) { s.QuietFrom = "9 pm" },
		"half a night":   func(s *Site) { s.QuietTo = "" },
		"help in words":  func(s *Site) { s.HelpPhone = "ask Jane" },
		"long brand":     func(s *Site) { s.Brand = strings.Repeat("x", 25) },
		"no tries":       func(s *Site) { s.CallTries = -1 },
		"many tries":     func(s *Site) { s.CallTries = 6 },
		"tries at once":  func(s *Site) { s.CallAgain = 9 },
		"tries far off":  func(s *Site) { s.CallAgain = 721 },
		"clinic of none": func(s *Site) { s.PilotPlaces = []string{""} },
		"link host":      func(s *Site) { s.LinkHosts = []string{"https://portal.example.org"} },
	} {
		site := goodSite()
		spoil(&site)
		if err := s.Update(t.Context(), storetest.Tester, func(tx *store.Tx) error { return SetSite(tx, site) }); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestQuietHours(t *testing.T) {
	site := goodSite()
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, site.Location())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ now, until string }{
		{"2026-06-10 20:59", ""},
		{"2026-06-10 21:00", "2026-06-11 08:00"},
		{"2026-06-11 00:00", "2026-06-11 08:00"},
		{"2026-06-11 07:59", "2026-06-11 08:00"},
		{"2026-06-11 08:00", ""},
		{"2026-03-07 22:00", "2026-03-08 08:00"}, // the clock is put forward that night
		{"2026-10-31 22:00", "2026-11-01 08:00"}, // and back that night
	} {
		until, quiet := site.Quiet(at(c.now))
		if quiet != (c.until != "") || quiet && !until.Equal(at(c.until)) {
			t.Errorf("%s: quiet %t until %s, want %q", c.now, quiet, until.In(site.Location()), c.until)
		}
	}
	if until, _ := site.Quiet(at("2026-03-07 22:00")); until.Sub(at("2026-03-07 22:00")) != 9*time.Hour {
		t.Error("the short night is not an hour shorter")
	}
	site.QuietFrom, site.QuietTo = "12:00", "13:00"
	if _, quiet := site.Quiet(at("2026-06-10 12:30")); !quiet {
		t.Error("a break at noon is not quiet")
	}
	if _, quiet := site.Quiet(at("2026-06-10 13:00")); quiet {
		t.Error("a break at noon does not end")
	}
	site.QuietTo = "12:00"
	if _, quiet := site.Quiet(at("2026-06-10 12:00")); quiet {
		t.Error("equal hours are no quiet hours")
	}
}

func TestStrictestMode(t *testing.T) {
	for _, c := range []struct {
		modes []Mode
		want  Mode
	}{{nil, Shadow}, {[]Mode{Live}, Live}, {[]Mode{Live, Pilot}, Pilot}, {[]Mode{Live, Shadow, Pilot}, Shadow}} {
		if got := Strictest(c.modes...); got != c.want {
			t.Errorf("Strictest(%v) = %v", c.modes, got)
		}
	}
	for _, m := range []Mode{Shadow, Pilot, Live} {
		b, err := json.Marshal(m)
		var back Mode
		if err != nil || json.Unmarshal(b, &back) != nil || back != m {
			t.Errorf("%v becomes %v through %s", m, back, b)
		}
	}
	if _, err := ParseMode("loud"); err == nil {
		t.Error("an unknown mode is a mode")
	}
	if m, err := ParseMode(""); m != Shadow || err != nil {
		t.Error("no mode is not shadow")
	}
}
