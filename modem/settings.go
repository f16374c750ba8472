package modem

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"pinward/modem/line"
)

// The values of Settings.Radio: the radio that a module may use.
const (
	RadioAuto = "auto"
	Radio2G   = "2g"
	Radio3G   = "3g"
	Radio4G   = "4g"
)

// The values of Settings.IMS.
const (
	IMSOn  = "on"
	IMSOff = "off"
)

// Settings are for a pair of module and SIM that does not send as it comes: SMS over IMS that fails where 3G works, or a service
// centre that refuses what others take (reference 5.3, 5.6). The zero value leaves everything as the module has it, or as its profile
// wants it. They are given at each bring-up, read back where the module tells, and looked at each hour; what a module does not take
// is named by Status.Unset and AlarmSettings.
type Settings struct {
	// CGSMS is the <service> of +CGSMS (27.007, 10.1.21): 0 packet domain, 1 circuit switched, 2 packet preferred, 3 circuit
	// switched preferred. nil leaves it.
	CGSMS *int `json:"cgsms" toml:"cgsms"`
	// Radio is one of the Radio values, or "" to leave it.
	Radio string `json:"radio" toml:"radio"`
	// IMS is IMSOn, IMSOff, or "" to leave it. Many modules want a restart after a change: they get it, once.
	IMS string `json:"ims" toml:"ims"`
	// NoValidity leaves TP-VP out: some modems and centres refuse it (+CMS ERROR 304 or 198). A code may then arrive tomorrow.
	NoValidity bool `json:"no_validity" toml:"no_validity"`
	// NationalTOA marks numbers without '+' as national (0xA1) instead of unknown (0x81); short codes, up to 6 digits, never.
	NationalTOA bool `json:"national_toa" toml:"national_toa"`
}

// Check says what is wrong with the settings, by their keys; whether a module knows them is seen when it is there.
func (s Settings) Check() error {
	switch {
	case s.CGSMS != nil && (*s.CGSMS < 0 || *s.CGSMS > 3):
		return errors.New("cgsms: must be 0 to 3")
	case !slices.Contains([]string{"", RadioAuto, Radio2G, Radio3G, Radio4G}, s.Radio):
		return errors.New("radio: must be auto, 2g, 3g or 4g")
	case !slices.Contains([]string{"", IMSOn, IMSOff}, s.IMS):
		return errors.New("ims: must be on or off")
	}
	return nil
}

// over is s where it says something, and otherwise the profile's.
func (s Settings) over(p Settings) Settings {
	if s.CGSMS == nil {
		s.CGSMS = p.CGSMS
	}
	if s.Radio == "" {
		s.Radio = p.Radio
	}
	if s.IMS == "" {
		s.IMS = p.IMS
	}
	s.NoValidity = s.NoValidity || p.NoValidity
	s.NationalTOA = s.NationalTOA || p.NationalTOA
	return s
}

// toggle is how a module is told one setting. A profile has them under names as "radio 4g" and "ims off".
type toggle struct {
	Set     string   `json:"set"`
	Ask     string   `json:"ask"`     // "" where the module does not tell
	Want    []string `json:"want"`    // the first fields of the answer when it is set
	Restart bool     `json:"restart"` // it counts from the next start
}

// setting is a toggle with the name that an operator knows.
type setting struct {
	name string
	toggle
	known bool // false: the profile has no way to it
}

// settings are the ones that s asks of a module with this profile.
func (p profile) settings(s Settings) []setting {
	var out []setting
	if s.CGSMS != nil {
		n := strconv.Itoa(*s.CGSMS)
		out = append(out, setting{"cgsms", toggle{Set: "+CGSMS=" + n, Ask: "+CGSMS?", Want: []string{n}}, true})
	}
	for _, c := range []struct{ name, value string }{{"radio", s.Radio}, {"ims", s.IMS}} {
		if c.value != "" {
			t, known := p.Toggles[c.name+" "+c.value]
			out = append(out, setting{c.name, t, known})
		}
	}
	return out
}

// holds asks the module; sure is false if it does not tell.
func (s *session) holds(t toggle) (set, sure bool, err error) {
	if t.Ask == "" {
		return false, false, nil
	}
	info, err := s.ask(t.Ask)
	if err != nil || len(info) == 0 {
		return false, false, err
	}
	name := t.Ask[:strings.IndexAny(t.Ask+"=", "=?")]
	f := fields(field(info, name))
	return len(f) >= len(t.Want) && slices.Equal(f[:len(t.Want)], t.Want), true, nil
}

// applySettings gives what is not yet as it should be. A setting that counts from the next start brings one restart in the life of
// Run, not more: a module that forgets it would be restarted for ever.
func (s *session) applySettings() error {
	var unset []string
	for _, w := range s.p.settings(s.m.o.Settings.over(s.p.Settings)) {
		if !w.known {
			unset = append(unset, w.name)
			continue
		}
		set, sure, err := s.holds(w.toggle)
		if err != nil {
			return err
		}
		switch {
		case set && slices.Contains(s.pending, w.name):
			unset = append(unset, w.name)
			continue
		case set:
			continue
		}
		var refused *line.ResultError
		if _, err = s.do(w.Set); errors.As(err, &refused) {
			unset = append(unset, w.name)
			continue
		} else if err != nil {
			return err
		}
		if !sure {
			continue // it took it, and tells no more
		}
		key := s.m.Status().IMEI + " " + w.Set
		if w.Restart && !s.m.restarted[key] {
			s.m.restarted[key] = true
			return s.restart("a setting counts from the next start: " + w.name)
		}
		if set, _, err = s.holds(w.toggle); err != nil {
			return err
		}
		if w.Restart {
			s.pending = append(s.pending, w.name)
		}
		if !set || w.Restart {
			unset = append(unset, w.name)
		}
	}
	told := strings.Join(unset, ", ")
	if told != "" && told != s.m.Status().Unset {
		s.m.o.Log.Warn("settings not taken by the modem", "modem", s.m.o.Name, "settings", told)
	}
	s.m.update(func(st *Status) { st.Unset = told })
	return nil
}

// Encode is the package's Encode, for what is sent by this modem: Settings.NoValidity and Settings.NationalTOA hold, and the
// profile's.
func (m *Modem) Encode(sms SMS) ([]TPDU, error) {
	set := m.o.Settings.over(profiles()[m.Status().Profile].Settings)
	if set.NoValidity {
		sms.Validity = min(sms.Validity, 0) // a negative one is refused all the same
	}
	return encode(sms, set.NationalTOA)
}
