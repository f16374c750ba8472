package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// BenchmarkEntries measures transactions of one bare entry, beside bbolt itself with one value a transaction (DB.Batch, as its own
// users group commits) and beside what the disk syncs, in the same run.
func BenchmarkEntries(b *testing.B) {
	for _, writers := range []int{1, 10, 64, 100, 256, 1000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, b.TempDir(), newTestKeys(b))
			load(b, writers, func(int) error {
				return s.Update(context.Background(), nurse, func(tx *Tx) error {
					return tx.Record(Entry{Action: "bench.entry", Outcome: OK, Object: "VE00000000"})
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(bareBbolt(b, writers), "bbolt/s")
			b.ReportMetric(rawSyncs(b), "fdatasync/s")
		})
	}
}

// bareBbolt is how many values of 300 bytes as many writers put into a bbolt file a second.
func bareBbolt(b *testing.B, writers int) float64 {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "bare"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.MaxBatchDelay = time.Millisecond
	bucket, value := []byte("b"), make([]byte, 300)
	if err := db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }); err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range writers {
		wg.Go(func() {
			for time.Since(began) < time.Second {
				key := binary.BigEndian.AppendUint64(nil, uint64(n.Add(1)))
				if err := db.Batch(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put(key, value) }); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

// rawSyncs is how often a second the disk takes a page and syncs it.
func rawSyncs(b *testing.B) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	began, n := time.Now(), 0
	for ; time.Since(began) < time.Second/2; n++ {
		if _, err := f.WriteAt(page, int64(n%64)*4096); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
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
