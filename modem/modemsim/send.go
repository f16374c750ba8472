package modemsim

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// hangTime is how long a modem that swallowed a PDU stays without answer.
const hangTime = 300 * time.Second

// commandSend is +CMGS, 27.005 sections 3.5.1 and 4.3.
func commandSend(m *Modem, c command) reply {
	if c.op == 't' {
		return ok()
	}
	return m.takeBody(c, func(s submit, _ []byte) {
		m.send(s, "+CMGS")
	})
}

// takeBody shows the prompt, takes the message that follows in PDU or in text
// mode, and gives it to done as it is on the air; what is malformed is answered here.
func (m *Modem) takeBody(c command, done func(s submit, tpdu []byte)) reply {
	if c.op != '=' {
		return m.cms(cmsNotAllowed)
	}
	if m.set.cmgf == 0 {
		length, valid := c.number(0, 0, 1, 176)
		if !valid || length == 0 {
			return m.cms(cmsBadPDU)
		}
		return m.openPrompt(false, func(body []byte) {
			s, tpdu, err := readPDU(body, length)
			if err != nil || m.faults.RefuseValidity && s.Validity != 0 {
				m.finish(m.cms(cmsBadPDU))
				return
			}
			done(s, tpdu)
		})
	}
	to, err := m.textAddress(c.value(0).text, c.value(1).text)
	if err != nil {
		return m.cms(cmsBadText)
	}
	return m.openPrompt(true, func(body []byte) {
		s, err := m.textSubmit(to, string(body))
		if err != nil {
			m.finish(m.cms(cmsBadText))
			return
		}
		vp := byte(m.set.csmp[1])
		done(s, s.encode(&vp))
	})
}

// readPDU reads what stands behind the prompt in PDU mode; length is the
// octets of the TPDU without the service centre address.
func readPDU(body []byte, length int) (submit, []byte, error) {
	b, err := pduHex(strings.TrimSpace(string(body)))
	if err != nil {
		return submit{}, nil, err
	}
	_, tpdu, err := splitSMSC(b)
	if err != nil {
		return submit{}, nil, err
	}
	if len(tpdu) != length {
		return submit{}, nil, errPDU
	}
	s, err := decodeSubmit(tpdu, time.Now())
	return s, tpdu, err
}

// openPrompt waits for a message body. The command goes on in done.
func (m *Modem) openPrompt(text bool, done func(body []byte)) reply {
	if m.strikes(AtPrompt) {
		return reply{wait: true}
	}
	show := func() {
		m.term.due = false
		m.term.prompt = &prompt{text: text, opened: time.Now(), done: done}
		if struck(&m.faults.NoPrompt) {
			return
		}
		p := "\r\n> "
		if m.faults.Prompt != "" {
			p = m.faults.Prompt
		}
		if m.faults.DoublePrompt {
			p += p
		}
		m.emit(p)
		if m.faults.URCAtPrompt {
			lead, end := m.framing()
			m.emit(lead + "^RSSI:17" + end)
		}
	}
	delay := time.Duration(m.faults.PromptDelay)
	m.term.due = delay > 0
	m.later(delay, show)
	return reply{wait: true}
}

// strikes reboots or unplugs the modem if the faults say so for this moment.
func (m *Modem) strikes(at Moment) bool {
	switch at {
	case m.faults.RebootAt:
		m.faults.RebootAt = ""
		m.reboot()
	case m.faults.UnplugAt:
		m.faults.UnplugAt = ""
		d := time.Duration(m.faults.UnplugFor)
		if d <= 0 {
			d = time.Second
		}
		m.leave(d)
	default:
		return false
	}
	return true
}

// send gives a message to the network and answers with its reference.
func (m *Modem) send(s submit, command string) {
	m.began = time.Now()
	if m.strikes(AtPDU) {
		return
	}
	if struck(&m.faults.SupplyDips) {
		m.reboot()
		return
	}
	if m.faults.URCAtPrompt {
		m.urc("^RSSI:18")
	}
	if struck(&m.faults.SwallowPDU) {
		m.hang()
		return
	}
	latency := varied(m.rng, m.latency)
	if len(m.faults.SendErrors) > 0 {
		final, anyway := m.faults.SendErrors[0], m.faults.SentAnyway
		m.faults.SendErrors = m.faults.SendErrors[1:]
		m.later(latency+time.Duration(m.faults.SendDelay), func() {
			if anyway {
				m.submit(s)
			}
			m.finish(reply{final: final})
		})
		return
	}
	m.later(latency, func() {
		if m.faults.NoCredit && m.faults.NoCreditAs == "silence" && m.registered() {
			m.hang()
			return
		}
		if r := m.refused(s); r != nil {
			m.finish(*r)
			return
		}
		mr, code := m.submit(s)
		switch {
		case code != 0:
			m.finish(m.cms(code))
		case m.strikes(AtAnswer):
		case struck(&m.faults.SilentSend):
			m.hang()
		default:
			delay := time.Duration(m.faults.SendDelay)
			if m.faults.ReportEarly {
				delay += 50 * time.Millisecond
			}
			m.later(delay, func() { m.finish(ok(fmt.Sprintf("%s: %d", command, mr))) })
		}
	})
}

// refused is the answer of a network that does not take s; nil if it does.
func (m *Modem) refused(s submit) *reply {
	var r reply
	now := time.Now()
	m.sent = slices.DeleteFunc(m.sent, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	switch f := &m.faults; {
	case !m.registered():
		r = m.cms(cmsNoNetwork)
	case f.NoCredit && f.NoCreditAs != "":
		r = reply{final: f.NoCreditAs}
	case f.NoCredit:
		r = m.cms(cmsOutOfOrder)
	case f.SMSBlockedInCall && m.call != nil:
		r = m.cms(cmsNotAllowed)
	case f.Barred:
		r = m.cms(cmsOperatorBarred)
	case f.BarredTo != "" && strings.HasPrefix(dialled(s.To), f.BarredTo):
		r = m.cms(cmsCallBarred)
	case f.MaxPerMinute > 0 && len(m.sent) >= f.MaxPerMinute:
		r = m.cms(cmsCongestion)
	default:
		m.sent = append(m.sent, now)
		return nil
	}
	return &r
}

// hang leaves the running command without answer. After hangTime the modem
// gives up with CMS 500, unless ESC or a restart came first.
func (m *Modem) hang() {
	m.term.hung = true
	m.later(hangTime, func() {
		m.term.hung = false
		m.finish(m.cms(cmsUnknown))
	})
}

// submit hands s to the service centre under the next message reference, as a
// modem does whatever TP-MR the host wrote; code is 0 or a +CMS ERROR.
func (m *Modem) submit(s submit) (mr byte, code int) {
	s.MR = m.nextMR()
	switch filter := m.faults.FilterTo; {
	case struck(&m.faults.FalseOK):
		m.network.note(m, s, FateLost)
		return s.MR, 0
	case filter != "" && strings.HasPrefix(dialled(s.To), filter):
		m.network.note(m, s, FateFiltered)
		m.submitted++
		return s.MR, 0
	}
	delay := m.latency / 4
	if m.faults.ReportEarly {
		delay = 0
	}
	if code := m.network.accept(m, s, delay); code != 0 {
		return 0, code
	}
	m.submitted++
	return s.MR, 0
}

// nextMR is the reference of the next message.
func (m *Modem) nextMR() byte {
	if m.faults.FixedMR {
		return 0
	}
	repeat := m.faults.RepeatMR && m.freshMR
	if m.freshMR = !repeat; m.freshMR {
		m.lastMR++
	}
	return m.lastMR
}

// textAddress reads <da> and <toda> of text mode.
func (m *Modem) textAddress(da, toda string) (string, error) {
	if m.set.cscs == "UCS2" {
		if b, err := hex.DecodeString(da); err == nil && len(b) >= 4 && b[0] == 0 {
			da = ucs2Text(b)
		}
	}
	if toda == "145" && !strings.HasPrefix(da, "+") {
		da = "+" + da
	}
	if _, valid := bcdOctets(strings.TrimPrefix(da, "+")); !valid || len(da) < 2 || len(da) > 21 {
		return "", errPDU
	}
	return da, nil
}

// textSubmit makes an SMS-SUBMIT of a text, under the parameters of +CSMP and
// in the character set of +CSCS.
func (m *Modem) textSubmit(to, text string) (submit, error) {
	switch m.set.cscs {
	case "GSM":
		text = gsmText([]byte(text))
	case "UCS2":
		b, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return submit{}, errPDU
		}
		text = ucs2Text(b)
	}
	first, vp, pid, dcs := byte(m.set.csmp[0]), byte(m.set.csmp[1]), byte(m.set.csmp[2]), byte(m.set.csmp[3])
	s := submit{To: to, PID: pid, StatusReport: first&0x20 != 0, ReplyPath: first&0x80 != 0, RejectDuplicates: first&0x04 != 0}
	if first&0x18 == 0x10 {
		s.Validity = relativeValidity(vp)
	}
	switch (body{DCS: dcs}).alphabet() {
	case gsm7Bit:
		septets, fits := gsmSeptets(text)
		if !fits || len(septets) > 160 {
			return submit{}, errPDU
		}
		s.Body = body{DCS: dcs, Length: len(septets), Data: pack(septets, 0)}
	case ucs2:
		b := ucs2Octets(text)
		s.Body = body{DCS: dcs, Length: len(b), Data: b}
	default:
		s.Body = body{DCS: dcs, Length: len(text), Data: []byte(text)}
	}
	if len(s.Body.Data) > 140 {
		return submit{}, errPDU
	}
	return s, nil
}

// commandTextParameters is +CSMP, 27.005 section 3.3.3.
func commandTextParameters(m *Modem, c command) reply {
	p := &m.set.csmp
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CSMP: %d,%d,%d,%d", p[0], p[1], p[2], p[3]))
	case 't':
		return ok()
	case '=':
		next := *p
		for i := range next {
			v, valid := c.number(i, next[i], 0, 255)
			if !valid {
				return m.cms(cmsBadText)
			}
			next[i] = v
		}
		*p = next
		return ok()
	}
	return m.unsupported()
}

// commandServiceCentre is +CSCA, 27.005 section 3.3.1.
func commandServiceCentre(m *Modem, c command) reply {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf(`+CSCA: "%s",145`, m.opts.SMSC))
	case '=':
		number, err := m.textAddress(c.value(0).text, c.value(1).text)
		if err != nil {
			return m.cms(cmsNotAllowed)
		}
		m.opts.SMSC = number
		return ok()
	}
	return ok()
}

// commandService is +CSMS, 27.005 section 3.2.1.
func commandService(m *Modem, c command) reply {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CSMS: %d,1,1,1", m.set.csms))
	case 't':
		return ok("+CSMS: (0,1)")
	case '=':
		v, valid := c.number(0, 0, 0, 1)
		if !valid {
			return m.cms(cmsNotAllowed)
		}
		m.set.csms = v
		return ok("+CSMS: 1,1,1")
	}
	return m.unsupported()
}
