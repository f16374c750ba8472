package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/warthog618/modem/at"
)

// The errors on which a caller branches. None holds an argument of a command or a line that the modem sent.
var (
	// ErrNotStarted says that not one byte of the command was written.
	ErrNotStarted = errors.New("command not started")
	// ErrNoPrompt says that the modem gave no prompt in time, or refused before it: no PDU was written.
	ErrNoPrompt = errors.New("no PDU written")
	// ErrTimeout says that no final result came in time; what the command did is not known. The line is dirty.
	ErrTimeout = errors.New("no answer in time")
	// ErrDirty refuses a command: an answer of a command before it may still come. Resync first.
	ErrDirty = errors.New("line is dirty")
	// ErrAborted says that Abort ended the command; what it did is not known.
	ErrAborted = errors.New("command aborted")
	// ErrStuck says that the port did not take bytes in time. The line is closed.
	ErrStuck = errors.New("port does not take bytes")
	// ErrClosed says that the line is closed; the port's own error is wrapped with it.
	ErrClosed = errors.New("line is closed")
	// ErrOtherModem says that another modem than the known one answers.
	ErrOtherModem = errors.New("another modem answers")
)

// ResultError is a final result other than OK.
type ResultError struct {
	Command string // name of the command, without arguments
	Kind    string // "CMS", "CME" or "ERROR"
	Code    int    // -1 if the modem gave words instead of a number
	Words   string // the words, if it gave words and they are a known result; "" otherwise
}

func (e *ResultError) Error() string {
	switch {
	case e.Code >= 0:
		return fmt.Sprintf("%s: +%s ERROR %d", e.Command, e.Kind, e.Code)
	case e.Words != "":
		return fmt.Sprintf("%s: %s", e.Command, e.Words)
	}
	return fmt.Sprintf("%s: %s", e.Command, e.Kind)
}

func notStarted(err error) error { return fmt.Errorf("%w: %w", ErrNotStarted, err) }

// Options are the times and bounds of a line; zero values are replaced by the defaults named here.
type Options struct {
	WriteTimeout time.Duration // 5 s for one write; then the line is closed with ErrStuck
	TrailTimeout time.Duration // 2 s for the PDU line that follows +CDS or +CMT
	PromptDelay  time.Duration // between the prompt and the PDU: some modems swallow what comes at once (reference 5.1); default none
	Gap          time.Duration // at least, between a final result and the next command; default none
	URCs         int           // 256: unsolicited codes that may wait to be taken
	Trace        func(event string)
	// Tap is told each line of the conversation as it may be shown: out is true for what we write. It is called with the line's
	// lock held: it must neither block nor call the line.
	Tap func(out bool, masked string)
}

// URC is an unsolicited result code, with the line that follows a +CDS, +CMT or +CBM.
type URC struct {
	Line string
	PDU  string // hexadecimal; "" where none belongs to it
}

// Stats count what the line took out of the stream.
type Stats struct {
	URCsDropped  int // the channel was full
	Orphans      int // +CDS or +CMT without its PDU line
	Strays       int // answers that nobody waited for: late ones, echoes of a session before
	LinesDropped int // too long
	ControlBytes int // NULs and other noise
}

// Line runs commands on a port, one at a time. Its methods may be called from any goroutine.
type Line struct {
	o    Options // Gap and PromptDelay are guarded by mu
	rw   io.ReadWriteCloser
	urcs chan URC

	wake  chan struct{} // to the runner: something is in the queue
	ended chan struct{} // closed with the port
	wg    sync.WaitGroup
	wmu   sync.Mutex // one write at a time

	// at and in belong to the runner: the command runner and what it reads. Both are thrown away after a timeout, with every line
	// that is still on its way in them.
	at *at.AT
	in *pipe

	mu     sync.Mutex // guards what follows
	queue  [classes][]*request
	cur    *command // the outstanding command, nil between commands
	dirty  bool
	limbo  bool // a PDU was written and its answer has not come
	closed bool
	why    error // of closed
	stats  Stats

	// The rest is the reader's, also guarded by mu.
	split    splitter
	strayOK  bool // a +CMGS that nobody waited for came: its OK follows
	trail    *URC // +CDS or +CMT that waits for its PDU line
	trailT   *time.Timer
	open     *URC      // +CUSD whose text goes on in the next line
	answered time.Time // when the last final result came
}

// command is the outstanding command. Guarded by Line.mu.
type command struct {
	text       string
	names      []part
	answers    []string
	registered int               // +CREG answers seen: a second one is a URC
	sent       bool              // its command line was written
	over       bool              // its final result came
	resync     bool              // asks again and again: no final result ends it
	prompt     bool              // waits for a prompt
	prompted   bool              // saw it; a second one is not shown (reference 9)
	pdu        string            // the PDU of an SMS command, to know its echo
	pduOut     bool              // the first byte of the PDU may have left
	put        func(string) bool // takes clean answer lines
	abort      error             // set by Abort or the prompt's time limit; ends the command
	stop       func()            // unblocks whoever waits for the result of the command
}

// New takes rw over: the line reads it until Close or its end. If rw has SetWriteDeadline, writes use it.
func New(rw io.ReadWriteCloser, o Options) *Line {
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 5 * time.Second
	}
	if o.TrailTimeout == 0 {
		o.TrailTimeout = 2 * time.Second
	}
	if o.URCs == 0 {
		o.URCs = 256
	}
	l := &Line{
		o: o, rw: rw,
		urcs:  make(chan URC, o.URCs),
		wake:  make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	l.wg.Add(2)
	go l.reader()
	go l.runner()
	return l
}

// URCs gives the unsolicited codes in the order in which they came. It is closed with the line.
func (l *Line) URCs() <-chan URC { return l.urcs }

// Ended is closed when the line is: by Close, or because the port failed. Err tells why.
func (l *Line) Ended() <-chan struct{} { return l.ended }

// Err is why the line is closed, nil while it is open.
func (l *Line) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		return nil
	}
	return l.closedErr()
}

// Dirty says that the line refuses commands until Resync.
func (l *Line) Dirty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dirty
}

// Limbo says that a PDU was written and that its answer, if it ever comes, would be taken for the next one's. Resync ends it; whoever
// must be sure restarts the modem.
func (l *Line) Limbo() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limbo
}

// Sending says that a command is running that waits for a prompt or for what comes after it.
func (l *Line) Sending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur != nil && l.cur.pdu != ""
}

// Stats is a snapshot.
func (l *Line) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.LinesDropped, s.ControlBytes = l.split.dropped, l.split.control
	return s
}

// closedErr needs mu.
func (l *Line) closedErr() error {
	if l.why == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, l.why)
}

// Close closes the port and waits until every goroutine of the line has ended. A running command ends with ErrClosed.
func (l *Line) Close() error {
	l.shut(nil)
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil || errors.Is(l.why, os.ErrClosed) {
		return nil
	}
	return l.why
}

// shut ends the line; the first reason stays.
func (l *Line) shut(why error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed, l.why = true, why
	if l.cur != nil {
		l.end(l.cur, l.closedErr())
	}
	if l.trailT != nil {
		l.trailT.Stop()
	}
	close(l.ended)
	l.mu.Unlock()
	l.rw.Close()
}

// end makes c return err. It needs mu.
func (l *Line) end(c *command, err error) {
	if c.abort == nil {
		c.abort = err
	}
	c.stop()
}

// Abort ends the running command with ErrAborted, if there is one, and marks the line dirty: for a send that is given up, and for
// a modem that rebooted in the middle of one. An open prompt is left by ESC in the Resync that must follow.
func (l *Line) Abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty = true
	if l.cur != nil {
		l.end(l.cur, ErrAborted)
	}
}

// SetPace replaces Options.Gap and, unless it is 0, Options.PromptDelay, when the modem's kind is known.
func (l *Line) SetPace(gap, promptDelay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o.Gap = gap
	if promptDelay > 0 {
		l.o.PromptDelay = promptDelay
	}
}

// tap tells Options.Tap. It needs mu.
func (l *Line) tap(out bool, masked string) {
	if l.o.Tap != nil {
		l.o.Tap(out, masked)
	}
}

// tapOut is tap for a line that is about to be written.
func (l *Line) tapOut(masked string) {
	l.mu.Lock()
	l.tap(true, masked)
	l.mu.Unlock()
}

// write writes b within the time limit or closes the line.
func (l *Line) write(b []byte) (int, error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if d, ok := l.rw.(interface{ SetWriteDeadline(time.Time) error }); ok {
		if err := d.SetWriteDeadline(time.Now().Add(l.o.WriteTimeout)); err != nil {
			l.shut(err)
			return 0, err
		}
		n, err := l.rw.Write(b)
		return n, l.wrote(err)
	}
	// The port has no deadline of its own. A write that is stuck is left to the kernel with its goroutine, once: the line is
	// closed after it.
	type res struct {
		n   int
		err error
	}
	done := make(chan res, 1)
	go func() {
		n, err := l.rw.Write(b)
		done <- res{n, err}
	}()
	timer := time.NewTimer(l.o.WriteTimeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.n, l.wrote(r.err)
	case <-timer.C:
		return 1, l.wrote(os.ErrDeadlineExceeded) // how much of it left is not known: 1 says "not nothing"
	}
}

// wrote closes the line after a failed write: nobody knows what the modem has of it.
func (l *Line) wrote(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrStuck
	}
	l.shut(err)
	return err
}

// result turns at's error into ours.
func (l *Line) result(c *command, err error) error {
	var cms at.CMSError
	var cme at.CMEError
	name := safe(c.text)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &cms):
		return resultError(name, "CMS", string(cms))
	case errors.As(err, &cme):
		return resultError(name, "CME", string(cme))
	case errors.Is(err, at.ErrError):
		return &ResultError{Command: name, Kind: "ERROR", Code: -1}
	case errors.Is(err, at.ErrDeadlineExceeded):
		return fmt.Errorf("%s: %w", name, ErrTimeout)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func resultError(name, kind, text string) error {
	e := &ResultError{Command: name, Kind: kind, Code: -1}
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n >= 0 {
		e.Code = n
		return e
	}
	if _, known := final("D", text); known || knownWords[strings.ToLower(text)] {
		e.Words = text
	}
	return e
}

// knownWords are the texts of 27.007, 9.2 that the driver acts on, for modems that give words in spite of CMEE=1. Other words
// could be anything that the modem echoes, and are not repeated.
var knownWords = map[string]bool{
	"sim not inserted": true, "sim pin required": true, "sim puk required": true, "sim failure": true, "sim busy": true,
	"sim wrong": true, "incorrect password": true, "no network service": true, "network timeout": true,
	"unknown error": true, "operation not allowed": true, "operation not supported": true,
}

// mark makes the line dirty.
func (l *Line) mark() {
	l.mu.Lock()
	l.dirty = true
	l.mu.Unlock()
}

// Do runs a command and returns its information lines. timeout counts from its first byte and is absolute: nothing that the modem
// says extends it. ctx is the caller's patience: if it ends first, Do returns its cause, and the line stays with the command.
func (l *Line) Do(ctx context.Context, cmd Cmd, timeout time.Duration) ([]string, error) {
	return l.do(ctx, &request{cmd: cmd, run: func(r *request) ([]string, error) {
		return l.runAT(r.cmd, "", 0, timeout)
	}})
}

// SMS runs a command that is answered with a prompt, and gives the PDU there. Without a prompt within promptLimit no PDU is written:
// ErrNoPrompt. answerLimit counts from the PDU; ErrTimeout, ErrAborted and ErrClosed then say nothing of whether it was sent.
func (l *Line) SMS(ctx context.Context, cmd Cmd, pdu string, promptLimit, answerLimit time.Duration) ([]string, error) {
	return l.do(ctx, &request{cmd: cmd, run: func(r *request) ([]string, error) {
		return l.runAT(r.cmd, pdu, promptLimit, answerLimit)
	}})
}
