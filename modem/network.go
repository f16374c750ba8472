package modem

import (
	"errors"
	"strconv"
	"time"
)

// readStatus looks at registration, signal and operator, and moves the phase accordingly.
func (s *session) readStatus() error {
	best := RegUnread
	for _, cmd := range []string{"+CREG", "+CEREG", "+CGREG"} {
		info, err := s.tryFor(cmd+"?", s.m.o.Timing.Step)
		if err != nil {
			return err
		}
		if r, ok := registrationIn(field(info, cmd)); ok {
			best = better(best, r)
		}
	}
	signalDBm, operator := 0, ""
	info, err := s.tryFor("+CSQ", s.m.o.Timing.Step)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(fields(field(info, "+CSQ"))[0]); err == nil && n >= 0 && n <= 31 {
		signalDBm = -113 + 2*n // 27.007, 8.5; 99 is unknown
	}
	if best.Sendable() {
		if info, err = s.tryFor("+COPS?", s.m.o.Timing.Step); err != nil {
			return err
		}
		if f := fields(field(info, "+COPS")); len(f) >= 3 {
			operator = f[2]
		}
	}
	s.m.mu.Lock()
	bar := s.m.barred
	s.m.mu.Unlock()
	s.m.update(func(st *Status) {
		st.Registration, st.SignalDBm, st.Operator = best, signalDBm, operator
		switch {
		case !best.Sendable():
			alarm := AlarmNone
			if best == RegDenied || st.Phase == PhaseRegistering && time.Since(st.Since) >= registerPatience {
				alarm = AlarmNotRegistered
			}
			st.set(PhaseRegistering, best.String(), alarm)
		case time.Now().Before(bar.until):
			st.set(PhaseQuarantined, bar.cause, bar.alarm)
			st.Until = bar.until
		default:
			st.set(PhaseReady, "", AlarmNone)
		}
	})
	if !best.Sendable() {
		return s.checkSIM() // a SIM that was pulled looks like a network that is away
	}
	return nil
}

// registerPatience is how long a modem may look for a network before that is an alarm.
const registerPatience = time.Minute

// registrationIn reads <stat> from "<n>,<stat>[,...]", the answer to a query (27.007, 7.2).
func registrationIn(answer string) (Registration, bool) {
	f := fields(answer)
	if len(f) < 2 {
		return RegUnread, false
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 0 || n > int(RegEmergencyOnly) {
		return RegUnread, false
	}
	return Registration(n), true
}

// better is the registration that says more: one that takes SMS, then a refusal, then any word at all. On LTE-only modules +CEREG
// counts and +CREG stays 0.
func better(a, b Registration) Registration {
	rank := func(r Registration) int {
		switch {
		case r.Sendable():
			return 4
		case r == RegDenied, r == RegEmergency, r == RegEmergencyOnly:
			return 3
		case r == RegSearching, r == RegUnknown:
			return 2
		case r == RegIdle:
			return 1
		}
		return 0
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// ErrQuery says that Query was asked something that the modem's profile does not list.
var ErrQuery = errors.New("query is not in the modem's profile")
