package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Dial opens a connection to something that the hospital has named, such as "siem" or "ldap". It is
// the only way out: this file alone makes outgoing connections, in production by asking the relay,
// because the daemon's unit can make no internet socket itself.
type Dial func(ctx context.Context, name string) (net.Conn, error)

// ErrRelay is what the relay answers when it will not or cannot connect.
var ErrRelay = errors.New("relay refused")

// DialLocal reaches a socket in this machine's file system: a log server's, the control socket.
func DialLocal(ctx context.Context, network, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, path)
}

// relayPatience is more than the relay gives a dial; one that says nothing for so long hangs.
const relayPatience = 20 * time.Second

// RelayDial asks the relay behind a Unix socket (SOCK_SEQPACKET): one packet with the name goes out,
// one packet comes back, "ok" with exactly one descriptor or a reason without.
//
// The descriptor is a connected socket. If we crash here the kernel closes it; the relay keeps none.
func RelayDial(socket string) Dial {
	return func(ctx context.Context, name string) (net.Conn, error) {
		asking, enough := context.WithTimeout(ctx, 5*time.Second)
		defer enough()
		c, err := DialLocal(asking, "unixpacket", socket)
		if err != nil {
			return nil, fmt.Errorf("reach relay: %w", err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(relayPatience)); err != nil {
			return nil, fmt.Errorf("reach relay: %w", err)
		}
		stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
		defer stop()
		conn, err := receive(c.(*net.UnixConn), name)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return nil, fmt.Errorf("dial %s by relay: %w", name, err)
		}
		return conn, nil
	}
}

func receive(c *net.UnixConn, name string) (net.Conn, error) {
	if _, err := c.Write([]byte(name)); err != nil {
		return nil, err
	}
	// Room for more descriptors than we want: one that did not fit would be lost without a trace.
	answer, control := make([]byte, 256), make([]byte, syscall.CmsgSpace(4*4))
	n, cn, flags, _, err := c.ReadMsgUnix(answer, control)
	if err != nil {
		return nil, err
	}
	fds, err := descriptors(control[:cn])
	if err != nil {
		return nil, err
	}
	if flags&syscall.MSG_CTRUNC != 0 || len(fds) > 1 || (len(fds) == 1) != (string(answer[:n]) == "ok") {
		closeAll(fds)
		return nil, errors.New("malformed answer of the relay")
	}
	if len(fds) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrRelay, strings.ToValidUTF8(string(answer[:n]), "?"))
	}
	f := os.NewFile(uintptr(fds[0]), "relay:"+name)
	defer f.Close() // FileConn keeps a copy of its own
	return net.FileConn(f)
}

func descriptors(control []byte) ([]int, error) {
	msgs, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	var fds []int
	for i := range msgs {
		got, err := syscall.ParseUnixRights(&msgs[i])
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("parse descriptors: %w", err)
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
