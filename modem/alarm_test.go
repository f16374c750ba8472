package modem

import (
	"encoding/json"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

func TestAlarmsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for a := AlarmNone; a < alarms; a++ {
		if (a.String() == "") != (a == AlarmNone) || seen[a.String()] {
			t.Errorf("alarm %d is called %q", a, a)
		}
		seen[a.String()] = true
		var back Alarm
		if err := back.UnmarshalText([]byte(a.String())); err != nil || back != a {
			t.Errorf("%s reads as %s, %v", a, back, err)
		}
	}
	set := Alarms(0).With(AlarmSupply).With(AlarmPIN).With(AlarmNone)
	b, err := json.Marshal(Status{Alarm: AlarmPIN, Alarms: set})
	if err != nil {
		t.Fatal(err)
	}
	var back Status
	if err := json.Unmarshal(b, &back); err != nil || back.Alarm != AlarmPIN || back.Alarms != set {
		t.Errorf("%s reads as %v, %v", b, back.Alarms.List(), err)
	}
	if json.Unmarshal([]byte(`["fire"]`), &set) == nil {
		t.Error("an unknown alarm is accepted")
	}
}

// Each trouble by its name, and gone when it is over.
func TestTroubleIsNamed(t *testing.T) {
	pinned := modemsim.ModemOptions{PIN: "4711"}
	for name, v := range map[string]struct {
		sim    modemsim.ModemOptions
		faults modemsim.Faults
		o      Options
		phase  Phase
		alarm  Alarm
		lasts  bool // does not end with the fault
	}{
		"unplugged":           {faults: modemsim.Faults{Unplugged: true}, phase: PhaseDown, alarm: AlarmUnplugged},
		"silent":              {faults: modemsim.Faults{Silence: -1}, phase: PhaseDown, alarm: AlarmSilent},
		"stuck":               {faults: modemsim.Faults{Stuck: true}, phase: PhaseDown, alarm: AlarmSilent},
		"SIM removed":         {faults: modemsim.Faults{SIMRemoved: true}, phase: PhaseBlocked, alarm: AlarmSIMRemoved},
		"no PIN kept":         {sim: pinned, phase: PhaseBlocked, alarm: AlarmPIN, lasts: true},
		"wrong PIN":           {sim: pinned, o: Options{PIN: pin("0000")}, phase: PhaseBlocked, alarm: AlarmPIN, lasts: true},
		"one try left":        {sim: modemsim.ModemOptions{PIN: "4711", PINTries: 1}, o: Options{PIN: pin("4711")}, phase: PhaseBlocked, alarm: AlarmLocked, lasts: true},
		"PUK wanted":          {sim: modemsim.ModemOptions{PIN: "4711", PINTries: -1}, o: Options{PIN: pin("4711")}, phase: PhaseBlocked, alarm: AlarmLocked, lasts: true},
		"registration denied": {faults: modemsim.Faults{Registration: 3}, phase: PhaseRegistering, alarm: AlarmNotRegistered},
		"no network":          {faults: modemsim.Faults{Registration: 2}, phase: PhaseRegistering, alarm: AlarmNotRegistered},
		"limited service":     {faults: modemsim.Faults{Registration: 11}, phase: PhaseRegistering, alarm: AlarmNotRegistered},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{sim: v.sim, faults: v.faults, options: v.o}, func(w *world) {
				st := w.until("in alarm", 10*time.Minute, func(s Status) bool { return s.Alarm == v.alarm })
				if st.Phase != v.phase || st.Cause == "" || !st.Alarms.Has(v.alarm) {
					w.t.Fatalf("%s, cause %q, alarms %v; want %s", st.Phase, st.Cause, st.Alarms.List(), v.phase)
				}
				if v.lasts {
					return
				}
				w.faults(modemsim.Faults{})
				if st := w.until("well again", 20*time.Minute, func(s Status) bool { return s.Ready }); st.Alarm != AlarmNone || st.Alarms != 0 {
					w.t.Fatalf("alarms of a modem that is ready: %v", st.Alarms.List())
				}
			})
		})
	}
}

func TestRefusalsOfTheSIMAreNamed(t *testing.T) {
	for answer, alarm := range map[string]Alarm{
		"+CMS ERROR: 8": AlarmBarred, "+CMS ERROR: 50": AlarmBarred, "+CMS ERROR: 310": AlarmSIMRemoved, "+CMS ERROR: 311": AlarmPIN,
		"+CMS ERROR: 313": AlarmSIMFault, "+CME ERROR: 10": AlarmSIMRemoved, "+CME ERROR: 12": AlarmLocked, "+CMS ERROR: 316": AlarmLocked, "+CME ERROR: 13": AlarmSIMFault,
	} {
		t.Run(answer, func(t *testing.T) {
			inWorld(t, setup{faults: modemsim.Faults{SendErrors: []string{answer}}}, func(w *world) {
				w.ready()
				_, err := w.send("hello")
				w.want(answer, err, ErrNotSent)
				if st := w.m.Status(); st.Phase != PhaseQuarantined || st.Alarm != alarm {
					w.t.Fatalf("%s, alarm %s; want %s", st.Phase, st.Alarm, alarm)
				}
			})
		})
	}
}

// Peaks of 2 A reset a module on a weak hub, just while it sends (reference 3): three restarts of its own in a day are the supply.
func TestSupplyDips(t *testing.T) {
	for _, profile := range []string{"ec25", "e173", "le910"} { // RDY, ^BOOT, and one that says nothing but leaves the bus
		t.Run(profile, func(t *testing.T) {
			seldom := Options{Timing: Timing{Status: 5 * time.Minute, Storage: 5 * time.Minute}} // a day has many looks
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}, options: seldom}, func(w *world) {
				w.ready()
				for i := range 3 {
					if st := w.m.Status(); st.Alarms.Has(AlarmSupply) {
						w.t.Fatalf("alarm after %d reboots", i)
					}
					w.faults(modemsim.Faults{RebootAt: modemsim.AtPDU})
					_, err := w.send("hello")
					w.want("reboot in mid-send", err, nil)
					w.until("counted", time.Minute, func(s Status) bool { return s.Ready && s.Reboots == i+1 })
					time.Sleep(time.Hour)
				}
				st := w.m.Status()
				if !st.Ready || st.RebootsDay != 3 || !st.Alarms.Has(AlarmSupply) || st.Alarm != AlarmNone {
					w.t.Fatalf("%+v", st)
				}
				time.Sleep(21*time.Hour + 30*time.Minute)
				if st := w.m.Status(); st.RebootsDay != 2 || st.Reboots != 3 || st.Alarms.Has(AlarmSupply) {
					w.t.Fatalf("a day later: %d of %d reboots, alarms %v", st.RebootsDay, st.Reboots, st.Alarms.List())
				}
			})
		})
	}
}

func TestStorageFull(t *testing.T) {
	for _, profile := range []string{"ec25", "sim7600", "e173"} { // each has its own way to say so
		t.Run(profile, func(t *testing.T) {
			inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
				w.ready()
				w.faults(modemsim.Faults{StoreFull: true})
				w.reply("YES")
				w.until("alarm", time.Minute, func(s Status) bool { return s.Alarms.Has(AlarmStorage) })
				time.Sleep(time.Minute) // the text has been tried, too: the alarm may come of the mere count
				w.faults(modemsim.Faults{})
				w.reply("NO")
				w.event(3 * time.Minute).Done(nil)
				if profile != "ec25" { // which has lost the first (5.4)
					w.event(3 * time.Minute).Done(nil)
				}
				w.until("empty", 3*time.Minute, func(s Status) bool { return s.StorageUsed == 0 && !s.Alarms.Has(AlarmStorage) })
			})
		})
	}
}
