package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/health"
	"pinward/modem"
	"pinward/modem/modemsim"
)

// Reference 5.6: what a [[modem]] block says of a module that does not send as it comes reaches it: here
// +CGSMS, and a centre that refuses each PDU with TP-VP.
func TestFlowSettingsReachTheModem(t *testing.T) {
	psOnly := 0
	one := flowModem{
		port:   ModemPort{Settings: modem.Settings{CGSMS: &psOnly, NoValidity: true}},
		faults: modemsim.Faults{RefuseValidity: true},
	}
	inFlowOf(t, []flowModem{one}, func(f *flow) {
		if got, err := f.senders[0].modem.Query(f.t.Context(), "+CGSMS?"); err != nil || !slices.Equal(got, []string{"+CGSMS: 0"}) {
			t.Errorf("the modem says %v, %v", got, err)
		}
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 5*time.Second)[0]
		if got.Validity != 0 || !f.check(v.ID, code(got)) {
			t.Errorf("TP-VP is %v s, or the code is another", got.Validity)
		}
		if got := f.troubles(); len(got) != 0 {
			t.Errorf("health names %v", got)
		}
	})
}

// Without the setting the same centre takes no code: the test above can fail.
func TestFlowCentreThatRefusesValidity(t *testing.T) {
	inFlowOf(t, []flowModem{{faults: modemsim.Faults{RefuseValidity: true}}}, func(f *flow) {
		_, err := f.start()
		f.must(err)
		time.Sleep(time.Minute)
		if n := len(f.network.Handset(patient).Messages()); n != 0 {
			t.Errorf("%d texts arrived", n)
		}
	})
}

// A setting that the module has no way to is told by health, and the modem sends all the same.
func TestFlowSettingNotTaken(t *testing.T) {
	one := flowModem{port: ModemPort{Settings: modem.Settings{Radio: modem.Radio4G}}} // a generic profile knows no way
	inFlowOf(t, []flowModem{one}, func(f *flow) {
		if got := f.troubles(); !slices.Equal(got, []string{"settings"}) {
			t.Fatalf("health names %v", got)
		}
		n := health.Judge(f.checkModems(), health.Node{}, time.Now()).Children[0]
		if n.Name != "m1" || n.State != health.Warn || !strings.HasPrefix(n.Cause, "the modem does not take these settings: radio; take them out") {
			t.Errorf("health says of %s: %s", n.Name, n.Cause)
		}
		_, err := f.start()
		f.must(err)
		f.texts(1, 5*time.Second)
	})
}
