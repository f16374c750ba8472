package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/modem/modemsim"
)

// A prepaid SIM's balance is asked once a day where its record has a code; a low one is a trouble.
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
		one := flowModem{record: outbox.SIM{Balance: outbox.Balance{Code: "*100#", Low: c.low}}, faults: c.faults}
		inFlowOf(t, []flowModem{one}, func(f *flow) {
			f.until("the balance is asked", 15*time.Minute, func() bool { return len(f.entries(actBalance)) > 0 })
			time.Sleep(2 * time.Minute)
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

// asked counts the USSD requests that the first modem was given.
func (f *flow) asked() (n int) {
	tail, _ := f.senders[0].modem.Watch(f.t.Context())
	for _, l := range tail {
		if l.Out && strings.HasPrefix(l.Text, "AT+CUSD=") {
			n++
		}
	}
	return n
}

// Reference 5.2: after three sends in a row that failed the balance is asked, and the cause is named. A
// SIM that is not prepaid is asked as well, by its carrier's usual code: nothing else explains it.
func TestFlowBalanceAfterFailedSends(t *testing.T) {
	for _, code := range []string{"*123#", ""} {
		one := flowModem{record: outbox.SIM{Balance: outbox.Balance{Code: code}}}
		inFlowOf(t, []flowModem{one}, func(f *flow) {
			if got := f.balanceCode(f.status().ICCID); got != code {
				t.Errorf("the code on record is %q, want %q", got, code)
			}
			f.must(f.modems[0].SetFaults(modemsim.Faults{NoCredit: true}))
			failed := func() uint64 { return f.senders[0].figures.notSent.Load() + f.senders[0].figures.refused.Load() }
			_, err := f.start()
			f.must(err)
			for n := range uint64(3) {
				if asked := f.asked(); asked != 0 {
					t.Fatalf("asked %d times after %d failed sends", asked, n)
				}
				f.until("a send fails", 5*time.Minute, func() bool { return failed() > n })
			}
			f.until("the cause is named", time.Minute, func() bool { return slices.Contains(f.troubles(), "no-credit") })
			if asked := f.asked(); asked != 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
