package modemsim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// RingEvery is the time from one RING to the next.
const RingEvery = 5 * time.Second

// giveUpAfter is how long somebody who calls lets it ring.
const giveUpAfter = 45 * time.Second

// How a call to a modem ended.
const (
	RingHungUp      = "hung up"     // the host ended it
	RingGaveUp      = "gave up"     // nobody did
	RingForwarded   = "forwarded"   // the network sent it elsewhere, +CCFC
	RingBusy        = "busy"        // the modem was in a call
	RingUnreachable = "unreachable" // the modem was off, without SIM or without network
)

// IncomingCall is a call to a modem that has ended.
type IncomingCall struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	// Seconds is how long it rang.
	Seconds Duration `json:"seconds"`
	Rings   int      `json:"rings"`
	// End is one of the Ring constants.
	End string `json:"end"`
}

// incoming is a call that rings.
type incoming struct {
	IncomingCall
	next *entry
}

// Call lets the handset call a modem; to is its name or number, "" as in Reply. It returns at once; Modem.IncomingCalls tells how
// the call ended.
func (h *Handset) Call(to string) error {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	m := h.correspondent(to)
	switch {
	case m == nil:
		return errors.New("there is no such modem to call")
	case n.closed:
		return errors.New("the network is closed")
	case !h.state.On:
		return errors.New("the handset is switched off")
	}
	c := &incoming{IncomingCall: IncomingCall{At: time.Now(), From: h.number}}
	switch {
	case m.forward.active:
		m.rang(c, RingForwarded)
	case !m.registered() || m.smsOnly():
		m.rang(c, RingUnreachable)
	case m.call != nil && !m.faults.CallWaiting || m.incoming != nil:
		m.rang(c, RingBusy)
	default:
		m.incoming = c
		m.ringHost()
	}
	return nil
}

// IncomingCalls lists the calls to the modem that have ended, oldest first.
func (m *Modem) IncomingCalls() []IncomingCall {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return append([]IncomingCall{}, m.rings...)
}

// ringHost tells of the call once more, and goes on until somebody ends it.
func (m *Modem) ringHost() {
	c := m.incoming
	if time.Since(c.At) >= giveUpAfter {
		m.endIncoming(RingGaveUp)
		m.urc("NO CARRIER")
		return
	}
	c.Rings++
	if m.tellsCalls() {
		ring := "RING"
		if v := m.set.vendor["+CRC"]; v == "1" || v == "" && m.profile.cring {
			ring = "+CRING: VOICE"
		}
		m.urc(ring)
		if m.set.clip == 1 {
			m.urc(fmt.Sprintf(`+CLIP: "%s",145,"",0,"",0`, c.From))
		}
	}
	c.next = m.network.agenda.after(RingEvery, m.ringHost)
}

// tellsCalls tells whether the unsolicited codes of calls come to this port: a Quectel gives them to another one until
// +QURCCFG="urcport","usbat" (or the like) was given.
func (m *Modem) tellsCalls() bool {
	return !m.profile.urcPort || strings.Contains(m.set.vendor["+QURCCFG"], "usbat")
}

// endIncoming ends the call that rings, if there is one.
func (m *Modem) endIncoming(how string) {
	c := m.incoming
	if c == nil {
		return
	}
	m.incoming = nil
	c.next.cancel()
	m.rang(c, how)
}

func (m *Modem) rang(c *incoming, how string) {
	c.Seconds, c.End = Duration(time.Since(c.At)), how
	m.rings = append(m.rings, c.IncomingCall)
	m.network.show()
}

// forwarding is what the network knows of a SIM's unconditional call forwarding, 27.007 section 7.11.
type forwarding struct {
	number string
	active bool
}

// commandForward is +CCFC: the network answers after a while.
func commandForward(m *Modem, c command) reply {
	if c.op == 't' {
		return ok("+CCFC: (0-5)")
	}
	reason, ok1 := c.number(0, 0, 0, 5)
	mode, ok2 := c.number(1, 0, 0, 4)
	class, ok3 := c.number(4, 7, 1, 255)
	switch {
	case c.op != '=' || !ok1 || !ok2 || !ok3:
		return m.cme(cmeBadParameter)
	case !m.registered():
		return m.cme(cmeNoNetwork)
	case m.faults.NoForwarding:
		m.later(m.latency, func() { m.finish(m.cme(cmeNotAllowed)) })
		return reply{wait: true}
	}
	voice := reason != 1 && reason != 2 && reason != 3 && reason != 5 && class&1 != 0
	next := m.forward
	switch mode {
	case 0:
		next.active = false
	case 1:
		next.active = next.number != ""
	case 3:
		number := c.value(2).text
		if strings.Trim(number, "+0123456789") != "" || len(number) < 3 {
			return m.cme(cmeBadParameter)
		}
		if c.value(3).text == "145" && number[0] != '+' {
			number = "+" + number
		}
		next = forwarding{number, true}
	case 4:
		next = forwarding{}
	}
	m.later(m.latency, func() {
		switch {
		case mode != 2:
			if voice {
				m.forward = next
			}
			m.finish(ok())
		case m.forward.active && voice:
			toa := 129
			if m.forward.number[0] == '+' {
				toa = 145
			}
			m.finish(ok(fmt.Sprintf(`+CCFC: 1,1,"%s",%d`, m.forward.number, toa)))
		default:
			m.finish(ok("+CCFC: 0,7"))
		}
	})
	return reply{wait: true}
}
