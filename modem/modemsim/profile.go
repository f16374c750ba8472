package modemsim

import (
	"fmt"
	"time"
)

// profile is what distinguishes one kind of device from another.
type profile struct {
	manufacturer, model, revision string
	// unsupported is the final result for a command that the device does not have.
	unsupported string
	cmee        int
	cnmi        [5]int
	stores      []string       // names for +CPMS, the first is the default
	capacity    map[string]int // places in each
	firstIndex  int
	// emptyReadOK: +CMGR of an empty place answers a bare OK, not CMS 321.
	emptyReadOK bool
	// csim: commands that tell the ICCID; the answer bears the command's name.
	iccid []string
	// boot comes when the device is up, ready when its SIM can be used.
	boot, ready []string
	// fullURC tells that no text can be stored; "" is none. %s is the storage.
	fullURC string
	// dropsFull: what comes while the storage is full is taken from the network and lost; it tells only
	// where +QINDCFG="smsfull" asked for that.
	dropsFull bool
	// limitedRefuses: with registration 11 (limited service) message commands are refused, +CMGF even.
	limitedRefuses bool
	// creset is the vendor's own restart command.
	creset string
	// dtmf enables the telling of pressed keys; dtmfURC tells one.
	dtmf    string
	dtmfURC func(key byte) string
	// voice: the device can call.
	voice bool
	// cring: calls are told as +CRING without being asked for; urcPort: not at this port before +QURCCFG says so.
	cring, urcPort bool
	ussd           ussdForm
	// simURC tells that the SIM has changed; nil is +CPIN.
	simURC func(m *Modem, state string) []string
	// storedReport is what becomes of status reports that +CNMI routes to storage.
	storedReport storedReport
	// leavesBus: a restart takes the device off the bus, and it says nothing when it is back.
	leavesBus bool
	// pace is the pause it needs between an answer and the next command; what comes sooner is lost.
	pace time.Duration
	// ports are the interfaces of the device on the bus, in their order; one of them is PortAT.
	ports []PortKind
	// accepts are vendor commands that are stored and read back; their value
	// is the answer to a read before they were set.
	accepts map[string]string
}

// storedReport is a way of keeping status reports (+CNMI <ds>=2).
type storedReport int

const (
	reportsKept       storedReport = iota // as 27.005 says
	reportsLost                           // EC25: told as "SM",0, and there is nothing there
	reportsUnreadable                     // SIM7600: told at a place of SR that cannot be read
)

// settings is what a device forgets when it restarts.
type settings struct {
	echo, verbose, quiet         bool
	cmee, cmgf, csms, cmms, csdh int
	cnmi                         [5]int
	creg, cgreg, cereg           int
	cscs                         string
	csmp                         [4]int // first octet, TP-VP, TP-PID, TP-DCS
	cpms                         [3]string
	cfun                         int
	clip, cusd, copsFormat       int
	dtmf                         bool
	vendor                       map[string]string
}

func (p *profile) settings() settings {
	first := p.stores[0]
	return settings{
		echo: true, verbose: true, cmee: p.cmee, cnmi: p.cnmi, cscs: "GSM", cfun: 1,
		csmp: [4]int{17, 167, 0, 0}, cpms: [3]string{first, first, first},
		vendor: map[string]string{},
	}
}

var profiles = map[string]*profile{
	"generic": {
		manufacturer: "Pinward", model: "Simulated modem", revision: "1.0",
		unsupported: "ERROR",
		stores:      []string{"SM", "ME", "SR"}, capacity: map[string]int{"SM": 20, "ME": 50, "SR": 10},
		firstIndex: 1,
		ports:      []PortKind{PortAT},
		iccid:      []string{"+CCID"},
		boot:       []string{"RDY"}, ready: []string{"+CPIN: READY", "SMS Ready", "Call Ready"},
	},
	"ec25": {
		manufacturer: "Quectel", model: "EC25", revision: "EC25AFAR05A06M4G",
		unsupported: "ERROR", cmee: 1, cnmi: [5]int{2, 1, 0, 0, 0},
		stores: []string{"ME", "SM", "MT", "SR"}, capacity: map[string]int{"ME": 255, "SM": 40, "SR": 20},
		firstIndex: 0, emptyReadOK: true,
		ports: []PortKind{PortDiag, PortNMEA, PortAT, PortModem},
		iccid: []string{"+QCCID", "+CCID", "+ICCID"},
		boot:  []string{"RDY", "+CFUN: 1"}, ready: []string{"+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"},
		fullURC: `+QIND: "smsfull","%s"`, dropsFull: true,
		dtmf: "+QTONEDET", dtmfURC: func(key byte) string { return fmt.Sprintf("+QTONEDET: %d", key) },
		voice: true, urcPort: true, storedReport: reportsLost,
		accepts: map[string]string{
			"+QINDCFG": "", "+QURCCFG": `"urcport","usbmodem"`, "+QGPSCFG": "",
			"+QAUDMOD": "0", "^DSCI": "0", "+QMBNCFG": "", "+QTTSETUP": "",
		},
	},
	"sim7600": {
		manufacturer: "SIMCOM INCORPORATED", model: "SIMCOM_SIM7600G-H", revision: "LE20B04SIM7600G22",
		unsupported: "ERROR", cmee: 2, cnmi: [5]int{2, 1, 0, 0, 0},
		stores: []string{"ME", "SM", "MT", "SR"}, capacity: map[string]int{"ME": 23, "SM": 50, "SR": 20},
		firstIndex: 0,
		ports:      []PortKind{PortDiag, PortNMEA, PortAT, PortModem, PortAudio},
		iccid:      []string{"+CICCID", "+CCID", "+ICCID"},
		boot:       []string{"RDY"}, ready: []string{"+CPIN: READY", "SMS DONE", "PB DONE"},
		fullURC: "+SMS FULL", creset: "+CRESET",
		dtmf: "+DDET", dtmfURC: func(key byte) string { return "+RXDTMF: " + string(rune(key)) },
		limitedRefuses: true,
		voice:          true, cring: true, storedReport: reportsUnreadable, ussd: ussdUCS2,
		accepts: map[string]string{
			"+CPCMFRM": "0", "+CDTAM": "0", "+CEMODE": "2", "+CIREG": "0,1", "+CNMP": "2",
			"+CSCLK": "0", "+CTTSPARAM": "1,3,0,1,1",
		},
	},
	"e173": {
		manufacturer: "huawei", model: "E173", revision: "11.126.85.00.209",
		unsupported: "COMMAND NOT SUPPORT", cmee: 0, cnmi: [5]int{2, 1, 0, 0, 0},
		stores: []string{"SM", "ME"}, capacity: map[string]int{"SM": 20, "ME": 100, "SR": 10},
		firstIndex: 0,
		ports:      []PortKind{PortModem, PortAudio, PortAT},
		iccid:      []string{"^ICCID"},
		boot:       []string{"^BOOT:20117468,0,0,0,75"}, ready: []string{"^SIMST:1", "^SRVST:2", "^MODE:5,4"},
		fullURC: `^SMMEMFULL: "%s"`, creset: "^RESET",
		dtmf: "^DTMF", dtmfURC: func(key byte) string { return "^DDTMF: " + string(rune(key)) },
		voice: true, ussd: ussdPacked,
		simURC: func(_ *Modem, state string) []string {
			if state == "NOT INSERTED" {
				return []string{"^SIMST:255"}
			}
			return []string{"^SIMST:1"}
		},
		accepts: map[string]string{
			"^CURC": "1", "^CVOICE": "0,8000,16,20", "^SYSCFG": "2,0,3FFFFFFF,1,2",
			"^U2DIAG": "0", "^SYSINFO": "2,3,0,5,1,,4", "^CONFIG": "",
		},
	},
	"le910": {
		manufacturer: "Telit", model: "LE910C1-NF", revision: "25.21.660",
		unsupported: "ERROR", cmee: 0, cnmi: [5]int{0, 0, 0, 0, 0},
		stores: []string{"ME", "SM", "SR"}, capacity: map[string]int{"ME": 23, "SM": 30, "SR": 20},
		firstIndex: 1,
		ports:      []PortKind{PortDiag, PortNMEA, PortModem, PortAT},
		iccid:      []string{"#CCID", "+CCID"},
		creset:     "#REBOOT", leavesBus: true, pace: 20 * time.Millisecond,
		simURC: func(m *Modem, state string) []string {
			switch {
			case m.set.vendor["#QSS"] != "1":
				return nil
			case state == "NOT INSERTED":
				return []string{"#QSS: 0"}
			}
			return []string{"#QSS: 1"}
		},
		accepts: map[string]string{"#SIMDET": "2", "#RFSTS": "", "#SERVINFO": "", "#FWSWITCH": "0,0", "+WS46": "25"},
	},
}
