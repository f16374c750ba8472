package modemsim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// The list of faults is served, an unknown name is answered with where the list is, and the page shows what is set.
func TestHTTPFaults(t *testing.T) {
	_, _, do := served(t)
	_, body := do("GET", "/faults", "")
	list := objects(t, body)
	if len(list) != len(FaultList()) {
		t.Fatalf("%d faults", len(list))
	}
	for _, f := range list {
		if f["name"] == "" || f["kind"] == "" || f["about"] == "" {
			t.Errorf("%v", f)
		}
	}
	status, body := do("PUT", "/modems/modem1", `{"faults":{"sticky":true}}`)
	if status != 400 || !strings.Contains(body, `column 12: unknown field \"sticky\"; GET /faults lists the faults`) {
		t.Errorf("%d %s", status, body)
	}
	for _, bad := range []string{`{"signal":40}`, `{"give_up":1}`, `{"filter_to":"north"}`, `{"babble":1e-6}`, `{"supply_dips":-1}`, `{"echo_always":1}`} {
		if status, body := do("PUT", "/modems/modem1", `{"faults":`+bad+`}`); status != 400 {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	if status, _ := do("PUT", "/modems/modem1", `{"faults":{"filter_to":"+1617"},"sim":{"pin":"4711","pin_tries":-1}}`); status != 200 {
		t.Errorf("%d", status)
	}
	if _, page := do("GET", "/", ""); !strings.Contains(page, "filter_to&#34;:&#34;&#43;1617") || !strings.Contains(page, "SIM PUK") || !strings.Contains(page, "<code>esc_too_late</code>") {
		t.Error("the page does not show it")
	}
}

func TestFaultsAsJSON(t *testing.T) {
	var f Faults
	if err := json.Unmarshal([]byte(`{"late":0.25,"send_delay":"2s","send_errors":["ERROR"],"reboot_at":"pdu"}`), &f); err != nil {
		t.Fatal(err)
	}
	if time.Duration(f.Late) != 250*time.Millisecond || time.Duration(f.SendDelay) != 2*time.Second || f.RebootAt != AtPDU {
		t.Errorf("%+v", f)
	}
	b, err := json.Marshal(f)
	if want := `{"late":0.25,"send_errors":["ERROR"],"send_delay":2,"reboot_at":"pdu"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	for name, bad := range map[string]Faults{
		"moment": {RebootAt: "sometime"}, "registration": {Registration: 12}, "count": {Garbage: -1},
		"flood": {URCEvery: 1}, "empty result": {SendErrors: []string{""}},
	} {
		if bad.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, d := range []string{`-1`, `"-1s"`, `"soon"`, `{}`, `1e300`} {
		if json.Unmarshal([]byte(`{"late":`+d+`}`), &f) == nil {
			t.Errorf("late %s: accepted", d)
		}
	}
}
