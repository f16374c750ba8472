package modemsim

import (
	"bytes"
	"strings"
	"time"
)

// terminalState is what the interpreter of a port has in hand, V.250 section 5.
type terminalState struct {
	in     []byte // heard and not yet looked at: a modem reads on while a command runs
	line   []byte // the command line so far
	over   bool   // the line grew too long
	lastCR bool   // an LF that follows belongs to the CR before
	last   string // the last command line, for A/

	busy   bool      // a command runs
	hung   bool      // and will not answer; ESC gets out of it
	rest   []command // of its line, still to run
	prompt *prompt   // input goes to a message body
	// transfer takes the octets of a file; no byte of them means anything else.
	transfer *transfer
	due      bool     // a prompt is due; input before it is lost
	asleep   int      // so many command lines will be lost: the port was just opened
	held     []string // unsolicited lines kept back until body and line are complete

	// run numbers what runs, so that what comes late to something that a
	// restart has ended does nothing.
	run uint64
	// ended is when the last final result was given.
	ended time.Time
}

// prompt is the taking of a message body after +CMGS or +CMGW.
type prompt struct {
	body   []byte
	text   bool // +CMGF=1: CR is a new line of the text
	opened time.Time
	done   func(body []byte)
}

const (
	maxLine  = 2048
	maxBody  = 2048
	maxAhead = 64 << 10 // what is heard in advance; the modem drops the rest
	ctrlZ    = 0x1a
	esc      = 0x1b
)

// forgetInput drops half-typed input, as a port that is opened anew does.
func (t *terminalState) forgetInput() {
	t.in, t.line, t.over, t.lastCR = nil, nil, false, false
}

// resetParser ends what runs and forgets input.
func (m *Modem) resetParser() {
	m.term = terminalState{run: m.term.run + 1}
}

// heard takes what session s read at that time. The modem must not keep b.
func (m *Modem) heard(s *session, b []byte, at time.Time) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	if s != nil && s.side != nil {
		s.side.heard(m, b, at)
		return
	}
	if m.session != s || m.booting || m.network.closed {
		return
	}
	if m.call != nil && m.call.waits && m.term.busy && len(b) > 0 {
		m.abortDial()
		b = b[1:]
	}
	switch i := bytes.LastIndexByte(b, esc); {
	case i < 0 || m.faults.IgnoreESC:
	case m.term.hung:
		m.term = terminalState{run: m.term.run + 1, held: m.term.held}
		b = b[i+1:]
	case m.faults.ESCTooLate && m.term.busy && m.term.prompt == nil:
		b = b[i+1:]
		m.write(nil, "OK")
	}
	room := max(0, maxAhead-len(m.term.in))
	m.term.in = append(m.term.in, b[:min(len(b), room)]...)
	m.pump()
}

// pump looks at input as far as it can now.
func (m *Modem) pump() {
	t := &m.term
	for len(t.in) > 0 && !m.booting {
		switch {
		case t.due:
			t.in = nil
			return
		case t.transfer != nil:
			m.transferred()
			continue
		case t.prompt == nil && t.busy:
			return
		}
		c := t.in[0]
		t.in = t.in[1:]
		if t.prompt != nil {
			m.bodyByte(c)
		} else {
			m.lineByte(c)
		}
	}
}

// lineByte adds to the command line, V.250 section 5.2.
func (m *Modem) lineByte(c byte) {
	t := &m.term
	if len(t.line) == 0 && time.Since(t.ended) < m.profile.pace {
		return // too soon
	}
	afterCR := t.lastCR
	t.lastCR = c == '\r'
	switch c {
	case '\n':
		if afterCR {
			return
		}
		fallthrough
	case '\r':
		m.echo(c)
		line, over := string(t.line), t.over
		t.line, t.over = nil, false
		m.runLine(line, over)
	case esc, ctrlZ, 0:
		t.line, t.over = nil, false
		m.releaseHeld()
	case '\b':
		m.echo(c)
		t.line = t.line[:max(0, len(t.line)-1)]
	default:
		m.echo(c)
		if len(t.line) >= maxLine {
			t.over = true
			return
		}
		t.line = append(t.line, c)
		if len(t.line) == 2 && strings.EqualFold(string(t.line), "A/") {
			t.line = nil
			m.runLine(t.last, false)
		}
	}
}

// bodyByte adds to a message body, 27.005 section 3.5.1.
func (m *Modem) bodyByte(c byte) {
	t := &m.term
	p := t.prompt
	afterCR := t.lastCR
	t.lastCR = c == '\r'
	if race := time.Duration(m.faults.PromptRace); race > 0 && time.Since(p.opened) < race && c != ctrlZ {
		return
	}
	switch {
	case c == '\n' && afterCR:
	case c == esc:
		if m.faults.IgnoreESC {
			return
		}
		t.prompt = nil
		m.finish(reply{final: "OK"})
	case c == ctrlZ:
		m.echo(c)
		t.prompt = nil
		p.done(p.body)
	case c == '\b':
		p.body = p.body[:max(0, len(p.body)-1)]
	case c == '\r' || c == '\n':
		if p.text && len(p.body) < maxBody {
			p.body = append(p.body, '\n')
			m.emit("\r\n> ")
		}
	default:
		m.echo(c)
		if len(p.body) < maxBody {
			p.body = append(p.body, c)
		}
	}
}

// runLine runs a whole command line. What does not hold "AT" is ignored, as a
// modem ignores all until it has seen the prefix.
func (m *Modem) runLine(line string, over bool) {
	t := &m.term
	at := prefixAT(line)
	if struck(&t.asleep) || at < 0 {
		m.releaseHeld()
		return
	}
	t.last = line
	t.run++
	t.busy = true
	if struck(&m.faults.Silence) {
		t.busy = false
		return
	}
	if struck(&m.faults.Unknown) {
		m.finish(reply{final: "COMMAND NOT SUPPORT"})
		return
	}
	commands, ok := parseLine(line[at+2:])
	if !ok || over {
		m.finish(reply{final: "ERROR"})
		return
	}
	t.rest = commands
	m.step()
}

// step runs the next command of the line, or ends the line with OK.
func (m *Modem) step() {
	t := &m.term
	if len(t.rest) == 0 {
		m.finish(reply{final: "OK"})
		return
	}
	c := t.rest[0]
	t.rest = t.rest[1:]
	if r := m.execute(c); !r.wait {
		m.finish(r)
	}
}

// reply is the answer to one command: information text, and a final result
// unless wait says that it comes later by finish.
type reply struct {
	info  []string
	final string
	wait  bool
}

func ok(info ...string) reply { return reply{info: info, final: "OK"} }

// finish answers the running command, with the delay that the faults ask for,
// and goes on with the line or with further input.
func (m *Modem) finish(r reply) {
	late := time.Duration(m.faults.Late)
	if next := time.Duration(m.faults.LateNext); next > 0 {
		late, m.faults.LateNext = next, 0
	}
	m.later(late, func() { m.answer(r) })
}

// later does f in d if what runs now still runs then, and looks at further
// input; without delay it does f at once and leaves that to its caller.
func (m *Modem) later(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	run := m.term.run
	m.network.agenda.after(d, func() {
		if m.term.run == run && !m.network.closed {
			f()
			m.pump()
		}
	})
}

func (m *Modem) answer(r reply) {
	t := &m.term
	if r.final == "OK" && len(t.rest) > 0 {
		m.write(r.info, "")
		m.step()
		return
	}
	m.write(r.info, r.final)
	t.rest, t.busy, t.ended = nil, false, time.Now()
	m.releaseHeld()
}

// write puts an answer on the line, framed as settings and faults ask.
func (m *Modem) write(info []string, final string) {
	var b bytes.Buffer
	lead, end := m.framing()
	if final != "" && struck(&m.faults.Garbage) {
		for range 1 + m.rng.IntN(8) {
			b.WriteByte([]byte{0, 0, 0xff, 0xfe, 0x7f, 0x80}[m.rng.IntN(6)])
		}
	}
	if len(info) > 0 {
		b.WriteString(lead)
		for i, line := range info {
			b.WriteString(line)
			if !m.faults.GlueLines || i < len(info)-1 || final == "" {
				b.WriteString(end)
			}
			if m.faults.URCInside && i == 0 && len(info) > 1 {
				b.WriteString(lead + "^RSSI:17" + end)
			}
		}
	}
	if m.faults.URCInside && final != "" && len(info) < 2 {
		b.WriteString(lead + "^RSSI:17" + end)
	}
	switch {
	case final == "" || m.set.quiet:
	case !m.set.verbose:
		b.WriteString(numericResult(final) + "\r")
	case m.faults.GlueError && final == "ERROR":
		b.WriteString(lead + final + "^RSSI:17" + end)
	case m.faults.GlueLines && len(info) > 0:
		b.WriteString(final + end)
	default:
		b.WriteString(lead + final + end)
	}
	m.emit(b.String())
}

func (m *Modem) framing() (lead, end string) {
	end = "\r\n"
	switch {
	case m.faults.CROnly:
		end = "\r"
	case m.faults.DoubleCR:
		end = "\r\r\n"
	}
	switch {
	case m.faults.NoLeadingCR || !m.set.verbose:
		return "", end
	case m.faults.LeadingLF:
		return "\n", end
	}
	return end, end
}

// numericResult is the result code for ATV0, V.250 section 5.7.1.
func numericResult(final string) string {
	switch final {
	case "OK":
		return "0"
	case "NO CARRIER":
		return "3"
	case "BUSY":
		return "7"
	case "NO ANSWER":
		return "8"
	case "ERROR":
		return "4"
	}
	return final
}

// urc gives unsolicited lines, one after the other; while a command line or a
// body is being typed they are kept back, as V.250 section 5.2.1 wants.
func (m *Modem) urc(lines ...string) {
	if m.session == nil || m.booting {
		return
	}
	t := &m.term
	if t.prompt != nil || t.due || len(t.line) > 0 {
		if len(t.held) < 1000 {
			t.held = append(t.held, lines...)
		}
		return
	}
	lead, end := m.framing()
	for _, line := range lines { // +CMT and +CDS are of two lines
		m.emit(lead + strings.ReplaceAll(line, "\n", end) + end)
	}
}

// releaseHeld gives the unsolicited lines that were kept back.
func (m *Modem) releaseHeld() {
	held := m.term.held
	m.term.held = nil
	m.urc(held...)
}

func (m *Modem) echo(c byte) {
	if (m.set.echo || m.faults.EchoAlways) && m.term.asleep == 0 {
		m.emit(string([]byte{c}))
	}
}

func (m *Modem) emit(text string) {
	if m.session != nil && text != "" {
		m.session.say([]byte(text), m.faults.Chunk, time.Duration(m.faults.ChunkGap))
	}
}
