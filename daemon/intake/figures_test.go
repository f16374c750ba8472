package intake

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"syscall"
	"testing"
	"time"
)

// gcPercent is what the daemon sets the collector to.
const gcPercent = 300

// figures are what a benchmark of the whole path is judged by. On a machine that does other things as
// well, the processor's time for each message says more than the clock.
type figures struct {
	b       *testing.B
	began   time.Time
	cpu     time.Duration
	mallocs uint64
	bytes   uint64
	old     int           // percentage of the collector before
	stop    chan struct{} // ends the watch over memory
	peak    chan uint64   // what it saw
}

// measure begins.
func measure(b *testing.B) *figures {
	b.Helper()
	f := &figures{b: b, old: debug.SetGCPercent(gcPercent), stop: make(chan struct{}), peak: make(chan uint64)}
	runtime.GC()
	go func() { f.peak <- watchMemory(f.stop) }()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.began, f.cpu, f.mallocs, f.bytes = time.Now(), processorTime(b), m.Mallocs, m.TotalAlloc
	b.ResetTimer()
	return f
}

// watchMemory tells the most bytes that the runtime had from the system until stop is closed, which is all
// the process has but the mapped pages of files.
func watchMemory(stop <-chan struct{}) (most uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		metrics.Read(sample)
		most = max(most, sample[0].Value.Uint64()-sample[1].Value.Uint64())
		select {
		case <-tick.C:
		case <-stop:
			return most
		}
	}
}

// report ends, and tells what each of n messages cost. waits may be nil.
func (f *figures) report(n int, waits []time.Duration) {
	took, cpu := time.Since(f.began), processorTime(f.b)-f.cpu
	f.b.StopTimer()
	f.b.Helper()
	close(f.stop)
	peak := <-f.peak
	debug.SetGCPercent(f.old)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.b.ReportMetric(0, "ns/op") // it is the inverse of the next
	f.b.ReportMetric(float64(n)/took.Seconds(), "msg/s")
	f.b.ReportMetric(float64(cpu.Microseconds())/float64(n), "cpu-us/msg")
	f.b.ReportMetric(float64(m.Mallocs-f.mallocs)/float64(n), "allocs/msg")
	f.b.ReportMetric(float64(m.TotalAlloc-f.bytes)/float64(n), "B/msg")
	f.b.ReportMetric(float64(peak)/1e6, "peak-MB")
	if len(waits) > 0 {
		slices.Sort(waits)
		f.b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
		f.b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
	}
}

func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rawCommits measures how often in a second the disk under dir makes something durable: one page
// written into a file that is there already, and one fdatasync. No store that waits for its disk
// commits more often.
func rawCommits(b *testing.B, dir string) (perSecond float64) {
	b.Helper()
	const pages = 256
	f, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for range pages {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	const most = 500 * time.Millisecond
	n, began := 0, time.Now()
	for ; time.Since(began) < most; n++ {
		if _, err := f.WriteAt(page, int64(n%pages)*int64(len(page))); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}
