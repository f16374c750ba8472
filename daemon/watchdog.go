package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	// watchdogWithout is how often the loops are looked at where no watchdog wants to be fed, and silentWithout how long
	// one may be silent there before it is told.
	watchdogWithout = 5 * time.Second
	silentWithout   = 30 * time.Second
	// silentLeast is the least that a loop may be silent, however short the unit's WatchdogSec= is: a disk
	// that is busy may hold a commit up for seconds.
	silentLeast = 5 * time.Second
)

// watchdog feeds the unit's watchdog.
type watchdog struct {
	every time.Duration // how often it is fed
	limit time.Duration // how long a loop may be silent before it is not; systemd then kills within one WatchdogSec= more
	tell  func(state string)
}

// watchdog is the one of the unit, if it has one.
func (b *box) watchdog() watchdog {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil || within == 0 {
		return watchdog{watchdogWithout, silentWithout, b.notify}
	}
	return watchdog{within / 2, max(within, silentLeast), b.notify}
}

// keepWatch feeds the watchdog only while every loop shows life. It is a goroutine of its own, so that it can
// name the loop that hangs, the main one too, before systemd ends the process.
func (b *box) keepWatch(ctx context.Context, w watchdog) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	var told []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		silent := b.pulses.silent(w.limit)
		if len(silent) == 0 {
			b.fed.Store(time.Now().UnixNano())
			w.tell(daemon.SdNotifyWatchdog + "\n" + b.statusLine())
			told = nil
			continue
		}
		if slices.Equal(silent, told) {
			continue
		}
		told = silent
		w.tell("STATUS=hangs: " + strings.Join(silent, ", ") + "; the watchdog is not fed, so that systemd restarts the daemon")
		b.log.Error("loops are silent: the watchdog is not fed", "loops", silent)
	}
}
