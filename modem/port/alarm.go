package port

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes one goroutine at an instant. The kernel's own timer does so within a tenth of a millisecond, where the runtime's timers
// have the grain of epoll_wait, a whole millisecond, and come late by half of it.
type alarm struct {
	f *os.File
	c syscall.RawConn
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make timer: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd") // not blocking: its reader waits in the runtime's poller
	c, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("make timer: %w", err)
	}
	return &alarm{f: f, c: c}, nil
}

// until returns at t, at once if that is over, or with os.ErrClosed once the alarm is closed.
func (a *alarm) until(t time.Time) error {
	left := time.Until(t)
	if left <= 0 {
		return nil
	}
	var set error
	err := a.c.Control(func(fd uintptr) {
		set = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}, nil)
	})
	if err == nil {
		err = set
	}
	if err == nil {
		var ticks [8]byte
		_, err = a.f.Read(ticks[:])
	}
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	return nil
}

func (a *alarm) close() { a.f.Close() }
