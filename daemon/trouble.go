package daemon

import (
	"fmt"
	"slices"
	"strings"

	"pinward/daemon/admin"
	"pinward/daemon/health"
	"pinward/modem"
)

// remedies say what to do about an alarm of a modem; NAME is the modem's.
var remedies = map[modem.Alarm]string{
	modem.AlarmUnplugged:     "look at its cable and at the power of the hub; pinward modem probe shows what is plugged in",
	modem.AlarmPortBusy:      "end the other program; packaging/udev keeps ModemManager and brltty away",
	modem.AlarmSilent:        "run: pinward modem reset NAME; if it stays silent, unplug it and plug it in again",
	modem.AlarmSetup:         "run: pinward modem watch NAME, which shows what it refuses",
	modem.AlarmSIMRemoved:    "put the SIM in",
	modem.AlarmSIMSwapped:    "if this was meant, run: pinward modem accept NAME; if not, find out who was at the box",
	modem.AlarmSIMFault:      "try the SIM in a phone, and ask the carrier for another",
	modem.AlarmPIN:           "run: pinward modem pin NAME",
	modem.AlarmLocked:        "put the SIM into a telephone and enter its PIN, or the PUK of the carrier's papers, there; then run: pinward modem reset NAME",
	modem.AlarmNotRegistered: "look at antenna and signal, and ask the carrier whether the SIM is active here",
	modem.AlarmBarred:        "call the carrier: it refuses this SIM or its service",
	modem.AlarmNoCredit:      "top the SIM up",
	modem.AlarmSending:       "run: pinward modem test NAME, and ask the carrier what it refuses",
	modem.AlarmSupply:        "give it a powered hub or a shorter cable: a modem draws 2 A while it sends",
	modem.AlarmStorage:       "run: pinward modem watch NAME; texts to this SIM will be lost when it is full",
	modem.AlarmSettings:      "take them out of its [[modem]] block, or look at pinward modem watch NAME after pinward modem reset NAME",
}

// alarmTroubles are the alarms of a modem in words, the root cause first: a modem that its power supply
// restarts is unplugged and silent as well, and a SIM that was changed may want its PIN.
func alarmTroubles(st modem.Status) []admin.Trouble {
	var out []admin.Trouble
	add := func(a modem.Alarm, cause string) {
		next := strings.ReplaceAll(remedies[a], "NAME", st.Name)
		out = append(out, admin.Trouble{Name: a.String(), State: health.Warn, Cause: cause, Next: next})
	}
	own := func(a modem.Alarm) bool { return st.Alarms.Has(a) && st.Alarm != a }
	supply := func() {
		if st.Alarms.Has(modem.AlarmSupply) {
			add(modem.AlarmSupply, fmt.Sprintf("it restarted by itself %d times in 24 hours", st.RebootsDay))
		}
	}
	if explained(st.Alarm) {
		supply()
	}
	if own(modem.AlarmSIMSwapped) {
		add(modem.AlarmSIMSwapped, "another SIM ("+admin.Masked(st.ICCID)+") than the accepted one is in it")
	}
	switch {
	case st.Alarm != modem.AlarmNone && st.Alarm != modem.AlarmSupply:
		add(st.Alarm, st.Cause)
	case !st.Ready:
		// It starts, or looks for a network: nothing to do yet.
		out = append(out, admin.Trouble{Name: string(st.Phase), State: health.Warn, Cause: st.Cause})
	}
	if !explained(st.Alarm) {
		supply()
	}
	if own(modem.AlarmStorage) {
		cause := fmt.Sprintf("%d of %d places for texts are used", st.StorageUsed, st.StorageSize)
		if st.StorageFull {
			cause = "its storage for texts is full"
		}
		add(modem.AlarmStorage, cause)
	}
	if own(modem.AlarmSettings) {
		add(modem.AlarmSettings, "the modem does not take these settings: "+st.Unset)
	}
	for _, a := range st.Alarms.List() { // an alarm that this page does not know yet is told all the same
		if !slices.ContainsFunc(out, func(t admin.Trouble) bool { return t.Name == a.String() }) {
			add(a, a.String())
		}
	}
	return out
}

// explained tells whether a power supply that dips may be why: not where the SIM or the carrier is.
func explained(a modem.Alarm) bool {
	return slices.Contains([]modem.Alarm{
		modem.AlarmNone, modem.AlarmSupply, modem.AlarmUnplugged, modem.AlarmSilent, modem.AlarmSetup, modem.AlarmSending,
	}, a)
}

// misplaced is the trouble of a modem that is not where its configuration says.
func misplaced(why string) admin.Trouble {
	return admin.Trouble{
		Name: "misplaced", State: health.Warn, Cause: why,
		Next: "plug it in where it was, or run pinward modem probe and put its device and imei into the configuration",
	}
}

// sentence is a trouble as one line of health.
func sentence(t admin.Trouble) string {
	if t.Next == "" {
		return t.Cause
	}
	return t.Cause + "; " + t.Next
}
