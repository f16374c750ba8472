package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkEntries measures transactions of one bare entry.
func BenchmarkEntries(b *testing.B) {
	for _, writers := range []int{1, 64, 256, 1000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, b.TempDir(), newTestKeys(b))
			load(b, writers, func(int) error {
				return s.Update(context.Background(), nurse, func(tx *Tx) error {
					return tx.Record(Entry{Action: "bench.entry", Outcome: OK, Object: "VE00000000"})
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkRows measures transactions that read one row, write one of 300 bytes and record it.
func BenchmarkRows(b *testing.B) {
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, b.TempDir(), newTestKeys(b))
			name := strings.Repeat("x", 250)
			load(b, writers, func(i int) error {
				return s.Update(context.Background(), nurse, func(tx *Tx) error {
					if _, _, err := testRows.Get(tx, num(i/2)); err != nil {
						return err
					}
					if err := testRows.Put(tx, num(i), row{Name: name, Count: i}); err != nil {
						return err
					}
					return tx.Record(Entry{Action: "bench.row", Outcome: OK, Object: "VE00000000"})
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}

// load runs fn b.N times from that many goroutines.
func load(b *testing.B, writers int, fn func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > b.N {
					return
				}
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// BenchmarkLoneUpdate measures one writer's latency.
func BenchmarkLoneUpdate(b *testing.B) {
	s := open(b, b.TempDir(), newTestKeys(b))
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		mustSave(b, s, i, "one")
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// BenchmarkGet measures reading one row from the file.
func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir(), newTestKeys(b))
	mustSave(b, s, 1, "one")
	err := s.View(context.Background(), func(tx *Tx) error {
		for b.Loop() {
			if _, _, err := testRows.Get(tx, num(1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen measures opening a store of 200,000 entries, all of them under a head.
func BenchmarkOpen(b *testing.B) {
	dir, k := b.TempDir(), newTestKeys(b)
	s := open(b, dir, k)
	for range 200 {
		err := s.Update(context.Background(), nurse, func(tx *Tx) error {
			for range 1000 {
				if err := tx.Record(Entry{Action: "bench.entry", Outcome: OK, Object: "VE00000000"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := open(b, dir, k)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
