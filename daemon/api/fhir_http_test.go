package api

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pinward/daemon/access"
)

// TestFHIRFormats: JSON in the forms that R4 knows, and nothing else.
func TestFHIRFormats(t *testing.T) {
	b := fhirBox(t)
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	path := "/CommunicationRequest/" + id
	for _, accept := range []string{"application/fhir+json", "application/json", "text/html, application/*;q=0.2", "*/*", "application/fhir+json; fhirVersion=4.0"} {
		b.fhir(access.Engine, "GET", path, nil, "Accept", accept).want(200)
	}
	for _, accept := range []string{"application/fhir+xml", "text/html", "application/fhir+json; fhirVersion=3.0"} {
		b.fhir(access.Engine, "GET", path, nil, "Accept", accept).refused(406, "not-supported", "http.Accept")
	}
	b.fhir(access.Engine, "GET", path+"?_format=json", nil, "Accept", "application/fhir+xml").want(200)
	b.fhir(access.Engine, "GET", path+"?_format=application/fhir+json", nil).want(200)
	b.fhir(access.Engine, "GET", path+"?_format=xml", nil).refused(406, "not-supported", "http.Accept")
	if a := b.fhir(access.Engine, "GET", path+"?_pretty=true", nil).want(200); !strings.Contains(a.Body.String(), "\n  \"status\"") {
		t.Errorf("not pretty: %s", a.Body)
	}
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(), "Content-Type", "application/json").want(201)
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(), "Content-Type", "application/fhir+xml").refused(415, "not-supported", "http.Content-Type")
	b.fhir(access.Nurse, "POST", "/Consent/_search", "{}").refused(415, "not-supported", "http.Content-Type")
	b.fhir(access.Engine, "POST", "/CommunicationRequest", strings.Repeat(" ", maxBody+1)).refused(413, "too-long", "")
}

// TestFHIRVersions: entity tags, conditional reads, and the one version that is kept.
func TestFHIRVersions(t *testing.T) {
	b := fhirBox(t)
	a := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201)
	path := "/CommunicationRequest/" + a.str("id")
	for name, header := range map[string][2]string{
		"weak": {"If-None-Match", `W/"1"`}, "strong": {"If-None-Match", `"1"`}, "list": {"If-None-Match", `W/"7", W/"1"`},
		"since": {"If-Modified-Since", a.Header().Get("Last-Modified")},
	} {
		got := b.fhir(access.Engine, "GET", path, nil, header[0], header[1]).want(304)
		if got.Body.Len() > 0 || got.Header().Get("ETag") != `W/"1"` {
			t.Errorf("%s: %v %s", name, got.Header(), got.Body)
		}
	}
	b.fhir(access.Engine, "GET", path, nil, "If-None-Match", `W/"2"`).want(200)
	b.fhir(access.Engine, "GET", path+"/_history/1", nil).want(200)
	b.fhir(access.Engine, "GET", path+"/_history/2", nil).refused(404, "not-found", "")
	for prefer, want := range map[string]string{"return=minimal": "", "return=OperationOutcome": "OperationOutcome", "return=representation": "CommunicationRequest"} {
		got := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(), "Prefer", prefer).want(201)
		if got.Header().Get("Location") == "" || got.Header().Get("ETag") == "" || want == "" && got.Body.Len() > 0 || want != "" && got.str("resourceType") != want {
			t.Errorf("%s: %v %s", prefer, got.Header(), got.Body)
		}
	}
	one := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(), "Idempotency-Key", "k").want(201)
	two := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(), "Idempotency-Key", "k").want(201)
	if one.str("id") != two.str("id") || two.Header().Get("Idempotency-Replayed") != "true" || two.Header().Get("Location") != one.Header().Get("Location") {
		t.Errorf("replayed: %v %s", two.Header(), two.Body)
	}
}

// TestFHIRErrors: each error is an OperationOutcome with its code, and a path that is not is one too.
func TestFHIRErrors(t *testing.T) {
	b := fhirBox(t)
	nobody := httptest.NewRequest("GET", "https://pinward.test/fhir/r4/Communication", nil)
	if a := b.r4(nobody).refused(401, "login", ""); a.Header().Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	b.fhir(access.Operator, "POST", "/CommunicationRequest", wanted()).refused(403, "forbidden", "")
	b.fhir(access.Portal, "GET", "/AuditEvent", nil).refused(403, "forbidden", "")
	b.fhir(access.Portal, "GET", "/Consent?patient.identifier=1", nil).refused(403, "forbidden", "")
	b.fhir(access.Engine, "GET", "/Patient/1", nil).refused(404, "not-found", "")
	b.fhir(access.Engine, "GET", "/CommunicationRequest/SM0", nil).refused(404, "not-found", "")
	if a := b.fhir(access.Engine, "DELETE", "/CommunicationRequest/SM0", nil).refused(405, "not-supported", ""); a.Header().Get("Allow") != "GET, PUT" {
		t.Errorf("Allow: %q", a.Header().Get("Allow"))
	}
	// A notice that came by another way is a Communication, and no CommunicationRequest.
	id := b.call(access.Engine, "POST", "/v1/notices", fields{"template": "result.ready", "to": patientNumber, "slots": fields{"link": "https://portal.example.org/"}}).want(201).str("id")
	b.fhir(access.Engine, "GET", "/CommunicationRequest/"+id, nil).refused(404, "not-found", "")
	if a := b.fhir(access.Engine, "GET", "/Communication/"+id, nil).want(200); a.json()["basedOn"] != nil {
		t.Errorf("based on nothing: %s", a.Body)
	}
	b.fhir(access.Portal, "GET", "/Communication/"+id, nil).refused(404, "not-found", "")
}

// TestFHIRStructure: what is no R4 is told by its path, all at once, without a value.
func TestFHIRStructure(t *testing.T) {
	b := fhirBox(t)
	const cr = "CommunicationRequest"
	for name, c := range map[string]struct{ body, code, at string }{
		"no JSON":            {`{"resourceType":"CommunicationRequest"`, "structure", ""},
		"two objects":        {toJSON(t, wanted()) + `{}`, "structure", ""},
		"no object":          {`[]`, "structure", ""},
		"no UTF-8":           {"{\"resourceType\":\"\xff\"}", "structure", ""},
		"twice":              {`{"resourceType":"CommunicationRequest","status":"active","status":"revoked"}`, "structure", ""},
		"deep":               {strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "structure", ""},
		"another type":       {`{"resourceType":"Patient"}`, "invalid", ""},
		"no type":            {`{"status":"active"}`, "invalid", ""},
		"no status":          {toJSON(t, wanted("status", nil)), "required", cr + ".status"},
		"unknown status":     {toJSON(t, wanted("status", "SECRET")), "code-invalid", cr + ".status"},
		"unknown element":    {toJSON(t, wanted("SECRET", 1)), "structure", cr},
		"of another version": {toJSON(t, wanted("intent", "order")), "structure", cr},
		"null":               {toJSON(t, wanted("note", []any{})), "structure", cr + ".note"},
		"empty string":       {toJSON(t, wanted("priority", "")), "value", cr + ".priority"},
		"no list":            {toJSON(t, wanted("payload", fields{"contentString": "SECRET"})), "structure", cr + ".payload"},
		"wrong type":         {toJSON(t, wanted("doNotPerform", "SECRET")), "structure", cr + ".doNotPerform"},
		"no zone":            {toJSON(t, wanted("occurrenceDateTime", "2026-12-01T10:00:00")), "value", cr + ".occurrenceDateTime"},
		"nested":             {toJSON(t, wanted("subject", fields{"identifier": fields{"SECRET": "1"}})), "structure", cr + ".subject.identifier"},
		"a resource within":  {toJSON(t, wanted("subject", fields{"resourceType": "Patient"})), "structure", cr + ".subject"},
		"in a list":          {toJSON(t, wanted("about", []any{fields{"reference": "Appointment/1"}, fields{"reference": 1}})), "structure", cr + ".about[1].reference"},
		"modifier extension": {toJSON(t, wanted("modifierExtension", []any{fields{"url": "x"}})), "not-supported", cr + ".modifierExtension"},
		"implicit rules":     {toJSON(t, wanted("implicitRules", "https://x")), "not-supported", cr + ".implicitRules"},
		"too long":           {toJSON(t, wanted("payload", []any{fields{"contentString": strings.Repeat("SECRET", 500)}})), "too-long", cr + ".payload[0].contentString"},
		"too many":           {toJSON(t, wanted("about", slices.Repeat([]any{fields{"reference": "Appointment/1"}}, 100))), "too-long", cr + ".about"},
	} {
		a := b.fhir(access.Engine, "POST", "/CommunicationRequest", c.body)
		if a.refused(400, c.code, c.at); strings.Contains(a.Body.String(), "SECRET") {
			t.Errorf("%s: the answer repeats a value: %s", name, a.Body)
		}
	}
	both := b.fhir(access.Engine, "POST", "/CommunicationRequest", toJSON(t, wanted("status", "x", "priority", "y", "SECRET", 1)))
	for _, at := range []string{cr + ".status", cr + ".priority"} {
		both.refused(400, "code-invalid", at)
	}
	if strings.Contains(b.log.String(), "SECRET") {
		t.Error("the log repeats a value")
	}
}

// TestFHIRCapabilityStatement: what it promises is what is served, and what is served is promised.
func TestFHIRCapabilityStatement(t *testing.T) {
	b := fhirBox(t)
	a := b.r4(httptest.NewRequest("GET", "https://pinward.test/fhir/r4/metadata", nil)).want(200)
	m := a.json()
	if m["fhirVersion"] != "4.0.1" || m["kind"] != "instance" {
		t.Errorf("statement: %s", a.Body)
	}
	b.r4(httptest.NewRequest("GET", "https://pinward.test/fhir/r4/metadata?_format=xml", nil)).refused(406, "not-supported", "http.Accept")
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	asked := map[string]bool{}
	for _, res := range m["rest"].([]any)[0].(map[string]any)["resource"].([]any) {
		res := res.(map[string]any)
		name := res["type"].(string)
		for _, i := range res["interaction"].([]any) {
			code := i.(map[string]any)["code"].(string)
			asked[name+" "+code] = true
			query := ""
			if name == "Consent" {
				query = "?patient.identifier=" + patientMRN
			}
			role := map[string]access.Role{"AuditEvent": access.Auditor}[name]
			if role == "" {
				role = access.Engine
			}
			switch code {
			case "create":
				b.fhir(role, "POST", "/"+name, wanted()).want(201)
			case "read":
				b.fhir(role, "GET", "/"+name+"/"+id, nil).want(200)
			case "vread":
				b.fhir(role, "GET", "/"+name+"/"+id+"/_history/"+b.fhir(role, "GET", "/"+name+"/"+id, nil).version(), nil).want(200)
			case "update":
				b.fhir(role, "PUT", "/"+name+"/"+id, wanted("id", id)).want(200)
			case "search-type":
				b.fhir(role, "GET", "/"+name+query, nil, "Prefer", "handling=strict").want(200)
				b.fhir(role, "POST", "/"+name+"/_search", strings.TrimPrefix(query, "?"), "Content-Type", "application/x-www-form-urlencoded").want(200)
			default:
				t.Errorf("%s promises %s", name, code)
			}
		}
		params, _ := res["searchParam"].([]any)
		for _, p := range params {
			p := p.(map[string]any)
			one := map[string]string{"reference": ":identifier=urn:id:RVR%7C1", "token": "=completed", "date": "=2026"}[p["type"].(string)]
			role := access.Auditor
			if name == "Consent" {
				role = access.Engine
			}
			b.fhir(role, "GET", "/"+name+"?"+url.PathEscape(p["name"].(string))+one, nil, "Prefer", "handling=strict").want(200)
		}
	}
	for _, rt := range fhirRoutes() {
		if !asked[rt.resource+" "+rt.interaction] {
			t.Errorf("%s is served and not promised", rt.pattern)
		}
	}
}
