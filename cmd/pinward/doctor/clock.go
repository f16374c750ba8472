package doctor

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// released is when this program was written at the earliest: a clock before it is wrong.
var released = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// timeServices are the programs that keep a Debian or RPM machine's clock.
var timeServices = []string{"systemd-timesyncd", "chronyd", "ntpd", "ntpsec", "ptp4l"}

// examineClock asks whether the clock is right, and who keeps it so. Codes do not need it; the audit does.
func (h *Host) examineClock(ctx context.Context, _ Config) []Finding {
	r := report{area: "clock"}
	if h.now().Before(released) {
		r.add("", Fail, "run: timedatectl set-time, and replace the battery of the board", "it stands at %s, before this program was written", h.now().UTC().Format(time.DateTime))
		return r.list
	}
	const next = "name a time server of the hospital in /etc/systemd/timesyncd.conf or chrony.conf, then: timedatectl set-ntp true"
	keeper := h.running(timeServices...)
	synced := ""
	if out, err := h.run(ctx, "timedatectl", "show", "--property=NTPSynchronized,NTP"); err == nil {
		for line := range strings.Lines(out) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "NTPSynchronized="); ok {
				synced = v
			}
		}
	}
	if synced == "" && h.Root == "" { // no timedated: the kernel knows as well
		synced = "no"
		var t unix.Timex
		if state, err := unix.Adjtimex(&t); err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0 {
			synced = "yes"
		}
	}
	switch {
	case synced == "yes" && keeper == "":
		r.ok("", "is synchronised")
	case synced == "yes":
		r.ok("", "is synchronised, by %s", keeper)
	case keeper != "":
		r.add("", Warn, "see whether it reaches its server: timedatectl timesync-status, or: chronyc sources", "%s runs, and the clock is not synchronised", keeper)
	default:
		r.add("", Warn, next, "nothing keeps the clock: times in the audit will drift")
	}
	return r.list
}
