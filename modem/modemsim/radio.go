package modemsim

import (
	"fmt"
	"time"
)

// The cell that every modem of this world is in.
const cell = `"1A2B","01C3D4E5",7`

// commandRegistration is +CREG, +CGREG and +CEREG, 27.007 sections 7.2, 10.1.20 and 10.1.22.
func commandRegistration(m *Modem, c command) reply {
	n := m.registrationMode(c.name)
	switch c.op {
	case '?':
		stat := m.told(c.name)
		line := fmt.Sprintf("%s: %d,%d", c.name, *n, stat)
		if *n == 2 && stat != 0 && m.registered() {
			line += "," + cell
		}
		return ok(line)
	case 't':
		return ok(c.name + ": (0-2)")
	case '=':
		v, valid := c.number(0, 0, 0, 2)
		if !valid {
			return m.cme(cmeBadParameter)
		}
		*n = v
		return ok()
	}
	return m.unsupported()
}

// told is the <stat> that a command shows: on an LTE-only device the circuit and packet domains of old stay at 0.
func (m *Modem) told(command string) int {
	if m.faults.LTEOnly && command != "+CEREG" {
		return 0
	}
	return m.registration()
}

func (m *Modem) registrationMode(name string) *int {
	switch name {
	case "+CGREG":
		return &m.set.cgreg
	case "+CEREG":
		return &m.set.cereg
	}
	return &m.set.creg
}

// showRegistration tells the host that registration changed, where it asked for that.
func (m *Modem) showRegistration() {
	for _, name := range []string{"+CREG", "+CGREG", "+CEREG"} {
		n := *m.registrationMode(name)
		if n == 0 {
			continue
		}
		line := fmt.Sprintf("%s: %d", name, m.told(name))
		if m.faults.LTEOnly && name != "+CEREG" {
			continue
		}
		if n == 2 && m.registered() {
			line += "," + cell
		}
		m.urc(line)
	}
}

// commandOperator is +COPS, 27.007 section 7.3; a scan takes its time.
func commandOperator(m *Modem, c command) reply {
	switch c.op {
	case '?':
		if !m.registered() {
			return ok("+COPS: 0")
		}
		name := m.opts.Carrier
		if m.set.copsFormat == 2 {
			name = m.plmn
		}
		return ok(fmt.Sprintf(`+COPS: 0,%d,"%s",7`, m.set.copsFormat, name))
	case 't':
		m.later(time.Minute, func() {
			m.finish(ok(fmt.Sprintf(`+COPS: (2,"%s","%s","%s",7),,(0,1,3),(0-2)`, m.opts.Carrier, m.opts.Carrier, m.plmn)))
		})
		return reply{wait: true}
	case '=':
		mode, ok1 := c.number(0, 0, 0, 4)
		format, ok2 := c.number(1, m.set.copsFormat, 0, 2)
		if !ok1 || !ok2 {
			return m.cme(cmeBadParameter)
		}
		if mode == 3 {
			m.set.copsFormat = format
		}
		return ok()
	}
	return m.unsupported()
}

func commandSignal(m *Modem, c command) reply {
	switch {
	case c.op == 't':
		return ok("+CSQ: (0-31,99),(0-7,99)")
	case !m.registered():
		return ok("+CSQ: 99,99")
	}
	signal := m.faults.Signal
	if signal == 0 {
		signal = 20
	}
	return ok(fmt.Sprintf("+CSQ: %d,99", signal))
}

func commandAttached(m *Modem, c command) reply {
	if c.op != '?' {
		return ok()
	}
	if m.registered() {
		return ok("+CGATT: 1")
	}
	return ok("+CGATT: 0")
}
