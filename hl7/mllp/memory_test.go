package mllp

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"pinward/hl7"
)

// TestMemoryIsBounded: a thousand connections, from two hundred addresses, that fill most of a large
// frame and stall cost at most 150 MB, and keep no ordinary message from being answered.
func TestMemoryIsBounded(t *testing.T) {
	const hostile, size = 1000, 900 << 10
	s := &Server{Handler: accept, Limits: Limits{Total: hostile + 10}}
	addr := start(t, s)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	part := append([]byte{startBlock}, message("x")...)
	part = append(part, strings.Repeat("x", size)...)
	var conns []net.Conn
	for i := range hostile {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/5))}}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
		// The server closes those that it has no room for in the middle of this.
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write(part)
	}
	eventually(t, "refused for want of memory", func() bool { return s.Counts().NoRoom > 0 })
	good := dial(t, addr)
	for i := range 20 {
		good.send(framed(message(fmt.Sprint(i))))
		good.want(hl7.AA, fmt.Sprint(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := (after.HeapInuse - before.HeapInuse) + (after.StackInuse - before.StackInuse); after.HeapInuse > before.HeapInuse && grown > 150_000_000 {
		t.Errorf("they take %d bytes", grown)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	eventually(t, "all that was booked is given back", func() bool {
		s.rooms.mu.Lock()
		defer s.rooms.mu.Unlock()
		return s.rooms.taken == 0 && len(s.rooms.by) == 0
	})
	// And a large message passes again.
	good.send(framed(append(message("big"), "NTE|1||"+strings.Repeat("x", size)+"\r"...)))
	good.want(hl7.AA, "big")
}

// TestRooms: one address has at most half, all have the whole, and what is given back is free again.
func TestRooms(t *testing.T) {
	var r rooms
	a, b, c := new(tally), new(tally), new(tally)
	for _, step := range []struct {
		who  *tally
		n    int
		want bool
	}{{a, 60, false}, {a, 50, true}, {a, 1, false}, {b, 50, true}, {c, 1, false}} {
		if got := r.take(step.who, step.n, 100); got != step.want {
			t.Errorf("%d bytes: %v, want %v", step.n, got, step.want)
		}
	}
	r.give(b, 50)
	if !r.take(c, 50, 100) {
		t.Error("what was given back is not free")
	}
}

// TestNoRoomOnlyForLarge: the error closes the connection of the large frame, in its middle.
func TestNoRoomOnlyForLarge(t *testing.T) {
	r := NewReader(strings.NewReader(framed(message("1"))+framed([]byte(strings.Repeat("x", 2*readBuffer)))), 0)
	r.room = func(total int) error {
		if total > readBuffer {
			return errNoRoom
		}
		return nil
	}
	if f, err := r.Next(); err != nil || string(f) != string(message("1")) {
		t.Fatalf("the small frame: %q, %v", f, err)
	}
	if _, err := r.Next(); !errors.Is(err, errNoRoom) {
		t.Errorf("the large frame: %v", err)
	}
}
