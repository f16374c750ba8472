// Command probe is what somebody would try who had taken the daemon over. The install test starts it in the place
// of pinwardd, by the unit itself, and a second time without the unit: there each try must succeed, or that
// it fails in the unit would say nothing.
//
//	probe FILE HOST:PORT
//	probe memory MIB
//	probe threads NUMBER
//
// Each line that it writes is a try and what came of it: "ok" or the name of the error. The other forms take so much and
// say that they got it. It is for a machine that can be thrown away.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: probe FILE HOST:PORT, on a machine that can be thrown away")
		os.Exit(2)
	}
	if what := os.Args[1]; what == "memory" || what == "threads" {
		if err := limit(what, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(2)
		}
		return
	}
	var said strings.Builder
	for _, t := range tries {
		fmt.Fprintf(&said, "%s %s\n", t.name, outcome(t.try()))
	}
	if err := os.WriteFile(os.Args[1], []byte(said.String()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func outcome(err error) string {
	var no syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &no):
		return unix.ErrnoName(no)
	}
	return err.Error()
}

var tries = []struct {
	name string
	try  func() error
}{
	{"inet", socket(unix.AF_INET, unix.SOCK_STREAM, 0)},
	{"inet6", socket(unix.AF_INET6, unix.SOCK_STREAM, 0)},
	{"udp", socket(unix.AF_INET, unix.SOCK_DGRAM, 0)},
	{"mptcp", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)},
	{"packet", socket(unix.AF_PACKET, unix.SOCK_RAW, 0)},
	{"netlink", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)},
	{"unix", socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)}, // succeeds in the unit too: the relay is behind one
	{"io_uring", ring},
	{"dial", dial},
	{"bind", bind},
	{"listen", listen},
	{"listener-rebind", rebind},
	{"exec", func() error { return exec.Command("/bin/true").Run() }},
	{"namespace", func() error { return unix.Unshare(unix.CLONE_NEWUTS) }},
	{"write-usr", func() error { return write("/usr/bin/probe-was-here") }},
	{"write-config", func() error { return write("/etc/pinward/probe-was-here") }},
	{"device", func() error { return open("/dev/probe-device") }},
	{"memory", executable},
}

// socket makes one of a kind, and closes it.
func socket(family, kind, protocol int) func() error {
	return func() error {
		fd, err := unix.Socket(family, kind, protocol)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
}

// dial goes to an address that somebody listens on, argument 2.
func dial() error {
	c, err := net.DialTimeout("tcp", os.Args[2], 2*time.Second)
	if err == nil {
		err = c.Close()
	}
	return err
}

// bind gives a Unix socket a name; listen makes a bound one accept.
func bind() error { return onUnix(func(fd int) error { return nil }) }
func listen() error {
	return onUnix(func(fd int) error { return unix.Listen(fd, 1) })
}

func onUnix(do func(int) error) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@pinward-probe-" + strconv.Itoa(os.Getpid())}); err != nil {
		return err
	}
	return do(fd)
}

// rebind takes the first listener that systemd handed over and makes another one of it, in the host's network.
func rebind() error {
	if os.Getenv("LISTEN_FDS") == "" {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Bind(fd, &unix.SockaddrInet6{Port: 0})
	}
	return unix.Bind(3, &unix.SockaddrInet6{Port: 0})
}

func open(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

// executable asks for memory that could be written and run.
func executable() error {
	m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		err = unix.Munmap(m)
	}
	return err
}

func write(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}
