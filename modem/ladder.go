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
	why      string      // what ended the last session, in plain words, until one serves; a restart explains nothing that was so before
	resets   []time.Time // of the last hour
	limbo    bool        // the session ended with a send unanswered, on a modem that runs on
	restart  bool        // the next session begins with a restart of the module
	asked    chan error  // an operator's Reset, to be answered; nil if there is none
}

// order takes an operator's Reset for the next session.
func (l *ladder) order(done chan error) {
	l.answer(nil) // an order before it has become this one
	l.asked = done
}

// answer tells the operator what became of the order.
func (l *ladder) answer(err error) {
	if l.asked != nil {
		l.asked <- err // it has room
		l.asked = nil
	}
}

// steady is how long a session must last to forget the failures before it.
const steady = 5 * time.Minute

// after takes note of a lost session and says how long to wait before the next.
func (l *ladder) after(err error, t Timing) time.Duration {
	if !errors.Is(err, errReset) && (l.why == "" || !errors.Is(err, errRebooted)) {
		l.why = plain(err)
	}
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

// begun is the cause of a start: at night nobody learns anything from "starting" while each of them ends in the same way.
func (l *ladder) begun(cause string) string {
	if l.why == "" {
		return cause
	}
	return cause + "; last time: " + l.why
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

// taken notes a reset that nothing holds back.
func (l *ladder) taken() { l.resets = append(l.resets, time.Now()) }

// lost is a port that was lost while its modem was up: a module on USB that restarts by itself leaves the bus.
type lost struct {
	imei string
	at   time.Time
}

// returnLimit is how soon a modem that restarted is back; one that was away for longer was carried somewhere.
const returnLimit = 2 * time.Minute

// days are the resets and reboots of the last 24 hours.
type days struct{ resets, reboots sliding }

// sliding are the times of something within the last 24 hours, oldest first.
type sliding []time.Time

// maxSliding bounds a list; nothing follows from more.
const maxSliding = 1000

func (s *sliding) add(now time.Time) {
	if len(*s) < maxSliding {
		*s = append(*s, now)
	}
}

func (s *sliding) count(now time.Time) int {
	i := 0
	for i < len(*s) && now.Sub((*s)[i]) >= 24*time.Hour {
		i++
	}
	*s = (*s)[i:]
	return len(*s)
}
