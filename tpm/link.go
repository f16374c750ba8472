package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// headerSize is tag (2), size (4) and command or response code (4), big endian (TPM 2.0 Part 1, section 18).
	headerSize = 10
	// maxResponse is the largest response the kernel driver passes on (TPM_BUFSIZE).
	maxResponse = 4096
	// pollSlice bounds how long a wait for the TPM overlooks that it was called off.
	pollSlice = 50 * time.Millisecond
)

// errWatchdog ends a wait for an answer. The answer may still come, so the link must be closed.
var errWatchdog = errors.New("no answer before the watchdog")

// link is one open connection to a TPM: a character device or a Unix socket, both as a non-blocking descriptor, so that
// one code path serves both and no call can hang in the kernel beyond the watchdog. Only the Device's actor uses it.
//
// go-tpm's own transports are not used: their poll has no end and after eleven TPM_RC_RETRY they return nothing, and no error.
type link struct {
	wire wire
	// clean: nothing of an earlier connection is left in the TPM. A device is born clean, because the kernel's resource
	// manager flushes sessions and objects when a connection closes; nobody does that for a socket.
	clean bool
}

// wire is what a link asks of a descriptor: reads and writes that never block, and a bounded wait. Tests put a driver there
// that fails as real ones do.
type wire interface {
	io.ReadWriteCloser
	// wait returns true when events (POLLIN or POLLOUT) are worth a try, false after pollSlice.
	wait(events int16) (bool, error)
}

// descriptor is the wire of production.
type descriptor int

func (d descriptor) Read(b []byte) (int, error)  { return unix.Read(int(d), b) }
func (d descriptor) Write(b []byte) (int, error) { return unix.Write(int(d), b) }
func (d descriptor) Close() error                { return unix.Close(int(d)) }

func (d descriptor) wait(events int16) (bool, error) {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(d), Events: events}}, int(pollSlice.Milliseconds()))
	if err == unix.EINTR {
		return false, nil
	}
	return n > 0, err // an error or hang-up shows in the read or write that follows
}

// openLink opens path, whose kind decides how: a character device such as /dev/tpmrm0, or the Unix socket of a swtpm.
func openLink(path string) (*link, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find tpm: %w", err)
	}
	switch kind := info.Mode().Type(); {
	case kind&os.ModeCharDevice != 0:
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open tpm device %s: %w", path, err)
		}
		return &link{wire: descriptor(fd), clean: true}, nil
	case kind&os.ModeSocket != 0:
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open tpm socket: %w", err)
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("connect to tpm socket %s: %w", path, err)
		}
		return &link{wire: descriptor(fd)}, nil
	default:
		return nil, fmt.Errorf("%s is neither a character device nor a socket", path)
	}
}

func (l *link) close() { l.wire.Close() }

// exchange sends one command and returns its response. After any error but those of transient the link is out of step
// and must be closed. expired is asked at least every pollSlice.
func (l *link) exchange(command []byte, expired func() bool) ([]byte, error) {
	if err := l.write(command, expired); err != nil {
		return nil, err
	}
	buf := make([]byte, maxResponse)
	have := 0
	for {
		if err := l.wait(unix.POLLIN, expired); err != nil {
			return nil, err
		}
		n, err := l.wire.Read(buf[have:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			if expired() {
				return nil, errWatchdog
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("read tpm response: %w", err)
		case n == 0:
			return nil, fmt.Errorf("read tpm response: %w", io.ErrUnexpectedEOF)
		}
		have += n
		if have < headerSize {
			continue
		}
		// A device gives the response in one read; a socket may cut it.
		switch size := int64(binary.BigEndian.Uint32(buf[2:])); {
		case size < headerSize || size > maxResponse || size < int64(have):
			return nil, fmt.Errorf("read tpm response: size %d in header, %d bytes there", size, have)
		case size == int64(have):
			return buf[:have], nil
		}
	}
}

func (l *link) write(command []byte, expired func() bool) error {
	for len(command) > 0 {
		n, err := l.wire.Write(command)
		switch {
		case err == unix.EAGAIN:
			if err := l.wait(unix.POLLOUT, expired); err != nil {
				return err
			}
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("write tpm command: %w", err)
		default:
			command = command[n:]
		}
	}
	return nil
}

// wait returns when the wire is ready for events, or errWatchdog when expired says so.
func (l *link) wait(events int16, expired func() bool) error {
	for {
		ready, err := l.wire.wait(events)
		switch {
		case err != nil:
			return fmt.Errorf("poll tpm: %w", err)
		case ready:
			return nil
		case expired():
			return errWatchdog
		}
	}
}

// transient tells whether a driver's error says nothing more than "this time not": several chips time out now and then, and
// the kernel does not try again (Infineon's ETIME is the best known).
func transient(err error) bool {
	return errors.Is(err, unix.ETIME) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EIO)
}
