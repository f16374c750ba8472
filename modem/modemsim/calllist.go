package modemsim

import (
	"fmt"
	"strings"
)

// commandHangUp is +CHUP and ATH.
func commandHangUp(m *Modem, c command) reply {
	switch {
	case c.name == "H" && m.faults.IgnoreATH:
		return ok()
	case (m.call != nil || m.incoming != nil) && struck(&m.faults.CallStays):
		return ok()
	}
	m.hangUp(true, causeClearing)
	m.endIncoming(RingHungUp)
	return ok()
}

// commandHold is +CHLD, 27.007 section 7.13: 0 turns down who waits, 1 ends the call.
func commandHold(m *Modem, c command) reply {
	switch c.args {
	case "0":
		m.endIncoming(RingHungUp)
	case "1":
		m.hangUp(true, causeClearing)
	default:
		if c.op == '=' {
			return m.cme(cmeNotSupported)
		}
	}
	return ok()
}

// commandAnswer is ATA: no host talks to who calls a modem.
func commandAnswer(*Modem, command) reply { return reply{final: "NO CARRIER"} }

// commandCalls is +CLCC, 27.007 section 7.18.
func commandCalls(m *Modem, c command) reply {
	if c.op != 0 {
		return ok()
	}
	var info []string
	list := func(dir, stat, mode int, number string, toa int) {
		info = append(info, fmt.Sprintf(`+CLCC: %d,%d,%d,%d,0,"%s",%d`, len(info)+1, dir, stat, mode, number, toa))
	}
	if m.faults.DataContext {
		list(0, callActive, 1, "", 128)
	}
	for _, own := range []*call{m.call, m.over} {
		if own == nil {
			continue
		}
		toa := 129
		if strings.HasPrefix(own.number, "+") {
			toa = 145
		}
		list(0, own.stat, 0, own.number, toa)
	}
	if i := m.incoming; i != nil {
		stat := 4
		if m.call != nil {
			stat = callWaiting
		}
		list(1, stat, 0, i.From, 145)
	}
	return ok(info...)
}

// causeNames are those of Q.850.
var causeNames = map[int]string{
	causeClearing: "Normal call clearing", causeBusy: "User busy", causeNoAnswer: "User alerting, no answer", causeAbsent: "Subscriber absent",
	causeRejected: "Call rejected", causeUnspecified: "Normal, unspecified",
}

// commandCause is +CEER, 27.007 section 6.10, in the form that the maker chose.
func commandCause(m *Modem, c command) reply {
	cause := m.cause
	if m.faults.Cause != 0 {
		cause = m.faults.Cause
	}
	name := causeNames[cause]
	switch {
	case c.op != 0:
		return ok()
	case cause == 0 || m.faults.NoCause:
		return ok("+CEER: No cause information available")
	case m.profile.creset == "^RESET" || name == "":
		return ok(fmt.Sprintf("+CEER: Cause:%d", cause))
	case m.profile.creset == "+CRESET":
		return ok(fmt.Sprintf(`+CEER: "CC setup error",%d,"%s"`, cause, name))
	}
	return ok("+CEER: " + name)
}
