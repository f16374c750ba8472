package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"pinward/daemon/access"
)

// FuzzJSON: whatever a client sends, the answer is a request taken or a problem that names a place,
// never trouble of ours.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"service":"patient-signup","to":"+16175551234"}`, `{"service":"patient-signup","to":"6175551234","subject":{"mrn":"1"}}`,
		`{"service":"lab-release","to":"+16175551234","reference":"r","amount":9223372036854775808}`, `{"to":1e999}`, `{"to":{"to":{"to":[]}}}`,
		`[`, `nul`, `{"":""}`, `{"\u0000":1}`, `{"to":"\ud800"}`, "{\"to\":\"\xff\"}", `{"service":"billing","amount":-1}`, `{"a":1}{"b":2}`,
		strings.Repeat(`{"subject":`, 50), strings.Repeat("[", 20000), `{"subject":null,"slots":null}`, `{"to":"a","TO":"b"}`,
	} {
		f.Add([]byte(s))
	}
	b := newBox(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		b.T = t
		for _, path := range []string{"/v1/verifications", "/v1/verifications/VE0/check", "/v1/notices", "/v1/verifications/VE0/cancel"} {
			a := b.call(access.Portal, "POST", path, string(body))
			if a.Code == 500 || a.Code < 200 {
				t.Errorf("%s: %d %s", path, a.Code, b.log)
			}
			if a.Code >= 400 && !json.Valid(a.Body.Bytes()) || !utf8.Valid(a.Body.Bytes()) {
				t.Errorf("%s: answer is no JSON: %s", path, a.Body)
			}
		}
	})
}

// FuzzForm is FuzzJSON for the other shape, path and query included.
func FuzzForm(f *testing.F) {
	for _, s := range [][3]string{
		{"/Verifications", "To=%2B16175551234&Channel=sms", ""},
		{"/VerificationCheck", "To=%2B16175551234&Code=123456", ""},
		{"/Verifications/%2B16175551234", "Status=canceled", ""},
		{"/Verifications", "To=%zz;&Channel=sms&Amount=1.5&Payee=x", ""},
		{"/Verifications", "To=%2B1617555\x00&Channel=call&Locale=%ff&DeviceIp=::", ""},
		{"/VerificationCheck", "VerificationSid=VE&Code=%00", ""},
		{"", "", "PageSize=9999999999999999999&Page=-0"},
		{"/../../Attempts", "", "ChannelData.To=%2B16175551234&DateCreatedAfter=x"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	b := newBox(f)
	f.Fuzz(func(t *testing.T, path, body, query string) {
		b.T = t
		for _, method := range []string{"GET", "POST"} {
			r := b.formRequest(method, "/v2")
			r.URL.Path = "/v2/Services/" + serviceOf(t, "patient-signup").SID + path
			r.URL.RawQuery = query
			r.Body = httptest.NewRequest("POST", "/", strings.NewReader(body)).Body
			a := b.ask(r)
			if a.Code == 500 || a.Code < 200 {
				t.Errorf("%s: %d %s", method, a.Code, b.log)
			}
			if a.Code >= 400 {
				if m := a.json(); m["status"] != float64(a.Code) {
					t.Errorf("%s: %d and %v", method, a.Code, m)
				}
			}
		}
	})
}

// FuzzFHIR: whatever comes as a resource, a search or a condition, the answer is R4 and never trouble of
// ours; a request that was taken can be read again.
func FuzzFHIR(f *testing.F) {
	for _, s := range [][3]string{
		{toJSON(f, wanted()), "identifier=urn:x|1", "status=completed&_count=2"},
		{toJSON(f, wanted("identifier", []any{fields{"system": "urn:x", "value": "1"}}, "occurrencePeriod", fields{"start": "2026-11-22", "end": "2026"})), "identifier=urn:x|1", "date=ge2026-11&date=lt2027-01-01T00:00:00+01:00"},
		{toJSON(f, wanted("contained", []any{fields{"resourceType": "Patient", "id": "p", "telecom": []any{fields{"system": "sms", "value": "6175552222", "rank": 1}}}}, "subject", fields{"reference": "#p"})), "", "patient:identifier=urn:oid:1.2|3&agent.identifier=x"},
		{toJSON(f, wanted("payload", []any{fields{"contentString": "Riverside: You have a new document in your portal: https://portal.example.org/ Reply STOP to opt out."}})), "", "_cursor=7&_count=999999"},
		{`{"resourceType":"CommunicationRequest","status":"revoked","id":"x","_status":{"id":"1"},"note":[null]}`, "%zz", "based-on=Communication/1,2&based-on:identifier=|"},
		{`{"resourceType":"CommunicationRequest","contained":[{"resourceType":"RelatedPerson","patient":{}}],"subject":{"reference":"#"},"recipient":[{}]}`, "?", "date=9999-12-31T23:59:60Z&patient.identifier=|"},
		{"{\"resourceType\":\"CommunicationRequest\",\"text\":{\"div\":\"\\ud800\"},\"payload\":[{\"contentString\":\"a?%\"}]}", "", "date=0000&_format=json&_pretty=true"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	b := fhirBox(f)
	f.Fuzz(func(t *testing.T, body, condition, query string) {
		b.T = t
		fine := func(a answer) answer {
			t.Helper()
			if a.Code == 500 || a.Code < 200 {
				t.Errorf("%d %s", a.Code, b.log)
			}
			return a
		}
		header := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, condition)
		a := fine(b.fhir(access.Engine, "POST", "/CommunicationRequest", body, "If-None-Exist", header))
		if a.Code == 201 || a.Code == 200 {
			id := a.str("id")
			fine(b.fhir(access.Engine, "GET", "/CommunicationRequest/"+id, nil)).want(200)
			fine(b.fhir(access.Engine, "PUT", "/CommunicationRequest/"+id, body))
			fine(b.fhir(access.Engine, "GET", "/Communication/"+id, nil)).want(200)
		}
		role := []access.Role{access.Engine, access.Engine, access.Auditor}[len(query)%3]
		r := b.request(role, "GET", fhirBase+[]string{"/Communication", "/Consent", "/AuditEvent"}[len(query)%3], nil)
		r.URL.RawQuery = query
		fine(b.r4(r))
	})
}
