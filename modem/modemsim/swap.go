package modemsim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// SIM is another SIM for a modem; what is "" is made up.
type SIM struct {
	ICCID  string `json:"iccid"`
	IMSI   string `json:"imsi"`
	Number string `json:"number"`
	PIN    string `json:"pin"`
	// PINTries is as ModemOptions.PINTries.
	PINTries int `json:"pin_tries"`
	// Quiet: the modem says nothing of it and stays registered, as if it had been done while nobody looked.
	Quiet bool `json:"quiet"`
}

// SwapSIM puts another SIM in the place of the one in the modem. The texts on the old one go with it.
func (m *Modem) SwapSIM(s SIM) error {
	n := m.network
	n.mu.Lock()
	defer n.mu.Unlock()
	n.swaps++
	for _, f := range []struct {
		to   *string
		made string
	}{
		{&s.ICCID, luhn(fmt.Sprintf("890010900000000%03d", n.swaps))},
		{&s.IMSI, fmt.Sprintf("%s%010d", m.plmn, 500+n.swaps)},
		{&s.Number, fmt.Sprintf("+1617555%04d", 3000+n.swaps)},
	} {
		if *f.to == "" {
			*f.to = f.made
		}
	}
	digits, international := strings.CutPrefix(s.Number, "+")
	switch {
	case n.closed:
		return errors.New("swap SIM: the network is closed")
	case strings.Trim(s.ICCID+s.IMSI+s.PIN+digits, "0123456789") != "" || !international:
		return errors.New("swap SIM: iccid, imsi and pin must be digits, the number + and digits")
	case n.modemByNumber(s.Number) != nil && n.modemByNumber(s.Number) != m:
		return errors.New("swap SIM: another modem has that number")
	}
	was := m.registered()
	m.opts.ICCID, m.opts.IMSI, m.opts.Number, m.opts.PIN = s.ICCID, s.IMSI, s.Number, s.PIN
	m.sim, m.forward = newSIM(s.PIN), forwarding{}
	if s.PINTries != 0 {
		m.sim.tries = min(max(s.PINTries, 0), 3)
	}
	for _, index := range m.store["SM"].indexes() {
		m.keepSlot("SM", index, nil)
	}
	switch {
	case s.Quiet:
		m.sim.unlocked = true // nothing was noticed, so nothing is asked
	case !m.out() && !m.booting:
		m.search()
		m.simChanged()
		if was != m.registered() {
			m.showRegistration()
		}
	}
	n.agenda.after(0, m.poke)
	return nil
}

// searchTime is how long a modem with a new SIM looks for a network. A part that is on the air then is not sent.
const searchTime = 3 * time.Second

// search takes the modem off the network for searchTime.
func (m *Modem) search() {
	m.searching.cancel()
	m.searching = m.network.agenda.after(searchTime, func() {
		m.searching = nil
		if m.registered() {
			m.showRegistration()
			m.poke()
		}
	})
}
