package daemon

import (
	"slices"
	"testing"
	"time"

	"pinward/daemon/record"
	"pinward/modem/modemsim"
)

// A prepaid SIM's balance is asked once a day where a code is configured; a low one is a trouble.
func TestFlowBalance(t *testing.T) {
	for _, c := range []struct {
		faults modemsim.Faults
		low    float64
		amount string
		want   []string
	}{
		{modemsim.Faults{}, 5, "10.00", nil},
		{modemsim.Faults{}, 20, "10.00", []string{"balance"}},
		{modemsim.Faults{USSD: "none"}, 5, "", []string{"balance"}},
	} {
		inFlow(t, 1, func(f *flow) {
			f.close()
			f.box.cfg.Modems[0].Balance, f.box.cfg.Modems[0].BalanceLow = "*100#", c.low
			f.open()
			f.waitReady()
			f.must(f.modems[0].SetFaults(c.faults))
			f.until("the balance is asked", 15*time.Minute, func() bool { return len(f.entries(actBalance)) > 0 })
			time.Sleep(5 * time.Minute)
			e := f.entries(actBalance)
			if len(e) != 1 || record.Attr(e[0].Entry, "balance") != c.amount {
				t.Errorf("%d entries, want one of %q", len(e), c.amount)
			}
			if got := f.troubles(); !slices.Equal(got, c.want) {
				t.Errorf("health names %v, want %v", got, c.want)
			}
		})
	}
}
