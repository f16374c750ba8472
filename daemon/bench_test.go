package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/store"
	"pinward/store/storetest"
)

// tap tells when the first byte of AT+CMGS is written to a modem.
type tap struct {
	io.ReadWriteCloser
	seen chan time.Time
}

// Write implements io.Writer.
func (t tap) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("AT+CMGS")) {
		t.seen <- time.Now()
	}
	return t.ReadWriteCloser.Write(p)
}

// BenchmarkStartToFirstByte measures from an accepted start (before its transaction) to the first
// byte of AT+CMGS on an idle modem: one durable commit, the wake-up, and the driver. The goal is
// p50 <= 2 ms, and p99 <= 5 ms over the disk's fsync (DESIGN section 10). Before each start the box is
// quiet: the receipt of the text before is in, and the modem's loop rests.
func BenchmarkStartToFirstByte(b *testing.B) {
	network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Seed: 1, Latency: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer network.Close()
	sim, err := network.AddModem(modemsim.ModemOptions{Name: "m1", Profile: "ec25"})
	if err != nil {
		b.Fatal(err)
	}
	cfg := Defaults()
	cfg.Box = Box{ID: "bench", State: b.TempDir()}
	cfg.Modems = []ModemPort{{Name: "m1", Device: "/m1"}}
	seen := make(chan time.Time, 1)
	x := &box{cfg: cfg, log: slog.New(slog.DiscardHandler), fatal: make(chan error, 1),
		sealed: newSealedLog(cfg.Box.State, slog.New(slog.DiscardHandler))}
	x.openPort = func(context.Context, ModemPort) (io.ReadWriteCloser, error) {
		c, err := sim.Pipe()
		return tap{c, seen}, err
	}
	h, err := x.openHouse(b.Context(), storetest.NewKeys(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer h.close(context.Background())
	update := func(fn func(*store.Tx) error) {
		if err := h.store.Accept(b.Context(), store.Actor{Kind: "client", ID: "AC"}, fn); err != nil {
			b.Fatal(err)
		}
	}
	update(func(tx *store.Tx) error {
		l := limit.Default() // a benchmark is no patient
		l.Client, l.Actor, l.Prefix = limit.Budget{}, limit.Budget{}, limit.Budget{}
		if err := limit.Set(tx, l); err != nil {
			return err
		}
		if err := outbox.SetSIM(tx, outbox.SIM{ICCID: sim.ICCID(), PerMinute: -1, PerDay: -1}); err != nil {
			return err
		}
		return contact.SetSite(tx, contact.Site{Name: "Bench", Brand: "Bench", Zone: "UTC", Area: "617", Authority: "B", HelpPhone: "617-555-1000", Mode: contact.Live})
	})
	for !h.senders[0].modem.Status().Ready {
		time.Sleep(10 * time.Millisecond)
	}
	var took, behind []time.Duration // from the request, and from its commit
	for i := 0; b.Loop(); i++ {
		to, err := contact.ParsePhone(fmt.Sprintf("+1617555%04d", 1000+i%8000), contact.Plan{})
		if err != nil {
			b.Fatal(err)
		}
		var v otp.Verification
		began := time.Now()
		update(func(tx *store.Tx) (err error) {
			v, err = otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: to, Channel: otp.ChannelSMS, Client: "AC", Mode: contact.Live})
			return err
		})
		committed := time.Now()
		first := <-seen
		took, behind = append(took, first.Sub(began)), append(behind, max(0, first.Sub(committed)))
		for state := outbox.State(""); state != outbox.Delivered || !h.senders[0].pulse.idle(); {
			time.Sleep(5 * time.Millisecond)
			if err := h.store.View(b.Context(), func(tx *store.Tx) error {
				m, _, err := outbox.Get(tx, v.Sends[0].Message)
				state = m.State
				return err
			}); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	for name, d := range map[string][]time.Duration{"": took, "commit-": behind} {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, name+"p50-ms")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds())/1000, name+"p99-ms")
	}
}
