package line

import (
	"io"
	"sync"
)

// maxAnswer bounds what one command may answer before at has taken it; a full SIM listed by +CMGL has about 100 KiB.
const maxAnswer = 512 << 10

// pipe is what one at.AT reads: the clean lines of the commands it runs. It never blocks the reader of the port.
type pipe struct {
	mu     sync.Mutex
	more   sync.Cond
	buf    []byte
	closed bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.more.L = &p.mu
	return p
}

// put adds one line, or the prompt, which is ">" alone; it reports false when at does not take its lines. at takes a '>' that
// begins any line for the prompt: a line gets a space in front of it, which finish takes away.
func (p *pipe) put(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.buf)+len(line) > maxAnswer {
		return false
	}
	switch {
	case line == prompt:
		p.buf = append(p.buf, line...)
	case line[0] == '>':
		p.buf = append(append(append(p.buf, ' '), line...), '\r', '\n')
	default:
		p.buf = append(append(p.buf, line...), '\r', '\n')
	}
	p.more.Signal()
	return true
}

// prompt is how a prompt is told from a line: no line that is given on is a '>' alone.
const prompt = ">"

// Read gives at its next bytes, and EOF when the pipe was closed.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 {
		if p.closed {
			return 0, io.EOF
		}
		p.more.Wait()
	}
	n := copy(b, p.buf)
	if p.buf = p.buf[n:]; len(p.buf) == 0 {
		p.buf = nil
	}
	return n, nil
}

// close ends the at that reads here; lines not taken are dropped with it.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.buf = true, nil
	p.more.Broadcast()
}
