package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/storetest"
)

// socket is the door over a real store, with the demo's owner as the caller.
func socket(t *testing.T) (*store.Store, func(method, path, body string) (int, string)) {
	t.Helper()
	s, err := store.Open(context.Background(), t.TempDir(), store.Options{Origin: "pinward/test", Keys: storetest.NewKeys(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	door := New(Options{Store: func() *store.Store { return s }, Owner: "tester", Log: slog.New(slog.DiscardHandler)})
	return s, func(method, path, body string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

// simEntries are the actions on records of SIMs, with what the last one says.
func simEntries(t *testing.T, s *store.Store) (actions []store.Action, last store.Record) {
	t.Helper()
	err := s.View(context.Background(), func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if strings.HasPrefix(string(r.Entry.Action), "sim.") {
				actions, last = append(actions, r.Entry.Action), r
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return actions, last
}

const simRecord = `{"iccid":"8901000000000000001","number":"+16175551234","owner":"IT","carrier":"Carrier A","plan":"M2M",
	"permission":{"reference":"letter 7","on":"2026-01-02T00:00:00Z","until":"2028-01-02T00:00:00Z"},
	"lanes":["otp","notice"],"per_minute":12,"per_day":-1,"renewal":"2027-06-30T00:00:00Z","port_out_lock":true,"note":"in the left slot"}`

// The whole record of a SIM is put, read back, put again without effect, and removed.
func TestPutSIM(t *testing.T) {
	s, call := socket(t)
	if code, body := call(http.MethodPut, "/sims", simRecord); code != http.StatusOK || !strings.Contains(body, `"permission":{"reference":"letter 7"`) {
		t.Fatalf("put: %d %s", code, body)
	}
	var sim outbox.SIM
	if err := s.View(t.Context(), func(tx *store.Tx) (err error) {
		sim, _, err = outbox.SIMOf(tx, "8901000000000000001")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if sim.Number.E164() != "+16175551234" || sim.Owner != "IT" || sim.PerMinute != 12 || sim.PerDay != -1 || len(sim.Lanes) != 2 ||
		!sim.PortOutLock || sim.Renewal.Year() != 2027 || sim.Permission.Until.Year() != 2028 || sim.Plan != "M2M" || sim.Note == "" {
		t.Errorf("kept as %+v, renewal %s", sim.Lanes, sim.Renewal)
	}
	if code, _ := call(http.MethodPut, "/sims", simRecord); code != http.StatusOK {
		t.Errorf("the same again: %d", code)
	}
	actions, last := simEntries(t, s)
	if len(actions) != 1 || last.Entry.Action != outbox.ActionSIMSet || last.Actor.ID != "tester" {
		t.Fatalf("entries %v by %s, want one by the caller", actions, last.Actor.ID)
	}
	for _, a := range last.Entry.Attrs {
		if strings.Contains(a.Value, "6175551234") || strings.Contains(a.Value, "left slot") {
			t.Errorf("the entry shows %s", a.Key)
		}
	}
	if code, body := call(http.MethodGet, "/sims", ""); code != http.StatusOK || strings.Count(body, `"iccid"`) != 1 {
		t.Errorf("list: %d %s", code, body)
	}
	if code, _ := call(http.MethodDelete, "/sims/8901000000000000001", ""); code != http.StatusNoContent {
		t.Errorf("remove: %d", code)
	}
	if code, body := call(http.MethodDelete, "/sims/8901000000000000001", ""); code != http.StatusNotFound || !strings.Contains(body, "no record") {
		t.Errorf("remove what is not there: %d %s", code, body)
	}
}

// What is wrong is refused with its field named, and changes nothing.
func TestPutSIMRefuses(t *testing.T) {
	s, call := socket(t)
	for name, c := range map[string]struct{ body, says string }{
		"no ICCID":            {`{"owner":"IT"}`, "iccid"},
		"unknown field":       {`{"iccid":"1","cap":3}`, "unknown field"},
		"no JSON":             {`iccid=1`, "at byte"},
		"unknown lane":        {`{"iccid":"1","lanes":["voice"]}`, "lane"},
		"cap below -1":        {`{"iccid":"1","per_day":-2}`, "caps"},
		"dates, no reference": {`{"iccid":"1","permission":{"on":"2026-01-02T00:00:00Z"}}`, "permission"},
		"ends before it is":   {`{"iccid":"1","permission":{"reference":"x","on":"2026-01-02T00:00:00Z","until":"2025-01-02T00:00:00Z"}}`, "permission"},
		"number":              {`{"iccid":"1","number":"call me"}`, "request body"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, body := call(http.MethodPut, "/sims", c.body); code != http.StatusBadRequest || !strings.Contains(body, c.says) {
				t.Errorf("%d %s, want 400 that says %q", code, body, c.says)
			}
		})
	}
	if actions, _ := simEntries(t, s); len(actions) != 0 {
		t.Errorf("entries %v", actions)
	}
}
