package modem

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pinward/modem/modemsim"
	"pinward/modem/port"
	"pinward/modem/voice"
)

// floor is a number of modems, each on two terminals, with its driver: everything of a call in real time.
type floor struct {
	net    *modemsim.Network
	sims   []*modemsim.Modem
	modems []*Modem
}

func newFloor(tb testing.TB, count int, jitter time.Duration) *floor {
	tb.Helper()
	network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Latency: 50 * time.Millisecond, Jitter: jitter})
	if err != nil {
		tb.Fatal(err)
	}
	f := &floor{net: network}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	tb.Cleanup(func() {
		cancel()
		running.Wait()
		if err := network.Close(); err != nil {
			tb.Error(err)
		}
	})
	dir := tb.TempDir()
	for i := range count {
		name := fmt.Sprintf("modem%d", i+1)
		sim, err := network.AddModem(modemsim.ModemOptions{Name: name, Profile: callProfiles[i%len(callProfiles)]})
		if err != nil {
			tb.Fatal(err)
		}
		at, audio := filepath.Join(dir, name), filepath.Join(dir, name+"-audio")
		if _, err := sim.PTY(at); err != nil {
			tb.Fatal(err)
		}
		if _, err := sim.AudioPTY(audio); err != nil {
			tb.Fatal(err)
		}
		m := New(func(ctx context.Context) (io.ReadWriteCloser, error) {
			return port.Open(ctx, at, port.Options{ReadTimeout: 100 * time.Millisecond})
		}, Options{
			Name: name, Log: slog.New(slog.DiscardHandler),
			Audio: func(ctx context.Context) (io.ReadWriteCloser, error) { return port.OpenAudio(ctx, audio) },
		})
		running.Go(func() {
			if err := m.Run(ctx); err != nil {
				tb.Errorf("Run: %v", err)
			}
		})
		f.sims, f.modems = append(f.sims, sim), append(f.modems, m)
	}
	for _, m := range f.modems {
		limit := time.After(30 * time.Second)
		for !m.Status().CanCall() || !m.Status().Ready {
			select {
			case <-m.Changed():
			case <-limit:
				tb.Fatalf("not ready: %v", m.Status())
			}
		}
	}
	return f
}

// ring calls a handset of its own from each modem at once.
func (f *floor) ring(tb testing.TB, s voice.Script) []CallResult {
	tb.Helper()
	results, errs := make([]CallResult, len(f.modems)), make([]error, len(f.modems))
	var calls sync.WaitGroup
	for i, m := range f.modems {
		if err := f.net.Handset(phoneOf(i)).Set(answersAndPresses("1")); err != nil {
			tb.Fatal(err)
		}
		calls.Go(func() { results[i], errs[i] = m.Dial(context.Background(), Call{To: phoneOf(i), Script: s}) })
	}
	calls.Wait()
	for i, err := range errs {
		if err != nil || results[i].Outcome != CallConfirmed || results[i].Way != wayPCM {
			tb.Fatalf("modem%d: %v, %v", i+1, results[i], err)
		}
	}
	return results
}

func phoneOf(i int) string { return fmt.Sprintf("+1617555%d", 3201+i) }

// hurried is a script that says everything in a few seconds.
func hurried() (voice.Script, map[string]voice.Clip) {
	c := clips(4)
	s := scriptOf(c)
	s.Lead, s.Gap, s.Pause = -1, 20*time.Millisecond, 100*time.Millisecond
	return s, c
}

// Eight calls at once through terminals, driver to phone and back: what each phone heard is, sample by sample, what was played, whatever
// the machine has to do besides.
func TestEightCallsOverTerminals(t *testing.T) {
	f := newFloor(t, 8, time.Minute)
	s, said := hurried()
	f.ring(t, s)
	for i, sim := range f.sims {
		calls := f.net.Handset(phoneOf(i)).Calls()
		if len(calls) != 1 || !calls[0].Answered {
			t.Fatalf("%+v", calls)
		}
		if got := heard(t, f.net.Recording(calls[0].WAV), said); got != confirmed(1) {
			t.Errorf("modem%d: heard %q", i+1, got)
		}
		if p := sim.Pacing(); p.Frames < 100 || len(p.Gaps) == 0 {
			t.Errorf("modem%d: %d frames", i+1, p.Frames)
		}
	}
}

// BenchmarkEightCalls tells how evenly sound comes in eight calls at once over terminals: the gap between two frames against 20 ms.
func BenchmarkEightCalls(b *testing.B) {
	f := newFloor(b, 8, 0)
	s, _ := hurried()
	s.Pause = time.Second
	for b.Loop() {
		underruns := 0
		for _, r := range f.ring(b, s) {
			underruns += r.Audio.Underruns
		}
		var p50, p99, worst time.Duration
		frames := 0
		for _, sim := range f.sims {
			p := sim.Pacing()
			p50, p99, worst = max(p50, time.Duration(p.P50)), max(p99, time.Duration(p.P99)), max(worst, time.Duration(p.Worst))
			frames += p.Frames
		}
		b.ReportMetric(float64(p50)/1e6, "ms-p50")
		b.ReportMetric(float64(p99)/1e6, "ms-p99")
		b.ReportMetric(float64(worst)/1e6, "ms-worst")
		b.ReportMetric(float64(frames), "frames")
		b.ReportMetric(float64(underruns), "underruns")
	}
}
