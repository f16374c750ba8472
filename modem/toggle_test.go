package modem

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/modem/line"
	"pinward/modem/modemsim"
)

// tells asks the simulated modem in the way of the driver's session.
func (w *world) tells(cmd string) string {
	w.t.Helper()
	w.m.mu.Lock()
	s := w.m.cur
	w.m.mu.Unlock()
	if s == nil {
		w.t.Fatalf("%s: the modem is not up", cmd)
	}
	info, err := s.l.Do(context.Background(), line.Cmd{Text: cmd, Class: line.Rest}, time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(info, "|")
}

func number(n int) *int { return &n }

// Reference 5.6: the switches by which a pair of module and SIM is made to send.
func TestSettingsAreGivenAndReadBack(t *testing.T) {
	for _, c := range []struct {
		profile, radio, ims string
		want                map[string]string
		resets              int
	}{
		{"generic", "", "", map[string]string{"+CGSMS?": "+CGSMS: 3"}, 0},
		{"ec25", Radio4G, IMSOff, map[string]string{`+QCFG="nwscanmode"`: `+QCFG: "nwscanmode",3`, `+QCFG="ims"`: `+QCFG: "ims",2,0`}, 1},
		{"ec25", Radio3G, IMSOn, map[string]string{`+QCFG="nwscanmode"`: `+QCFG: "nwscanmode",2`, `+QCFG="ims"`: `+QCFG: "ims",1,1`}, 1},
		{"sim7600", Radio4G, IMSOff, map[string]string{"+CNMP?": "+CNMP: 38", "+CEMODE?": "+CEMODE: 1"}, 0},
		{"sim7600", Radio3G, IMSOn, map[string]string{"+CNMP?": "+CNMP: 14", "+CEMODE?": "+CEMODE: 2"}, 0},
		{"e173", Radio2G, "", map[string]string{"^SYSCFG?": "^SYSCFG:13,1,3FFFFFFF,1,2"}, 0},
		{"le910", Radio4G, "", map[string]string{"+WS46?": "+WS46: 28"}, 0},
	} {
		t.Run(c.profile+" "+c.radio+" "+c.ims, func(t *testing.T) {
			set := Settings{CGSMS: number(3), Radio: c.radio, IMS: c.ims}
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: c.profile}, options: Options{Settings: set}}, func(w *world) {
				check := func() {
					w.t.Helper()
					for ask, want := range c.want {
						if got := w.tells(ask); got != want {
							w.t.Errorf("%s: %q, want %q", ask, got, want)
						}
					}
					if got := w.tells("+CGSMS?"); got != "+CGSMS: 3" {
						w.t.Errorf("%q", got)
					}
				}
				st := w.ready()
				check()
				if st.Resets != c.resets || st.Unset != "" {
					w.t.Fatalf("%d resets, unset %q", st.Resets, st.Unset)
				}
				w.sim.Reboot() // what a start forgets is given again, and what it keeps needs no further restart
				w.until("down", time.Minute, func(s Status) bool { return !s.Ready })
				st = w.ready()
				check()
				if st.Resets != c.resets {
					w.t.Fatalf("%d resets after a reboot", st.Resets)
				}
			})
		})
	}
}

// Left alone, nothing is given: not one of the commands reaches the modem.
func TestSettingsLeftAlone(t *testing.T) {
	for _, profile := range allProfiles {
		inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
			w.ready()
			for _, cmd := range []string{"AT+CGSMS", "AT+CNMP", "AT+CEMODE", "AT^SYSCFG", "AT+WS46"} {
				if n := w.traced(cmd); n != 0 {
					w.t.Errorf("%s: %s was given %d times", profile, cmd, n)
				}
			}
			for _, l := range w.m.Tail() { // whether it calls over IMS is asked, never set
				if strings.HasPrefix(l.Text, "AT+QCFG=") && l.Text != `AT+QCFG="***"` {
					w.t.Errorf("%s: %s", profile, l.Text)
				}
			}
		})
	}
}

// A setting that the profile has no way to is named; the modem works all the same.
func TestSettingUnknownToTheProfile(t *testing.T) {
	for profile, want := range map[string]string{"generic": "radio, ims", "e173": "radio, ims", "le910": "ims"} {
		t.Run(profile, func(t *testing.T) {
			set := Settings{Radio: Radio4G, IMS: IMSOff}
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}, options: Options{Settings: set}}, func(w *world) {
				if st := w.ready(); st.Unset != want || !st.Alarms.Has(AlarmSettings) || st.Alarm != AlarmNone {
					w.t.Fatalf("unset %q, alarms %v", st.Unset, st.Alarms.List())
				}
				if _, err := w.send("hello"); err != nil {
					w.t.Fatal(err)
				}
			})
		})
	}
}

// A module that does not keep what counts from the next start is restarted once, not for ever.
func TestSettingThatIsForgotten(t *testing.T) {
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}, options: Options{Settings: Settings{IMS: IMSOff}}}, func(w *world) {
		w.ready()
		w.tells(`+QCFG="ims",1`) // behind the driver's back
		time.Sleep(2 * time.Hour)
		st := w.ready()
		if st.Resets != 1 || st.Unset != "ims" || !st.Alarms.Has(AlarmSettings) {
			w.t.Fatalf("%d resets, unset %q", st.Resets, st.Unset)
		}
	})
}

func TestSettingsAreChecked(t *testing.T) {
	for _, bad := range []Settings{{CGSMS: number(4)}, {CGSMS: number(-1)}, {Radio: "5g"}, {IMS: "maybe"}} {
		if bad.Check() == nil {
			t.Errorf("%+v passed", bad)
		}
	}
	for name, p := range profiles() {
		if err := p.Settings.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for key, g := range p.Toggles {
			radio, isRadio := strings.CutPrefix(key, "radio ")
			ims, isIMS := strings.CutPrefix(key, "ims ")
			if !isRadio && !isIMS || (Settings{Radio: radio, IMS: ims}).Check() != nil && isRadio == isIMS || g.Set == "" || len(g.Want) == 0 {
				t.Errorf("%s: toggle %q", name, key)
			}
		}
	}
}

// What a profile says holds until a person says otherwise.
func TestSettingsOverAProfiles(t *testing.T) {
	p := Settings{CGSMS: number(1), Radio: Radio3G, IMS: IMSOff, NoValidity: true}
	if got := (Settings{}).over(p); fmt.Sprint(got) != fmt.Sprint(p) {
		t.Errorf("%+v", got)
	}
	s := Settings{CGSMS: number(0), Radio: Radio4G, IMS: IMSOn, NationalTOA: true}
	if got := s.over(p); *got.CGSMS != 0 || got.Radio != Radio4G || got.IMS != IMSOn || !got.NoValidity || !got.NationalTOA {
		t.Errorf("%+v", got)
	}
}

// Some modems and centres refuse TP-VP with 304 or 198 (reference 5.3): a switch leaves it out.
func TestSettingNoValidity(t *testing.T) {
	m := New(nil, Options{Settings: Settings{NoValidity: true}})
	plain, err := Encode(SMS{To: patient, Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Encode(SMS{To: patient, Text: "hello", Validity: 5 * time.Minute})
	if err != nil || got[0].hex != plain[0].hex {
		t.Fatalf("%v; differs from a text without validity: %v", err, got[0].hex != plain[0].hex)
	}
	if _, err := m.Encode(SMS{To: patient, Text: "hello", Validity: -1}); err == nil {
		t.Fatal("a negative validity passed")
	}
	with, err := New(nil, Options{}).Encode(SMS{To: patient, Text: "hello", Validity: 5 * time.Minute})
	if err != nil || with[0].octets != plain[0].octets+1 {
		t.Fatal("without the switch TP-VP is missing")
	}
}

// smstools' national_toa_unknown, the other way round: unknown by default, national by a switch, short codes never (reference 5.5).
func TestSettingNationalTOA(t *testing.T) {
	m := New(nil, Options{Settings: Settings{NationalTOA: true}})
	for to, want := range map[string]string{"6175551234": "0AA1", "36180": "0581", "123456": "0681", "+16175551234": "0B91"} {
		got, err := m.Encode(SMS{To: to, Text: "hello"})
		if err != nil || got[0].hex[6:10] != want {
			t.Errorf("%d digits: %v, want %s", len(to), err, want)
		}
	}
	got, err := Encode(SMS{To: "6175551234", Text: "hello"})
	if err != nil || got[0].hex[6:10] != "0A81" {
		t.Errorf("without the switch: %v", err)
	}
}
