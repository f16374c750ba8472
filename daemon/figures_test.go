package daemon

import (
	"net/http/httptest"
	"strings"
	"testing"

	"pinward/daemon/api"
	"pinward/modem/modemsim"
)

// What an administrator graphs of a modem is on /metrics, and nothing of a number or a serial.
func TestFlowMetricsOfModems(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		v, err := f.start()
		f.must(err)
		f.state(v, "delivered", 10e9)
		f.must(f.modems[0].SwapSIM(modemsim.SIM{}))
		f.until("the swap is noticed", 120e9, func() bool { return f.status().Swapped && f.status().Ready })
		w := httptest.NewRecorder()
		api.New(api.Options{Store: f.store, Figures: f.figures, Health: f.box.Health, Log: f.log}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		body := w.Body.String()
		for _, want := range []string{
			`pinward_modem_handovers_total{modem="m1",outcome="sent"} 1`, `pinward_modem_parts_total{modem="m1"} 1`,
			`pinward_modem_trouble{modem="m1",trouble="sim-swapped"} 1`, `pinward_modem_signal_dbm{modem="m1"}`,
			`pinward_sim_budget{modem="m1",per="day"} 200`, `pinward_modem_restarts_total{by="itself",modem="m1"}`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("metrics lack %s", want)
			}
		}
		for _, secret := range []string{f.status().ICCID, f.status().IMEI, patient[2:]} {
			if strings.Contains(body, secret) {
				t.Error("metrics show a number")
			}
		}
		if strings.Contains(body, "pinward_modem_selftest{") {
			t.Error("a self-test is shown that has not been")
		}
	})
}
