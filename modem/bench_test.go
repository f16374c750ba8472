package modem

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// A modem at rest: from Send to the first byte of AT+CMGS, and a whole send without the network's time.
func BenchmarkSend(b *testing.B) {
	network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Latency: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer network.Close()
	sim, err := network.AddModem(modemsim.ModemOptions{Name: "modem1"})
	if err != nil {
		b.Fatal(err)
	}
	var first time.Time
	m := New(func(context.Context) (io.ReadWriteCloser, error) { return sim.Pipe() }, Options{
		Name: "modem1", Log: slog.New(slog.DiscardHandler), Timing: Timing{PromptDelay: time.Microsecond},
		Trace: func(e string) {
			if e == "AT+CMGS" {
				first = time.Now()
			}
		},
	})
	stop := drive(b, m)
	ts, err := Encode(SMS{To: patient, Text: "Mercy Hospital: your code is 482917", Replace: 0x41}) // replaced: the handset does not grow
	if err != nil {
		b.Fatal(err)
	}
	var toFirst time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		if _, err := m.Send(context.Background(), ts[0]); err != nil {
			b.Fatal(err)
		}
		toFirst += first.Sub(start)
		n++
	}
	b.ReportMetric(float64(toFirst.Microseconds())/float64(n), "µs-to-first-byte")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "texts/s")
	stop()
}

// drive runs modems until they are ready; the returned function ends them.
func drive(b *testing.B, modems ...*Modem) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, m := range modems {
		wg.Go(func() {
			if err := m.Run(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	for _, m := range modems {
		for !m.Status().Ready {
			<-m.Changed()
		}
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// What a modem costs that is brought up, and has sent as much as its trace remembers: memory of the driver and of the port's two
// ends, stacks included, without the simulator's own state.
func BenchmarkMemory(b *testing.B) {
	const count = 64
	for b.Loop() {
		network, err := modemsim.NewNetwork(modemsim.NetworkOptions{Latency: -1})
		if err != nil {
			b.Fatal(err)
		}
		var modems []*Modem
		for i := range count {
			sim, err := network.AddModem(modemsim.ModemOptions{Name: fmt.Sprintf("m%d", i)})
			if err != nil {
				b.Fatal(err)
			}
			modems = append(modems, New(func(context.Context) (io.ReadWriteCloser, error) { return sim.Pipe() }, Options{
				Name: sim.Name(), Log: slog.New(slog.DiscardHandler), Timing: Timing{PromptDelay: time.Microsecond},
			}))
		}
		ts, err := Encode(SMS{To: patient, Text: "hello", Replace: 0x41})
		if err != nil {
			b.Fatal(err)
		}
		before := inUse()
		stop := drive(b, modems...)
		for _, m := range modems {
			for range 50 {
				if _, err := m.Send(context.Background(), ts[0]); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(inUse()-before)/count/1024, "KiB/modem")
		stop()
		if err := network.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
