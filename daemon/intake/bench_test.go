package intake

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/hl7/mllp"
)

// feed makes the messages of a morning, each about another patient. Of kind "mix" three of four bring
// a patient up to date and one books a visit.
func feed(kind string, n uint64, at time.Time) []byte {
	pid := fmt.Sprintf("PID|1||%d^^^RIV^MR||DOE^JANE^Q||19700101|F|||1 ELM ST^^BOSTON^MA^02110||(617)%03d-%04d^PRN^CP|||EN|M||A%d\r",
		n, 200+n%700, 2000+n%7000, n)
	tail := "PV1|1|O|CLINIC^^^RIV||||1234^HOUSE^GREGORY|||MED||||||||V" + fmt.Sprint(n) + "\r"
	if kind == "SIU" || kind == "mix" && n%4 == 3 {
		return []byte(header("SIU^S12^SIU_S12", fmt.Sprint(n), at) + "\r" +
			fmt.Sprintf("SCH|P%d^EPIC|F%d^EPIC||||CHECKUP^Check-up|||30|MIN|^^30^%s|||||||||||||||BOOKED\r", n, n, ts(at.Add(72*time.Hour))) +
			pid + tail + "RGS|1\rAIL|1||CLINIC^^^RIV\r")
	}
	event := "A04"
	if kind == "ignored" {
		event = "A02" // a transfer
	}
	return []byte(header("ADT^"+event+"^ADT_A01", fmt.Sprint(n), at) + "\r" + "EVN|A04|" + at.Format("20060102150405-0700") + "||||JDOE\r" + pid +
		"PD1|||RIVERSIDE^^4711|1234^HOUSE^GREGORY||||||||02^Any\r" + "NK1|1|DOE^JOHN|SPO||6175559876\r" + tail)
}

// BenchmarkHandle accepts messages durably, without a network.
func BenchmarkHandle(b *testing.B) {
	for _, c := range []struct {
		kind    string
		workers int
	}{{"mix", 1}, {"mix", 64}, {"ADT", 64}, {"SIU", 64}, {"ignored", 64}} {
		workers := c.workers
		b.Run(fmt.Sprintf("%s/%d", c.kind, workers), func(b *testing.B) {
			box := newBox(b)
			var n atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for {
						i := n.Add(1)
						if i > uint64(b.N) {
							return
						}
						if reply, err := box.in.Handle(context.Background(), hl7.Peer{}, feed(c.kind, i, time.Now())); err != nil || len(reply) == 0 {
							b.Error("not accepted", err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkMLLP accepts messages durably over real connections, each waiting for its acknowledgment.
func BenchmarkMLLP(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d", conns), func(b *testing.B) {
			box := newBoxIn(b, Listener{Name: "adt", Mode: contact.Live})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			srv := &mllp.Server{Name: "adt", Handler: box.in.Handle, Log: slog.New(slog.DiscardHandler)}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background(), ln) }()
			var n atomic.Uint64
			waits := make([]time.Duration, b.N+1)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range conns {
				wg.Go(func() {
					c := &mllp.Client{Dial: func(ctx context.Context) (net.Conn, error) {
						return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
					}}
					defer c.Close()
					for {
						i := n.Add(1)
						if i > uint64(b.N) {
							return
						}
						began := time.Now()
						m, err := c.Send(context.Background(), feed("mix", i, time.Now()))
						if err != nil {
							b.Error(err)
							return
						}
						waits[i] = time.Since(began)
						if code, _, _ := m.Acknowledgment(); code != hl7.AA {
							b.Error("answered", code)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			slices.Sort(waits)
			b.ReportMetric(float64(waits[b.N/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(waits[b.N*99/100].Microseconds()), "p99-us")
			if err := srv.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
			if err := <-served; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkMatch parses a message and finds its rule; BenchmarkRead also takes out what the rule needs.
func BenchmarkMatch(b *testing.B) {
	r, m := newRules(Shipped()), feed("ADT", 1, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		msg, err := hl7.Parse(m)
		if rule, _ := r.match(msg, Policy{}); err != nil || rule == nil {
			b.Fatal("no rule")
		}
	}
}

func BenchmarkRead(b *testing.B) {
	in, m := New(Options{Listener: Listener{Name: "adt", Mode: contact.Live}}), feed("ADT", 1, time.Now())
	g := &ground{zone: time.UTC, site: contact.Site{Authority: "RIV", Area: "617"}, rules: newRules(Shipped()), mode: contact.Live}
	b.ReportAllocs()
	for b.Loop() {
		msg, err := hl7.Parse(m)
		if rd := in.read(g, &sender{Peer: Peer{Name: "adt"}}, msg, m, err); rd.wrong != nil {
			b.Fatal(rd.wrong)
		}
	}
}
