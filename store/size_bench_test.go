package store

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// tenMillion takes minutes and some gigabytes of disk.
var tenMillion = flag.Bool("ten-million", false, "benchmark the store with ten million entries, too")

// fillEntries makes a log of so many entries, with a roll after each million, as months do.
func fillEntries(b *testing.B, s *Store, entries int) {
	b.Helper()
	const atOnce = 10_000
	for n := 0; n < entries; n += atOnce {
		err := s.Update(context.Background(), nurse, func(tx *Tx) error {
			for i := range min(atOnce, entries-n) {
				err := tx.Record(Entry{Action: "bench.entry", Outcome: OK, Object: fmt.Sprintf("VE%08d", n+i), Attrs: []Attr{
					{Key: "service", Value: "portal"}, {Key: "channel", Value: "sms"},
				}})
				if err != nil {
					return err
				}
			}
			return testRows.Put(tx, num(n), row{Count: n})
		})
		if err != nil {
			b.Fatal(err)
		}
		if done := n + atOnce; done%1_000_000 == 0 && done < entries {
			if err := s.Roll(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSizes measures what may not depend on how long the box has been in use: start to ready, a
// lone commit, entries of many writers, the memory of an open store; and what a roll costs those who
// wait meanwhile.
func BenchmarkSizes(b *testing.B) {
	sizes := []int{100_000, 1_000_000}
	if *tenMillion {
		sizes = append(sizes, 10_000_000)
	}
	for _, entries := range sizes {
		dir, k := b.TempDir(), newTestKeys(b)
		s := open(b, dir, k)
		began := time.Now()
		fillEntries(b, s, entries)
		filled := float64(entries) / time.Since(began).Seconds()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		size := float64(diskOf(b, dir)) / float64(entries)
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			starts := startsOf(b, dir, k, 501)
			s := open(b, dir, k)
			runtime.GC()
			runtime.GC() // pools are emptied by the second
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			var commits []time.Duration
			for n := range 400 {
				began := time.Now()
				mustSave(b, s, 20_000_000+n, "one")
				commits = append(commits, time.Since(began))
			}
			slices.Sort(commits)
			pause := longestInRoll(b, s)
			load(b, 256, func(int) error {
				return s.Update(context.Background(), nurse, func(tx *Tx) error {
					return tx.Record(Entry{Action: "bench.entry", Outcome: OK, Object: "VE00000000"})
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(filled, "filled/s")
			b.ReportMetric(size, "B/entry")
			b.ReportMetric(float64(mem.HeapAlloc)/1024, "heap-KB") // of the whole process
			b.ReportMetric(float64(starts[len(starts)/2].Microseconds())/1000, "start-ms")
			b.ReportMetric(float64(commits[len(commits)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(commits[len(commits)*99/100].Microseconds()), "p99-us")
			b.ReportMetric(float64(pause.Microseconds())/1000, "roll-pause-ms")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOpenSegments measures a start by the number of months that were frozen before.
func BenchmarkOpenSegments(b *testing.B) {
	for _, months := range []int{0, 9, 72} {
		dir, k := b.TempDir(), newTestKeys(b)
		s := open(b, dir, k)
		for n := range months {
			mustSave(b, s, n, "x")
			if err := s.Roll(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		mustSave(b, s, months, "x")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(months), func(b *testing.B) {
			for b.Loop() {
				startsOf(b, dir, k, 1)
			}
			starts := startsOf(b, dir, k, 501)
			b.ReportMetric(float64(starts[len(starts)/2].Microseconds())/1000, "start-ms")
		})
	}
}

// BenchmarkOpenJournal measures a start after a crash, with as many changes in the journal as there can be.
func BenchmarkOpenJournal(b *testing.B) {
	k := newTestKeys(b)
	full := func(dir string) *Store {
		return openWith(b, dir, Options{
			Keys: k, Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.DiscardHandler),
			writeMerge: func(*bolt.Tx) error { return syscall.ENOSPC },
		})
	}
	s := full(b.TempDir())
	const atOnce = 1 << 10
	for n := 0; n < s.maxPending(); n += atOnce {
		mustUpdate(b, s, func(tx *Tx) error {
			for i := range atOnce {
				if err := testRows.Put(tx, num(n+i), row{Name: "some name of usual length, and what goes with it", Count: n + i}); err != nil {
					return err
				}
			}
			return tx.Record(Entry{Action: "bench.filled", Outcome: OK})
		})
	}
	dir := crashed(b, s)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		s := full(dir)
		took = append(took, time.Since(began))
		_ = s.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "start-ms")
	b.ReportMetric(float64(s.durable.Load().pending.size()), "changes")
}

// startsOf opens a store so many times: how long that took, in order.
func startsOf(b *testing.B, dir string, k Keys, times int) (took []time.Duration) {
	b.Helper()
	for range times {
		began := time.Now()
		s := open(b, dir, k)
		took = append(took, time.Since(began))
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	return took
}

// longestInRoll is the longest that one of the commits took which went on beside a roll.
func longestInRoll(b *testing.B, s *Store) (longest time.Duration) {
	b.Helper()
	rolled := make(chan error, 1)
	go func() { rolled <- s.Roll(context.Background()) }()
	for n := 0; ; n++ {
		select {
		case err := <-rolled:
			if err != nil {
				b.Fatal(err)
			}
			return longest
		default:
		}
		began := time.Now()
		mustSave(b, s, 30_000_000+n, "beside")
		longest = max(longest, time.Since(began))
	}
}

// diskOf is how much of the disk a folder's files take; the live file has room to grow in.
func diskOf(b *testing.B, dir string) (n int64) {
	b.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range list {
		info, err := os.Stat(f)
		if err != nil {
			b.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
