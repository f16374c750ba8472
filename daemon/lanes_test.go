package daemon

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/alarm"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
)

// TestFlowHeldLanesAreTold: a lane that somebody holds and forgets is a cause of its own, with the way out: a failure where codes
// are refused for it.
func TestFlowHeldLanesAreTold(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		found := func() (list []alarm.Finding) {
			for _, one := range findings(health.Judge(f.house.check(f.box), health.Node{}, time.Now())) {
				if one.Path == "lanes" {
					list = append(list, one)
				}
			}
			return list
		}
		hold := func(change func(*store.Tx, outbox.Lane) error, l outbox.Lane) {
			f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error { return change(tx, l) }))
		}
		if got := found(); len(got) != 0 {
			t.Errorf("nothing is held, and health says %+v", got)
		}
		hold(outbox.Pause, outbox.Notice)
		if got := found(); len(got) != 1 || got[0].Severity != alarm.Warning ||
			got[0].Cause != "texts wait, and are dropped when it is too late for them. held: notice; look why, then run: pinward outbox resume notice" {
			t.Errorf("notices are held: %+v", got)
		}
		hold(outbox.Pause, outbox.OTP)
		if got := found(); len(got) != 1 || got[0].Severity != alarm.Critical ||
			got[0].Cause != "codes are refused. held: otp, notice; look why, then run: pinward outbox resume otp; pinward outbox resume notice" {
			t.Errorf("codes are held: %+v", got)
		}
		hold(outbox.Resume, outbox.OTP)
		hold(outbox.Resume, outbox.Notice)
		if got := found(); len(got) != 0 {
			t.Errorf("nothing is held any more, and health says %+v", got)
		}
		hold(outbox.Pause, outbox.OTP)
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			return keepEnding(tx, ending{At: tx.Now(), By: []string{"a", "b"}, Reason: "worn out"}, actDecommission, nil)
		}))
		if got := found(); len(got) != 1 || got[0].Severity != alarm.Warning || strings.Contains(got[0].Cause, "resume") {
			t.Errorf("the box is being decommissioned: %+v", got)
		}
	})
}
