package otp

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// BenchmarkStart is a durable start of a new number, 256 callers at once
// (goal: 6,000/s on two cores).
func BenchmarkStart(b *testing.B) {
	box := newBox(b)
	widen(box)
	var n atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			to := outboxtest.Phone(fmt.Sprintf("+1%03d%07d", 200+i/5_000_000%700, 2_000_000+i%5_000_000))
			err := box.Store.Update(context.Background(), portal, func(tx *store.Tx) error {
				_, err := Start(tx, StartRequest{Service: "patient-signup", To: to, Mode: contact.Shadow})
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
}

// BenchmarkCheck is a durable check of a wrong code, 256 callers at once
// (goal: 10,000/s).
func BenchmarkCheck(b *testing.B) {
	box := newBox(b)
	widen(box)
	ids := make([]string, (b.N+3)/4)
	for from := 0; from < len(ids); from += 500 {
		box.Do(func(tx *store.Tx) error {
			for i := from; i < min(from+500, len(ids)); i++ {
				to := outboxtest.Phone(fmt.Sprintf("+1%03d%07d", 200+i/5_000_000%700, 2_000_000+i%5_000_000))
				v, err := Start(tx, StartRequest{Service: "patient-signup", To: to, Mode: contact.Shadow})
				if err != nil {
					return err
				}
				ids[i] = v.ID
			}
			return nil
		})
	}
	var n atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := ids[(n.Add(1)-1)/4]
			err := box.Store.Update(context.Background(), portal, func(tx *store.Tx) error {
				_, _, err := Check(tx, CheckRequest{ID: id, Code: "none"})
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
}

// widen lifts the budgets of client and prefix, as the demo does, and writes the services down, as
// every daemon does when it starts.
func widen(b *box) {
	b.Do(Install)
	b.Do(func(tx *store.Tx) error {
		l := limit.Default()
		l.Client.Max, l.Client.Reserve, l.Prefix.Max, l.Prefix.Reserve = 0, 0, 0, 0
		return limit.Set(tx, l)
	})
}
