package modem

import (
	"fmt"
	"log/slog"
	"time"
)

// Phase is where a modem stands between its port and the network.
type Phase string

// The phases, from worst to best. Only in PhaseReady does Send reach the modem.
const (
	PhaseDown        Phase = "down"        // no port, or the port was lost; it is opened again with back-off
	PhaseStarting    Phase = "starting"    // port open, bring-up running
	PhaseBlocked     Phase = "blocked"     // a person must act: PIN, PUK, no SIM; looked at again with back-off
	PhaseRegistering Phase = "registering" // brought up, no network that takes SMS
	PhaseQuarantined Phase = "quarantined" // too many failures in a row, or the SIM was refused; tried again at Status.Until
	PhaseReady       Phase = "ready"
)

// Status is a snapshot of one modem. Cause says in plain words why it is not ready, and "" when it is.
type Status struct {
	Name  string
	Phase Phase
	Ready bool
	Cause string
	Alarm Alarm // names Cause, for programs; AlarmNone also while it only starts or looks for a network
	// Alarms are all that stand: Alarm, and those of a modem that works nevertheless (supply, storage, another SIM).
	Alarms Alarms
	Since  time.Time // when Phase last changed
	Until  time.Time // PhaseQuarantined only: when it is tried again

	IMEI, ICCID, IMSI       string
	Vendor, Model, Revision string
	Profile                 string // which profile drives it; "generic" is SMS only
	Number                  string // own number of the SIM, if the SIM knows it (+CNUM)
	SMSC                    string // service centre (+CSCA)
	Operator                string
	Registration            Registration
	SignalDBm               int // 0 = unknown

	StorageUsed, StorageSize int  // texts on the SIM or in the modem, of how many; 0, 0 = unknown
	StorageFull              bool // it told so itself

	Voice  Voice  // how it can call
	Audio  string // its ways to play into a call, in order, as "pcm, file, tts"
	InCall bool   // a call of ours is up

	Unset string // names of Options.Settings that the module does not take, as "radio, ims"

	Swapped bool // another SIM than the expected one, see Options.ICCID and Modem.AcceptSIM

	Resets  int // resets ordered by us since Run began
	Reboots int // reboots of its own seen since Run began: it said that it started, or left the bus and came back
	// ResetsDay and RebootsDay are those of the last 24 hours.
	ResetsDay, RebootsDay int
	Rings                 int // incoming calls since Run began
	Dropped               int // events lost because nobody took them, and lines lost because the modem babbled
}

// set moves to a phase.
func (s *Status) set(p Phase, cause string, a Alarm) {
	s.Phase, s.Cause, s.Alarm, s.Until = p, cause, a, time.Time{}
}

// String shows nothing of the SIM's numbers.
func (s Status) String() string {
	if s.Cause == "" {
		return fmt.Sprintf("%s: %s", s.Name, s.Phase)
	}
	return fmt.Sprintf("%s: %s: %s", s.Name, s.Phase, s.Cause)
}

// GoString shows nothing of the SIM's numbers.
func (s Status) GoString() string { return s.String() }

// LogValue shows what an operator needs and no number.
func (s Status) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("name", s.Name),
		slog.String("phase", string(s.Phase)),
		slog.String("cause", s.Cause),
		slog.String("alarm", s.Alarm.String()),
		slog.String("profile", s.Profile),
		slog.String("registration", s.Registration.String()),
		slog.Int("signal_dbm", s.SignalDBm),
	)
}

// Registration is the <stat> of +CREG, +CGREG and +CEREG (27.007, 7.2, 10.1.20, 10.1.22): the best of the three.
type Registration int

// The values of <stat>; RegUnread is ours, for a modem that has not answered yet.
const (
	RegUnread        Registration = -1
	RegIdle          Registration = 0
	RegHome          Registration = 1
	RegSearching     Registration = 2
	RegDenied        Registration = 3
	RegUnknown       Registration = 4
	RegRoaming       Registration = 5
	RegSMSHome       Registration = 6
	RegSMSRoaming    Registration = 7
	RegEmergency     Registration = 8
	RegCSFBHome      Registration = 9
	RegCSFBRoaming   Registration = 10
	RegEmergencyOnly Registration = 11 // RLOS, limited service: refuses SMS (reference 4)
)

// Sendable says whether the network takes SMS in this state.
func (r Registration) Sendable() bool {
	switch r {
	case RegHome, RegRoaming, RegSMSHome, RegSMSRoaming, RegCSFBHome, RegCSFBRoaming:
		return true
	}
	return false
}

// String is the state in plain words.
func (r Registration) String() string {
	switch r {
	case RegUnread:
		return "not read yet"
	case RegIdle:
		return "not registered and not searching"
	case RegHome:
		return "registered, home"
	case RegSearching:
		return "searching for a network"
	case RegDenied:
		return "registration denied by the network"
	case RegRoaming:
		return "registered, roaming"
	case RegSMSHome:
		return "registered for SMS only, home"
	case RegSMSRoaming:
		return "registered for SMS only, roaming"
	case RegEmergency, RegEmergencyOnly:
		return "emergency service only"
	case RegCSFBHome:
		return "registered, home, CS fallback not preferred"
	case RegCSFBRoaming:
		return "registered, roaming, CS fallback not preferred"
	}
	return "unknown"
}
