package voice

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// PCM is the player on a modem's PCM port: it writes a frame each 20 ms by Pacer, and reads the other direction always, because an
// unread port stalls the modem (reference 6.3). It is a Player.
type PCM struct {
	rw    io.ReadWriteCloser
	pacer *Pacer
	hear  func(pcm []byte)

	gone chan struct{} // closed when Run has ended
	mu   sync.Mutex    // guards what follows
	err  error         // why Run ended, if not by ctx
	read int           // bytes
}

// NewPCM takes the port over. hear, which may be nil, is given what comes from the far side, in pieces of any size; it must not block
// and keeps no reference.
func NewPCM(rw io.ReadWriteCloser, hear func(pcm []byte)) *PCM {
	return &PCM{rw: rw, pacer: NewPacer(rw), hear: hear, gone: make(chan struct{})}
}

// Run carries audio until ctx ends, which is no error, or the port fails; then the port is closed and nothing of it is left. It runs
// once, in a goroutine of the caller's.
func (p *PCM) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop(p.listen())
	}()
	err := p.pacer.Run(ctx)
	if err == nil {
		err = p.broken()
	}
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	close(p.gone)
	closing := p.rw.Close() // ends the read
	<-ended
	if err == nil && closing != nil {
		err = fmt.Errorf("close audio port: %w", closing)
	}
	return err
}

// listen reads until the port ends.
func (p *PCM) listen() error {
	buf := make([]byte, 8*FrameSize)
	for {
		n, err := p.rw.Read(buf)
		if n > 0 {
			p.mu.Lock()
			p.read += n
			p.mu.Unlock()
			if p.hear != nil {
				p.hear(buf[:n])
			}
		}
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.err == nil {
				select {
				case <-p.gone: // we closed it
				default:
					p.err = fmt.Errorf("read audio: %w", err)
				}
			}
			return p.err
		}
	}
}

func (p *PCM) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Play implements Player.
func (p *PCM) Play(ctx context.Context, c Clip) error {
	if err := p.pacer.Play(c.PCM); err != nil {
		return err
	}
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	said := make(chan error, 1)
	go func() { said <- p.pacer.Wait(waiting) }() // Play waits for it in each case
	select {
	case err := <-said:
		if err != nil {
			p.pacer.Stop()
		}
		return err
	case <-p.gone:
	}
	stop(io.ErrClosedPipe)
	<-said
	if err := p.broken(); err != nil {
		return err
	}
	return io.ErrClosedPipe
}

// Hold stops the sound while the modem wants none (+QPCMV: 0), and goes on where it stopped.
func (p *PCM) Hold(hold bool) { p.pacer.Hold(hold) }

// Stats is a snapshot.
func (p *PCM) Stats() PacerStats {
	s := p.pacer.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Received = p.read
	return s
}
