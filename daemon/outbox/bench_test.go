package outbox

import (
	"fmt"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// campaign queues n bulk messages that are all due.
func campaign(b *testing.B, n int) *box {
	b.Helper()
	x := newBox(b)
	x.src["bulk"] = say
	for from := 0; from < n; from += 1000 {
		x.do(func(tx *store.Tx) error {
			for i := from; i < min(n, from+1000); i++ {
				m := Message{Kind: "bulk", Lane: Bulk, To: phone(i), Client: "campaign", Route: []Step{{Channel: SMS}},
					Expires: tx.Now().Add(24 * time.Hour), Mode: contact.Live}
				if _, err := Put(tx, m); err != nil {
					return err
				}
			}
			return tx.Record(store.Entry{Action: actionTest, Outcome: store.OK})
		})
	}
	return x
}

// BenchmarkCodeBehindCampaign puts a code behind that many bulk messages and has it handed over and
// settled, durably: three transactions.
func BenchmarkCodeBehindCampaign(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		b.Run(fmt.Sprint("bulk=", n), func(b *testing.B) {
			x := campaign(b, n)
			x.report(modem("a", "red"))
			for i := 0; b.Loop(); i++ {
				m := x.put(code(1_000 + i%60_000))
				job := x.must("a")
				if job.Message.ID != m.ID {
					b.Fatal("the code did not come first")
				}
				x.settle(job, sentAs(byte(i)))
			}
		})
	}
}

// BenchmarkNextBehindCampaign is Next for a code alone, without its commit: it is rolled back each time.
func BenchmarkNextBehindCampaign(b *testing.B) {
	for _, bulk := range []int{0, 100_000} {
		x := campaign(b, bulk)
		for i := range 100 {
			x.put(code(1_000 + i))
		}
		for _, n := range []int{1, 64} {
			for i := range n {
				x.report(modem(fmt.Sprint("m", i), []string{"red", "blue"}[i%2]))
			}
			b.Run(fmt.Sprintf("bulk=%d/senders=%d", bulk, n), func(b *testing.B) { nextAlone(b, x) })
		}
	}
}

func nextAlone(b *testing.B, x *box) {
	for b.Loop() {
		err := x.try(func(tx *store.Tx) error {
			job, ok, err := Next(tx, "m0", x.src)
			if err == nil && (!ok || job.Message.Lane != OTP) {
				b.Fatal("no code was given")
			}
			return errRollBack
		})
		if err != errRollBack {
			b.Fatal(err)
		}
	}
}

// BenchmarkBulk drains a campaign of 100,000 by 64 senders, one transaction for each hand-over and one
// for its outcome.
func BenchmarkBulk(b *testing.B) {
	x := campaign(b, 100_000)
	for i := range 64 {
		x.report(modem(fmt.Sprint("m", i), "red"))
	}
	next := make(chan string, 64)
	for i := range 64 {
		next <- fmt.Sprint("m", i)
	}
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			name := <-next
			if job, ok := x.next(name); ok {
				x.settle(job, sentAs(1))
			}
			next <- name
		}
	})
}

// BenchmarkPut is the acceptance of codes by many clients at once.
func BenchmarkPut(b *testing.B) {
	x := newBox(b)
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			x.put(code(i % 50_000))
		}
	})
}

// BenchmarkReceive takes in the receipt of a text.
func BenchmarkReceive(b *testing.B) {
	x := newBox(b)
	x.report(modem("a", "red"))
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		x.put(code(i % 50_000))
		job := x.must("a")
		x.settle(job, sentAs(byte(i)))
		b.StartTimer()
		x.receive(job, byte(i), 0)
	}
}

type rollBack struct{}

func (rollBack) Error() string { return "roll back" }

var errRollBack error = rollBack{}
