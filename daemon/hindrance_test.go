package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
	"pinward/store"
)

// refusing is what health says of the modems as a whole, "" while codes are taken.
func (f *flow) refusing() string {
	f.t.Helper()
	ask := f.house.checkModems().Ask
	if ask == nil {
		return ""
	}
	state, cause := ask()
	if state != health.Fail {
		f.t.Fatalf("%v: %s", state, cause)
	}
	return cause
}

// A modem that is well and whose network does not answer takes nothing for up to 300 s: health says so,
// and that no code is taken where it is the last one.
func TestFlowSilentNetworkIsNamed(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		if why := f.refusing(); why != "" {
			t.Fatal(why)
		}
		f.must(f.modems[0].SetFaults(modemsim.Faults{SilentSend: 1}))
		if _, err := f.start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(codePatience + time.Second)
		if !f.status().Ready || !slices.Contains(f.troubles(), "no-answer") {
			t.Fatalf("ready %t, troubles %v", f.status().Ready, f.troubles())
		}
		if why := f.refusing(); !strings.Contains(why, "no modem takes a code") || !strings.Contains(why, noAnswer) {
			t.Fatalf("health says %q", why)
		}
		f.waitReady()
		f.until("it is over", 6*time.Minute, func() bool { return f.refusing() == "" && !slices.Contains(f.troubles(), "no-answer") })
	})
}

// Records and budgets keep codes from modems that are ready: health names which.
func TestFlowHindrancesAreNamed(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		set := func(change func(*outbox.SIM)) {
			f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
				sim := outbox.SIM{ICCID: f.status().ICCID}
				change(&sim)
				return outbox.SetSIM(tx, sim)
			}))
		}
		set(func(s *outbox.SIM) { s.Lanes = []outbox.Lane{outbox.Notice} })
		if why := f.refusing(); !strings.Contains(why, "record keeps it from codes") {
			t.Fatalf("health says %q", why)
		}
		set(func(s *outbox.SIM) { s.PerDay = 1 })
		if why := f.refusing(); why != "" {
			t.Fatal(why)
		}
		if _, err := f.start(); err != nil {
			t.Fatal(err)
		}
		if why := f.refusing(); !strings.Contains(why, "budget of its SIM's day") {
			t.Fatalf("health says %q", why)
		}
	})
}
