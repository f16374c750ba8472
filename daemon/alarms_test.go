package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/alarm"
	"pinward/daemon/contact"
	"pinward/modem/modemsim"
	"pinward/store"
)

// onCall are the telephones of the duties of the tests.
const (
	onCallNight  = "+16175551301"
	onCallSecond = "+16175551302"
)

// alarmPolicy tells the night's duty by text, then the second one.
func (f *flow) alarmPolicy(change func(*alarm.Policy)) {
	f.t.Helper()
	p := alarm.Default()
	p.Weekly.Day, p.Heartbeat.At = "", ""
	p.WarnFrom, p.WarnTo, p.WarnHoldMinutes = "", "", 1
	p.OnCall = []alarm.Duty{{Name: "night", Phone: phoneOf(f.t, onCallNight)}, {Name: "second", Phone: phoneOf(f.t, onCallSecond)}}
	p.Steps = []alarm.Step{{By: alarm.SMS, To: []string{"night"}, WaitMinutes: 10}, {By: alarm.SMS, To: []string{"second"}, WaitMinutes: 10}}
	if change != nil {
		change(&p)
	}
	f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error { return alarm.SetPolicy(tx, p) }))
}

func phoneOf(t *testing.T, e164 string) contact.Phone {
	t.Helper()
	p, err := contact.ParsePhone(e164, contact.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *flow) openAlarms() (out []alarm.Alarm) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) (err error) {
		out, err = alarm.Open(tx)
		return err
	}))
	return out
}

func (f *flow) textsOf(number string) (out []string) {
	for _, m := range f.network.Handset(number).Messages() {
		out = append(out, m.Text)
	}
	return out
}

// A modem dies at night: the text goes to who is on call, by another modem; nobody answers, so the next one
// gets it; an ACK by text ends it, and both hear that it is over when the modem is back.
func TestFlowModemDiesAtNight(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.alarmPolicy(nil)
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		f.until("the alarm is at the handset", 10*time.Minute, func() bool { return len(f.textsOf(onCallNight)) == 1 })
		first := f.network.Handset(onCallNight).Messages()[0]
		if first.Modem != "m2" || !strings.HasPrefix(first.Text, "Test alarm 1 warning: modems/m1: ") || !strings.HasSuffix(first.Text, " Reply ACK 1") {
			t.Errorf("by %s: %q", first.Modem, first.Text)
		}
		f.until("the next one is told", 11*time.Minute, func() bool { return len(f.textsOf(onCallSecond)) == 1 })
		f.must(f.network.Handset(onCallSecond).Reply("ack 1", ""))
		f.until("it is acknowledged", time.Minute, func() bool { a := f.openAlarms(); return len(a) == 1 && a[0].SeenBy == "sms second" })
		time.Sleep(80 * time.Minute) // longer than until it would be told again
		if n := len(f.textsOf(onCallNight)); n != 1 {
			t.Errorf("the night's duty has %d texts: %q", n, f.textsOf(onCallNight))
		}
		if got := f.textsOf(onCallSecond); !slices.Contains(got, "Test alarm 1 acknowledged: modems/m1") {
			t.Errorf("the answer is missing: %q", got)
		}
		f.must(f.modems[0].SetFaults(modemsim.Faults{}))
		f.until("it is over", 30*time.Minute, func() bool { return len(f.openAlarms()) == 0 })
		time.Sleep(time.Minute)
		for _, number := range []string{onCallNight, onCallSecond} {
			if got := f.textsOf(number); got[len(got)-1] != "Test alarm 1 is over: modems/m1" {
				t.Errorf("%s was told last %q", number, got[len(got)-1])
			}
		}
	})
}

// When no modem works there is one alarm and not one for each, and no text is waited for: it is told at once
// that none could leave.
func TestFlowNoModemIsOneAlarm(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.alarmPolicy(nil)
		for _, m := range f.modems {
			f.must(m.SetFaults(modemsim.Faults{Unplugged: true}))
		}
		f.until("it is an alarm", 10*time.Minute, func() bool {
			return slices.ContainsFunc(f.openAlarms(), func(a alarm.Alarm) bool { return a.Path == "modems" })
		})
		time.Sleep(5 * time.Minute)
		a := f.openAlarms()[0]
		if a.Severity != alarm.Critical || len(a.Told) != 2 || a.Told[0].Cause != "no modem can send" || a.Told[1].Cause != "no modem can send" || !a.Told[1].At.Equal(a.Told[0].At) {
			t.Errorf("the alarm is %+v", a)
		}
	})
}

// A start takes its time: what is not there yet is no alarm, and what does not come is one.
func TestFlowStartIsNoAlarm(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.alarmPolicy(func(p *alarm.Policy) { p.HoldMinutes, p.WarnHoldMinutes = 0, 0 })
		f.close()
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		f.open()
		time.Sleep(alarmGrace - 10*time.Second)
		if got := f.openAlarms(); len(got) != 0 {
			t.Errorf("alarms %+v", got)
		}
		f.until("it is an alarm", time.Minute, func() bool { return len(f.openAlarms()) == 1 })
	})
}

// A text of an alarm leaves in the mode that the site is in, or it is said why not.
func TestFlowAlarmInShadowMode(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.alarmPolicy(nil)
		f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
			site, err := contact.SiteOf(tx)
			if err != nil {
				return err
			}
			site.Mode = contact.Shadow
			return contact.SetSite(tx, site)
		}))
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		f.until("it is an alarm", 10*time.Minute, func() bool { a := f.openAlarms(); return len(a) == 1 && len(a[0].Told) == 2 })
		if told := f.openAlarms()[0].Told[0]; told.State != alarm.Failed || !strings.Contains(told.Cause, "shadow mode") {
			t.Errorf("told %+v", told)
		}
	})
}

// An alarm that was being told when the process died goes on where it was.
func TestFlowAlarmSurvivesARestart(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.alarmPolicy(nil)
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		f.until("the alarm is at the handset", 10*time.Minute, func() bool { return len(f.textsOf(onCallNight)) == 1 })
		f.close()
		f.open()
		f.until("the next one is told", 12*time.Minute, func() bool { return len(f.textsOf(onCallSecond)) == 1 })
		if n := len(f.textsOf(onCallNight)); n != 1 {
			t.Errorf("the first one has %d texts", n)
		}
	})
}
