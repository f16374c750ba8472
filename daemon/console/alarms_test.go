package console

import (
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/alarm"
	"pinward/store"
	"pinward/store/storetest"
)

// An operator sees what is wrong, and says that he sees to it; a second time nothing more is done.
func TestAlarms(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Operator)
	b.ask(p.request("GET", "/alarms")).says("No alarm is open.", "Nobody is told of alarms")
	storetest.Update(t, b.Store, func(tx *store.Tx) error {
		return alarm.Judge(tx, []alarm.Finding{{Path: "modems/m1", Severity: alarm.Critical, Cause: "it is <unplugged>", Since: tx.Now().Add(-time.Hour)}})
	})
	b.ask(p.request("GET", "/alarms")).says("modems/m1", "it is &lt;unplugged&gt;", "I see to it")
	for range 2 {
		if a := b.ask(p.request("POST", "/alarms/1/acknowledge")); a.Code != 303 {
			t.Errorf("status %d", a.Code)
		}
	}
	b.ask(p.request("GET", "/alarms")).says("Acknowledged by user ")
	b.ask(p.request("POST", "/alarms/7/acknowledge")).says("There is no alarm of this number.")
	if n := len(b.Entries(alarm.ActionSeen)); n != 1 {
		t.Errorf("%d entries", n)
	}
}
