package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pinward/daemon/health"
	"pinward/store"
	"pinward/tpm"
)

// KeyHolder is who keeps a share of the recovery kit, and when that share was last seen to be in order.
type KeyHolder struct {
	Name string    `json:"name"`
	Seen time.Time `json:"seen,omitzero"` // zero: never tried since the kit was made
}

// saw notes the shares of a drill that passed.
func (c *commissioning) saw(d *tpm.DrillState) {
	if d == nil {
		return
	}
	for _, n := range d.Shares {
		c.Seen[n-1] = d.At
	}
}

// holders are those of the kit in use.
func (c commissioning) holders() (list []KeyHolder) {
	for i, name := range c.Holders {
		list = append(list, KeyHolder{name, c.Seen[i]})
	}
	return list
}

// overdue names the holders whose share nobody has tried for a year: since its last drill, or since the
// kit was first tried. Holders move, and envelopes get lost.
func (c commissioning) overdue(now time.Time) (names []string) {
	if c.Drilled.IsZero() { // set-up is not finished, and says so
		return nil
	}
	for i, name := range c.Holders {
		last := c.Seen[i]
		if last.IsZero() {
			last = c.Begun
		}
		if now.Sub(last) > drillEvery {
			names = append(names, name)
		}
	}
	return names
}

// checkHolders asks each year for every share of the recovery kit.
func (h *house) checkHolders() health.Check {
	return health.Check{Name: "recovery kit", Ask: func() (health.State, string) {
		var c commissioning
		err := h.store.View(context.Background(), func(tx *store.Tx) (err error) {
			c, _, err = progress(tx)
			return err
		})
		if err != nil {
			return health.Unknown, "who keeps the recovery kit cannot be read"
		}
		if late := c.overdue(time.Now()); len(late) > 0 {
			return health.Warn, fmt.Sprintf("the share of %s was not seen for a year: run pinward key drill with its holder and another one", strings.Join(late, " and that of "))
		}
		return health.OK, ""
	}}
}
