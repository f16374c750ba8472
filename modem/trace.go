package modem

import (
	"context"
	"sync"
	"time"
)

// TraceLine is one line of the conversation with a modem, as it may be shown: numbers, PDUs, texts, PINs and serial numbers are
// masked before they come here.
type TraceLine struct {
	At   time.Time `json:"at"`
	Out  bool      `json:"out"`  // true: we wrote it; false: the modem did
	Text string    `json:"text"` // "AT+CMGS=24", "<PDU, 25 octets>", "+CMS ERROR: 38"
	Lost int       `json:"lost,omitempty"`
}

const (
	traceRoom  = 256 // lines that Tail remembers
	followRoom = 256 // lines that may wait for a follower
)

// trace is the ring of the last lines and those who follow it. It outlives sessions: what came before a modem fell silent is
// what the operator wants to see.
type trace struct {
	mu        sync.Mutex
	ring      []TraceLine
	next      int // where the next line goes, once the ring is full
	followers map[*follower]struct{}
}

type follower struct {
	lines chan TraceLine
	lost  int // since the last line that went through
}

func (t *trace) add(out bool, text string) {
	l := TraceLine{At: time.Now(), Out: out, Text: text}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < traceRoom {
		t.ring = append(t.ring, l)
	} else {
		t.ring[t.next] = l
		t.next = (t.next + 1) % traceRoom
	}
	for f := range t.followers {
		told := l
		told.Lost = f.lost
		select {
		case f.lines <- told:
			f.lost = 0
		default:
			f.lost++
		}
	}
}

// Tail is the end of the conversation with the modem, masked, oldest line first.
func (m *Modem) Tail() []TraceLine {
	m.trace.mu.Lock()
	defer m.trace.mu.Unlock()
	return m.trace.tail()
}

// tail needs mu.
func (t *trace) tail() []TraceLine {
	return append(append([]TraceLine(nil), t.ring[t.next:]...), t.ring[:t.next]...)
}

// Follow gives each further line of the conversation, masked, until ctx ends; then the channel is closed. A follower that is too
// slow loses lines and delays nobody: the next line that it gets says how many in Lost.
func (m *Modem) Follow(ctx context.Context) <-chan TraceLine {
	_, more := m.Watch(ctx)
	return more
}

// Watch is Tail and Follow at one moment: no line is missing between the two, and none is in both.
func (m *Modem) Watch(ctx context.Context) (tail []TraceLine, more <-chan TraceLine) {
	t := &m.trace
	f := &follower{lines: make(chan TraceLine, followRoom)}
	t.mu.Lock()
	if t.followers == nil {
		t.followers = map[*follower]struct{}{}
	}
	t.followers[f] = struct{}{}
	tail = t.tail()
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.followers, f)
		close(f.lines)
	})
	return tail, f.lines
}
