package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"pinward/daemon/admin"
	"pinward/daemon/health"
	"pinward/modem/modemsim"
)

func wantFinding(t *testing.T, list []admin.Finding, area, name string, s health.State, what string) {
	t.Helper()
	for _, f := range list {
		if f.Area == area && f.Name == name && f.State == s && strings.Contains(f.What, what) {
			if s == health.Fail && f.Next == "" {
				t.Errorf("%s %s: %s has no next step", area, name, f.What)
			}
			return
		}
	}
	t.Errorf("there is no %s of %s %q that says %q: %+v", s, area, name, what, list)
}

// TestFlowDoctorOfModems: SIM, registration and service centre of a modem that works, and the cause of one
// that does not, with no number and no whole serial.
func TestFlowDoctorOfModems(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		list := f.examineFleet(t.Context())
		wantFinding(t, list, "modem", "m1", health.OK, "the service centre is known")
		wantFinding(t, list, "modem", "m1", health.OK, "registered")
		serials := []string{f.status().IMEI, f.status().ICCID, f.status().IMSI, f.status().SMSC}
		f.must(f.modems[0].SwapSIM(modemsim.SIM{}))
		f.until("the swap is noticed", 120e9, func() bool { return f.status().Swapped && f.status().Ready })
		list = f.examineFleet(t.Context())
		wantFinding(t, list, "modem", "m1", health.Warn, "sim-swapped")
		for _, serial := range serials {
			if serial != "" && strings.Contains(fmt.Sprint(list), serial) {
				t.Error("a whole serial or number is shown")
			}
		}
	})
}

// TestDoctorJudgesTheRelay: each reason of the relay, and a relay that is not there, has its own words.
func TestDoctorJudgesTheRelay(t *testing.T) {
	refuses := func(reason string) error { return fmt.Errorf("dial siem by relay: %w: %s", ErrRelay, reason) }
	for what, err := range map[string]error{
		"no such name":                 refuses("unknown-name"),
		"cannot resolve":               refuses("no-such-host"),
		"nothing listens on that port": refuses("refused"),
		"drops it":                     refuses("timed-out"),
		"no way there":                 refuses("unreachable"),
		"the relay refuses":            refuses("something-new"),
		"does not run":                 fmt.Errorf("reach relay: %w", fs.ErrNotExist),
		"does not answer":              os.ErrDeadlineExceeded,
	} {
		wantFinding(t, []admin.Finding{judgeDial("siem", "atna", 0, err)}, "relay", "siem", health.Fail, what)
	}
	wantFinding(t, []admin.Finding{judgeDial("siem", "atna", 0, nil)}, "relay", "siem", health.OK, "reachable")
}

// TestConfigIsWalked: names of the relay and certificates are found in whatever table they stand.
func TestConfigIsWalked(t *testing.T) {
	c := Defaults()
	c.HTTPS.Certificate = "a.pem"
	c.HL7 = []HL7Listener{{Name: "mllp", Certificate: "b.pem", CA: "c.pem", Peers: []HL7Peer{{Name: "epic", Back: "results"}}}}
	c.Witnesses = []WitnessTarget{{Name: "siem", Relay: "log", CA: "d.pem"}}
	c.ATNA = &ATNATarget{Relay: "arr", Certificate: "e.pem"}
	if got, want := fmt.Sprint(c.dialled()), "map[arr:atna log:witness siem results:hl7 mllp peer epic]"; got != want {
		t.Errorf("dialled: %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(c.valuesOf("certificate")), "[{https a.pem} {hl7 mllp b.pem} {atna e.pem}]"; got != want {
		t.Errorf("certificates: %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(c.valuesOf("ca")), "[{hl7 mllp c.pem} {witness siem d.pem}]"; got != want {
		t.Errorf("authorities: %s, want %s", got, want)
	}
}

// TestDoctorMeasuresTheDisk: a folder that can be written to has a figure and keeps nothing; one that
// cannot is a failure.
func TestDoctorMeasuresTheDisk(t *testing.T) {
	dir := t.TempDir()
	if f := examineSync(dir); !strings.Contains(f.What, "durable after") {
		t.Errorf("%+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	wantFinding(t, []admin.Finding{examineSync(dir + "/gone")}, "disk", "fsync", health.Fail, "does not take a write")
}
