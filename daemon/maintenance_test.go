package daemon

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pinward/daemon/alarm"
	"pinward/daemon/outbox"
	"pinward/hl7"
	"pinward/modem/modemsim"
	"pinward/store"
)

func (f *flow) maintain(d time.Duration) {
	f.t.Helper()
	f.must(f.store.Update(f.t.Context(), store.Actor{Kind: store.KindUser, ID: "it"}, func(tx *store.Tx) error {
		return f.beginMaintenance(tx, tx.Now().Add(d), "new antenna")
	}))
	f.must(f.store.View(f.t.Context(), f.resumeMaintenance))
}

// asks is what the HTTPS door says to a request.
func (f *flow) asks(method, path string) *http.Response {
	f.box.house.Store(f.house)
	defer f.box.house.Store(nil) // the flow's own is the one that is closed
	if f.box.decided == nil {
		f.box.state.Store(&State{Name: Open})
		f.box.decided = make(chan struct{})
		close(f.box.decided)
	}
	w := httptest.NewRecorder()
	f.box.serveHTTPS(w, httptest.NewRequest(method, "https://pinward.test"+path, nil))
	return w.Result()
}

// In maintenance nothing new is taken: portals and FHIR get 503 with Retry-After and what tells them so, desks a
// page, engines a closed connection; monitors are answered, and so is who checks a code at the desk.
func TestFlowMaintenanceTakesNothingNew(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.maintain(2 * time.Minute)
		for _, c := range []struct {
			method, path, kind, says, retry string
			status                          int
		}{
			{"POST", "/v1/verifications", "application/problem+json", `"the box is in maintenance"`, "120", 503},
			{"POST", "/v2/Services/VA0/Verifications", "application/problem+json", `"status":503`, "120", 503},
			{"GET", "/fhir/r4/metadata", "application/fhir+json; charset=utf-8", `"OperationOutcome"`, "120", 503},
			{"GET", "/readyz", "text/plain; charset=utf-8", "not ready: maintenance until ", "120", 503},
			{"POST", "/verifications", "text/html; charset=utf-8", "No new codes until", "120", 503},
			{"POST", "/verifications/VE1/resend", "text/html; charset=utf-8", "No new codes until", "120", 503},
			{"GET", "/healthz", "", "ok", "", 200},
			{"GET", "/metrics", "", "pinward_alarms", "", 200},
			{"GET", "/downtime", "text/html; charset=utf-8", "Downtime form", "", 200},
			{"POST", "/verifications/VE1/check", "", "", "", 303}, // to the login: it is the desk's as ever
		} {
			resp := f.asks(c.method, c.path)
			body, err := io.ReadAll(resp.Body)
			f.must(err)
			if resp.StatusCode != c.status || resp.Header.Get("Retry-After") != c.retry || c.kind != "" && resp.Header.Get("Content-Type") != c.kind || !strings.Contains(string(body), c.says) {
				t.Errorf("%s %s: %d, Retry-After %q, %s: %.200s", c.method, c.path, resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header.Get("Content-Type"), body)
			}
		}
		f.box.house.Store(f.house)
		if _, err := f.box.mllpHandler("mllp")(f.t.Context(), hl7.Peer{}, []byte("MSH|^~\\&|")); !errors.Is(err, errMaintenance) {
			t.Errorf("HL7: %v", err)
		}
		f.box.house.Store(nil)
		time.Sleep(2 * time.Minute)
		if resp := f.asks("POST", "/v1/verifications"); resp.StatusCode != 401 {
			t.Errorf("after its end: %d", resp.StatusCode)
		}
	})
}

// What was accepted before goes on in maintenance: a code that waits for a modem leaves, and a check of it by
// the verbs holds.
func TestFlowMaintenanceDrains(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		v, err := f.start()
		f.must(err)
		f.maintain(time.Hour)
		got := f.texts(1, time.Minute)
		f.state(v, outbox.Delivered, time.Minute)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code is wrong")
		}
		f.must(f.store.View(f.t.Context(), func(tx *store.Tx) error {
			m, err := f.describeMaintenance(tx)
			if !m.On || m.Waiting+m.OnAir != 0 || m.By != "it" || m.Reason != "new antenna" {
				t.Errorf("it stands %+v", m)
			}
			return err
		}))
	})
}

// It outlives a restart, ends by itself at its hour, and both ends are entries.
func TestFlowMaintenanceOutlivesARestart(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.maintain(10 * time.Minute)
		f.close()
		f.open()
		if f.inMaintenance() == nil {
			t.Fatal("it is over after a restart")
		}
		time.Sleep(10*time.Minute + 10*time.Second)
		if f.inMaintenance() != nil || f.planned.Load() != nil {
			t.Error("it did not end")
		}
		if on, off := f.entries(actMaintenance), f.entries(actMaintenanceEnd); len(on) != 1 || len(off) != 1 {
			t.Errorf("%d begun, %d ended", len(on), len(off))
		}
		f.maintain(2 * time.Second)
		time.Sleep(3 * time.Second) // over, and perhaps not written down yet
		f.maintain(10 * time.Minute)
		if n := len(f.entries(actMaintenanceEnd)); n != 2 {
			t.Errorf("%d ended", n)
		}
		f.close()
		time.Sleep(time.Hour) // the box was off when it ended
		f.open()
		time.Sleep(10 * time.Second)
		if f.inMaintenance() != nil || len(f.entries(actMaintenanceEnd)) != 3 {
			t.Error("it did not end while the box was off")
		}
	})
}

// Nobody is told of alarms in maintenance; what still stands afterwards is told then.
func TestFlowMaintenanceSilencesAlarms(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.alarmPolicy(nil)
		f.maintain(30 * time.Minute)
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		time.Sleep(29 * time.Minute)
		if a := f.openAlarms(); len(a) != 1 || a[0].Path != "modems/m1" || len(f.textsOf(onCallNight)) != 0 {
			t.Errorf("alarms %+v, texts %q", a, f.textsOf(onCallNight))
		}
		f.until("it is told afterwards", 5*time.Minute, func() bool { return len(f.textsOf(onCallNight)) == 1 })
	})
}

// One that would never end, or has ended, is refused; a second one changes the end of the first.
func TestFlowMaintenanceIsBounded(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		for _, d := range []time.Duration{-time.Minute, 0, 73 * time.Hour} {
			err := f.store.Update(f.t.Context(), self, func(tx *store.Tx) error { return f.beginMaintenance(tx, tx.Now().Add(d), "") })
			if err == nil || f.inMaintenance() != nil {
				t.Errorf("%v: %v", d, err)
			}
		}
		f.maintain(time.Hour)
		from := f.inMaintenance().From
		time.Sleep(time.Minute)
		f.maintain(2 * time.Hour)
		if m := f.inMaintenance(); !m.From.Equal(from) || time.Until(m.Until) < 119*time.Minute {
			t.Errorf("it is %+v", m)
		}
		f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error { return endMaintenance(tx, "operator") }))
		f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
			return errors.Join(endMaintenance(tx, "operator"), alarm.Judge(tx, nil)) // nothing to end is no change
		}))
	})
}
