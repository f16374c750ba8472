package daemon

import (
	"context"
	"strings"

	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
)

// checkLanes tells of lanes that are held, by an operator or since a restore: nothing is broken, and who forgets one finds no
// modem at fault. Codes are refused while theirs is.
func (h *house) checkLanes() health.Check {
	return health.Check{Name: "lanes", Ask: func() (health.State, string) {
		var held []outbox.Lane
		ending := false
		if err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			if _, ending, err = endingOf(tx); err != nil {
				return err
			}
			held, err = outbox.Held(tx)
			return err
		}); err != nil {
			return health.Unknown, "which lanes are held cannot be read"
		}
		if len(held) == 0 {
			return health.OK, ""
		}
		if ending { // nobody is to resume them
			return health.Warn, "all texts are held: the box is being decommissioned; go on with pinward decommission"
		}
		var names, resume []string
		for _, l := range held {
			names, resume = append(names, l.String()), append(resume, "pinward outbox resume "+l.String())
		}
		next := "held: " + strings.Join(names, ", ") + "; look why, then run: " + strings.Join(resume, "; ")
		if held[0] == outbox.OTP {
			return health.Fail, "codes are refused. " + next
		}
		return health.Warn, "texts wait, and are dropped when it is too late for them. " + next
	}}
}
