package voice

import (
	"strings"
	"sync"
	"time"
)

// A press is told once, however the modem tells it.
const (
	repeatTime = 150 * time.Millisecond // within which one source tells one press twice (reference 6.4)
	otherTime  = time.Second            // within which two sources tell the same press: a code on the AT port comes late
)

// Keys gathers the keys of one call from several sources: what the modem says on its AT port, and what a Detector hears. Its methods
// may be called from any goroutine.
type Keys struct {
	mu   sync.Mutex
	last map[string]told
	c    chan byte
}

type told struct {
	key byte
	at  time.Time
}

// NewKeys makes an empty one.
func NewKeys() *Keys { return &Keys{last: map[string]told{}, c: make(chan byte, 16)} }

// C gives each press once. It is never closed.
func (k *Keys) C() <-chan byte { return k.c }

// Add takes a key as source tells it. What is no key, what repeats one press, and what nobody takes in time is dropped.
func (k *Keys) Add(source string, key byte) {
	if !strings.ContainsRune("0123456789*#ABCD", rune(key)) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	repeated := false
	for from, t := range k.last {
		limit := otherTime
		if from == source {
			limit = repeatTime
		}
		repeated = repeated || t.key == key && now.Sub(t.at) < limit
	}
	k.last[source] = told{key, now}
	if repeated {
		return
	}
	select {
	case k.c <- key:
	default:
	}
}
