package modemsim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// served is a network with one modem behind its HTTP side.
func served(t *testing.T) (*Network, *Modem, func(method, path, body string) (int, string)) {
	t.Helper()
	n, err := NewNetwork(NetworkOptions{Latency: -1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.AddModem(ModemOptions{Name: "modem1"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(n.Handler())
	t.Cleanup(func() {
		server.Close()
		n.Close()
	})
	return n, m, func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl -d does
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
}

// keys lists the keys of each object of a JSON list, and the objects.
func objects(t *testing.T, body string) []map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return list
}

func TestHTTPMessages(t *testing.T) {
	n, m, do := served(t)
	if status, body := do("GET", "/handsets/+16175551234/messages", ""); status != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("a new handset: %d %s", status, body)
	}
	h := newHost(t, m)
	h.ask("ATE0")
	vp := byte(0)
	s := plain("Your code is 482917")
	s.PID = 0x41
	h.send(s, &vp)
	texts(t, n, 1)
	for _, path := range []string{"/handsets/+16175551234/messages", "/handsets/%2B16175551234/messages"} {
		status, body := do("GET", path, "")
		list := objects(t, body)
		if status != 200 || len(list) != 1 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		at, err := time.Parse(time.RFC3339, list[0]["at"].(string))
		if err != nil || time.Since(at) > time.Minute {
			t.Errorf("at: %v, %v", list[0]["at"], err)
		}
		delete(list[0], "at")
		want := map[string]any{"from": m.Number(), "text": "Your code is 482917", "parts": 1.0, "pid": 65.0, "validity": 300.0, "class": nil, "modem": "modem1"}
		if !reflect.DeepEqual(list[0], want) {
			t.Errorf("%v, want %v", list[0], want)
		}
	}
	if status, body := do("POST", "/handsets/+16175551234/messages", `{"text":"STOP"}`); status != 202 {
		t.Errorf("reply: %d %s", status, body)
	}
	h.ask("AT+CNMI=2,1")
	for deadline := time.Now().Add(5 * time.Second); ; {
		if strings.Contains(h.ask("AT+CMGL=4"), "+CMGL: 1,") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the reply did not arrive")
		}
	}
}

func TestHTTPHandsetChangesOnlyWhatIsGiven(t *testing.T) {
	n, _, do := served(t)
	if status, body := do("PUT", "/handsets/+16175551234", `{"answers":true,"presses":"1"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := do("PUT", "/handsets/+16175551234", `{"on":false,"no_receipts":true}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got, want := n.Handset(patient).State(), (HandsetState{Answers: true, Presses: "1", NoReceipts: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	_, body := do("GET", "/handsets", "")
	if list := objects(t, body); len(list) != 1 || list[0]["number"] != patient || list[0]["on"] != false {
		t.Errorf("%s", body)
	}
	if status, body := do("POST", "/handsets/+16175551234/messages", `{"text":"hi"}`); status != 400 || !strings.Contains(body, "switched off") {
		t.Errorf("a reply from a handset that is off: %d %s", status, body)
	}
	if _, body := do("GET", "/handsets/+16175551234/calls", ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("calls: %s", body)
	}
}

func TestHTTPCalls(t *testing.T) {
	n, _, do := served(t)
	h := n.Handset(patient)
	n.mu.Lock()
	h.ended(Call{At: time.Now(), Answered: true, Seconds: Duration(12500 * time.Millisecond)}, nil)
	n.mu.Unlock()
	_, body := do("GET", "/handsets/+16175551234/calls", "")
	list := objects(t, body)
	if len(list) != 1 || list[0]["answered"] != true || list[0]["seconds"] != 12.5 || list[0]["wav"] != "" || list[0]["at"] == nil {
		t.Errorf("%s", body)
	}
}

func TestHTTPModems(t *testing.T) {
	_, m, do := served(t)
	if status, body := do("PUT", "/modems/modem1", `{"faults":{"silence":2},"latency":0.1}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if m.Faults().Silence != 2 || m.State().Latency != Duration(100*time.Millisecond) {
		t.Errorf("%+v", m.State())
	}
	if status, _ := do("PUT", "/modems/modem1", `{"latency":"250ms"}`); status != 200 || m.Faults().Silence != 2 {
		t.Error("latency alone changed the faults")
	}
	_, body := do("GET", "/modems", "")
	if list := objects(t, body); len(list) != 1 || list[0]["name"] != "modem1" || list[0]["latency"] != 0.25 || list[0]["registered"] != true {
		t.Errorf("%s", body)
	}
	if status, _ := do("PUT", "/modems/none", `{}`); status != 404 {
		t.Errorf("a modem that is not there: %d", status)
	}
}

func TestHTTPRefusesWithThePlace(t *testing.T) {
	_, _, do := served(t)
	for _, v := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"PUT", "/handsets/+16175551234", "{\"on\":true,\n  \"colour\":1}", 400, "line 2, column 3: unknown field \\\"colour\\\""},
		{"PUT", "/handsets/+16175551234", `{"on":1}`, 400, `\"on\" cannot be a number`},
		{"PUT", "/handsets/+16175551234", `{"on":true`, 400, "line 1"},
		{"PUT", "/handsets/+16175551234", `{"on":true} x`, 400, "more than one value"},
		{"PUT", "/handsets/+16175551234", ``, 400, "too early"},
		{"PUT", "/handsets/+16175551234", `{"presses":"abc"}`, 400, "presses"},
		{"PUT", "/handsets/+16175551234", `{"presses":"` + strings.Repeat("1", maxRequest) + `"}`, 413, "longer"},
		{"PUT", "/handsets/abc", `{}`, 400, "number"},
		{"GET", "/handsets/+1/messages", ``, 400, "number"},
		{"POST", "/handsets/+16175551234/messages", `{"text":""}`, 400, "empty"},
		{"POST", "/handsets/+16175551234/messages", `{"txt":"x"}`, 400, "column 2: unknown field"},
		{"PUT", "/modems/modem1", `{"faults":{"reboot_at":"noon"}}`, 400, "moment"},
		{"PUT", "/modems/modem1", `{"faults":{"nonsense":1}}`, 400, "nonsense"},
		{"PUT", "/modems/modem1", `{"latency":-1}`, 400, "range"},
		{"DELETE", "/handsets/+16175551234", ``, 405, "Method"},
		{"GET", "/nowhere", ``, 404, "not found"},
	} {
		status, body := do(v.method, v.path, v.body)
		if status != v.status || !strings.Contains(body, v.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", v.method, v.path, status, body, v.status, v.says)
		}
	}
}

func TestPageShowsTextsAndTakesForms(t *testing.T) {
	n, m, do := served(t)
	h := newHost(t, m)
	h.ask("ATE0")
	h.send(plain("<b>482917</b>"), nil)
	texts(t, n, 1)
	status, body := do("GET", "/", "")
	if status != 200 || !strings.Contains(body, "&lt;b&gt;482917") || !strings.Contains(body, "&#43;16175551234") || !strings.Contains(body, "modem1") {
		t.Errorf("%d %s", status, body)
	}
	form := url.Values{"number": {patient}, "on": {"on"}, "presses": {"2"}}
	if status, body := do("POST", "/page/handset", form.Encode()); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	if got, want := n.Handset(patient).State(), (HandsetState{On: true, Presses: "2"}); got != want {
		t.Errorf("%+v", got)
	}
	form = url.Values{"number": {patient}, "text": {"YES"}}
	if status, _ := do("POST", "/page/reply", form.Encode()); status != 303 {
		t.Errorf("reply: %d", status)
	}
	form.Set("number", "nobody")
	if status, _ := do("POST", "/page/reply", form.Encode()); status != 400 {
		t.Errorf("a reply from nobody: %d", status)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	n, _, _ := served(t)
	r := httptest.NewRequest("PUT", "/handsets/+16175551234", strings.NewReader(`{"on":false}`))
	r.Header.Set("Origin", "https://elsewhere.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !n.Handset(patient).State().On {
		t.Errorf("status %d, handset %+v", w.Code, n.Handset(patient).State())
	}
}
