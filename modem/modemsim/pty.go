package modemsim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminal is a modem's place among the devices: a symbolic link to the slave
// of a PTY pair. The modem holds the slave open itself, or its side would fail
// whenever no host has it open.
type terminal struct {
	link  string
	path  string
	slave *os.File // nil while unplugged
}

// PTY puts the modem on a terminal of its own, once, and makes link a symbolic
// link to it; link "" makes none. It returns the terminal's path. An old
// symbolic link is replaced, anything else in that place is an error. The
// terminal is raw; whoever opens it may set it otherwise. After an unplug the
// path is another one and the link points to it.
func (m *Modem) PTY(link string) (string, error) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	switch {
	case m.network.closed:
		return "", errors.New("open terminal: the network is closed")
	case m.tty != nil:
		return "", errors.New("open terminal: the modem has one already")
	case m.out():
		return "", errors.New("open terminal: the modem is unplugged")
	}
	m.tty = &terminal{link: link}
	if err := m.offerTTY(); err != nil {
		m.tty = nil
		return "", err
	}
	return m.tty.path, nil
}

// offerTTY opens a new pair and points the link to it.
func (m *Modem) offerTTY() error {
	if m.tty == nil {
		return nil
	}
	master, slave, err := openPair()
	if err != nil {
		return err
	}
	if err := m.offerTree(); err != nil {
		return errors.Join(err, master.Close(), slave.Close())
	}
	if err := pointLink(m.tty.link, slave.Name()); err != nil {
		return errors.Join(err, m.withdrawTree(), master.Close(), slave.Close())
	}
	m.tty.slave, m.tty.path = slave, slave.Name()
	m.begin(master)
	return nil
}

// openPair makes a raw pair; the slave's name is the terminal's path.
func openPair() (master, slave *os.File, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("open terminal: %w", err)
	}
	if master, err = interruptible(blocking); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open terminal: %w", err), slave.Close())
	}
	if err := makeRaw(slave); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make terminal raw: %w", err), master.Close(), slave.Close())
	}
	return master, slave, nil
}

// interruptible takes the place of a file that pty.Open has made blocking: on
// that, a Close would wait for the Read that it should end.
func interruptible(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// withdrawTTY takes the link away and lets go of the slave; the master belongs
// to the session.
func (m *Modem) withdrawTTY() error {
	if m.tty == nil || m.tty.slave == nil {
		return nil
	}
	return errors.Join(m.tty.withdraw(), m.withdrawTree())
}

// withdraw takes the link away and lets go of the slave.
func (t *terminal) withdraw() error {
	if t.slave == nil {
		return nil
	}
	err := t.slave.Close()
	t.slave = nil
	if t.link == "" {
		return err
	}
	if target, e := os.Readlink(t.link); e == nil && target == t.path {
		err = errors.Join(err, os.Remove(t.link))
	}
	return err
}

// pointLink makes link point to path in one step, so that nobody meets none.
func pointLink(link, path string) error {
	if link == "" {
		return nil
	}
	info, err := os.Lstat(link)
	if err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return errors.New("make link: there is something else in its place")
	}
	if err := os.Symlink(path, link+".new"); err != nil {
		return fmt.Errorf("make link: %w", err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		return fmt.Errorf("make link: %w", err)
	}
	return nil
}

// makeRaw is cfmakeraw(3): no echo, no line editing, no translation, eight bits.
func makeRaw(tty *os.File) error {
	conn, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil {
			failed = err
			return
		}
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		failed = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	return errors.Join(err, failed)
}
