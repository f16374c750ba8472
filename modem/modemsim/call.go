package modemsim

import (
	"cmp"
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
	answered time.Time // when the network said so; zero while it rings
	lifted   time.Time // when somebody, or a voicemail, answered; not before answered, and never at a false answer
	machine  bool      // it was a voicemail
	waits    bool      // ATD is answered when the call is
	next     *entry    // what happens next
	others   []*entry  // what happens beside it

	rec    recording
	down   []byte // what the far side says, and has not said yet
	toSay  []byte // what the modem itself still says: a file, or its speech
	saying string // the code that tells the end of it; "" while it says nothing
}

// The <stat> values of +CLCC that a call goes through.
const (
	callActive   = 0
	callDialing  = 2
	callAlerting = 3
	callWaiting  = 5
	callOver     = 6 // SIMCom: it has ended, and is listed for a moment more
)

// How long the steps of a call take.
const (
	setUpTime     = 300 * time.Millisecond
	answerTime    = time.Second
	ringTime      = 30 * time.Second
	voicemailTime = 15 * time.Second
	longestCall   = 5 * time.Minute
	overTime      = time.Second
)

// Causes of 24.008 section 10.5.4.11.
const (
	causeClearing    = 16
	causeBusy        = 17
	causeNoAnswer    = 19
	causeAbsent      = 20
	causeRejected    = 21
	causeUnspecified = 31
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
	case len(m.faults.DialErrors) > 0:
		final := m.faults.DialErrors[0]
		m.faults.DialErrors = m.faults.DialErrors[1:]
		return reply{final: final}
	}
	m.cause, m.over, m.spoken = 0, nil, nil
	m.call = &call{number: number, handset: m.network.handset(dialled(number)), stat: callDialing, waits: m.faults.DialWaits}
	m.call.next = m.network.agenda.after(setUpTime+time.Duration(m.faults.CallDelay), m.ring)
	if m.profile.creset == "^RESET" {
		m.network.agenda.after(0, func() { m.callURC("^ORIG:1,0") })
	}
	if m.call.waits {
		return reply{wait: true}
	}
	return ok()
}

// callURC tells of a call, where the modem does so at this port.
func (m *Modem) callURC(line string) {
	if !m.faults.NoCallURC && m.tellsCalls() {
		m.urc(line)
	}
}

// ring lets the handset ring, or ends the call where it cannot.
func (m *Modem) ring() {
	c, h := m.call, m.call.handset
	switch s := &h.state; {
	case !s.On && s.Voicemail:
		h.inCall = true
		c.began, c.machine = time.Now(), true
		c.next = m.network.agenda.after(answerTime, m.lift)
		return
	case !s.On:
		m.drop("NO CARRIER", causeAbsent)
		return
	case h.inCall || s.Busy:
		m.drop("BUSY", causeBusy)
		return
	}
	h.inCall = true
	c.began, c.stat = time.Now(), callAlerting
	if m.profile.creset == "^RESET" {
		m.callURC("^CONF:1")
	}
	if h.state.FalseAnswer {
		m.connect()
	}
	wait := time.Duration(h.state.AnswerAfter)
	if wait <= 0 {
		wait = answerTime
	}
	switch {
	case h.state.Rejects:
		c.next = m.network.agenda.after(wait, func() { m.drop("NO CARRIER", causeRejected) })
	case h.state.Answers:
		c.next = m.network.agenda.after(wait, m.lift)
	case h.state.Voicemail:
		c.machine = true
		c.next = m.network.agenda.after(voicemailTime, m.lift)
	default:
		c.next = m.network.agenda.after(ringTime, func() { m.drop("NO ANSWER", causeNoAnswer) })
	}
}

// connect is the network's word that the call was answered, true or not.
func (m *Modem) connect() {
	c := m.call
	if !c.answered.IsZero() {
		return
	}
	c.answered, c.stat = time.Now(), callActive
	c.rec.start, c.rec.jitter = c.answered, cmp.Or(m.network.opts.Jitter, defaultJitter)
	m.pacing = pacing{}
	switch m.profile.creset {
	case "+CRESET":
		m.callURC("VOICE CALL: BEGIN")
	case "^RESET":
		m.callURC("^CONN:1,0")
	}
	if c.waits {
		c.waits = false
		m.finish(ok())
		m.pump()
	}
	m.beside(longestCall, func() { m.drop("NO CARRIER", causeClearing) })
	for _, f := range []struct {
		d  Duration
		do func()
	}{
		{m.faults.DropAfter, func() { m.drop("NO CARRIER", causeUnspecified) }},
		{m.faults.RebootInCall, m.reboot},
		{m.faults.UnplugInCall, func() { m.leave(time.Second) }},
	} {
		if f.d > 0 {
			m.beside(time.Duration(f.d), f.do)
		}
	}
	if d := time.Duration(m.faults.AudioPause); d > 0 && m.profile.manufacturer == "Quectel" {
		m.beside(time.Second, func() {
			m.paused = true
			m.urc("+QPCMV: 0")
			m.beside(d, func() {
				m.paused = false
				m.urc("+QPCMV: 1")
			})
		})
	}
	m.beside(frameTime, m.frame)
}

// beside does f in d unless the call is over by then.
func (m *Modem) beside(d time.Duration, f func()) {
	c := m.call
	c.others = append(c.others, m.network.agenda.after(d, func() {
		if m.call == c {
			f()
		}
	}))
	if len(c.others) > 100 { // those that have run are of no use
		c.others = append([]*entry(nil), c.others[50:]...)
	}
}

// lift is the handset's own answer, or its voicemail's.
func (m *Modem) lift() {
	c := m.call
	m.connect()
	c.lifted = time.Now()
	c.rec.forget() // what was said before reached nobody
	if c.machine {
		c.down = append(c.down, greeting()...)
		m.beside(voicemailLimit, func() { m.drop("NO CARRIER", causeClearing) })
		return
	}
	if d := time.Duration(c.handset.state.HangsUp); d > 0 {
		m.beside(d, func() { m.drop("NO CARRIER", causeClearing) })
	}
	if d := time.Duration(c.handset.state.PressAfter); d > 0 && c.handset.state.Presses != "" {
		m.beside(d, m.press)
	}
}

// voicemailLimit is how long a voicemail records.
const voicemailLimit = 100 * time.Second

// drop ends the call from the far side and tells so.
func (m *Modem) drop(result string, cause int) {
	if m.call.waits {
		m.hangUp(true, cause)
		m.finish(reply{final: result})
		m.pump()
		return
	}
	m.hangUp(true, cause)
	m.callURC(result)
}

// hangUp ends the call, if there is one, and records it at the handset.
func (m *Modem) hangUp(tell bool, cause int) {
	c := m.call
	if c == nil {
		return
	}
	m.call, m.cause, m.paused, m.starved = nil, cause, false, c.rec.starved
	c.next.cancel()
	for _, e := range c.others {
		e.cancel()
	}
	if m.faults.CallLingers {
		c.stat, m.over = callOver, c
		m.network.agenda.after(overTime, func() {
			if m.over == c {
				m.over = nil
			}
		})
	}
	d := time.Duration(0)
	if !c.answered.IsZero() {
		d = time.Since(c.answered)
	}
	if tell {
		m.tellEnd(c, d, cause)
	}
	if c.began.IsZero() {
		return
	}
	ended := Call{At: c.began, Answered: !c.lifted.IsZero(), Seconds: Duration(d)}
	c.handset.ended(ended, c.rec.whole(d))
}

// tellEnd gives the unsolicited codes of an end.
func (m *Modem) tellEnd(c *call, d time.Duration, cause int) {
	switch {
	case m.profile.creset == "+CRESET" && d > 0:
		m.callURC(fmt.Sprintf("VOICE CALL: END: %06d", int(d.Seconds())))
	case m.profile.creset == "^RESET":
		m.callURC(fmt.Sprintf("^CEND:1,%d,104,%d", int(d.Seconds()), cause))
	}
}

// abortDial is what any character does to a dialing that waits, V.250 section 5.6.1.
func (m *Modem) abortDial() {
	m.hangUp(true, causeClearing)
	m.finish(reply{final: "NO CARRIER"})
}

// InCall is how long the modem's call has been answered; 0 while it is not, and negative without a call.
func (m *Modem) InCall() time.Duration {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.call == nil:
		return -1
	case m.call.answered.IsZero():
		return 0
	}
	return time.Since(m.call.answered)
}
