package modemsim

import (
	"fmt"
	"time"
)

// Codes of +CME ERROR, 27.007 section 9.2, that the modem gives.
const (
	cmeNotAllowed    = 3
	cmeNotSupported  = 4
	cmeNoSIM         = 10
	cmePIN           = 11
	cmePUK           = 12
	cmeSIMBusy       = 14
	cmeWrongPassword = 16
	cmeNoNetwork     = 30
	cmeBadParameter  = 50
	cmeUnknown       = 100
)

// Codes of +CMS ERROR, 27.005 section 3.2.5.
const (
	cmsOperatorBarred = 8
	cmsCallBarred     = 10
	cmsCongestion     = 42

	cmsNotAllowed = 302
	cmsBadPDU     = 304
	cmsBadText    = 305
	cmsNoSIM      = 310
	cmsPIN        = 311
	cmsPUK        = 316
	cmsBadIndex   = 321
	cmsStoreFull  = 322
	cmsNoSMSC     = 330
	cmsNoNetwork  = 331
	cmsNoCNMA     = 340
	cmsUnknown    = 500
	cmsStarting   = 515
)

var cmeText = map[int]string{
	cmeNotAllowed: "operation not allowed", cmeNotSupported: "operation not supported",
	cmeNoSIM: "SIM not inserted", cmePIN: "SIM PIN required", cmePUK: "SIM PUK required",
	cmeSIMBusy: "SIM busy", cmeWrongPassword: "incorrect password", cmeNoNetwork: "no network service",
	cmeBadParameter: "incorrect parameters", cmeUnknown: "unknown",
}

var cmsText = map[int]string{
	cmsOutOfOrder: "network out of order", cmsTemporaryFailure: "temporary failure", cmsDuplicate: "duplicate SM",
	cmsOperatorBarred: "operator determined barring", cmsCallBarred: "call barred", cmsCongestion: "congestion",
	cmsNotAllowed: "operation not allowed", cmsBadPDU: "invalid PDU mode parameter",
	cmsBadText: "invalid text mode parameter", cmsNoSIM: "SIM not inserted",
	cmsPIN: "SIM PIN required", cmsPUK: "SIM PUK required", cmsBadIndex: "invalid memory index",
	cmsStoreFull: "memory full", cmsNoSMSC: "SMSC address unknown", cmsNoNetwork: "no network service",
	cmsNoCNMA: "no +CNMA acknowledgement expected", cmsUnknown: "unknown error",
}

// cme is the final result for an error of the equipment, as +CMEE wants it.
func (m *Modem) cme(code int) reply {
	switch m.set.cmee {
	case 0:
		return reply{final: "ERROR"}
	case 2:
		return reply{final: "+CME ERROR: " + cmeText[code]}
	}
	return reply{final: fmt.Sprintf("+CME ERROR: %d", code)}
}

// cms is the final result for an error of the message service; it is not
// subject to +CMEE but for the text form.
func (m *Modem) cms(code int) reply {
	if m.set.cmee == 2 {
		return reply{final: "+CMS ERROR: " + cmsText[code]}
	}
	return reply{final: fmt.Sprintf("+CMS ERROR: %d", code)}
}

// unsupported is the final result for what the device does not have.
func (m *Modem) unsupported() reply { return reply{final: m.profile.unsupported} }

// need says what must be there before a command can run.
type need int

const (
	needNothing need = iota
	needSIM          // CME errors 10 to 12 without
	needSMS          // CMS errors 310, 311, 316 without
)

// lacking is the error for what a command needs and is not there; nil if all is.
func (m *Modem) lacking(n need) *reply {
	var r reply
	switch {
	case n == needNothing:
		return nil
	case m.faults.SIMRemoved:
		r = m.either(n, cmeNoSIM, cmsNoSIM)
	case m.sim.wants() == "SIM PUK":
		r = m.either(n, cmePUK, cmsPUK)
	case m.sim.locked():
		r = m.either(n, cmePIN, cmsPIN)
	case n == needSMS && time.Now().Before(m.slow):
		r = reply{final: fmt.Sprintf("+CMS ERROR: %d", cmsStarting)} // no device has words for it
	default:
		return nil
	}
	return &r
}

func (m *Modem) either(n need, cme, cms int) reply {
	if n == needSMS {
		return m.cms(cms)
	}
	return m.cme(cme)
}
