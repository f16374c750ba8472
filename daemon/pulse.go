package daemon

import (
	"sync"
	"time"
)

// pulseEvery is how often a loop that is well shows it at the least.
const pulseEvery = 5 * time.Second

// pulse is the sign of life of one loop. The watchdog is fed from pulses, never from the health of
// a SIM: a modem that the network does not want is no reason to restart the daemon.
type pulse struct {
	name string

	mu   sync.Mutex
	last time.Time // of the last beat; monotonic
	away bool      // in a hand-over that has a limit of its own (300 s for a part on air)
}

// beat shows that the loop turned.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// busy says that the loop is in something long that ends by itself, so that silence is no sign of
// a hang.
func (p *pulse) busy(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.last = away, time.Now()
}

// idle tells whether the loop is between hand-overs.
func (p *pulse) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.away
}

// stale tells whether the loop has been silent for too long.
func (p *pulse) stale(limit time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.away && time.Since(p.last) > limit
}

// pulses are those of all loops that the daemon cannot do without.
type pulses struct {
	mu  sync.Mutex
	all []*pulse
}

// add makes a pulse that beats now.
func (ps *pulses) add(name string) *pulse {
	p := &pulse{name: name, last: time.Now()}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = append(ps.all, p)
	return p
}

// silent names the loops that have not turned within the limit.
func (ps *pulses) silent(limit time.Duration) []string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var names []string
	for _, p := range ps.all {
		if p.stale(limit) {
			names = append(names, p.name)
		}
	}
	return names
}

// ages tells how long ago each loop last showed life.
func (ps *pulses) ages() map[string]time.Duration {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	out := map[string]time.Duration{}
	for _, p := range ps.all {
		p.mu.Lock()
		out[p.name] = time.Since(p.last)
		p.mu.Unlock()
	}
	return out
}
