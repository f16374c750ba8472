package line

import (
	"errors"
	"strings"
	"time"
)

// errBabble ends a command that is answered with more than any answer has.
var errBabble = errors.New("answer without end")

// reader is the one reader of the port. It never waits for anybody but the port.
func (l *Line) reader() {
	defer l.wg.Done()
	defer close(l.urcs)
	buf := make([]byte, 4096)
	for {
		n, err := l.rw.Read(buf)
		l.mu.Lock()
		if n > 0 && !l.closed {
			l.feed(buf[:n])
		}
		l.mu.Unlock()
		if err != nil {
			l.shut(err)
			l.dropTrail()
			return
		}
	}
}

// dropTrail ends the wait for a PDU line when the line ends; nothing is sent on urcs after it.
func (l *Line) dropTrail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trail, l.open = nil, nil
}

// feed cuts b into lines and handles each. It needs mu.
func (l *Line) feed(b []byte) {
	l.split.add(b)
	for {
		c := l.cur
		due := c != nil && c.sent && c.prompt && !c.prompted
		s, ok := l.split.next(due)
		if !ok {
			return
		}
		switch {
		case s == prompt && due:
			l.tap(false, prompt)
			l.showPrompt(c)
			continue
		case s == prompt: // a second one would make at write the PDU twice (reference 9)
			l.stats.Strays++
			continue
		}
		for s != "" {
			first, rest := glued(s)
			if l.o.Tap != nil {
				text := ""
				if c != nil {
					text = c.text
				}
				shown := maskLine(first, text)
				if _, ends := final("", first); l.open != nil && !ends {
					shown = maskText(first)
				}
				l.tap(false, shown)
			}
			l.handle(first)
			s = rest
		}
	}
}

// showPrompt passes the prompt on, once for a command, after the modem's pause. An answer or an abort within the pause wins.
func (l *Line) showPrompt(c *command) {
	c.prompted = true
	if l.o.PromptDelay == 0 {
		c.put(prompt)
		return
	}
	time.AfterFunc(l.o.PromptDelay, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.cur == c && c.abort == nil && !c.over {
			c.put(prompt)
		}
	})
}

// handle sorts one line. It needs mu.
func (l *Line) handle(s string) {
	if l.open != nil && l.goesOn(s) {
		return
	}
	if t := l.trail; t != nil {
		l.endTrail()
		if hexLine(s) {
			t.PDU = s
			l.emit(*t)
			return
		}
		l.stats.Orphans++ // something else came: the PDU is lost, this line is not (defect 14)
	}
	c := l.cur
	if c != nil && (!c.sent || c.over) {
		c = nil
	}
	if c != nil && c.echo(s) {
		return
	}
	text := ""
	if c != nil {
		text = c.text
	}
	if f, ok := final(text, s); ok {
		l.answered = time.Now()
		switch {
		case l.strayOK && f == "OK", c == nil:
			l.stats.Strays++
		case !c.put(f):
			l.end(c, errBabble)
		default:
			c.over = !c.resync // whatever comes until the next command is no answer
		}
		l.strayOK = false
		return
	}
	kind, trailing := c.classify(s)
	switch {
	case trailing:
		l.beginTrail(s)
	case kind == kindURC && unclosed(s):
		l.beginOpen(s)
	case kind == kindURC:
		l.emit(URC{Line: s})
	case kind == kindStray:
		// The answer to a send that was given up: the OK behind it is not the running command's either.
		l.strayOK = true
		l.stats.Strays++
	case !c.put(s):
		l.end(c, errBabble)
	}
}

func (c *command) echo(s string) bool {
	if s == "AT"+c.text {
		return true
	}
	return c.pdu != "" && strings.TrimRight(strings.TrimLeft(s, "> "), "\x1a") == c.pdu
}

// emit puts u in the channel or counts it as lost; it cannot wait, or the answer to the running command would wait behind it.
func (l *Line) emit(u URC) {
	select {
	case l.urcs <- u:
	default:
		l.stats.URCsDropped++
	}
}

// beginTrail waits for the line that follows s, but not for ever: it may have been lost.
func (l *Line) beginTrail(s string) {
	t := &URC{Line: s}
	l.trail = t
	l.trailT = time.AfterFunc(l.o.TrailTimeout, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.trail == t {
			l.trail = nil
			l.stats.Orphans++
		}
	})
}

// maxText is how many lines a USSD text may have: 182 characters do not make more.
const maxText = 16

// unclosed says that s begins a +CUSD whose quoted text has line ends in it.
func unclosed(s string) bool {
	return strings.HasPrefix(s, "+CUSD:") && strings.Count(s, `"`)%2 == 1
}

// beginOpen waits for the rest of a text, but not for ever: what has come by then is given on.
func (l *Line) beginOpen(s string) {
	u := &URC{Line: s}
	l.open = u
	time.AfterFunc(l.o.TrailTimeout, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.open == u && !l.closed {
			l.open = nil
			l.emit(*u)
		}
	})
}

// goesOn takes the next line of the text, up to the one that closes it. A final result is the running command's: a text that was
// cut off on its way must not eat it. It needs mu.
func (l *Line) goesOn(s string) bool {
	if _, ends := final("", s); ends || strings.Count(l.open.Line, "\n") >= maxText {
		l.emit(*l.open)
		l.open = nil
		return false
	}
	l.open.Line += "\n" + s
	if strings.Contains(s, `"`) {
		l.emit(*l.open)
		l.open = nil
	}
	return true
}

func (l *Line) endTrail() {
	l.trail = nil
	l.trailT.Stop()
}
