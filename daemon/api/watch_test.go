package api

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"pinward/daemon/access"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// planted are values that must show up nowhere but in the answer to whoever gave them.
var planted = struct{ number, national, mrn, reference, behalf, key string }{
	"+16175558431", "617-555-8431", "PLANTEDMRN77", "plantedref-93", "planted.person", "plantedkey8231",
}

// busyBox is a box on which much has happened, all with planted values; it returns the codes too.
func busyBox(t *testing.T) (*box, []string) {
	b := newBox(t)
	var codes []string
	start := fields{"service": "patient-signup", "to": planted.national, "reference": planted.reference, "on_behalf_of": planted.behalf,
		"subject": fields{"mrn": planted.mrn}}
	a := b.keyed(planted.key, "POST", "/v1/verifications", start).want(201)
	codes = append(codes, b.Code())
	check := "/v1/verifications/" + a.str("id") + "/check"
	b.call(access.Portal, "POST", check, fields{"code": outboxtest.Wrong(codes[0]), "reference": planted.reference}).want(200)
	b.call(access.Portal, "POST", check, fields{"code": codes[0], "reference": planted.reference}).want(200)
	b.form("POST", b.path("patient-signup", "/Verifications"), "To", planted.number, "Channel", "sms").want(201)
	codes = append(codes, b.Code())
	b.form("POST", b.path("patient-signup", "/VerificationCheck"), "To", planted.number, "Code", codes[1]).want(200)
	return b, codes
}

func (b *box) refusals(codes []string) []answer {
	start := b.path("patient-signup", "/Verifications")
	return []answer{
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "nope", "to": planted.number}),
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": planted.number + "0000000"}),
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": planted.number, planted.number: "x"}),
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": []string{planted.number}}),
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": planted.number, "subject": planted.mrn}),
		b.call(access.Portal, "POST", "/v1/verifications", `{"to":"`+planted.number+`","to":"`+planted.number+`","service":"patient-signup"}`),
		b.call(access.Portal, "POST", "/v1/verifications", `{"to":"`+planted.number),
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "lab-release", "to": planted.number, "reference": planted.reference, "subject": fields{"mrn": planted.mrn}}),
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": planted.number, "end_user_address": planted.mrn}),
		b.call(access.Portal, "POST", "/v1/verifications/"+codes[0]+"/check", fields{"code": codes[0]}),
		b.call(access.Portal, "POST", "/v1/verifications/VE0/check", fields{"code": codes[0], codes[0]: 1}),
		b.call(access.Portal, "POST", "/v1/notices", fields{"template": "appointment.reminder", "to": planted.number, "slots": fields{planted.mrn: planted.mrn, "site": planted.number}}),
		b.call(access.Portal, "GET", "/v1/messages?cursor="+planted.mrn, nil),
		b.call(access.Nurse, "GET", "/v1/contacts?mrn="+planted.mrn, nil),
		b.call(access.Portal, "GET", "/v1/"+planted.mrn, nil),
		b.keyed(planted.key, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": otherNumber}),
		b.form("POST", start, "To", planted.national, "Channel", "sms"),
		b.form("POST", start, "To", planted.number+"0000000", "Channel", "sms"),
		b.form("POST", start, "To", planted.number, "Channel", planted.mrn),
		b.form("POST", start, "To", planted.number, "Channel", "sms", "Locale", planted.mrn),
		b.form("POST", start, "To", planted.number, "Channel", "sms", "Amount", planted.mrn),
		b.form("POST", start, "To", planted.number+"\n", "Channel", "sms", planted.number, "\x00"),
		b.form("POST", b.path("patient-signup", "/VerificationCheck"), "To", planted.number, "Code", codes[1]),
		b.form("POST", start+"/"+planted.number, "Status", planted.mrn),
		b.form("GET", start+"/"+planted.national),
		b.form("GET", "/v2/Attempts?ChannelData.To="+planted.national),
		b.form("GET", "/v2/Services?PageSize="+planted.mrn),
	}
}

func wantClean(t *testing.T, what, s string, codes []string) {
	t.Helper()
	for _, v := range append([]string{planted.number, planted.number[2:], planted.national, planted.mrn, planted.reference, planted.behalf, planted.key}, codes...) {
		if strings.Contains(s, v) {
			t.Errorf("%s holds a planted value: %s", what, s)
		}
	}
}

// TestNothingPlantedGetsOut: no error and no log line holds a code, a number, a patient or a key.
func TestNothingPlantedGetsOut(t *testing.T) {
	b, codes := busyBox(t)
	for i, a := range b.refusals(codes) {
		if a.Code < 400 {
			t.Errorf("refusal %d is %d", i, a.Code)
		}
		wantClean(t, fmt.Sprintf("error %d", i), a.Body.String()+fmt.Sprint(a.Header()), codes)
	}
	// Trouble of ours is logged, and by its kind alone: a table of this store no longer opens.
	b.Do(func(tx *store.Tx) error { return outbox.Pause(tx, outbox.OTP) })
	b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": planted.number}).problem(503, "busy")
	wantClean(t, "log", b.log.String(), codes)
}

// TestMetricsHoldNoPHI: counters by route, and not a value of a request.
func TestMetricsHoldNoPHI(t *testing.T) {
	b, codes := busyBox(t)
	b.refusals(codes)
	b.ask(httptest.NewRequest("GET", "/v1/verifications/"+planted.mrn, nil))
	b.ask(httptest.NewRequest("GET", "/"+planted.mrn, nil))
	a := b.ask(httptest.NewRequest("GET", "/metrics", nil)).want(200)
	text := a.Body.String()
	wantClean(t, "metrics", text, codes)
	for _, want := range []string{
		`pinward_http_requests_total{class="2xx",route="POST /v1/verifications"}`,
		`pinward_http_requests_total{class="4xx",route="POST /v2/Services/{service}/Verifications"}`,
		`pinward_http_request_seconds_count{route="POST /v1/verifications/{id}/check"}`,
		`pinward_modem_ready{carrier="north",modem="m1"} 1`, `pinward_queue_depth{lane="otp"} 0`, `pinward_on_air{lane="bulk"} 0`,
		`pinward_build_info{version="test"} 1`, `pinward_health 2`, `pinward_audit_entries_total `, `go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for line := range strings.Lines(text) {
		for _, id := range []string{"VE", "SM", "AC"} {
			if i := strings.Index(line, id); i >= 0 && len(line) > i+34 && !strings.ContainsAny(line[i:i+34], ` {}"`) {
				t.Errorf("an id is a label: %s", line)
			}
		}
	}
}

// TestMetricsOddCarrier: what a network calls itself cannot break a scrape.
func TestMetricsOddCarrier(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "\xff\"\n", Ready: true})
	})
	if a := b.ask(httptest.NewRequest("GET", "/metrics", nil)).want(200); !strings.Contains(a.Body.String(), `pinward_modem_ready`) {
		t.Errorf("metrics are %s", a.Body)
	}
}

// TestReady: readyz tells what a start would meet, a line for each check, and no cause.
func TestReady(t *testing.T) {
	b := newBox(t)
	ready := func() answer { return b.ask(httptest.NewRequest("GET", "/readyz", nil)) }
	const checks = "pinward: ok\npinward/store: ok\npinward/modems: warn\n"
	if a := ready().want(200); a.Body.String() != "ready\n"+checks {
		t.Errorf("readyz says %q", a.Body)
	}
	b.Do(func(tx *store.Tx) error { return b.Report(tx, false) })
	if a := ready().want(503); a.Body.String() != "not ready: a code would not be accepted now\n"+checks {
		t.Errorf("readyz says %q", a.Body)
	}
	if a := b.ask(httptest.NewRequest("GET", "/healthz", nil)).want(200); a.Body.String() != "ok\n" {
		t.Errorf("healthz says %q", a.Body)
	}
}
