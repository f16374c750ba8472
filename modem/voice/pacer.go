package voice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Bounds of a Pacer.
const (
	// catchUp is how many frames may be written at once after a stall: more would overflow the modem's buffer.
	catchUp = 2
	// writeLimit is how long one write may take where the port has deadlines.
	writeLimit = 3 * FrameTime
	// maxQueued is ten minutes of audio: far more than any call plays.
	maxQueued = 10 * 60 * SampleRate * 2
)

// ErrOdd refuses PCM that ends in half a sample.
var ErrOdd = errors.New("PCM is not whole samples")

// ErrFull refuses PCM beyond ten minutes.
var ErrFull = errors.New("too much PCM waits")

// PacerStats count what a Pacer wrote.
type PacerStats struct {
	Frames    int // written, silence included
	Silence   int // of them with nothing to say
	Underruns int // deadlines that passed without a frame, because a write took too long
	Held      int // deadlines that passed without a frame, because the modem wanted none
	Received  int // bytes from the far side; PCM counts them
}

// Pacer writes one frame each 20 ms by absolute deadlines, from the begin of a call to its end: what was given to Play, and silence
// when there is none. When a write was slow it catches up by two frames at most and lets the other deadlines go: time is lost then,
// never a sample of what is said.
type Pacer struct {
	w io.Writer

	mu    sync.Mutex
	queue []byte
	empty chan struct{} // closed when the queue has been written; nil while nobody waits
	rest  []byte        // of a frame that was written in part: a sample must not be torn
	held  bool
	stats PacerStats

	buf [FrameSize]byte // of Run: the frame at hand
}

// NewPacer makes a pacer on the audio port. If w has SetWriteDeadline, no write lasts longer than 60 ms; if it has WaitUntil, that keeps
// the time.
func NewPacer(w io.Writer) *Pacer { return &Pacer{w: w} }

// Play puts PCM behind what is still to be said. It does not wait and keeps no reference to pcm.
func (p *Pacer) Play(pcm []byte) error {
	if len(pcm)%2 != 0 {
		return ErrOdd
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue)+len(pcm) > maxQueued {
		return ErrFull
	}
	p.queue = append(p.queue, pcm...)
	return nil
}

// Stop drops what is still to be said: a key was pressed.
func (p *Pacer) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = nil
	p.said()
}

// Wait waits until all that was given to Play has been written.
func (p *Pacer) Wait(ctx context.Context) error {
	p.mu.Lock()
	if len(p.queue) == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.empty == nil {
		p.empty = make(chan struct{})
	}
	empty := p.empty
	p.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// said needs mu.
func (p *Pacer) said() {
	if p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

// Hold lets the deadlines pass without a frame, or no longer. What is to be said waits.
func (p *Pacer) Hold(hold bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = hold
}

// holding counts a deadline of a held pacer.
func (p *Pacer) holding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.stats.Held++
	}
	return p.held
}

// Stats is a snapshot.
func (p *Pacer) Stats() PacerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Run writes until ctx ends, which is no error, or the port fails. One goroutine runs it, for the whole call.
func (p *Pacer) Run(ctx context.Context) error {
	defer promptly()()
	wait := p.waits()
	start := time.Now()
	for k := 0; ; k++ {
		next := start.Add(time.Duration(k) * FrameTime)
		if late := time.Since(next); late > catchUp*FrameTime {
			// Let the deadlines go that cannot be caught up; those left are written at once.
			lost := int(late/FrameTime) - catchUp
			k += lost
			next = next.Add(time.Duration(lost) * FrameTime)
			p.mu.Lock()
			p.stats.Underruns += lost
			p.mu.Unlock()
		}
		if err := wait(ctx, next); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("pace audio: %w", err)
		}
		if p.holding() {
			continue
		}
		if err := p.write(); err != nil {
			return err
		}
	}
}

// waits is how Run waits for a deadline: by the port's own clock, which for a terminal is the kernel's, else by a timer. A wait is never
// longer than a frame, so that the port's needs no ctx.
func (p *Pacer) waits() func(context.Context, time.Time) error {
	if port, ok := p.w.(interface{ WaitUntil(time.Time) error }); ok {
		return func(_ context.Context, t time.Time) error { return port.WaitUntil(t) }
	}
	return func(ctx context.Context, t time.Time) error {
		timer := time.NewTimer(time.Until(t))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		return nil
	}
}

// write gives one frame, or the rest of one, to the port.
func (p *Pacer) write() error {
	frame, silent, part := p.frame()
	if d, ok := p.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		if err := d.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
			return fmt.Errorf("write audio: %w", err)
		}
	}
	n, err := p.w.Write(frame)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		p.rest = append([]byte(nil), frame[n:]...)
		return nil
	}
	if err != nil {
		return fmt.Errorf("write audio: %w", err)
	}
	if !part {
		p.stats.Frames++
		if silent {
			p.stats.Silence++
		}
	}
	if len(p.queue) == 0 && !silent {
		p.said()
	}
	return nil
}

// frame takes the next frame: the rest of the last one if it was written in part, then what is to be said, filled with silence.
func (p *Pacer) frame() (b []byte, silent, part bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) > 0 {
		b, p.rest = p.rest, nil
		return b, false, len(b) < FrameSize
	}
	b = p.buf[:]
	n := copy(b, p.queue)
	clear(b[n:])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return b, n == 0, false
}
