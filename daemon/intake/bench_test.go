package intake

import (
	"bytes"
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
			senders := make(chan *sendingEnd, conns)
			for range conns {
				senders <- newSendingEnd(b, ln.Addr().String())
			}
			waits := make([]time.Duration, b.N)
			f := measure(b)
			share(b.N, conns, func(i int) {
				c := <-senders
				defer func() { senders <- c }()
				c.frame = append(appendFeed(append(c.frame[:0], 0x0b), "mix", uint64(i), time.Now()), 0x1c, '\r')
				began := time.Now()
				reply, err := c.exchange()
				waits[i] = time.Since(began)
				if err != nil {
					b.Error(err)
				} else if !bytes.Contains(reply, []byte("\rMSA|AA|")) {
					b.Error("not answered AA")
				}
			})
			f.report(b.N, waits)
			for range conns {
				_ = (<-senders).conn.Close()
			}
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

// sendingEnd is a connection of an engine that does no more than it must: it takes its part of the processors that are
// measured.
type sendingEnd struct {
	conn  net.Conn
	r     *mllp.Reader
	frame []byte
}

func newSendingEnd(b *testing.B, addr string) *sendingEnd {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	return &sendingEnd{conn: conn, r: mllp.NewReader(conn, 0)}
}

// exchange sends the frame and waits for its answer.
func (s *sendingEnd) exchange() ([]byte, error) {
	if _, err := s.conn.Write(s.frame); err != nil {
		return nil, err
	}
	return s.r.Next()
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
