package modemsim

import "time"

// Pacing is how evenly a host gave sound to the modem's PCM port, in the call that is up or else in the last one.
type Pacing struct {
	// Frames of 20 ms came, Underruns of them more than 200 ms late: the callee heard a hole.
	Frames int `json:"frames"`
	// Gaps counts the times between two frames, by whole milliseconds; the last one is "that long or longer".
	Gaps []int `json:"gaps"`
	// P50, P99 and Worst are of the difference between a gap and 20 ms, either way; P99 and P50 to half a millisecond.
	P50   Duration `json:"p50"`
	P99   Duration `json:"p99"`
	Worst Duration `json:"worst"`
	// Starved is the silence that the callee heard because nothing came in time.
	Starved Duration `json:"starved"`
}

const (
	gapStep  = 500 * time.Microsecond
	gapSteps = 400 // up to 200 ms
)

// pacing gathers the figures.
type pacing struct {
	frames, odd int // odd: octets of a frame that is not whole
	last        time.Time
	gaps        [gapSteps + 1]int
	worst       time.Duration
}

// add takes n octets that came at once.
func (p *pacing) add(at time.Time, n int) {
	for p.odd += n; p.odd >= frameBytes; p.odd -= frameBytes {
		if p.frames > 0 {
			gap := at.Sub(p.last)
			p.gaps[min(gap/gapStep, gapSteps)]++
			p.worst = max(p.worst, (gap - frameTime).Abs())
		}
		p.frames++
		p.last = at
	}
}

// Pacing tells how evenly the host gave sound.
func (m *Modem) Pacing() Pacing {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	p := &m.pacing
	out := Pacing{Frames: p.frames, Gaps: make([]int, gapSteps/2+1), Worst: Duration(p.worst), Starved: Duration(m.starved)}
	if m.call != nil {
		out.Starved = Duration(m.call.rec.starved)
	}
	var off [gapSteps + 1]int // by the difference to 20 ms
	total := 0
	for i, n := range p.gaps {
		out.Gaps[i/2] += n
		d := (time.Duration(i)*gapStep + gapStep/2 - frameTime).Abs()
		off[min(d/gapStep, gapSteps)] += n
		total += n
	}
	share := func(percent int) Duration {
		seen := 0
		for i, n := range off {
			if seen += n; n > 0 && seen*100 >= total*percent {
				return Duration(time.Duration(i+1) * gapStep)
			}
		}
		return 0
	}
	out.P50, out.P99 = share(50), share(99)
	return out
}
