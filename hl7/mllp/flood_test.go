package mllp

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/hl7"
)

// hostile are the ways to waste a listener's memory. Each gets one connection and gives up when it is
// closed or its context ends.
var hostile = map[string]func(ctx context.Context, c net.Conn){
	"half a frame": func(ctx context.Context, c net.Conn) {
		_, _ = c.Write([]byte("\v" + string(message("half")) + strings.Repeat("x", 900<<10)))
		<-ctx.Done()
	},
	"a byte at a time": func(ctx context.Context, c net.Conn) {
		for _, b := range []byte(framed(message("slow"))) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	},
	"a frame without end": func(_ context.Context, c net.Conn) {
		piece := []byte(strings.Repeat("x", 64<<10))
		_, err := c.Write([]byte("\v" + string(message("huge"))))
		for n := 0; n < 2*DefaultMaxFrame && err == nil; n += len(piece) {
			_, err = c.Write(piece)
		}
	},
	"nothing is read": func(ctx context.Context, c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		many := []byte(strings.Repeat(framed(message("deaf")), 20))
		for range 20 {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
		<-ctx.Done()
	},
	"no frame at all": func(_ context.Context, c net.Conn) {
		_, _ = c.Write([]byte(strings.Repeat("x", 256<<10)))
	},
}

// TestHostileConnections: a thousand connections, of all the ways to waste memory and from two hundred
// addresses, take less than 150 MB at their peak, their own side of it included, and meanwhile a sender
// that behaves has each of its messages answered.
func TestHostileConnections(t *testing.T) {
	const connections, most = 1000, 150_000_000
	s := &Server{Handler: accept, Limits: Limits{Total: connections + 10}}
	addr := start(t, s)
	// The collector is set as the daemon sets it.
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(120 << 20))
	debug.FreeOSMemory()
	before := footprint()
	good := dial(t, addr)
	_ = good.SetDeadline(time.Now().Add(2 * time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var attack sync.WaitGroup
	i := 0
	for i < connections {
		for _, do := range hostile {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+i/len(hostile)))}}
			c, err := d.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			i++
			attack.Go(func() {
				defer c.Close()
				_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
				do(ctx, c)
			})
		}
	}
	peak, began := footprint(), time.Now()
	n, worst := 0, time.Duration(0)
	for ; n < 200 || s.Counts().NoRoom == 0 || s.Counts().TooLarge == 0 || s.Counts().Alien == 0; n++ {
		if time.Since(began) > time.Minute {
			t.Fatalf("not every way was met: %+v", s.Counts())
		}
		at := time.Now()
		good.send(framed(message(fmt.Sprint(n))))
		good.want(hl7.AA, fmt.Sprint(n))
		worst, peak = max(worst, time.Since(at)), max(peak, footprint())
		time.Sleep(time.Millisecond)
	}
	cancel()
	attack.Wait()
	peak = max(peak, footprint())
	t.Logf("%d hostile connections take %.1f MB at their peak; the slowest of %d answers came after %v; %+v",
		connections, float64(peak-before)/1e6, n, worst, s.Counts())
	if peak-before > most {
		t.Errorf("they take %d bytes", peak-before)
	}
	eventually(t, "all that was booked is given back", func() bool {
		s.rooms.mu.Lock()
		defer s.rooms.mu.Unlock()
		return s.rooms.taken == 0
	})
}

// footprint is what the runtime has from the system, in bytes: heap, stacks, and its own.
func footprint() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
