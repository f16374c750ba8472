package intake

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/hl7/mllp"
)

// newFeedBox is a box whose site tells patients of results, and lets no breaker hold what they cause.
func newFeedBox(b *testing.B) *box {
	b.Helper()
	box := newBox(b)
	box.policy(Policy{Releasable: []string{"*"}, BreakerFloor: 1 << 30})
	return box
}

// BenchmarkHandle accepts messages durably, without a network.
func BenchmarkHandle(b *testing.B) {
	for _, c := range []struct {
		kind    string
		workers int
	}{{"mix", 1}, {"mix", 64}, {"A04", 64}, {"S12", 64}} {
		b.Run(fmt.Sprintf("%s/%d", c.kind, c.workers), func(b *testing.B) {
			box := newFeedBox(b)
			f := measure(b)
			share(b.N, c.workers, func(i int) {
				if reply, err := box.in.Handle(context.Background(), hl7.Peer{}, feed(c.kind, uint64(i), time.Now())); err != nil || len(reply) == 0 {
					b.Error("not accepted", err)
				}
			})
			f.report(b.N, nil)
		})
	}
}

// share has workers call do with 0 to n-1.
func share(n, workers int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// BenchmarkMLLP is DESIGN section 10: messages accepted durably over real connections, each of which
// waits for its acknowledgment. Client and server share the processors. Beside it stands how often
// the same disk commits at all.
func BenchmarkMLLP(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			raw := rawCommits(b, b.TempDir())
			box := newFeedBox(b)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			srv := &mllp.Server{Name: "adt", Handler: box.in.Handle, Log: slog.New(slog.DiscardHandler)}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background(), ln) }()
			clients := make(chan *mllp.Client, conns)
			for range conns {
				c := &mllp.Client{Dial: func(ctx context.Context) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
				}}
				defer c.Close()
				clients <- c
			}
			waits := make([]time.Duration, b.N)
			f := measure(b)
			share(b.N, conns, func(i int) {
				c := <-clients
				defer func() { clients <- c }()
				frame := feed("mix", uint64(i), time.Now())
				began := time.Now()
				m, err := c.Send(context.Background(), frame)
				waits[i] = time.Since(began)
				if err != nil {
					b.Error(err)
				} else if code, _, _ := m.Acknowledgment(); code != hl7.AA {
					b.Error("answered", code)
				}
			})
			f.report(b.N, waits)
			b.ReportMetric(raw, "raw-commits/s")
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
	r, m := newRules(Shipped()), feed("A04", 1, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		msg, err := hl7.Parse(m)
		if rule, _ := r.match(msg, Policy{}); err != nil || rule == nil {
			b.Fatal("no rule")
		}
	}
}

func BenchmarkRead(b *testing.B) {
	in, m := New(Options{Listener: Listener{Name: "adt", Mode: contact.Live}}), feed("A04", 1, time.Now())
	g := &ground{zone: time.UTC, site: contact.Site{Authority: "RIV", Area: "617"}, rules: newRules(Shipped()), mode: contact.Live}
	b.ReportAllocs()
	for b.Loop() {
		msg, err := hl7.Parse(m)
		if rd := in.read(g, &sender{Peer: Peer{Name: "adt"}}, msg, m, err); rd.wrong != nil {
			b.Fatal(rd.wrong)
		}
	}
}
