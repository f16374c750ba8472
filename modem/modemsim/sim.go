package modemsim

import (
	"fmt"
	"strings"
)

// simPUK unblocks each SIM of this world.
const simPUK = "12345678"

// simCard is the SIM's lock, 3GPP TS 11.11: three tries for the PIN, ten for the PUK.
type simCard struct {
	pin             string
	unlocked        bool
	tries, pukTries int
}

func newSIM(pin string) simCard { return simCard{pin: pin, tries: 3, pukTries: 10} }

func (s *simCard) lock()        { s.unlocked = false }
func (s *simCard) locked() bool { return s.pin != "" && !s.unlocked || s.tries == 0 }

// wants is the <code> of +CPIN?, 27.007 section 8.3.
func (s *simCard) wants() string {
	switch {
	case s.tries == 0:
		return "SIM PUK"
	case s.locked():
		return "SIM PIN"
	}
	return "READY"
}

// enter gives the PIN; or, when the SIM wants it, the PUK and a new PIN. It
// returns 0 or the code of the CME error.
func (s *simCard) enter(code, newPIN string) int {
	switch s.wants() {
	case "SIM PIN":
		if code != s.pin {
			if s.tries--; s.tries == 0 {
				return cmePUK
			}
			return cmeWrongPassword
		}
	case "SIM PUK":
		if s.pukTries == 0 || code != simPUK || len(newPIN) < 4 {
			s.pukTries = max(0, s.pukTries-1)
			return cmeWrongPassword
		}
		s.pin = newPIN
	default:
		return cmeNotAllowed
	}
	s.unlocked, s.tries, s.pukTries = true, 3, 10
	return 0
}

// simChanged tells that the SIM was put in or taken out.
func (m *Modem) simChanged() {
	m.sim.lock()
	state := m.sim.wants()
	if m.faults.SIMRemoved {
		state = "NOT INSERTED"
	}
	if m.profile.simURC == nil {
		m.urc("+CPIN: " + state)
		return
	}
	m.urc(m.profile.simURC(m, state)...)
}

// commandSIMStatus is Telit's #QSS: whether the device tells of the SIM, and how it is.
func commandSIMStatus(m *Modem, c command) reply {
	switch c.op {
	case '=':
		m.set.vendor["#QSS"] = c.args
	case '?':
		mode, state := m.set.vendor["#QSS"], 1
		if mode == "" {
			mode = "0"
		}
		if m.faults.SIMRemoved {
			state = 0
		}
		return ok(fmt.Sprintf("#QSS: %s,%d", mode, state))
	}
	return ok()
}

// commandPIN is +CPIN, 27.007 section 8.3.
func commandPIN(m *Modem, c command) reply {
	switch c.op {
	case '?':
		if struck(&m.faults.SIMBusy) {
			return m.cme(cmeSIMBusy)
		}
		return ok("+CPIN: " + m.sim.wants())
	case '=':
		was := m.registered()
		if code := m.sim.enter(c.value(0).text, c.value(1).text); code != 0 {
			return m.cme(code)
		}
		m.network.agenda.after(0, func() {
			m.urc(m.profile.ready...)
			if !was && m.registered() {
				m.showRegistration()
			}
			m.poke()
		})
		return ok()
	case 't':
		return ok()
	}
	return m.unsupported()
}

// The commands that tell how many tries are left: 27.007 section 8.65, and by vendor.
func commandPINTries(m *Modem, c command) reply {
	if m.faults.HidesTries {
		return m.unsupported()
	}
	pin, puk := m.sim.tries, m.sim.pukTries
	switch c.name {
	case "+CPINR":
		want := strings.ToUpper(c.value(0).text)
		var info []string
		for _, l := range []struct {
			name        string
			left, total int
		}{{"SIM PIN", pin, 3}, {"SIM PUK", puk, 10}} {
			if want == "" || want == l.name {
				info = append(info, fmt.Sprintf("+CPINR: %s,%d,%d", l.name, l.left, l.total))
			}
		}
		return ok(info...)
	case "+QPINC":
		return ok(fmt.Sprintf(`+QPINC: "SC",%d,%d`, pin, puk))
	case "+SPIC":
		return ok(fmt.Sprintf("+SPIC: %d,%d,0,10", pin, puk))
	case "#PCT":
		if m.sim.wants() == "SIM PUK" {
			pin = puk
		}
		return ok(fmt.Sprintf("#PCT: %d", pin))
	}
	times := pin
	if m.sim.wants() == "SIM PUK" {
		times = puk
	}
	return ok(fmt.Sprintf("^CPIN: %s,%d,%d,%d,10,3", m.sim.wants(), times, puk, pin))
}
