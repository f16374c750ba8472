package modem

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"

	"pinward/modem/line"
	"pinward/modem/port"
)

// Alarm names a trouble that a person must see to, so that health, metrics and texts to the operator can tell one from another
// without reading Status.Cause.
type Alarm uint8

// The alarms.
const (
	AlarmNone          Alarm = iota
	AlarmUnplugged           // no device at the port
	AlarmPortBusy            // another program has the port
	AlarmSilent              // the modem does not answer, or takes no commands
	AlarmSetup               // the modem refuses to be set up, or the connection breaks
	AlarmSIMRemoved          // no SIM
	AlarmSIMSwapped          // another SIM than before; see Modem.AcceptSIM
	AlarmSIMFault            // the SIM does not work, or lacks something
	AlarmPIN                 // PIN wanted, which a person may give by EnterPIN
	AlarmLocked              // PUK wanted, or the last PIN try: only a telephone takes them
	AlarmNotRegistered       // no network that takes SMS
	AlarmBarred              // the network refuses the SIM or its service
	AlarmNoCredit            // the balance is used up
	AlarmSending             // sends fail, and none of the above tells why
	AlarmSupply              // it restarts by itself: power supply, cable, hub
	AlarmStorage             // storage is nearly full: texts to us will be lost
	AlarmSettings            // the module does not take one of Options.Settings: Status.Unset
	alarms                   // their number
)

// alarmNames are used in JSON, metrics and logs.
var alarmNames = [alarms]string{
	"", "unplugged", "port-busy", "silent", "setup", "sim-removed", "sim-swapped", "sim-fault", "pin", "sim-locked", "not-registered", "barred",
	"no-credit", "sending", "supply", "storage", "settings",
}

// String is the alarm's name, "" for AlarmNone.
func (a Alarm) String() string {
	if a >= alarms {
		return fmt.Sprintf("alarm %d", uint8(a))
	}
	return alarmNames[a]
}

// MarshalText is for JSON.
func (a Alarm) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Alarm) UnmarshalText(b []byte) error {
	for i, name := range alarmNames {
		if name == string(b) {
			*a = Alarm(i)
			return nil
		}
	}
	return errors.New("read alarm: unknown name")
}

// Alarms is a set of them: several may stand at once.
type Alarms uint32

// With is the set and a.
func (s Alarms) With(a Alarm) Alarms {
	if a == AlarmNone {
		return s
	}
	return s | 1<<a
}

// Has says whether a is in the set.
func (s Alarms) Has(a Alarm) bool { return s&(1<<a) != 0 }

// List gives them in the order of their values.
func (s Alarms) List() []Alarm {
	out := make([]Alarm, 0, bits.OnesCount32(uint32(s)))
	for a := AlarmNone + 1; a < alarms; a++ {
		if s.Has(a) {
			out = append(out, a)
		}
	}
	return out
}

// MarshalJSON writes the names.
func (s Alarms) MarshalJSON() ([]byte, error) { return json.Marshal(s.List()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Alarms) UnmarshalJSON(b []byte) error {
	var list []Alarm
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*s = 0
	for _, a := range list {
		*s = s.With(a)
	}
	return nil
}

// alarmOf is the alarm beside plain(err).
func alarmOf(err error) Alarm {
	var sim *simError
	switch {
	case err == nil, errors.Is(err, errReset):
		return AlarmNone
	case errors.As(err, &sim):
		return sim.alarm
	case errors.Is(err, port.ErrBusy):
		return AlarmPortBusy
	case errors.Is(err, port.ErrUnplugged):
		return AlarmUnplugged
	case errors.Is(err, errSilent), errors.Is(err, port.ErrStuck), errors.Is(err, line.ErrStuck):
		return AlarmSilent
	}
	return AlarmSetup
}

// simAlarm is the alarm of a refusal that is the SIM's fault (reference 5.2; 27.005, 3.2.5).
func simAlarm(e *CMSError) Alarm {
	if e.Kind == "CME" {
		switch e.Code {
		case 10:
			return AlarmSIMRemoved
		case 11, 16, 17:
			return AlarmPIN
		case 12, 18:
			return AlarmLocked
		}
		return AlarmSIMFault
	}
	switch e.Code {
	case 8, 29, 50, 193:
		return AlarmBarred
	case 310:
		return AlarmSIMRemoved
	case 311, 312, 317:
		return AlarmPIN
	case 316, 318:
		return AlarmLocked
	}
	return AlarmSIMFault
}

// When the figures of a Status become alarms.
const (
	supplyReboots = 3  // in 24 hours: one may be the operator's hand, three are not
	storageShare  = 80 // percent used (reference 5.4)
)

// standing adds the alarms that follow from the figures and not from the phase.
func (s Status) standing() Alarms {
	set := Alarms(0).With(s.Alarm)
	if s.RebootsDay >= supplyReboots {
		set = set.With(AlarmSupply)
	}
	if s.StorageSize > 0 && s.StorageUsed*100 >= s.StorageSize*storageShare || s.StorageFull {
		set = set.With(AlarmStorage)
	}
	if s.Unset != "" {
		set = set.With(AlarmSettings)
	}
	if s.Swapped {
		set = set.With(AlarmSIMSwapped)
	}
	return set
}
