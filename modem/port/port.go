// Package port opens a serial port that can be closed, times out, knows when it was unplugged and belongs to one process.
//
// tarm/serial opens and reads it; what tarm lacks (reference/modem.md, 2) stands here: it says EOF for "nothing came" and for
// "unplugged", blocks for ever in Write, hangs in Close under a blocked Read, and lets two processes share a port. It knows
// nothing of modems.
package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// The errors on which a caller branches.
var (
	// ErrUnplugged says that the device behind the port has gone, or is another one under the same name.
	ErrUnplugged = errors.New("serial port unplugged")
	// ErrStuck says that a write was not taken in time. The port is closed.
	ErrStuck = errors.New("serial port does not take bytes")
	// ErrBusy says that another process holds the port.
	ErrBusy = errors.New("serial port is used by another process")
)

// Options set the line; zero values are replaced by the defaults named here.
type Options struct {
	Baud         int           // 115200; USB ports ignore it
	ReadTimeout  time.Duration // 200 ms; the kernel counts tenths of a second
	WriteTimeout time.Duration // 5 s for one Write
}

const (
	closeLimit = time.Second // how long Close waits for tarm's, which waits for its Read
	fastEOFs   = 3           // that many EOFs sooner than half the timeout call for a look at the device
	quietEOFs  = 5           // that many EOFs in time too: a node can vanish without a hang-up
)

// Port is an open serial port. One goroutine may read while another writes; Close may come from anywhere.
type Port struct {
	path string
	o    Options

	tarm *serial.Port // reads, with VTIME
	// own is a second description of the same node: it holds the lock, the exclusive use and the writes. It is non-blocking, so
	// that no Write can hang, which tarm's descriptor cannot be made without reaching into it.
	own  *os.File
	rdev uint64 // device number behind path when it was opened

	fast, quiet int // EOFs in a row; owned by the reader

	wmu    sync.Mutex // one Write at a time
	closed atomic.Bool
	once   sync.Once
	err    error // of the first Close
}

// Open opens the node at path, which may be a symbolic link. ctx ends the attempt, not the port.
func Open(ctx context.Context, path string, o Options) (*Port, error) {
	if o.Baud == 0 {
		o.Baud = 115200
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 200 * time.Millisecond
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 5 * time.Second
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open serial port: %w", err)
	}
	// tarm opens with O_NONBLOCK: it does not wait for a carrier, and ctx needs no watching.
	t, err := serial.OpenPort(&serial.Config{Name: path, Baud: o.Baud, ReadTimeout: o.ReadTimeout})
	if err != nil {
		return nil, openError(err)
	}
	p := &Port{path: path, o: o, tarm: t}
	if err := p.claim(); err != nil {
		t.Close() // nothing reads yet: it cannot hang
		return nil, err
	}
	return p, nil
}

// openError names the two failures that an operator can act on. The path is the caller's to show.
func openError(err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("open serial port: %w", ErrBusy) // TIOCEXCL of another process; root does not see it, but meets the lock
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		return fmt.Errorf("open serial port: %w: %w", ErrUnplugged, err)
	}
	return fmt.Errorf("open serial port: %w", err)
}

// claim opens the second description and takes the port for this process alone. It comes after tarm's open, which TIOCEXCL would
// refuse.
func (p *Port) claim() error {
	own, err := os.OpenFile(p.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return openError(err)
	}
	if err := own.SetDeadline(time.Time{}); err != nil {
		own.Close()
		return fmt.Errorf("open serial port: not a device that can be waited for: %w", err)
	}
	var st unix.Stat_t
	err = control(own, func(fd int) error {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				return ErrBusy
			}
			return err
		}
		if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
			return err
		}
		return unix.Fstat(fd, &st)
	})
	if err != nil {
		own.Close()
		return fmt.Errorf("claim serial port: %w", err)
	}
	p.own, p.rdev = own, st.Rdev
	return nil
}

// control runs f with the descriptor, without making it blocking as (*os.File).Fd may.
func control(f *os.File, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := c.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// Read waits until bytes come, the port is closed or the device is gone. tarm's "0, EOF" means that nothing came in time; it means
// unplugged when it comes too soon again and again, or when the device does not answer TCGETS any more.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if p.closed.Load() {
			return 0, fmt.Errorf("read serial port: %w", os.ErrClosed)
		}
		start := time.Now()
		n, err := p.tarm.Read(b)
		switch {
		case n > 0:
			p.fast, p.quiet = 0, 0
			return n, nil
		case p.closed.Load():
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return 0, fmt.Errorf("read serial port: %w: %w", ErrUnplugged, err)
		}
		if time.Since(start) < p.o.ReadTimeout/2 {
			p.fast++
		} else {
			p.fast = 0
			p.quiet++
		}
		if p.fast >= fastEOFs || p.quiet >= quietEOFs {
			if !p.alive() {
				if p.closed.Load() {
					continue
				}
				return 0, fmt.Errorf("read serial port: %w", ErrUnplugged)
			}
			if p.fast >= fastEOFs {
				time.Sleep(p.o.ReadTimeout / 4) // the device is there but answers at once: do not spin
			}
			p.fast, p.quiet = 0, 0
		}
	}
}

// alive says whether the device still answers and still is what its path names: a stick that came back under the same link is
// another device.
func (p *Port) alive() bool {
	err := control(p.own, func(fd int) error {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil {
		return false
	}
	var st unix.Stat_t
	return unix.Stat(p.path, &st) == nil && st.Rdev == p.rdev
}

// Write writes all of b or gives the port up: after ErrStuck it is closed, and how much left is not known.
func (p *Port) Write(b []byte) (int, error) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	if p.closed.Load() {
		return 0, fmt.Errorf("write serial port: %w", os.ErrClosed)
	}
	if err := p.own.SetWriteDeadline(time.Now().Add(p.o.WriteTimeout)); err != nil {
		return 0, fmt.Errorf("write serial port: %w", err)
	}
	n, err := p.own.Write(b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.shut()
		return n, fmt.Errorf("write serial port: %w after %v", ErrStuck, p.o.WriteTimeout)
	case p.closed.Load():
		return n, fmt.Errorf("write serial port: %w", os.ErrClosed)
	}
	return n, fmt.Errorf("write serial port: %w: %w", ErrUnplugged, err)
}

// Flush drops what came in and was not read yet.
func (p *Port) Flush() error {
	return control(p.own, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) })
}

// Close gives the port back. It returns within about a second whatever the device does.
func (p *Port) Close() error {
	p.shut()
	return p.err
}

// shut ends exclusive use first: TIOCEXCL outlives an abandoned descriptor and would refuse our own next Open (reference 9). What
// waits to be sent is dropped, or closing a USB port drains it for up to 30 s.
func (p *Port) shut() {
	p.once.Do(func() {
		p.closed.Store(true)
		// Errors mean that the device has gone, and its exclusive use with it.
		_ = control(p.own, func(fd int) error {
			_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
			return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
		})
		p.err = p.own.Close()
		// tarm's Close waits for its Read, which ends with VTIME. If the kernel holds on to it, this goroutine is all that is left
		// behind, and only until the kernel lets go.
		done := make(chan error, 1)
		go func() { done <- p.tarm.Close() }()
		select {
		case err := <-done:
			p.err = errors.Join(p.err, err)
		case <-time.After(closeLimit):
		}
	})
}
