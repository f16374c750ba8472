package mllp

import (
	"math/bits"
	"net/netip"
	"sync"
)

// Counts is what happened on the connections of one peer, or of all.
type Counts struct {
	Connections uint64 // taken
	Refused     uint64 // closed at once: address not allowed, or too many
	Frames      uint64 // handed to the Handler
	Replies     uint64 // written
	Silent      uint64 // handled without a reply
	Failed      uint64 // the Handler closed the connection by an error
	Panics      uint64 // the Handler panicked
	Late        uint64 // the reply came too late and was not sent
	TooLarge    uint64 // frames larger than allowed
	NoRoom      uint64 // connections closed as others took the memory for large frames
	Cut         uint64 // connections lost or timed out in the middle of a frame
	Alien       uint64 // connections that spoke TLS, HTTP or no MLLP
	Handshakes  uint64 // TLS handshakes that failed
	Unwritten   uint64 // replies that could not be written
	Repairs
}

func (c *Counts) add(o Counts) {
	c.Connections += o.Connections
	c.Refused += o.Refused
	c.Frames += o.Frames
	c.Replies += o.Replies
	c.Silent += o.Silent
	c.Failed += o.Failed
	c.Panics += o.Panics
	c.Late += o.Late
	c.TooLarge += o.TooLarge
	c.NoRoom += o.NoRoom
	c.Cut += o.Cut
	c.Alien += o.Alien
	c.Handshakes += o.Handshakes
	c.Unwritten += o.Unwritten
	c.Junk += o.Junk
	c.Filler += o.Filler
	c.DoubledStart += o.DoubledStart
	c.DoubledEnd += o.DoubledEnd
	c.FormFeed += o.FormFeed
	c.LineFeed += o.LineFeed
	c.Empty += o.Empty
}

// maxTallies bounds the addresses that are counted apart; the rest share one tally,
// under the zero address.
const maxTallies = 1024

// tally counts for one address.
type tally struct {
	mu sync.Mutex
	n  Counts // under mu
}

// bump adds one to the count that which points at, and gives it.
func (t *tally) bump(which func(*Counts) *uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := which(&t.n)
	*p++
	return *p
}

// repaired adds what a Reader put right since it last told, and gives all of it. It
// is news when the total has passed another power of two.
func (t *tally) repaired(now, before Repairs) (all Repairs, news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.n.total()
	t.n.add(Counts{Repairs: Repairs{
		Junk: now.Junk - before.Junk, Filler: now.Filler - before.Filler,
		DoubledStart: now.DoubledStart - before.DoubledStart, DoubledEnd: now.DoubledEnd - before.DoubledEnd,
		FormFeed: now.FormFeed - before.FormFeed, LineFeed: now.LineFeed - before.LineFeed, Empty: now.Empty - before.Empty,
	}})
	return t.n.Repairs, bits.Len64(was) != bits.Len64(t.n.total())
}

func (t *tally) counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// tallies are the tallies by address. The zero value is empty.
type tallies struct {
	mu sync.Mutex
	by map[netip.Addr]*tally // under mu
}

func (t *tallies) of(a netip.Addr) *tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[netip.Addr]*tally)
	}
	if t.by[a] == nil {
		if len(t.by) >= maxTallies {
			a = netip.Addr{}
		}
		if t.by[a] == nil {
			t.by[a] = new(tally)
		}
	}
	return t.by[a]
}

func (t *tallies) all() map[netip.Addr]Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[netip.Addr]Counts, len(t.by))
	for a, n := range t.by {
		out[a] = n.counts()
	}
	return out
}
