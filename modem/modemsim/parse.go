package modemsim

import (
	"strconv"
	"strings"
)

// command is one command of a line: a basic one ("E", "&F", "D") or an extended
// one ("+CMGS"), its name in upper case.
type command struct {
	name string
	// op is '=' for set, '?' for read, 't' for test (=?), 0 for plain execution.
	op byte
	// args is what stands behind the name and the operator.
	args string
}

// prefixAT is where "AT" or "at" begins, V.250 section 5.2.1; -1 if nowhere. It
// counts octets: a line may hold any.
func prefixAT(line string) int {
	for i := 0; i+1 < len(line); i++ {
		if p := line[i : i+2]; p == "AT" || p == "at" || p == "At" || p == "aT" {
			return i
		}
	}
	return -1
}

// parseLine splits the body of a command line, V.250 section 5.3 and 5.4:
// spaces outside quotes count for nothing, extended commands are parted by
// semicolons, basic ones may stand side by side.
func parseLine(body string) ([]command, bool) {
	body = squeeze(body)
	var list []command
	for body != "" {
		var c command
		var ok bool
		switch b := body[0]; {
		case b == ';':
			body = body[1:]
			continue
		case strings.IndexByte("+*^#%$", b) >= 0:
			c, body, ok = parseExtended(body)
		case b == 'D' || b == 'd':
			end := strings.IndexByte(body, ';')
			if end < 0 {
				end = len(body) - 1
			}
			c, body, ok = command{name: "D", args: body[1 : end+1]}, body[end+1:], true
		default:
			c, body, ok = parseBasic(body)
		}
		if !ok {
			return nil, false
		}
		list = append(list, c)
	}
	return list, true
}

// squeeze drops spaces and control characters outside quotes.
func squeeze(s string) string {
	var b strings.Builder
	quoted := false
	for _, c := range []byte(s) {
		if c == '"' {
			quoted = !quoted
		}
		if quoted || c > ' ' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func parseExtended(s string) (c command, rest string, ok bool) {
	end, quoted := 0, false
	for end < len(s) && (quoted || s[end] != ';') {
		if s[end] == '"' {
			quoted = !quoted
		}
		end++
	}
	one := s[:end]
	rest = strings.TrimPrefix(s[end:], ";")
	n := strings.IndexAny(one, "=?")
	if n < 0 {
		n = len(one)
	}
	c.name = strings.ToUpper(one[:n])
	switch tail := one[n:]; {
	case tail == "":
	case tail == "?":
		c.op = '?'
	case tail == "=?":
		c.op = 't'
	case tail[0] == '=':
		c.op, c.args = '=', tail[1:]
	default:
		return c, rest, false
	}
	return c, rest, len(c.name) > 1
}

func parseBasic(s string) (c command, rest string, ok bool) {
	n := 1
	if s[0] == '&' || s[0] == '\\' {
		n = 2
	}
	if n > len(s) || !isLetter(s[n-1]) {
		return c, "", false
	}
	c.name = strings.ToUpper(s[:n])
	s = s[n:]
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	c.args, s = s[:digits], s[digits:]
	if c.name == "S" { // S-parameter: Sn=v or Sn?
		switch {
		case strings.HasPrefix(s, "?"):
			c.op, s = '?', s[1:]
		case strings.HasPrefix(s, "="):
			s = strings.TrimLeft(s[1:], "0123456789")
			c.op = '='
		}
	}
	return c, s, true
}

func isLetter(b byte) bool { return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' }

// arg is one value of a command: a number, a string, or nothing.
type arg struct {
	text   string
	quoted bool
}

// values splits the arguments at commas outside quotes.
func (c command) values() []arg {
	if c.args == "" {
		return nil
	}
	var list []arg
	start, quoted := 0, false
	for i := 0; i <= len(c.args); i++ {
		if i < len(c.args) {
			if c.args[i] == '"' {
				quoted = !quoted
			}
			if quoted || c.args[i] != ',' {
				continue
			}
		}
		text := c.args[start:i]
		start = i + 1
		a := arg{text: text}
		if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
			a = arg{text[1 : len(text)-1], true}
		}
		list = append(list, a)
	}
	return list
}

// value is the i-th argument; empty where there is none.
func (c command) value(i int) arg {
	if v := c.values(); i < len(v) {
		return v[i]
	}
	return arg{}
}

// number reads the i-th argument as a number in lo to hi; where it is absent
// or empty it is def. false says that it is something else.
func (c command) number(i, def, lo, hi int) (int, bool) {
	a := c.value(i)
	if a.text == "" && !a.quoted {
		return def, true
	}
	n, err := strconv.Atoi(a.text)
	return n, err == nil && !a.quoted && n >= lo && n <= hi
}
