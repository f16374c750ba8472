package modem

import (
	"errors"
	"time"

	"pinward/modem/port"
)

// ladder decides what follows a lost session (reference 3): open the port again; then restart the module; with back-off, and not
// more than so many restarts an hour. Resync, the lowest step, is the session's own. It belongs to the goroutine of Run.
type ladder struct {
	started  time.Time   // of the running session
	failures int         // sessions in a row that were lost within steady
	resets   []time.Time // of the last hour
	limbo    bool        // the session ended with a send unanswered, on a modem that runs on
	restart  bool        // the next session begins with a restart of the module
}

// steady is how long a session must last to forget the failures before it.
const steady = 5 * time.Minute

// after takes note of a lost session and says how long to wait before the next.
func (l *ladder) after(err error, t Timing) time.Duration {
	if time.Since(l.started) > steady {
		l.failures = 0
	}
	l.restart = l.limbo
	switch {
	case errors.Is(err, errReset):
		return 0 // the session waited already
	case errors.Is(err, port.ErrUnplugged):
		return t.Backoff // hot-plug: look for it each second
	case isSIM(err):
		l.failures++
		return l.backoff(t)
	}
	l.failures++
	if errors.Is(err, errSilent) && l.failures >= 2 {
		l.restart = true
	}
	return l.backoff(t)
}

func (l *ladder) backoff(t Timing) time.Duration {
	d := t.Backoff
	for i := 1; i < l.failures && d < t.BackoffMax; i++ {
		d *= 2
	}
	return min(d, t.BackoffMax)
}

// mayReset takes one of the resets of this hour, or says that there is none left.
func (l *ladder) mayReset(t Timing) bool {
	now := time.Now()
	keep := l.resets[:0]
	for _, r := range l.resets {
		if now.Sub(r) < time.Hour {
			keep = append(keep, r)
		}
	}
	l.resets = keep
	if len(l.resets) >= t.ResetsHour {
		return false
	}
	l.resets = append(l.resets, now)
	return true
}
