package modemsim

import (
	"fmt"
	"strings"
	"time"
)

// handler runs one command.
type handler struct {
	run  func(*Modem, command) reply
	need need
}

// commonCommands are the commands that every device has.
func commonCommands() map[string]handler {
	return map[string]handler{
		"E": {run: commandEcho}, "V": {run: commandVerbose}, "Q": {run: commandQuiet},
		"Z": {run: commandDefaults}, "&F": {run: commandDefaults},
		"I": {run: commandInfo}, "X": {run: accept}, "S": {run: commandRegister}, "L": {run: accept}, "M": {run: accept},
		"&C": {run: accept}, "&D": {run: accept}, "&S": {run: accept}, "&W": {run: accept}, "&K": {run: accept}, "\\Q": {run: accept},
		"H": {run: commandHangUp}, "A": {run: commandAnswer}, "D": {run: commandDial}, "P": {run: accept}, "T": {run: accept},

		"+GMI": {run: identity}, "+CGMI": {run: identity}, "+GMM": {run: identity}, "+CGMM": {run: identity},
		"+GMR": {run: identity}, "+CGMR": {run: identity}, "+GSN": {run: identity}, "+CGSN": {run: identity},
		"+GCAP": {run: identity}, "+CIMI": {run: identity, need: needSIM}, "+CNUM": {run: commandOwnNumber, need: needSIM},
		"+CMEE": {run: setting(0, 2, func(s *settings) *int { return &s.cmee })},
		"+CSCS": {run: commandCharset},
		"+CFUN": {run: commandFunction}, "+CPAS": {run: func(*Modem, command) reply { return ok("+CPAS: 0") }},
		"+CBC": {run: func(*Modem, command) reply { return ok("+CBC: 0,100") }}, "+CCLK": {run: commandClock},
		"+CPIN": {run: commandPIN}, "+CPINR": {run: commandPINTries},
		"+CLCK": {run: commandLock, need: needSIM},

		"+CREG": {run: commandRegistration}, "+CGREG": {run: commandRegistration}, "+CEREG": {run: commandRegistration},
		"+COPS": {run: commandOperator, need: needSIM}, "+CSQ": {run: commandSignal}, "+CGATT": {run: commandAttached, need: needSIM},
		"+CUSD": {run: commandUSSD, need: needSIM}, "+CCFC": {run: commandForward, need: needSIM},
		"+CLIP": {run: setting(0, 1, func(s *settings) *int { return &s.clip })}, "+CHUP": {run: commandHangUp}, "+CLCC": {run: commandCalls},
		"+CHLD": {run: commandHold, need: needSIM},
		"+CEER": {run: commandCause}, "+VTS": {run: accept, need: needSIM},
		"+CPROT": {run: reject}, "+MODE": {run: reject}, "+SYNCML": {run: reject},

		"+CSCA": {run: commandServiceCentre, need: needSMS}, "+CMGF": {run: setting(0, 1, func(s *settings) *int { return &s.cmgf })},
		"+CSMS": {run: commandService}, "+CPMS": {run: commandStorage, need: needSMS}, "+CNMI": {run: commandIndications},
		"+CNMA": {run: commandAcknowledge}, "+CMMS": {run: setting(0, 2, func(s *settings) *int { return &s.cmms })},
		"+CSMP": {run: commandTextParameters}, "+CSDH": {run: setting(0, 1, func(s *settings) *int { return &s.csdh })},
		"+CMGS": {run: commandSend, need: needSMS}, "+CMGW": {run: commandWriteStored, need: needSMS}, "+CMSS": {run: commandSendStored, need: needSMS},
		"+CMGR": {run: commandRead, need: needSMS}, "+CMGL": {run: commandList, need: needSMS}, "+CMGD": {run: commandDelete, need: needSMS},
	}
}

// vendorCommands are commands of which each profile has its own.
func vendorCommands() map[string]handler {
	return map[string]handler{
		"+CCID": {run: commandICCID}, "+QCCID": {run: commandICCID}, "+CICCID": {run: commandICCID},
		"+ICCID": {run: commandICCID}, "^ICCID": {run: commandICCID}, "#CCID": {run: commandICCID},
		"+CRESET": {run: commandRestart}, "^RESET": {run: commandRestart}, "#REBOOT": {run: commandRestart},
		"+QTONEDET": {run: commandTones}, "+DDET": {run: commandTones},
		"+QPINC": {run: commandPINTries}, "+SPIC": {run: commandPINTries}, "^CPIN": {run: commandPINTries},
		"+QCFG":  {run: commandQCFG},
		"+QPCMV": {run: commandPCM}, "+CPCMREG": {run: commandPCM}, "^DDSETEX": {run: commandPCM},
		"+QFUPL": {run: commandUpload}, "+QFDEL": {run: commandDeleteFile}, "+QFLST": {run: commandListFiles},
		"+QPSND": {run: commandPlayFile}, "+QWTTS": {run: commandSpeak},
		"+CFTRANRX": {run: commandUpload}, "+FSDEL": {run: commandDeleteFile}, "+FSLS": {run: commandListFiles},
		"+CCMXPLAY": {run: commandPlayFile}, "+CCMXSTOP": {run: commandPlayFile}, "+CTTS": {run: commandSpeak},
		"#PCT": {run: commandPINTries}, "#QSS": {run: commandSIMStatus},
	}
}

// has tells whether the device has the vendor command.
func (p *profile) has(name string) bool {
	switch name {
	case p.creset, p.dtmf:
		return name != ""
	case "+QPINC", "+QCFG", "+QPCMV", "+QFUPL", "+QFDEL", "+QFLST", "+QPSND", "+QWTTS":
		return p.manufacturer == "Quectel"
	case "+SPIC", "+CPCMREG", "+CFTRANRX", "+FSDEL", "+FSLS", "+CCMXPLAY", "+CCMXSTOP", "+CTTS":
		return p.creset == "+CRESET"
	case "^CPIN", "^DDSETEX":
		return p.creset == "^RESET"
	case "#PCT", "#QSS":
		return p.creset == "#REBOOT"
	}
	for _, n := range p.iccid {
		if n == name {
			return true
		}
	}
	return false
}

// execute runs one command.
func (m *Modem) execute(c command) reply {
	h, known := m.network.common[c.name]
	if !known && m.profile.has(c.name) {
		h, known = m.network.vendor[c.name]
	}
	_, inDevice := m.profile.accepts[c.name]
	_, inEvery := remembered[c.name]
	if !known && (inDevice || inEvery) {
		h, known = handler{run: remember}, true
	}
	if !known || c.name == m.faults.RefuseCommand {
		m.network.log.Debug("unknown command", "modem", m.opts.Name) // its name may be anything, a number even
		return m.unsupported()
	}
	m.network.log.Debug("command", "modem", m.opts.Name, "name", c.name)
	if r := m.lacking(h.need); r != nil {
		return *r
	}
	if m.profile.limitedRefuses && m.registration() == 11 && (h.need == needSMS || c.name == "+CMGF" || c.name == "+CNMI" || c.name == "+CSMS") {
		return reply{final: "ERROR"}
	}
	return h.run(m, c)
}

func accept(*Modem, command) reply { return ok() }

func reject(m *Modem, _ command) reply { return m.cme(cmeNotSupported) }

// remembered are the settings of 27.005 and 27.007 that change nothing here,
// with their values in a new device.
var remembered = map[string]string{
	"+IPR": "115200", "+IFC": "0,0", "+ICF": "3,3", "+CSSN": "0,0", "+COLP": "0,0", "+CRC": "0",
	"+CVHU": "0", "+CMUT": "0", "+CLVL": "4", "+CGSMS": "1", "+CSAS": "", "+CRES": "",
}

// remember keeps what is set and reads it back.
func remember(m *Modem, c command) reply {
	switch c.op {
	case '=':
		m.set.vendor[c.name] = c.args
	case '?':
		v, isSet := m.set.vendor[c.name]
		if !isSet {
			v = remembered[c.name] + m.profile.accepts[c.name]
		}
		sep := ": "
		if c.name[0] == '^' {
			sep = ":"
		}
		return ok(c.name + sep + v)
	}
	return ok()
}

// setting is a command whose only value is a number in lo to hi.
func setting(lo, hi int, field func(*settings) *int) func(*Modem, command) reply {
	return func(m *Modem, c command) reply {
		p := field(&m.set)
		switch c.op {
		case '?':
			return ok(fmt.Sprintf("%s: %d", c.name, *p))
		case 't':
			return ok(fmt.Sprintf("%s: (%d-%d)", c.name, lo, hi))
		case '=':
			v, valid := c.number(0, lo, lo, hi)
			if !valid {
				return m.cme(cmeBadParameter)
			}
			*p = v
			return ok()
		}
		return m.unsupported()
	}
}

// flag reads the digit of a basic command; none is 0.
func flag(c command) (on, valid bool) {
	switch c.args {
	case "", "0":
		return false, true
	case "1":
		return true, true
	}
	return false, false
}

func commandEcho(m *Modem, c command) reply    { return m.flagSetting(c, &m.set.echo) }
func commandVerbose(m *Modem, c command) reply { return m.flagSetting(c, &m.set.verbose) }
func commandQuiet(m *Modem, c command) reply   { return m.flagSetting(c, &m.set.quiet) }

func (m *Modem) flagSetting(c command, p *bool) reply {
	on, valid := flag(c)
	if !valid {
		return reply{final: "ERROR"}
	}
	*p = on
	return ok()
}

// commandDefaults is ATZ and AT&F: the settings of a new device; SIM and
// registration stay.
func commandDefaults(m *Modem, _ command) reply {
	cfun := m.set.cfun
	m.set = m.profile.settings()
	m.set.cfun = cfun
	return ok()
}

func commandInfo(m *Modem, _ command) reply {
	p := m.profile
	return ok("Manufacturer: "+p.manufacturer, "Model: "+p.model, "Revision: "+p.revision, "IMEI: "+m.opts.IMEI)
}

func commandRegister(_ *Modem, c command) reply {
	if c.op == '?' {
		return ok("000")
	}
	return ok()
}

// identity answers the commands of 27.007 section 5 and V.250 section 6.1.
func identity(m *Modem, c command) reply {
	if c.op == 't' {
		return ok()
	}
	switch c.name {
	case "+GMI", "+CGMI":
		return ok(m.profile.manufacturer)
	case "+GMM", "+CGMM":
		return ok(m.profile.model)
	case "+GMR", "+CGMR":
		return ok(m.profile.revision)
	case "+GSN", "+CGSN":
		if c.op == '=' && c.args == "1" {
			return ok(`+CGSN: "` + m.opts.IMEI + `"`)
		}
		return ok(m.opts.IMEI)
	case "+CIMI":
		return ok(m.opts.IMSI)
	}
	return ok("+GCAP: +CGSM")
}

func commandICCID(m *Modem, c command) reply {
	if m.faults.SIMRemoved {
		return m.cme(cmeNoSIM)
	}
	name := c.name
	if name == "+CICCID" { // SIM7600 answers so
		name = "+ICCID"
	}
	return ok(name + ": " + m.opts.ICCID)
}

func commandOwnNumber(m *Modem, _ command) reply {
	return ok(fmt.Sprintf(`+CNUM: "","%s",145`, m.opts.Number))
}

func commandCharset(m *Modem, c command) reply {
	switch c.op {
	case '?':
		return ok(`+CSCS: "` + m.set.cscs + `"`)
	case 't':
		return ok(`+CSCS: ("GSM","IRA","UCS2")`)
	case '=':
		switch v := strings.ToUpper(c.value(0).text); v {
		case "GSM", "IRA", "UCS2":
			m.set.cscs = v
			return ok()
		}
	}
	return m.cme(cmeBadParameter)
}

// commandFunction is +CFUN, 27.007 section 8.2; =1,1 restarts.
func commandFunction(m *Modem, c command) reply {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CFUN: %d", m.set.cfun))
	case 't':
		return ok("+CFUN: (0,1,4),(0,1)")
	}
	fun, ok1 := c.number(0, 1, 0, 4)
	reset, ok2 := c.number(1, 0, 0, 1)
	if c.op != '=' || !ok1 || !ok2 || fun == 2 || fun == 3 {
		return m.cme(cmeBadParameter)
	}
	if reset == 1 {
		return commandRestart(m, c)
	}
	was := m.registered()
	m.set.cfun = fun
	if was != m.registered() {
		m.network.agenda.after(0, func() { m.showRegistration(); m.poke() })
	}
	return ok()
}

// commandRestart answers, and then the device is gone for its BootTime.
func commandRestart(m *Modem, _ command) reply {
	m.network.agenda.after(10*time.Millisecond, func() {
		if !m.out() {
			m.reboot()
		}
	})
	return ok()
}

func commandClock(_ *Modem, c command) reply {
	if c.op == '?' {
		return ok(time.Now().UTC().Format(`+CCLK: "06/01/02,15:04:05+00"`))
	}
	return ok()
}

// commandLock is +CLCK for the SIM lock's state, 27.007 section 7.4.
func commandLock(m *Modem, c command) reply {
	if c.op == '=' && strings.EqualFold(c.value(0).text, "SC") && c.value(1).text == "2" {
		on := 0
		if m.sim.pin != "" {
			on = 1
		}
		return ok(fmt.Sprintf("+CLCK: %d", on))
	}
	return m.cme(cmeNotSupported)
}

func commandTones(m *Modem, c command) reply {
	if c.op == '=' {
		m.set.dtmf = strings.HasPrefix(c.args, "1")
	}
	return ok()
}
