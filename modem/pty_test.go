package modem

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/port"
)

// The whole stack in real time: simulated modem, PTY, package port (tarm/serial), package line (at), driver.
func TestOverASerialPort(t *testing.T) {
	network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Latency: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	sim, err := network.AddModem(modemsim.ModemOptions{Name: "modem1", Profile: "sim7600", BootTime: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "modem1")
	if _, err := sim.PTY(link); err != nil {
		t.Fatal(err)
	}
	m := New(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return port.Open(ctx, link, port.Options{ReadTimeout: 100 * time.Millisecond})
	}, Options{Name: "modem1", Log: slog.New(slog.DiscardHandler), Timing: Timing{Backoff: 50 * time.Millisecond}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run does not end")
		}
	}()
	until := func(what string, ok func(Status) bool) {
		t.Helper()
		limit := time.After(10 * time.Second)
		for !ok(m.Status()) {
			select {
			case <-m.Changed():
			case <-limit:
				t.Fatalf("not %s: %v", what, m.Status())
			}
		}
	}
	send := func(text string) {
		t.Helper()
		ts, err := Encode(SMS{To: patient, Text: text, Report: true})
		if err != nil {
			t.Fatal(err)
		}
		sent, err := m.Send(ctx, ts[0])
		if err != nil {
			t.Fatalf("send: %v", err)
		}
		select {
		case e := <-m.Events():
			if e.Report == nil || e.Report.Ref != sent.Ref || e.Report.Status != 0 {
				t.Fatalf("event %+v", e)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no report")
		}
	}
	isReady := func(s Status) bool { return s.Ready }
	until("ready", isReady)
	send("first")

	// Pulled in the middle of a PDU, and back as another device behind the same link.
	if err := sim.SetFaults(modemsim.Faults{UnplugAt: modemsim.AtPDU, UnplugFor: modemsim.Duration(300 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	ts, err := Encode(SMS{To: patient, Text: "lost"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Send(ctx, ts[0]); err == nil {
		t.Fatal("a modem that was pulled answered")
	}
	until("gone", func(s Status) bool { return s.Phase == PhaseDown || s.Phase == PhaseStarting })
	until("back", isReady)
	send("second")
	if got := network.Handset(patient).Messages(); len(got) != 2 || got[0].Text != "first" || got[1].Text != "second" {
		t.Fatalf("the handset shows %d texts", len(got))
	}
}
