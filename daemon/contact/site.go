package contact

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a minimal host has no zoneinfo, and a reminder in UTC is a missed appointment
	"unicode/utf8"

	"pinward/store"
)

// Mode says how far a decision goes. The zero value is the strictest, so what nobody set sends
// nothing.
type Mode uint8

const (
	Shadow Mode = iota // decide, render and record; send nothing
	Pilot              // send to the site's pilot numbers only, and about its pilot clinics
	Live               // send
)

var modeNames = []string{"shadow", "pilot", "live"}

// String gives "shadow", "pilot" or "live".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return modeNames[Shadow]
}

// ParseMode reads what String gives; "" is Shadow.
func ParseMode(s string) (Mode, error) {
	if s == "" {
		return Shadow, nil
	}
	if i := slices.Index(modeNames, s); i >= 0 {
		return Mode(i), nil
	}
	return Shadow, errors.New("unknown mode: one of shadow, pilot, live")
}

// MarshalText is String.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMode.
func (m *Mode) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMode(string(b))
	return err
}

// Strictest returns the strictest of the modes that a decision passes through: site, listener,
// client. Of none it is Shadow.
func Strictest(modes ...Mode) Mode {
	if len(modes) == 0 {
		return Shadow
	}
	return slices.Min(modes)
}

// Site is the one hospital or clinic that this box serves. It is policy: it lives in the store and
// each change is an entry.
type Site struct {
	Name  string `json:"name"`  // as staff know it; may name a clinic, so it never goes into a text
	Brand string `json:"brand"` // neutral, first word of every text, at most 24: "Riverside", never "Riverside Oncology"
	Zone  string `json:"zone"`  // IANA time zone, "America/New_York"

	Area      string   `json:"area"`      // area code for seven-digit numbers; "" refuses them
	Region    string   `json:"region"`    // ISO 3166-1 region of national numbers; "" is US
	Countries []string `json:"countries"` // regions or leading digits reachable besides Region, as Plan.Allowed
	Languages []string `json:"languages"` // BCP 47 tags that texts may be in, the default first; empty is English

	HelpPhone string `json:"help_phone"` // as printed in texts, at most 16 characters: "617-555-1000"
	Authority string `json:"authority"`  // assigning authority of MRNs that come without one

	Mode  Mode    `json:"mode"`
	Pilot []Phone `json:"pilot"` // who is texted in mode pilot,
	// PilotPlaces are the clinics about whose visits and orders anybody is, by the names that the HL7 policy gives them.
	PilotPlaces []string `json:"pilot_places,omitempty"`

	QuietFrom string `json:"quiet_from"` // local "21:00", "08:00": notices wait; equal or empty is none
	QuietTo   string `json:"quiet_to"`

	// Notices are told by voice to who cannot be texted from CallFrom to CallTo, local time, and never in quiet hours; "" is 09:00 and
	// 18:00. Codes that a person waits for are called at any hour.
	CallFrom string `json:"call_from,omitempty"`
	CallTo   string `json:"call_to,omitempty"`

	// CallTries is how many calls about one notice are made at most where nobody hears one, since it is engaged, off, or rings in vain; 0 is
	// 3, 1 calls once. CallAgain is how many minutes lie between two; 0 is 60.
	CallTries int `json:"call_tries,omitempty"`
	CallAgain int `json:"call_again_minutes,omitempty"`

	// NoCalls are beginnings of numbers that are never called, "+16175552": the telephones of patients' rooms, the
	// hospital's own exchange. HelpPhone is never called either.
	NoCalls []string `json:"no_calls"`

	LinkHosts []string `json:"link_hosts"` // hosts that links in texts may point to, "portal.example.org"
}

// Plan is how this site reads phone numbers.
func (s Site) Plan() Plan { return Plan{Region: s.Region, Area: s.Area, Allowed: s.Countries} }

// IsPilot reports whether p may be texted in mode Pilot, about what happens at a place; "" is not known.
func (s Site) IsPilot(p Phone, place string) bool {
	return slices.Contains(s.Pilot, p) || place != "" && slices.Contains(s.PilotPlaces, place)
}

// Language is the language for a person of whom none is known.
func (s Site) Language() string {
	if len(s.Languages) == 0 {
		return "en"
	}
	return s.Languages[0]
}

// zones remembers loaded time zones, so that a transaction does not read files. It only ever holds
// names that exist.
var zones sync.Map // name -> *time.Location

// Location is the site's time zone, UTC when it has none.
func (s Site) Location() *time.Location {
	if l, ok := zones.Load(s.Zone); ok {
		return l.(*time.Location)
	}
	l, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.UTC
	}
	zones.Store(s.Zone, l)
	return l
}

// Quiet reports whether at lies in the quiet hours, and when they end. It reckons on the local wall
// clock, so a night in which the clock changes is still quiet from QuietFrom to QuietTo.
func (s Site) Quiet(at time.Time) (until time.Time, quiet bool) {
	from, ok1 := minuteOfDay(s.QuietFrom)
	to, ok2 := minuteOfDay(s.QuietTo)
	if !ok1 || !ok2 || from == to {
		return time.Time{}, false
	}
	local := at.In(s.Location())
	now := local.Hour()*60 + local.Minute()
	days := 0
	switch {
	case from < to && (now < from || now >= to):
		return time.Time{}, false
	case from > to && now < from && now >= to:
		return time.Time{}, false
	case from > to && now >= from:
		days = 1
	}
	end := time.Date(local.Year(), local.Month(), local.Day()+days, to/60, to%60, 0, 0, local.Location())
	return end.UTC(), true
}

// minuteOfDay reads "21:00".
func minuteOfDay(hhmm string) (int, bool) {
	t, err := time.Parse("15:04", hhmm)
	if err != nil {
		return 0, false
	}
	return t.Hour()*60 + t.Minute(), true
}

// ActionSite is recorded when the site's policy changes.
const ActionSite store.Action = "site.change"

var sites = store.NewTable[Site]("contact.site", store.Policy(), store.Cached())

var siteKey = []byte("site")

// SiteOf returns the site, and before set-up one that sends nothing: mode Shadow, UTC, region US.
func SiteOf(tx *store.Tx) (Site, error) {
	s, ok, err := sites.Get(tx, siteKey)
	if err != nil {
		return Site{}, fmt.Errorf("read site: %w", err)
	}
	if !ok {
		return Site{Zone: "UTC", Region: "US"}, nil
	}
	return s, nil
}

// SetSite checks and keeps the site. The entry says which settings changed; of their values only the
// mode, for the others may hold a number.
func SetSite(tx *store.Tx, s Site) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	old, err := SiteOf(tx)
	if err != nil {
		return err
	}
	if err := sites.Put(tx, siteKey, s); err != nil {
		return fmt.Errorf("keep site: %w", err)
	}
	if _, err := SetMode(tx, ofSite, old.Mode, s.Mode); err != nil {
		return err
	}
	return record(tx, store.Entry{Action: ActionSite, Object: "site", Attrs: []store.Attr{
		{Key: "changed", Value: strings.Join(old.differs(s), ",")},
		{Key: "mode", Value: s.Mode.String()},
		{Key: "mode_before", Value: old.Mode.String()},
	}})
}

// Check says what is wrong with a site before it is saved.
func (s Site) Check() error {
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
		return errors.New("zone is not an IANA time zone")
	}
	if s.Mode > Live {
		return errors.New("unknown mode")
	}
	if s.Area != "" && (len(s.Area) != 3 || !allDigits(s.Area) || s.Area[0] < '2') {
		return errors.New("area is not a three-digit area code")
	}
	if len(s.HelpPhone) > 16 || strings.Trim(s.HelpPhone, "+0123456789 ()./-") != "" {
		return errors.New("help phone is not a number as printed, of at most 16 characters")
	}
	if utf8.RuneCountInString(s.Brand) > 24 || strings.TrimSpace(s.Brand) != s.Brand {
		return errors.New("brand is longer than 24 characters, or has spaces around it")
	}
	for _, q := range []string{s.QuietFrom, s.QuietTo} {
		if _, ok := minuteOfDay(q); q != "" && !ok {
			return errors.New(`quiet hours are not of the form "21:00"`)
		}
	}
	if (s.QuietFrom == "") != (s.QuietTo == "") {
		return errors.New("quiet hours need both a beginning and an end")
	}
	if slices.ContainsFunc(s.PilotPlaces, func(name string) bool { return strings.TrimSpace(name) != name || name == "" }) {
		return errors.New("pilot_places has an empty name, or one with spaces around it")
	}
	if err := s.checkNoCalls(); err != nil {
		return err
	}
	if from, to, ok := s.callHours(); !ok || from >= to {
		return errors.New(`call_from and call_to are not of the form "09:00", the first before the other`)
	}
	if s.CallTries < 0 || s.CallTries > 5 {
		return errors.New("call_tries is not 1 to 5")
	}
	if s.CallAgain != 0 && (s.CallAgain < 10 || s.CallAgain > 12*60) {
		return errors.New("call_again_minutes is not 10 to 720")
	}
	for _, h := range s.LinkHosts {
		if u, err := url.Parse("https://" + h); err != nil || u.Host != h || h == "" || strings.ToLower(h) != h {
			return errors.New("a link host is not a lower-case host name")
		}
	}
	return nil
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// differs names the settings in which two sites differ.
func (s Site) differs(o Site) []string {
	var names []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"name", s.Name == o.Name},
		{"brand", s.Brand == o.Brand},
		{"zone", s.Zone == o.Zone},
		{"area", s.Area == o.Area},
		{"region", s.Region == o.Region},
		{"countries", slices.Equal(s.Countries, o.Countries)},
		{"languages", slices.Equal(s.Languages, o.Languages)},
		{"help_phone", s.HelpPhone == o.HelpPhone},
		{"authority", s.Authority == o.Authority},
		{"mode", s.Mode == o.Mode},
		{"pilot", slices.Equal(s.Pilot, o.Pilot)},
		{"pilot_places", slices.Equal(s.PilotPlaces, o.PilotPlaces)},
		{"quiet_hours", s.QuietFrom == o.QuietFrom && s.QuietTo == o.QuietTo},
		{"call_hours", s.CallFrom == o.CallFrom && s.CallTo == o.CallTo},
		{"call_tries", s.CallTries == o.CallTries && s.CallAgain == o.CallAgain},
		{"no_calls", slices.Equal(s.NoCalls, o.NoCalls)},
		{"link_hosts", slices.Equal(s.LinkHosts, o.LinkHosts)},
	} {
		if !f.same {
			names = append(names, f.name)
		}
	}
	return names
}
