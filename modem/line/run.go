package line

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/warthog618/modem/at"
)

const (
	esc = "\x1b"
	// escQuiet is the pause after ESC in which a modem leaves its prompt.
	escQuiet = 20 * time.Millisecond
	// askEvery is the pause between two questions of a resync. A modem that is busy answers all of them late.
	askEvery = time.Second
	// quiet is how long nothing may come before questions without an answer count as lost: answers that are late come as far apart
	// as the questions.
	quiet = askEvery * 3 / 2
)

// atPort is what at.AT takes for the modem.
type atPort struct {
	*pipe
	l *Line
}

// Write is called by at's own goroutine, only for the outstanding command: first its line, then, for an SMS, the PDU.
func (p atPort) Write(b []byte) (int, error) {
	l := p.l
	l.mu.Lock()
	c := l.cur
	if c == nil || c.abort != nil || len(b) == 0 {
		l.mu.Unlock()
		return 0, ErrAborted
	}
	if b[0] == esc[0] {
		// at's own ESC after a timeout (defect 4) or a failed write: leaving the prompt is Resync's business.
		l.mu.Unlock()
		return len(b), nil
	}
	if !c.sent {
		c.sent = true
		l.tap(true, maskCommand(c.text))
		l.mu.Unlock()
		if l.o.Trace != nil {
			l.o.Trace(safe(c.text))
		}
		if _, err := l.write(append(bytes.TrimRight(b, "\r\n"), '\r')); err != nil { // CR only
			return 0, err
		}
		return len(b), nil
	}
	if c.pduOut || c.over { // one PDU for one prompt, and none after the modem has ended the command
		l.end(c, ErrAborted)
		l.mu.Unlock()
		return 0, ErrAborted
	}
	// If we crash from here on, the message may have been sent.
	c.pduOut = true
	l.tap(true, maskPDU(c.pdu))
	l.mu.Unlock()
	n, err := l.write(b)
	if n == 0 && err != nil {
		l.mu.Lock()
		c.pduOut = false
		l.mu.Unlock()
	}
	return n, err
}

// runAT runs one command in at.AT. It is called by the runner only.
func (l *Line) runAT(cmd Cmd, pdu string, promptLimit, answerLimit time.Duration) ([]string, error) {
	l.rest()
	if l.at == nil {
		l.in = newPipe()
		l.at = at.New(atPort{l.in, l})
	}
	in := l.in
	c := &command{text: cmd.Text, names: names(cmd.Text), answers: cmd.Answers, prompt: pdu != "", pdu: pdu, put: in.put, stop: in.close}
	l.mu.Lock()
	if l.closed || l.dirty {
		err := ErrDirty
		if l.closed {
			err = l.closedErr()
		}
		l.mu.Unlock()
		return nil, notStarted(err)
	}
	l.cur = c
	l.mu.Unlock()

	var info []string
	var err error
	if pdu == "" {
		info, err = l.at.Command(cmd.Text, at.WithTimeout(answerLimit))
	} else {
		limit := time.AfterFunc(promptLimit, func() { l.expirePrompt(c) })
		info, err = l.at.SMSCommand(cmd.Text, pdu, at.WithTimeout(promptLimit+answerLimit))
		limit.Stop()
	}
	return l.finish(c, info, err)
}

// rest waits until the modem has had its pause after its last answer.
func (l *Line) rest() {
	l.mu.Lock()
	wait := l.o.Gap - time.Since(l.answered)
	l.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
}

// expirePrompt ends an SMS command that got no prompt in time. From here on the PDU cannot be written.
func (l *Line) expirePrompt(c *command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == c && !c.pduOut {
		l.end(c, ErrTimeout)
	}
}

// finish takes the command off the line and says what became of it.
func (l *Line) finish(c *command, info []string, err error) ([]string, error) {
	l.mu.Lock()
	l.cur = nil
	abort, noPDU := c.abort, c.pdu != "" && !c.pduOut
	if abort != nil || errors.Is(err, at.ErrDeadlineExceeded) || errors.Is(err, at.ErrClosed) {
		l.dirty = true
		l.limbo = l.limbo || c.pduOut
	}
	throw := l.dirty
	l.mu.Unlock()
	if throw { // whatever is still inside at dies with it (defect 3)
		l.in.close()
		<-l.at.Closed()
		l.at, l.in = nil, nil
	}
	for i := range info {
		info[i] = strings.TrimSpace(info[i])
	}
	switch {
	case abort != nil && err != nil:
		err = fmt.Errorf("%s: %w", safe(c.text), abort)
	default:
		err = l.result(c, err)
	}
	if err != nil {
		info = nil
		if noPDU {
			err = fmt.Errorf("%w: %w", ErrNoPrompt, err)
		}
	} else if noPDU {
		// OK without a prompt: the modem left the command by itself.
		return nil, fmt.Errorf("%w: %s: OK instead of a prompt", ErrNoPrompt, safe(c.text))
	}
	return info, err
}

// exchange is a command beside at, which is idle: lines go to the channel it returns.
func (l *Line) exchange(text string, answers []string, resync bool) (c *command, lines <-chan string) {
	ch := make(chan string, 1024)
	gone := make(chan struct{})
	c = &command{text: text, names: names(text), answers: answers, sent: true, resync: resync}
	c.put = func(s string) bool {
		select {
		case ch <- s:
			return true
		default:
			return false
		}
	}
	c.stop = func() { // needs mu, so it closes once
		select {
		case <-gone:
		default:
			close(gone)
			close(ch)
			c.put = func(string) bool { return false }
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cur = c
	if l.closed {
		l.end(c, l.closedErr())
	}
	return c, ch
}

func (l *Line) leave(c *command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == c {
		l.cur = nil
	}
}

// Upload gives a file to the modem: cmd, then data after CONNECT or the prompt, without Ctrl-Z, then the final result. at cannot do
// that (reference 9).
func (l *Line) Upload(ctx context.Context, cmd Cmd, data []byte, timeout time.Duration) ([]string, error) {
	return l.do(ctx, &request{cmd: cmd, run: func(r *request) ([]string, error) { return l.upload(r.cmd, data, timeout) }})
}

func (l *Line) upload(cmd Cmd, data []byte, timeout time.Duration) ([]string, error) {
	c, lines := l.exchange(cmd.Text, cmd.Answers, false)
	defer l.leave(c)
	l.mu.Lock()
	c.prompt = true
	l.mu.Unlock()
	if l.o.Trace != nil {
		l.o.Trace(safe(cmd.Text))
	}
	l.rest()
	l.tapOut(maskCommand(cmd.Text))
	if _, err := l.write([]byte("AT" + cmd.Text + "\r")); err != nil {
		return nil, fmt.Errorf("%s: %w", safe(cmd.Text), err)
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	var info []string
	given := false
	for {
		select {
		case <-limit.C:
			l.mark()
			return nil, fmt.Errorf("%s: %w", safe(cmd.Text), ErrTimeout)
		case s, ok := <-lines:
			if !ok {
				return nil, fmt.Errorf("%s: %w", safe(cmd.Text), c.abort)
			}
			if !given && (s == prompt || s == "CONNECT") {
				given = true
				l.tapOut(fmt.Sprintf("<file, %d bytes>", len(data)))
				if _, err := l.write(data); err != nil {
					return nil, fmt.Errorf("%s: %w", safe(cmd.Text), err)
				}
				continue
			}
			if f, ok := final(cmd.Text, s); ok {
				return info, l.result(c, atError(f))
			}
			info = append(info, s)
		}
	}
}

// atError is the error that at would make of a final result.
func atError(f string) error {
	const prefix = len("+CME ERROR:")
	switch {
	case f == "OK":
		return nil
	case len(f) >= prefix && f[:4] == "+CME":
		return at.CMEError(f[prefix:])
	case len(f) >= prefix && f[:4] == "+CMS":
		return at.CMSError(f[prefix:])
	}
	return at.ErrError
}

// imeiLine finds the serial number in an answer to +CGSN: bare, quoted or with a prefix (27.007, 5.4).
var imeiLine = regexp.MustCompile(`^(?:\+C?GSN: *)?"?([0-9]{14,17})"?$`)

// Resync makes a dirty line usable again, and a fresh one: it leaves any prompt by ESC and asks for the IMEI until the answer is
// the IMEI and then OK. No late answer looks like that; the OK of a bare AT can be anybody's. With imei "" any IMEI will do. It
// returns the IMEI, and the line is clean.
func (l *Line) Resync(ctx context.Context, imei string) (string, error) {
	info, err := l.do(ctx, &request{cmd: Cmd{Class: HangUp}, over: true, run: func(*request) ([]string, error) {
		got, err := l.resync(ctx, imei)
		if err != nil {
			l.mark()
			return nil, fmt.Errorf("resync: %w", err)
		}
		l.mu.Lock()
		l.dirty, l.limbo = l.closed, false
		l.mu.Unlock()
		return []string{got}, nil
	}})
	if err != nil {
		return "", err
	}
	return info[0], nil
}

func (l *Line) resync(ctx context.Context, imei string) (string, error) {
	forms := []string{"+CGSN", "+GSN"}
	c, lines := l.exchange(forms[0], forms, true)
	defer l.leave(c)
	tick := time.NewTimer(0)
	defer tick.Stop()
	var (
		asked, answered, refused int
		serial                   string // the IMEI line came, its OK not yet
		found                    string // both came; what is still on its way is waited for
	)
	for {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
			if found != "" {
				return found, nil // quiet: the other questions were lost on a modem that was not listening
			}
			tick.Reset(askEvery)
			l.tapOut("<ESC>")
			if _, err := l.write([]byte(esc)); err != nil {
				return "", err
			}
			time.Sleep(escQuiet)
			l.tapOut(maskCommand(forms[refused%2]))
			if _, err := l.write([]byte("AT" + forms[refused%2] + "\r")); err != nil {
				return "", err
			}
			asked++
		case s, ok := <-lines:
			if !ok {
				return "", c.abort
			}
			m := imeiLine.FindStringSubmatch(s)
			switch {
			case m != nil:
				serial = m[1]
				continue
			case s == "OK" && serial != "":
				if imei != "" && serial != imei {
					return "", ErrOtherModem
				}
				answered++
				found = serial
			case s == "ERROR" || strings.HasPrefix(s, "+CME ERROR"):
				refused++ // perhaps it knows only the other form
			}
			serial = ""
			if found != "" {
				// A modem that was busy answers every question that was asked; the answers still to come must not meet the next
				// command.
				if answered >= asked {
					return found, nil
				}
				tick.Reset(quiet)
			}
		}
	}
}

// Reset gives a command that restarts the modem, also on a dirty line, and leaves the line dirty: whatever comes next comes from a
// modem that has just started. Its error says nothing of whether the modem restarts: some answer, some are gone at once.
func (l *Line) Reset(ctx context.Context, text string, timeout time.Duration) error {
	_, err := l.do(ctx, &request{cmd: Cmd{Text: text, Class: HangUp}, over: true, run: func(r *request) ([]string, error) {
		defer l.mark()
		if _, err := l.write([]byte(esc)); err != nil {
			return nil, fmt.Errorf("%s: %w", safe(text), err)
		}
		time.Sleep(escQuiet)
		return l.upload(r.cmd, nil, timeout)
	}})
	return err
}
