package daemon

import (
	"testing"

	"pinward/modem"
)

// TestRootCauseOfAModemComesFirst: a supply that dips explains a modem that is gone, and not a SIM that
// is: the operator does what stands first.
func TestRootCauseOfAModemComesFirst(t *testing.T) {
	supply := modem.Alarms(0).With(modem.AlarmSupply)
	for _, c := range []struct {
		alarm modem.Alarm
		first string
	}{
		{modem.AlarmUnplugged, "supply"},
		{modem.AlarmSilent, "supply"},
		{modem.AlarmSIMRemoved, "sim-removed"},
		{modem.AlarmNoCredit, "no-credit"},
		{modem.AlarmBarred, "barred"},
	} {
		got := alarmTroubles(modem.Status{Name: "m", Alarm: c.alarm, Alarms: supply.With(c.alarm), Cause: "x", RebootsDay: 3})
		if len(got) != 2 || got[0].Name != c.first {
			t.Errorf("%v: %+v", c.alarm, got)
		}
	}
}
