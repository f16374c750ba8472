package line

import "strings"

// kind is what a received line is while a given command, or none, is outstanding.
type kind int

const (
	kindAnswer kind = iota // belongs to the outstanding command
	kindFinal              // ends it
	kindURC                // unsolicited
	kindStray              // an answer that nobody waits for: counted and dropped
)

// solicitedNever are the codes that are never an answer (27.005, 3.4.1; 27.007). trailing ones have one more line, a PDU.
var solicitedNever = []struct {
	prefix   string
	trailing bool
}{
	{"+CMTI:", false}, {"+CDSI:", false}, {"+CMT:", true}, {"+CDS:", true}, {"+CBM:", true},
	{"+CRING:", false}, {"+CUSATP:", false}, {"+CIEV:", false}, {"+CTZV:", false}, {"+CTZE:", false}, {"+CTZDST:", false},
	{"+CSSI:", false}, {"+CSSU:", false}, {"+CGEV:", false}, {"+QIND:", false}, {"+QUSIM:", false}, {"+RXDTMF:", false},
	{"+DTMF:", false}, {"+UUDTMFD:", false}, {"+QTONEDET:", false}, {"^DDTMF:", false}, {"^BOOT:", false}, {"^RSSI:", false},
	{"^HCSQ:", false}, {"^MODE:", false}, {"^SRVST:", false}, {"^SIMST:", false}, {"^STIN:", false}, {"^DSFLOWRPT:", false},
	{"^SMMEMFULL:", false}, {"^ORIG:", false}, {"^CONF:", false}, {"^CONN:", false}, {"^CEND:", false}, {"^THERM:", false}, {"^DSCI:", false}, {"+AUDIOSTATE:", false},
	{"#QSS:", false}, {"*ATREADY:", false}, {"*PSUTTZ:", false}, {"DST:", false}, {"MISSED_CALL:", false}, {"VOICE CALL:", false},
}

// words are unsolicited lines without a prefix.
var words = map[string]bool{
	"RDY": true, "RING": true, "START": true, "NORMAL POWER DOWN": true, "POWERED DOWN": true, "Call Ready": true, "SMS Ready": true,
	"SMS DONE": true, "PB DONE": true, "NO CARRIER": true, "BUSY": true, "NO ANSWER": true, "NO DIALTONE": true, "NO DIAL TONE": true,
	"^SMMEMFULL": true, "+SMS FULL": true, "UNDER-VOLTAGE WARNNING": true, "OVER-VOLTAGE WARNNING": true,
}

// callEnds are final results of ATD, ATA and ATH only.
var callEnds = map[string]bool{"NO CARRIER": true, "BUSY": true, "NO ANSWER": true, "NO DIALTONE": true, "NO DIAL TONE": true}

// urcOfSet are the prefixes that a set command with the same name does not answer with: after AT+CREG=2 a "+CREG: 1" is a URC.
var urcOfSet = map[string]bool{
	"+CREG": true, "+CGREG": true, "+CEREG": true, "+CUSD": true, "+CFUN": true, "+CLIP": true, "+COLP": true, "+CPIN": true,
	"+CCWA": true, "+CRC": true, "+QWTTS": true, "+QPSND": true, "+QPCMV": true, "+CTTS": true,
}

// prefix is the name in front of the colon, as in "+CREG" of "+CREG: 1", or "".
func prefix(line string) string {
	if line == "" || !strings.ContainsRune("+^*%#$&", rune(line[0])) {
		return ""
	}
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == ':':
			return line[:i]
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		default:
			return ""
		}
	}
	return ""
}

// names are the command names of a possibly compound line: "+CMEE=1;+CREG=2" gives "+CMEE", "+CREG". The parts are cut at ';'
// outside quotes.
func names(cmd string) []part {
	var out []part
	start, quoted := 0, false
	for i := 0; i <= len(cmd); i++ {
		if i < len(cmd) && cmd[i] == '"' {
			quoted = !quoted
		}
		if i < len(cmd) && (cmd[i] != ';' || quoted) {
			continue
		}
		if p := cmd[start:i]; p != "" || start == 0 {
			n := strings.IndexAny(p, "=?")
			if n < 0 {
				n = len(p)
			}
			e := part{name: strings.ToUpper(p[:n]), args: p[n:], set: n < len(p) && p[n] == '=' && !strings.HasPrefix(p[n:], "=?")}
			if e.set {
				e.args = p[n+1:]
			}
			out = append(out, e)
		}
		start = i + 1
	}
	return out
}

type part struct {
	name string
	args string // of a set command, without '='; otherwise "?", "=?" or ""
	set  bool
}

// safe is the name of a command that may be shown: never an argument.
func safe(cmd string) string {
	ps := names(cmd)
	if len(ps) == 0 {
		return "AT"
	}
	name := ps[0].name
	if len(name) > 0 && name[0] == 'D' {
		name = "D" // the rest is a number
	}
	return "AT" + name
}

// dials says whether cmd ends with a call result.
func dials(cmd string) bool {
	return len(cmd) > 0 && (cmd[0] == 'D' || cmd[0] == 'd' || cmd == "A" || cmd == "a")
}

// final says whether line ends cmd, and in which words at understands it: the ones it does not know mean a timeout there (defect 5).
func final(cmd, line string) (asAT string, ok bool) {
	switch {
	case line == "OK":
		return line, true
	case strings.HasPrefix(line, "+CME ERROR:"), strings.HasPrefix(line, "+CMS ERROR:"):
		return line, true
	case line == "ERROR", strings.HasPrefix(line, "ERROR:"):
		return "ERROR", true
	case strings.HasPrefix(line, "COMMAND NOT SUPPORT"), strings.HasPrefix(line, "TOO MANY PARAMETERS"),
		strings.HasPrefix(line, "MODEM ERROR"), line == "ABORTED":
		return "+CME ERROR: " + line, true
	case callEnds[line] && dials(cmd):
		return "+CME ERROR: " + line, true
	case strings.HasPrefix(line, "CONNECT") && dials(cmd):
		return "OK", true
	}
	return "", false
}

// classify sorts a line that is no final result; c is the outstanding command or nil.
func (c *command) classify(line string) (k kind, trailing bool) {
	for _, u := range solicitedNever {
		if strings.HasPrefix(line, u.prefix) {
			if name := u.prefix[:len(u.prefix)-1]; c != nil && c.queries(name) {
				break // AT^MODE? and the like
			}
			return kindURC, u.trailing
		}
	}
	if words[line] {
		return kindURC, false
	}
	p := prefix(line)
	if p == "+CMGS" && (c == nil || !c.pduOut) {
		return kindStray, false // late: whoever sent that PDU was told "unknown" (defect 4)
	}
	if c == nil {
		return kindURC, false
	}
	if p == "" {
		return kindAnswer, false
	}
	for _, a := range c.answers {
		if p == a {
			return kindAnswer, false
		}
	}
	for _, n := range c.names {
		if n.name != p {
			continue
		}
		if n.set && urcOfSet[p] {
			return kindURC, false
		}
		if registration[p] && !(c.registered < len(c.names) && answersReg(line)) {
			return kindURC, false
		}
		if registration[p] {
			c.registered++
		}
		return kindAnswer, false
	}
	return kindURC, false // +COPS: is no answer to CPIN?
}

func (c *command) queries(name string) bool {
	for _, n := range c.names {
		if n.name == name && !n.set {
			return true
		}
	}
	return false
}

var registration = map[string]bool{"+CREG": true, "+CGREG": true, "+CEREG": true}

// answersReg tells "+CREG: 2,1,..." (the answer to CREG?: <n>,<stat>) from "+CREG: 1,"00C3",..." (the URC: <stat>,<lac>): the second
// field of an answer is one or two plain digits, of a URC a quoted or a four-digit area.
func answersReg(line string) bool {
	_, rest, _ := strings.Cut(line, ":")
	f := strings.Split(rest, ",")
	if len(f) < 2 {
		return false
	}
	s := strings.TrimSpace(f[1])
	if len(s) == 0 || len(s) > 2 {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// hexLine says whether a line can be a PDU.
func hexLine(s string) bool {
	if len(s) < 2 || len(s)%2 != 0 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}
