package modemsim

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// ussdForm is how a device gives the text of a USSD answer, and wants the request.
type ussdForm int

const (
	ussdText   ussdForm = iota // characters
	ussdUCS2                   // hexadecimal UCS-2 under the <dcs> of GSM, as with +CSCS="UCS2"
	ussdPacked                 // hexadecimal octets of packed septets, both ways (Huawei)
)

// The balances that the carrier tells.
const (
	fullBalance = "10.00"
	noBalance   = "0.00"
)

// commandUSSD is +CUSD, 27.007 section 7.15: the network answers each request with the SIM's balance, over two lines.
func commandUSSD(m *Modem, c command) reply {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CUSD: %d", m.set.cusd))
	case 't':
		return ok("+CUSD: (0-2)")
	case '=':
		n, valid := c.number(0, 0, 0, 2)
		if !valid {
			return m.cme(cmeBadParameter)
		}
		if n < 2 {
			m.set.cusd = n
		}
		request := c.value(1).text
		if request == "" {
			return ok()
		}
		if m.profile.ussd == ussdPacked {
			b, err := hex.DecodeString(request)
			if err != nil {
				return reply{final: "ERROR"}
			}
			request = gsmText(unpack(b, 0, len(b)*8/7))
		}
		switch {
		case strings.Trim(request, "0123456789*#\r@") != "":
			return m.cme(cmeBadParameter)
		case !m.registered():
			return m.cme(cmeNoNetwork)
		}
		if m.faults.USSD != "none" {
			m.network.agenda.after(m.latency, func() { m.urc(m.balance()) })
		}
		return ok()
	}
	return m.unsupported()
}

// balance is the answer as the device writes it.
func (m *Modem) balance() string {
	if m.faults.USSD != "" {
		return m.faults.USSD
	}
	amount := fullBalance
	if m.faults.NoCredit {
		amount = noBalance
	}
	text := "Balance: $" + amount + ".\nNumber " + m.opts.Number
	switch m.profile.ussd {
	case ussdUCS2:
		text = strings.ToUpper(hex.EncodeToString(ucs2Octets(text)))
	case ussdPacked:
		septets, _ := gsmSeptets(text)
		if len(septets)%8 == 7 {
			septets = append(septets, '\r') // 23.038 section 6.1.2.3.1: or it would read as an @
		}
		text = strings.ToUpper(hex.EncodeToString(pack(septets, 0)))
	}
	return `+CUSD: 0,"` + text + `",15`
}
