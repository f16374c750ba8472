package modem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/port"
)

// patient and other are numbers of handsets; the simulated network gives every number a handset.
const (
	patient = "+16175551234"
	other   = "+16175554321"
)

// world is a simulated network with one modem and our driver on it, inside a synctest bubble: all waiting is in fake time.
type world struct {
	t      *testing.T
	net    *modemsim.Network
	sim    *modemsim.Modem
	m      *Modem
	cancel context.CancelFunc
	done   chan error

	log *safeBuffer

	mu     sync.Mutex
	traces []string
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// setup changes what a world starts with.
type setup struct {
	sim     modemsim.ModemOptions
	network modemsim.NetworkOptions
	faults  modemsim.Faults
	options Options
	noAudio bool         // there is no PCM port
	before  func(*world) // is called before the driver runs
}

// inWorld runs f with a modem that is being driven; the driver is stopped and everything of it gone afterwards.
func inWorld(t *testing.T, s setup, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := modemsim.NewNetwork(s.network)
		if err != nil {
			t.Fatal(err)
		}
		if s.sim.Name == "" {
			s.sim.Name = "modem1"
		}
		sim, err := network.AddModem(s.sim)
		if err != nil {
			t.Fatal(err)
		}
		if err := sim.SetFaults(s.faults); err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, net: network, sim: sim, log: &safeBuffer{}, done: make(chan error, 1)}
		s.options.Name = s.sim.Name
		s.options.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.options.Trace = func(e string) {
			w.mu.Lock()
			w.traces = append(w.traces, e)
			w.mu.Unlock()
		}
		if s.options.Audio == nil && !s.noAudio {
			s.options.Audio = func(context.Context) (io.ReadWriteCloser, error) { return sim.AudioPipe() }
		}
		if s.before != nil {
			s.before(w)
		}
		w.m = New(w.open, s.options)
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel = cancel
		go func() { w.done <- w.m.Run(ctx) }()
		defer func() { // also after a Fatal, or the bubble would report its goroutines instead of the failure
			cancel()
			if err := <-w.done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := network.Close(); err != nil {
				t.Errorf("close network: %v", err)
			}
			w.quietAbout(patient, other, sim.Number())
		}()
		f(w)
	})
}

// open is a port on USB: package port says ErrUnplugged where a pipe says EOF.
func (w *world) open(context.Context) (io.ReadWriteCloser, error) {
	c, err := w.sim.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", port.ErrUnplugged, err)
	}
	return usb{c}, nil
}

type usb struct{ net.Conn }

func (u usb) Read(b []byte) (int, error) {
	n, err := u.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = port.ErrUnplugged
	}
	return n, err
}

// quietAbout checks that the log shows none of the values, with or without '+'.
func (w *world) quietAbout(values ...string) {
	w.t.Helper()
	for _, v := range values {
		if v = strings.TrimPrefix(v, "+"); v != "" && strings.Contains(w.log.String(), v) {
			w.t.Errorf("the log shows a number or a text")
		}
	}
}

// until waits for a status.
func (w *world) until(what string, limit time.Duration, ok func(Status) bool) Status {
	w.t.Helper()
	end := time.Now().Add(limit)
	for {
		if st := w.m.Status(); ok(st) {
			return st
		}
		select {
		case <-w.m.Changed():
		case <-time.After(time.Until(end)):
			w.t.Fatalf("not %s within %v: %+v\n%s", what, limit, w.m.Status(), w.log)
		}
	}
}

func (w *world) ready() Status {
	w.t.Helper()
	return w.until("ready", 3*time.Minute, func(s Status) bool { return s.Ready })
}

func (w *world) encode(text string) TPDU {
	w.t.Helper()
	return w.encodeTo(patient, text)
}

func (w *world) encodeTo(to, text string) TPDU {
	w.t.Helper()
	ts, err := Encode(SMS{To: to, Text: text, Validity: 5 * time.Minute, Report: true})
	if err != nil || len(ts) != 1 {
		w.t.Fatalf("encode: %d parts, %v", len(ts), err)
	}
	return ts[0]
}

func (w *world) send(text string) (Sent, error) {
	w.t.Helper()
	return w.m.Send(context.Background(), w.encode(text))
}

// event waits for the next event.
func (w *world) event(limit time.Duration) Event {
	w.t.Helper()
	select {
	case e := <-w.m.Events():
		return e
	case <-time.After(limit):
		w.t.Fatalf("no event within %v\n%s", limit, w.log)
	}
	return Event{}
}

func (w *world) noEvent(limit time.Duration) {
	w.t.Helper()
	select {
	case e := <-w.m.Events():
		w.t.Fatalf("unexpected event %+v", e)
	case <-time.After(limit):
	}
}

func (w *world) faults(f modemsim.Faults) {
	w.t.Helper()
	if err := w.sim.SetFaults(f); err != nil {
		w.t.Fatal(err)
	}
}

// shown are the texts on a handset.
func (w *world) shown(number string) []string {
	var out []string
	for _, m := range w.net.Handset(number).Messages() {
		out = append(out, m.Text)
	}
	return out
}

// traced says how often a command was given.
func (w *world) traced(cmd string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.traces {
		if e == cmd {
			n++
		}
	}
	return n
}

// want checks the outcome of a send against the three that there are; target nil is "unknown".
func (w *world) want(what string, err, target error) {
	w.t.Helper()
	switch {
	case err == nil:
		w.t.Fatalf("%s: no error", what)
	case target != nil && !errors.Is(err, target):
		w.t.Fatalf("%s: %v, want %v", what, err, target)
	case target == nil && (errors.Is(err, ErrNotSent) || errors.Is(err, ErrRefused)):
		w.t.Fatalf("%s: %v, want an unknown outcome", what, err)
	}
}
