package port

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// AudioOf finds, among the devices of List, the PCM port of the modem whose AT port is at node; "" if its interfaces are not known.
func AudioOf(devices []Device, node string) string {
	usb := ""
	for _, d := range devices {
		if d.Node == node {
			usb = d.usb
		}
	}
	for _, d := range devices {
		if usb != "" && d.usb == usb && (d.Use == UseAudio || d.Use == UseNMEAAudio) {
			return d.Path
		}
	}
	return ""
}

// Audio is a serial port that carries PCM. What it does not take in time is the writer's to give again: unlike a Port, it is not given
// up for that. One goroutine may write.
type Audio struct {
	*Port
	deadline time.Time
	alarm    *alarm
}

// OpenAudio opens the node at path for the PCM of one call, and drops what came in before.
func OpenAudio(ctx context.Context, path string) (*Audio, error) {
	p, err := Open(ctx, path, Options{ReadTimeout: 100 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	if err := p.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("empty audio port: %w", err), p.Close())
	}
	a, err := newAlarm()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open audio port: %w", err), p.Close())
	}
	return &Audio{Port: p, alarm: a}, nil
}

// Close ends a WaitUntil as well.
func (a *Audio) Close() error {
	a.alarm.close()
	return a.Port.Close()
}

// WaitUntil returns at t, which is when the writer has a frame to give: more exactly than a time.Timer would.
func (a *Audio) WaitUntil(t time.Time) error { return a.alarm.until(t) }

// SetWriteDeadline is for the next Write.
func (a *Audio) SetWriteDeadline(t time.Time) error {
	a.deadline = t
	return nil
}

// Write gives what the device takes until the deadline; then the error is os.ErrDeadlineExceeded, and n tells how much it took.
func (a *Audio) Write(b []byte) (n int, err error) {
	a.wmu.Lock()
	defer a.wmu.Unlock()
	if a.closed.Load() {
		return 0, fmt.Errorf("write audio port: %w", os.ErrClosed)
	}
	if err := a.own.SetWriteDeadline(a.deadline); err != nil {
		return 0, fmt.Errorf("write audio port: %w", err)
	}
	n, err = a.own.Write(b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, fmt.Errorf("write audio port: %w", os.ErrDeadlineExceeded)
	case a.closed.Load():
		return n, fmt.Errorf("write audio port: %w", os.ErrClosed)
	}
	return n, fmt.Errorf("write audio port: %w: %w", ErrUnplugged, err)
}
