package daemon

import (
	"slices"
	"sync"
	"time"
)

// beatEvery is how often a loop that is well shows it at the least.
const beatEvery = time.Second

// pulse is the sign of life of one loop. The watchdog is fed from pulses, never from the health of
// a SIM: a modem that the network does not want is no reason to restart the daemon.
type pulse struct {
	name string
	of   *pulses

	mu    sync.Mutex
	last  time.Time // of the last beat; monotonic
	until time.Time // zero, or when the hand-over under way is over at the latest
}

// beat shows that the loop turned.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// busy says that the loop is in a hand-over that ends by itself within the time given: until then silence
// is no sign of a hang, and after it it is.
func (p *pulse) busy(atMost time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	p.until = p.last.Add(atMost)
}

// free says that the hand-over is over.
func (p *pulse) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.until = time.Now(), time.Time{}
}

// idle tells whether the loop is between hand-overs.
func (p *pulse) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until.IsZero()
}

// end takes the pulse of a loop away that has ended as it should: a box may be closed, and live on.
func (p *pulse) end() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.all = slices.DeleteFunc(p.of.all, func(q *pulse) bool { return q == p })
}

// stale tells whether the loop has been silent for too long.
func (p *pulse) stale(limit time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	return now.Sub(p.last) > limit && now.After(p.until)
}

// pulses are those of all loops that the daemon cannot do without:
//
//   - main, which reloads, and ends the process when something fatal happens;
//   - store, which asks the writer for a turn: a transaction that does not end, and a disk that does not answer, show here;
//   - https and control, by a request through their own servers; each MLLP port, by its accepting;
//   - each sender: a hand-over may take as long as the network may (300 s for a part), and no longer;
//   - sweeper, without which no life ends, and alarms, without which nobody is told of the rest.
//
// Not watched, because silence there is somebody else's, and a restart would cut off what is well: a modem's
// own loop and its inbox (a modem that answers nothing, a SIM that is dead: health tells, and a hand-over that hangs in them is the
// sender's); the loops that sign heads and count (the TPM's time; unsigned entries are told by health); what follows
// the audit or leaves by the relay (the other end's time; backlog and failed deliveries are alarms); backups
// (their age is an alarm), balances and the search index, which nothing waits for.
type pulses struct {
	mu  sync.Mutex
	all []*pulse
}

// add makes a pulse that beats now.
func (ps *pulses) add(name string) *pulse {
	p := &pulse{name: name, of: ps, last: time.Now()}
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
