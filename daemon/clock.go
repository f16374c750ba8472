package daemon

import (
	"fmt"
	"time"

	"pinward/daemon/health"
)

// clockBehind is by how much the clock may stand before the last entry without an alarm: what a time
// server corrects by itself.
const clockBehind = time.Minute

// checkClock warns while the clock of the machine stands before the last entry of the audit, as after a
// dead battery. Codes go on: their lives and limits are not told by it.
func (h *house) checkClock() health.Check {
	return health.Check{Name: "clock", Ask: func() (health.State, string) {
		behind := time.Until(h.store.Stats().LastEntry)
		if behind < clockBehind {
			return health.OK, ""
		}
		return health.Warn, fmt.Sprintf("the clock of this machine stands %v before the last entry of the audit: set it (timedatectl); "+
			"until then entries have the time of the last one and say clock=untrusted", behind.Round(time.Minute))
	}}
}
