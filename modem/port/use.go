package port

// Use is what an interface of a USB modem is for, in plain words.
type Use string

// The uses that are told apart. A port of unknown use may be probed; see Use.MayAnswer.
const (
	UseUnknown   Use = ""
	UseAT        Use = "AT commands"
	UseATModem   Use = "AT commands and data calls"
	UseAudio     Use = "voice audio"
	UseNMEAAudio Use = "positions (NMEA), or voice audio"
	UseNMEA      Use = "positions (NMEA)"
	UseDiag      Use = "diagnostics"
)

// MayAnswer says that AT commands may be answered there. Of the two kinds that do, UseAT is the one to configure: the codes of an
// incoming call come there, and a data call does not take it.
func (u Use) MayAnswer() bool { return u == UseUnknown || u == UseAT || u == UseATModem }

// uses are the interface maps of the modules that have a profile (reference 3; the vendors' USB guides), by vendor and product id; a
// product of "" stands for all of the vendor's that are not listed. Interfaces that carry no serial port are left out.
var uses = map[string]map[string]map[int]Use{
	"1e0e": { // SIMCom
		"9001": {0: UseDiag, 1: UseNMEA, 2: UseAT, 3: UseATModem, 4: UseAudio}, // SIM7500, SIM7600
		"9011": {4: UseAT, 5: UseATModem},                                      // A7600, A7670, A7672; 0 and 1 are the network's
	},
	"2c7c": { // Quectel; others of this vendor arrange them otherwise
		"0121": quectel, // EC21, EG21
		"0125": quectel, // EC20, EC25, EG25
		"0191": quectel, // EG91
		"0195": quectel, // EG95
		"0306": quectel, // EP06, EG06
	},
	"12d1": { // Huawei: sticks of the E173 class. Those with a HiLink firmware have no serial port at all.
		"": {0: UseATModem, 1: UseAudio, 2: UseAT},
	},
	"1bc7": { // Telit: LE910 and LE910C with the composition that they leave the factory with
		"1201": {0: UseDiag, 3: UseNMEA, 4: UseAT, 5: UseATModem},
	},
}

var quectel = map[int]Use{0: UseDiag, 1: UseNMEAAudio, 2: UseAT, 3: UseATModem}

func useOf(vendor, product string, number int) Use {
	products := uses[vendor]
	table, known := products[product]
	if !known {
		table = products[""]
	}
	return table[number]
}
