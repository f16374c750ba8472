package mllp

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// stale tells whether the other end closed a connection that is about to be used again: many an engine
// closes what is idle, and a message sent into the close is lost, or comes again only after a time-out.
// On TLS any byte that waits counts as the end, for it may be the alert of one; a late answer to an
// earlier message may be the other, and is of no use.
func stale(c net.Conn) bool {
	t, secure := c.(*tls.Conn)
	if secure {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false // such as a pipe: a failed Send tells
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var looked error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, looked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true // whatever it says, do not wait
	})
	switch {
	case err != nil:
		return true
	case errors.Is(looked, syscall.EAGAIN), errors.Is(looked, syscall.EINTR):
		return false
	}
	return looked != nil || n == 0 || secure
}
