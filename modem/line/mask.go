package line

import (
	"fmt"
	"strings"
)

// What Options.Tap is told is what a person may see who looks over the operator's shoulder: the forms of the conversation, and
// no number, PDU, text, PIN or serial number in it. Masking is by permission: what is not known to be harmless is not shown.

// shownStrings are the names whose quoted values are settings of the modem and names of networks.
var shownStrings = map[string]bool{
	"+CPMS": true, "+CMTI": true, "+CDSI": true, "+COPS": true, "+CSCS": true, "+CREG": true, "+CGREG": true, "+CEREG": true,
	"+QURCCFG": true, "+QINDCFG": true, "+QPINC": true, "+QIND": true, "^HCSQ": true, "^SMMEMFULL": true,
}

// hiddenArgs are the commands whose arguments are secret as a whole.
var hiddenArgs = map[string]bool{"+CPIN": true, "+CPIN2": true, "^CPIN": true, "+CPWD": true, "+CLCK": true, "+CUSD": true, "D": true}

// tellsItself are the commands that are answered with a bare line: make, model and firmware.
var tellsItself = map[string]bool{"+CGMI": true, "+CGMM": true, "+CGMR": true, "+GMI": true, "+GMM": true, "+GMR": true, "I": true}

// hidden stands for what is not shown.
const hidden = "***"

// maskCommand is what may be shown of a command line, cmd without its "AT".
func maskCommand(cmd string) string {
	var out []string
	for _, p := range names(cmd) {
		name := p.name
		switch {
		case name == "":
		case name[0] == 'D':
			name = "D" + hidden
		case !harmlessName(name), len(name) > 2 && name[0] >= 'A' && name[0] <= 'Z':
			name = hidden // a basic command has one letter; this is a line of a text
		case p.set && hiddenArgs[name]:
			name += "=" + hidden
		case p.set:
			name += "=" + maskFields(name, p.args)
		default:
			name += p.args // "?", "=?" or nothing
		}
		out = append(out, name)
	}
	return "AT" + strings.Join(out, ";")
}

// maskPDU is what may be shown of a PDU.
func maskPDU(pdu string) string { return fmt.Sprintf("<PDU, %d octets>", len(pdu)/2) }

// maskLine is what may be shown of a line that the modem sent while cmd ran; "" is no command.
func maskLine(s, cmd string) string {
	if s == prompt || words[s] || callEnds[s] {
		return s
	}
	if rest, echo := strings.CutPrefix(s, "AT"); echo {
		return maskCommand(rest)
	}
	for _, f := range []string{"+CMS ERROR:", "+CME ERROR:"} {
		if rest, ok := strings.CutPrefix(s, f); ok {
			rest = strings.TrimSpace(rest)
			if !harmlessValue(rest) && !knownWords[strings.ToLower(rest)] {
				rest = hidden
			}
			return f + " " + rest
		}
	}
	if _, ok := final("D", s); ok {
		for _, f := range []string{"OK", "ERROR", "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS", "MODEM ERROR", "ABORTED", "CONNECT"} {
			if strings.HasPrefix(s, f) {
				return f
			}
		}
	}
	if pdu := strings.TrimRight(strings.TrimLeft(s, "> "), "\x1a"); len(pdu) >= 16 && hexLine(pdu) {
		return maskPDU(pdu)
	}
	if name := prefix(s); name != "" && harmlessName(name) {
		rest := strings.TrimSpace(s[len(name)+1:])
		if name == "+CUSD" {
			head, _, more := strings.Cut(rest, ",")
			if rest = maskFields(name, head); more {
				rest += "," + hidden
			}
			return name + ": " + rest
		}
		return name + ": " + maskFields(name, rest)
	}
	if ps := names(cmd); len(ps) == 1 && tellsItself[ps[0].name] {
		return maskDigits(s)
	}
	return maskText(s)
}

// maskText is all that may be shown of a text.
func maskText(s string) string { return fmt.Sprintf("<%d characters>", len(s)) }

// maskFields masks a list of values one by one.
func maskFields(name, s string) string {
	var out []string
	start, quoted := 0, false
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] == '"' {
			quoted = !quoted
		}
		if i < len(s) && (s[i] != ',' || quoted) {
			continue
		}
		out = append(out, maskField(name, strings.TrimSpace(s[start:i])))
		start = i + 1
	}
	return strings.Join(out, ",")
}

func maskField(name, f string) string {
	switch {
	case f == "" || f == `""`:
		return f
	case f[0] != '"' && harmlessValue(f):
		return f
	case f[0] == '"' && shownStrings[name]:
		return maskDigits(f)
	case f[0] == '"':
		return `"` + hidden + `"`
	}
	return hidden
}

// harmlessName says whether a prefix is a command's: upper case, and no number in disguise.
func harmlessName(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	letters, digits := 0, 0
	for _, c := range s {
		switch {
		case c >= 'A' && c <= 'Z', c == '_':
			letters++
			digits = 0
		case c >= '0' && c <= '9':
			if digits++; letters == 0 || digits > 2 {
				return false
			}
		case !strings.ContainsRune("+^*%#$&", c):
			return false
		}
	}
	return letters > 0
}

// harmlessValue says whether an unquoted value can hold nothing about anybody: up to four digits, with a sign or as hexadecimal,
// or a state in capitals.
func harmlessValue(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if len(s) <= 4 && strings.Trim(s, "0123456789ABCDEF") == "" {
		return true
	}
	return len(s) <= 12 && states[s]
}

// states are the words that stand for a number.
var states = map[string]bool{
	"READY": true, "SIM PIN": true, "SIM PUK": true, "SIM PIN2": true, "SIM PUK2": true, "NOT INSERTED": true, "NOT READY": true,
	"VOICE": true, "SMS DONE": true, "PB DONE": true,
}

// maskDigits hides each run of five digits or more.
func maskDigits(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		n := 0
		for i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '9' {
			n++
		}
		switch {
		case n >= 5:
			b.WriteString(hidden)
			i += n
		case n > 0:
			b.WriteString(s[i : i+n])
			i += n
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String()
}
