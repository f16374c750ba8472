package modemsim

import (
	"fmt"
	"strings"
	"time"
)

// call is a call from the modem to a handset.
type call struct {
	number   string
	handset  *Handset
	stat     int // <stat> of +CLCC, 27.007 section 7.18
	began    time.Time
	answered time.Time // zero while it rings
	next     *entry
}

// The <stat> values of +CLCC that an outgoing call goes through.
const (
	callActive   = 0
	callDialing  = 2
	callAlerting = 3
)

// How long the steps of a call take.
const (
	setUpTime   = 300 * time.Millisecond
	answerTime  = time.Second
	pressTime   = 1500 * time.Millisecond
	ringTime    = 30 * time.Second
	longestCall = 2 * time.Minute
)

// commandDial is ATD with ; for a voice call, 27.007 section 6.2: OK at once, the
// rest is told by +CLCC and unsolicited results.
func commandDial(m *Modem, c command) reply {
	number, voice := strings.CutSuffix(c.args, ";")
	number = strings.TrimLeft(number, "TtPpIiGg")
	switch {
	case !voice || !m.profile.voice:
		return reply{final: "NO CARRIER"}
	case m.call != nil || m.incoming != nil || number == "" || strings.Trim(number, "+0123456789") != "":
		return m.cme(cmeNotAllowed)
	case !m.registered() || m.smsOnly():
		return reply{final: "NO CARRIER"}
	}
	m.call = &call{number: number, handset: m.network.handset(dialled(number)), stat: callDialing}
	m.call.next = m.network.agenda.after(setUpTime, m.ring)
	return ok()
}

// ring lets the handset ring, or ends the call where it cannot.
func (m *Modem) ring() {
	c, h := m.call, m.call.handset
	switch {
	case !h.state.On:
		m.drop("NO CARRIER")
		return
	case h.inCall:
		m.drop("BUSY")
		return
	}
	h.inCall = true
	c.began, c.stat = time.Now(), callAlerting
	if h.state.Answers {
		c.next = m.network.agenda.after(answerTime, m.connect)
		return
	}
	c.next = m.network.agenda.after(ringTime, func() { m.drop("NO ANSWER") })
}

func (m *Modem) connect() {
	c, h := m.call, m.call.handset
	c.answered, c.stat = time.Now(), callActive
	switch m.profile.creset {
	case "+CRESET":
		m.urc("VOICE CALL: BEGIN")
	case "^RESET":
		m.urc("^CONN:1,0")
	}
	over := func() { m.drop("NO CARRIER") }
	if h.state.Presses == "" {
		c.next = m.network.agenda.after(longestCall, over)
		return
	}
	c.next = m.network.agenda.after(pressTime, func() {
		for i := range len(h.state.Presses) {
			if m.set.dtmf || m.profile.creset == "^RESET" {
				m.urc(m.profile.dtmfURC(h.state.Presses[i]))
			}
		}
		c.next = m.network.agenda.after(longestCall-pressTime, over)
	})
}

// drop ends the call from the far side and tells so.
func (m *Modem) drop(result string) {
	m.hangUp(true)
	m.urc(result)
}

// hangUp ends the call, if there is one, and records it at the handset.
func (m *Modem) hangUp(tell bool) {
	c := m.call
	if c == nil {
		return
	}
	m.call = nil
	c.next.cancel()
	if c.began.IsZero() {
		return
	}
	ended := Call{At: c.began, Answered: !c.answered.IsZero()}
	if ended.Answered {
		d := time.Since(c.answered)
		ended.Seconds = Duration(d)
		if tell && m.profile.creset == "+CRESET" {
			m.urc(fmt.Sprintf("VOICE CALL: END: %06d", int(d.Seconds())))
		}
	}
	c.handset.ended(ended)
}

// commandHangUp is +CHUP and ATH.
func commandHangUp(m *Modem, _ command) reply {
	m.hangUp(true)
	m.endIncoming(RingHungUp)
	return ok()
}

// commandAnswer is ATA: no host talks to who calls a modem.
func commandAnswer(*Modem, command) reply { return reply{final: "NO CARRIER"} }

// commandCalls is +CLCC, 27.007 section 7.18.
func commandCalls(m *Modem, c command) reply {
	if i := m.incoming; i != nil && c.op == 0 {
		return ok(fmt.Sprintf(`+CLCC: 1,1,4,0,0,"%s",145`, i.From))
	}
	if m.call == nil || c.op != 0 {
		return ok()
	}
	toa := 129
	if strings.HasPrefix(m.call.number, "+") {
		toa = 145
	}
	return ok(fmt.Sprintf(`+CLCC: 1,0,%d,0,0,"%s",%d`, m.call.stat, m.call.number, toa))
}

func commandCause(m *Modem, _ command) reply {
	return ok("+CEER: No cause information available")
}
