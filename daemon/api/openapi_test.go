package api

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// document is the OpenAPI document as a client reads it.
type document struct {
	t    *testing.T
	root map[string]any
}

func readDocument(t *testing.T) document {
	t.Helper()
	b := newBox(t)
	a := b.ask(httptest.NewRequest("GET", "/v1/openapi.json", nil)).want(200)
	return document{t, a.json()}
}

// at walks to a member.
func (d document) at(v any, keys ...string) any {
	d.t.Helper()
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok || m[k] == nil {
			d.t.Fatalf("document has no %v", keys)
		}
		v = d.resolve(m[k])
	}
	return v
}

func (d document) resolve(v any) any {
	m, ok := v.(map[string]any)
	if !ok || m["$ref"] == nil {
		return v
	}
	return d.at(d.root, strings.Split(strings.TrimPrefix(m["$ref"].(string), "#/"), "/")...)
}

// fits says what in v does not fit a schema; it knows the words that our document uses, and fails on
// any other.
func (d document) fits(s any, v any, at string) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	schema := d.resolve(s).(map[string]any)
	for word := range schema {
		if !slices.Contains([]string{"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "format", "maxLength", "minimum", "maximum"}, word) {
			d.t.Fatalf("%s: the test does not know %q", at, word)
		}
	}
	if any, ok := schema["anyOf"].([]any); ok {
		for _, s := range any {
			if len(d.fits(s, v, at)) == 0 {
				return nil
			}
		}
		bad("fits none of anyOf")
		return faults
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		bad("%v is not in its enum", v)
	}
	switch v := v.(type) {
	case nil:
		if schema["type"] != "null" {
			bad("null, want %v", schema["type"])
		}
	case bool:
		if schema["type"] != "boolean" {
			bad("boolean, want %v", schema["type"])
		}
	case float64:
		if schema["type"] != "integer" || v != float64(int64(v)) {
			bad("number, want %v", schema["type"])
		}
	case string:
		if schema["type"] != "string" {
			bad("string, want %v", schema["type"])
		}
		if schema["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339, v); err != nil {
				bad("no date-time")
			}
		}
	case []any:
		if schema["type"] != "array" {
			bad("array, want %v", schema["type"])
			break
		}
		for i, e := range v {
			faults = append(faults, d.fits(schema["items"], e, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		if schema["type"] != "object" {
			bad("object, want %v", schema["type"])
			break
		}
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, r := range required {
			if _, there := v[r.(string)]; !there {
				bad("%v is missing", r)
			}
		}
		for k, e := range v {
			if p, known := properties[k]; known {
				faults = append(faults, d.fits(p, e, at+"."+k)...)
			} else if more, open := schema["additionalProperties"].(map[string]any); open {
				faults = append(faults, d.fits(more, e, at+"."+k)...)
			} else {
				bad("%s is not in the document", k)
			}
		}
	}
	return faults
}

// TestOpenAPIListsEveryRoute: routes, descriptions and document name the same operations, and each
// operation says what it takes.
func TestOpenAPIListsEveryRoute(t *testing.T) {
	d := readDocument(t)
	if d.root["openapi"] != "3.1.0" {
		t.Errorf("openapi is %v", d.root["openapi"])
	}
	listed := map[string]bool{}
	for path, item := range d.at(d.root, "paths").(map[string]any) {
		for method, op := range item.(map[string]any) {
			pattern := strings.ToUpper(method) + " " + path
			listed[pattern] = true
			if d.at(op, "summary") == "" {
				t.Errorf("%s has no summary", pattern)
			}
			if strings.HasPrefix(path, fhirBase) {
				d.at(op, "responses", "2XX", "content", fhirType, "schema")
				d.at(op, "responses", "default", "content", fhirType, "schema")
				continue
			}
			d.at(op, "responses", "2XX", "content", "application/json", "schema")
			d.at(op, "responses", "default", "content", "application/problem+json", "schema")
		}
	}
	for _, r := range routes() {
		if !listed[r.pattern] || descriptions[r.pattern].summary == "" {
			t.Errorf("%s is not described", r.pattern)
		}
		delete(listed, r.pattern)
		if (r.read == nil) == (r.effect == nil) {
			t.Errorf("%s is not either a read or an effect", r.pattern)
		}
	}
	for _, r := range append(fhirRoutes(), fhirRoute{route: route{pattern: "GET " + fhirBase + "/metadata", read: readRequest}}) {
		if !listed[r.pattern] {
			t.Errorf("%s is not described", r.pattern)
		}
		delete(listed, r.pattern)
		if (r.read == nil) == (r.effect == nil) {
			t.Errorf("%s is not either a read or an effect", r.pattern)
		}
	}
	if len(listed) != 0 || len(descriptions) != len(routes()) {
		t.Errorf("described and not served: %v", listed)
	}
}

// TestOpenAPIFitsAnswers asks every route for real, with answers as full as they get, and holds each
// answer and each request to the document.
func TestOpenAPIFitsAnswers(t *testing.T) {
	d, b := readDocument(t), newBox(t)
	b.Do(func(tx *store.Tx) error {
		var to contact.Phone
		if err := to.UnmarshalText([]byte(patientNumber)); err != nil {
			return err
		}
		id := contact.SubjectID{Authority: "RVR", MRN: "1"}
		if _, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, Source: "test", Phones: &[]contact.Number{{Phone: to, Use: "PRN", Equipment: "CP"}}}); err != nil {
			return err
		}
		if err := contact.Proven(tx, id, to); err != nil {
			return err
		}
		_, _, err := contact.Book(tx, contact.Appointment{ID: contact.AppointmentID{Authority: "S", Number: "A1"}, Subject: id,
			Start: tx.Now().Add(time.Hour), Status: contact.Booked, AsOf: tx.Now()})
		return err
	})
	asked := map[string]bool{}
	ask := func(role access.Role, pattern, query string, body any, ids ...string) answer {
		t.Helper()
		method, path, _ := strings.Cut(pattern, " ")
		op := d.at(d.root, "paths", path, strings.ToLower(method))
		for _, id := range ids {
			path = strings.Replace(path, "{id}", id, 1)
		}
		if body != nil {
			schema := d.at(op, "requestBody", "content", "application/json", "schema")
			for _, f := range d.fits(schema, reread(t, body), "request of "+pattern) {
				t.Error(f)
			}
		}
		a := b.call(role, method, path+query, body)
		kind, content := "2XX", "application/json"
		if a.Code >= 400 {
			kind, content = "default", "application/problem+json"
		} else {
			asked[pattern] = true
		}
		schema := d.at(op, "responses", kind, "content", content, "schema")
		for _, f := range d.fits(schema, decodeAny(t, a), pattern) {
			t.Errorf("answer %d of %s", a.Code, f)
		}
		return a
	}
	start := fields{"service": "lab-release", "to": patientNumber, "channel": "auto", "locale": "en", "reference": "order-7",
		"subject": fields{"authority": "RVR", "mrn": "1"}, "on_behalf_of": "jane", "end_user_address": "10.1.2.3", "fresh": false, "amount": 0, "payee": ""}
	id := ask(access.Portal, "POST /v1/verifications", "", start).want(201).str("id")
	ask(access.Portal, "POST /v1/verifications", "", fields{"service": "patient-signup", "to": "12"}).want(422)
	ask(access.Portal, "POST /v1/verifications/{id}/next", "", nil, id).want(200)
	code := b.Code()
	ask(access.Portal, "GET /v1/verifications/{id}", "", nil, id).want(200)
	if found := ask(access.Engine, "GET /v1/verifications", "?service=lab-release&reference=order-7", nil).want(200).str("id"); found != id {
		t.Errorf("by its reference %s is found", found)
	}
	ask(access.Engine, "GET /v1/verifications", "?service=lab-release&reference=order-8", nil).want(404)
	ask(access.Engine, "GET /v1/verifications", "?service=patient-signup&reference=order-7", nil).want(404)
	ask(access.Engine, "GET /v1/verifications", "?service=lab-release", nil).want(404)
	ask(access.Portal, "POST /v1/verifications/{id}/check", "", fields{"code": outboxtest.Wrong(code), "reference": "order-7", "amount": 0, "payee": ""}, id).want(200)
	ask(access.Portal, "POST /v1/verifications/{id}/check", "", fields{"code": code, "reference": "order-7"}, id).want(200)
	id = b.started(otherNumber)
	ask(access.Portal, "POST /v1/verifications/{id}/cancel", "", nil, id).want(200)
	n := ask(access.Portal, "POST /v1/notices", "", fields{"template": "appointment.confirm", "subject": fields{"mrn": "1"}, "locale": "es", "key": "k",
		"slots": fields{"site": "Main Street", "start": "2099-03-04T15:30:00Z"}, "send_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "expires_at": "2099-03-04T15:30:00Z", "on_behalf_of": "jane"}).want(201)
	ask(access.Portal, "GET /v1/notices/{id}", "", nil, n.str("id")).want(200)
	ask(access.Portal, "GET /v1/messages/{id}", "", nil, n.str("message")).want(200)
	ask(access.Portal, "DELETE /v1/notices/{id}", "", nil, n.str("id")).want(200)
	ask(access.Nurse, "GET /v1/messages", "?state=canceled&limit=1", nil).want(200)
	ask(access.Nurse, "GET /v1/messages", "", nil).want(200)
	ask(access.Nurse, "GET /v1/contacts", "?authority=RVR&mrn=1", nil).want(200)
	ask(access.Nurse, "POST /v1/numbers", "", fields{"to": otherNumber, "no_voice": true, "slow": true, "type": "landline"}).want(200)
	ask(access.Nurse, "GET /v1/appointments", "?mrn=1", nil).want(200)
	ask(access.Nurse, "GET /v1/services", "", nil).want(200)
	ask(access.Nurse, "GET /v1/templates", "", nil).want(200)
	ask(access.Nurse, "GET /v1/health", "", nil).want(200)
	ask(access.Auditor, "GET /v1/audit", "?limit=1000", nil).want(200)
	ask(access.Portal, "GET /v1/audit", "", nil).want(403)
	ask(access.Witness, "GET /v1/audit/head", "", nil).want(200)
	ask(access.Witness, "GET /v1/audit/head", "?from=100000", nil).want(400)
	ask(access.Witness, "GET /v1/audit", "", nil).want(403)
	for _, r := range routes() {
		if !asked[r.pattern] {
			t.Errorf("%s was not asked", r.pattern)
		}
	}
}

// TestOpenAPIQueries: every parameter that a list takes is in the document, and a wrong one is told by
// its name there.
func TestOpenAPIQueries(t *testing.T) {
	d := readDocument(t)
	want := map[string][]string{
		"/v1/messages":      {"cursor", "limit", "state"},
		"/v1/audit":         {"action", "actor", "cursor", "from", "limit", "object", "subject", "to"},
		"/v1/audit/head":    {"from"},
		"/v1/verifications": {"reference", "service"},
		"/v1/contacts":      {"authority", "mrn"}, "/v1/appointments": {"authority", "mrn"},
		"/fhir/r4/Communication": {"_count", "_cursor", "_format", "_pretty", "based-on", "based-on:identifier", "status"},
		"/fhir/r4/Consent":       {"_count", "_cursor", "_format", "_pretty", "patient.identifier", "patient:identifier"},
		"/fhir/r4/AuditEvent": {"_count", "_cursor", "_format", "_pretty", "agent.identifier", "agent:identifier", "date",
			"patient.identifier", "patient:identifier"},
	}
	for path, item := range d.at(d.root, "paths").(map[string]any) {
		var got []string
		for _, op := range item.(map[string]any) {
			params, _ := op.(map[string]any)["parameters"].([]any)
			for _, p := range params {
				if p.(map[string]any)["in"] == "query" {
					got = append(got, p.(map[string]any)["name"].(string))
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want[path]) {
			t.Errorf("%s takes %v, want %v", path, got, want[path])
		}
	}
}

// published are the fields of requests and answers, with those that are always there first. Clients are
// written against them: a name may be added, none taken away.
var published = map[string]string{
	"startRequest":   "service to | amount channel end_user_address fresh locale on_behalf_of payee reference subject",
	"checkRequest":   "code | amount payee reference",
	"noticeRequest":  "template | expires_at key locale on_behalf_of send_at slots subject to",
	"subjectRequest": "mrn | authority",
	"subject":        "authority mrn |",
	"verification":   "attempts channel checks_left created_at expires_at id locale on_behalf_of reference sends service status subject to updated_at valid |",
	"numberRequest":  "to | no_voice slow type voice_notices",
	"knownNumber":    "callable no_voice slow to type type_source voice_notices wrong_number | changed_at",
	"way":            "at channel id status |",
	"send":           "at channel id message status |",
	"notice":         "answer cause channel created_at expires_at id locale message send_at status subject template to |",
	"message":        "attempts cause created_at due_at expires_at id kind lane ref status to |",
	"messageList":    "items next |",
	"attempt":        "at carrier cause modem parts status |",
	"contact":        "class dead language no_texts no_voice numbers subject ward |",
	"number":         "extension proxy since to type use | verified",
	"appointment":    "id minutes site start status version |",
	"service":        "amount code_length life name reference sid staff subject |",
	"template":       "body class locale name version |",
	"entry":          "action actor at attrs object on_behalf_of outcome seq subject |",
	"entryList":      "items next |",
	"head":           "note proof signer |",
	"node":           "name since state | cause children",
	"problem":        "status title type | detail field retry_after",
}

// TestPublishedFields holds the document, and by it the answers, to what is published.
func TestPublishedFields(t *testing.T) {
	d := readDocument(t)
	all := d.at(d.root, "components", "schemas").(map[string]any)
	for name, s := range all {
		var always, other []string
		required, _ := s.(map[string]any)["required"].([]any)
		for field := range s.(map[string]any)["properties"].(map[string]any) {
			if slices.Contains(required, any(field)) {
				always = append(always, field)
			} else {
				other = append(other, field)
			}
		}
		slices.Sort(always)
		slices.Sort(other)
		got := strings.TrimSpace(strings.Join(always, " ") + " | " + strings.Join(other, " "))
		if got != published[name] {
			t.Errorf("%s has the fields %s, published are %s", name, got, published[name])
		}
	}
	if len(all) != len(published) {
		t.Errorf("%d types in the document, %d are published", len(all), len(published))
	}
}

// TestRequestsAreBounded: every text of a request has a bound in the document.
func TestRequestsAreBounded(t *testing.T) {
	d := readDocument(t)
	for name, s := range d.at(d.root, "components", "schemas").(map[string]any) {
		if !strings.HasSuffix(name, "Request") {
			continue
		}
		for field, p := range s.(map[string]any)["properties"].(map[string]any) {
			if m := p.(map[string]any); m["type"] == "string" && m["maxLength"] == nil {
				t.Errorf("%s.%s has no bound", name, field)
			}
		}
	}
}

// reread is a value as JSON makes of it.
func reread(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func decodeAny(t *testing.T, a answer) (out any) {
	t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil {
		t.Fatalf("answer %d: %v", a.Code, err)
	}
	if reflect.DeepEqual(out, nil) {
		t.Fatalf("answer %d is null", a.Code)
	}
	return out
}
