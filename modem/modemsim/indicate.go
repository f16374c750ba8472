package modemsim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ackTime is how long the network waits for +CNMA; then the modem switches
// direct routing off, 27.005 section 3.4.4.
const ackTime = 15 * time.Second

// commandIndications is +CNMI, 27.005 section 3.4.1.
func commandIndications(m *Modem, c command) reply {
	p := &m.set.cnmi
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CNMI: %d,%d,%d,%d,%d", p[0], p[1], p[2], p[3], p[4]))
	case 't':
		return ok("+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)")
	case '=':
		next := *p
		limits := [5]int{3, 3, 3, 2, 1}
		for i := range next {
			v, valid := c.number(i, next[i], 0, limits[i])
			if !valid {
				return m.cms(cmsNotAllowed)
			}
			next[i] = v
		}
		if next[3] == 1 && m.faults.NoDirectReports {
			return m.cms(cmsNotAllowed)
		}
		*p = next
		m.network.agenda.after(0, m.poke)
		return ok()
	}
	return m.unsupported()
}

// receive takes a text from the network; false means that it cannot now, and
// that it will poke or settle when it can.
func (m *Modem) receive(t *transit) bool {
	if !m.registered() || m.direct != nil {
		return false
	}
	if struck(&m.faults.LoseText) {
		return true
	}
	tpdu := deliver{t.From, t.Submit.PID, t.Accepted, t.Submit.Body}.encode()
	mt := m.set.cnmi[1]
	if class := t.Submit.Body.class(); mt == 2 || mt == 3 && class != nil && *class == 3 {
		if m.session == nil {
			return false
		}
		m.urc(m.direction("+CMT", tpdu))
		if m.set.csms == 0 {
			return true
		}
		m.direct = t
		m.awaitAck()
		return false
	}
	mem := m.set.cpms[2]
	index, fits := m.put(mem, &stored{statUnread, tpdu})
	if !fits && m.faults.StoreClaim > 0 {
		return true
	}
	if !fits {
		if m.profile.fullURC != "" && (!m.profile.dropsFull || strings.Contains(m.set.vendor["+QINDCFG"], `"smsfull",1`)) {
			line := m.profile.fullURC
			if strings.Contains(line, "%s") {
				line = fmt.Sprintf(line, mem)
			}
			m.urc(line)
		}
		return m.profile.dropsFull
	}
	if m.faults.TextTwice {
		m.put(mem, &stored{statUnread, tpdu}) // where there is room
	}
	if mt != 0 && m.set.cnmi[0] != 0 && !m.faults.NoCMTI {
		m.urc(fmt.Sprintf(`+CMTI: "%s",%d`, mem, index))
	}
	return true
}

// reported takes a status report from the network and gives it to the host
// some time later, as faults want it.
func (m *Modem) reported(r report) {
	if m.faults.ReportNever {
		return
	}
	delay := m.latency/2 + time.Duration(m.faults.ReportDelay)
	if m.faults.ReportEarly {
		delay = time.Duration(m.faults.ReportDelay)
	}
	if m.faults.ReportWrongMR {
		r.MR += 100
	}
	times := 1
	if m.faults.ReportTwice {
		times = 2
	}
	if m.faults.ReportForeign {
		other := r
		other.To, other.Status = "+16175550000", statusExpired
		m.network.agenda.after(delay, func() { m.giveReport(other) })
	}
	for range times {
		m.network.agenda.after(delay, func() { m.giveReport(r) })
	}
}

// giveReport routes a status report as +CNMI <ds> says. A modem that cannot be
// reached gets it later; a host that is not there loses it, as on a real port.
func (m *Modem) giveReport(r report) {
	if !m.registered() {
		m.reports = append(m.reports, r)
		return
	}
	switch m.set.cnmi[3] {
	case 1:
		if m.set.cnmi[0] == 0 { // the modem keeps it until <mode> changes
			m.reports = append(m.reports, r)
			return
		}
		line := m.direction("+CDS", r.encode())
		if m.set.cmgf == 1 {
			line = fmt.Sprintf(`+CDS: 6,%d,"%s",145,"%s","%s",%d`, r.MR, r.To, textTime(r.SCTS), textTime(r.Discharge), r.Status)
		}
		m.urc(line)
		if m.set.csms == 1 {
			m.awaitAck()
		}
	case 2:
		switch m.profile.storedReport {
		case reportsLost:
			m.urc(`+CDSI: "SM",0`)
			return
		case reportsUnreadable:
			m.urc(`+CDSI: "SR",8`)
			return
		}
		if index, fits := m.put("SR", &stored{statUnread, r.encode()}); fits {
			m.urc(fmt.Sprintf(`+CDSI: "SR",%d`, index))
		}
	}
}

// direction is the line of a message that goes directly to the host.
func (m *Modem) direction(name string, tpdu []byte) string {
	if m.set.cmgf == 1 && name == "+CMT" {
		head, text := m.textForm(tpdu)
		return "+CMT: " + head + "\n" + text
	}
	alpha := ""
	if name == "+CMT" {
		alpha = ","
	}
	return fmt.Sprintf("%s: %s%d\n%s", name, alpha, len(tpdu), m.pduLine(tpdu))
}

func (m *Modem) awaitAck() {
	m.ackTimer.cancel()
	m.ackTimer = m.network.agenda.after(ackTime, func() {
		m.ackTimer, m.direct = nil, nil
		m.set.cnmi[1], m.set.cnmi[3] = 0, 0
		m.poke()
	})
}

// commandAcknowledge is +CNMA, 27.005 section 3.4.4: due only with +CSMS=1.
func commandAcknowledge(m *Modem, c command) reply {
	if c.op == 't' {
		return ok("+CNMA: (0-2)")
	}
	if m.ackTimer == nil {
		return m.cms(cmsNoCNMA)
	}
	m.ackTimer.cancel()
	m.ackTimer = nil
	if t := m.direct; t != nil {
		m.direct = nil
		m.network.settle(t, statusReceived)
		m.network.agenda.after(0, m.poke)
	}
	return ok()
}

// pduLine is a TPDU on the line, behind the service centre address.
func (m *Modem) pduLine(tpdu []byte) string {
	return strings.ToUpper(hex.EncodeToString(append(appendSMSC(nil, m.opts.SMSC), tpdu...)))
}

// textForm is a stored TPDU in text mode: what stands behind <stat>, and the text.
func (m *Modem) textForm(tpdu []byte) (head, text string) {
	if d, err := decodeDeliver(tpdu); err == nil {
		return fmt.Sprintf(`"%s",,"%s"`, m.inCharset(d.From), textTime(d.SCTS)), m.inCharset(d.Body.text())
	}
	if s, err := decodeSubmit(tpdu, time.Now()); err == nil {
		return fmt.Sprintf(`"%s",`, m.inCharset(s.To)), m.inCharset(s.Body.text())
	}
	return `"",`, ""
}

// inCharset writes text in the character set of +CSCS; what it lacks is shown as ?.
func (m *Modem) inCharset(text string) string {
	switch m.set.cscs {
	case "UCS2":
		return strings.ToUpper(hex.EncodeToString(ucs2Octets(text)))
	case "IRA":
		return strings.Map(func(r rune) rune {
			if r > 126 {
				return '?'
			}
			return r
		}, text)
	}
	var out []byte
	for _, r := range text {
		code, known := gsmCodes[r]
		if !known {
			code = gsmCodes['?']
		}
		out = append(out, code...)
	}
	return string(out)
}

// textTime is a time stamp in text mode, 27.005 section 3.1 <scts>.
func textTime(t time.Time) string {
	_, offset := t.Zone()
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	return fmt.Sprintf("%s%c%02d", t.Format("06/01/02,15:04:05"), sign, offset/(15*60))
}
