package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"pinward/daemon/health"
)

// described is what the OpenAPI document says of a route besides what its Go types say.
type described struct {
	summary string
	request any // nil: no body
	answer  any
	query   []parameter
}

type parameter struct {
	name     string
	required bool
	schema   object
}

var (
	text1   = object{"type": "string"}
	size    = object{"type": "integer", "minimum": 1, "maximum": 1000}
	stamp   = object{"type": "string", "format": "date-time"}
	patient = []parameter{{"authority", false, text1}, {"mrn", true, text1}}
)

// descriptions holds one entry for each route; a test holds both lists together.
var descriptions = map[string]described{
	"POST /v1/verifications": {
		"Send a code. While one is pending for the same service, number and reference it is sent again: same id, 200 instead of 201.",
		startRequest{}, verification{}, nil},
	"GET /v1/verifications": {
		"The latest verification of a service and a reference; one that an engine started by HL7 is found by the id of its request.", nil, verification{},
		[]parameter{{"service", true, text1}, {"reference", true, text1}}},
	"GET /v1/verifications/{id}":         {"How a verification stands.", nil, verification{}, nil},
	"POST /v1/verifications/{id}/check":  {"Check a code. A wrong code is 200 with valid = false.", checkRequest{}, verification{}, nil},
	"POST /v1/verifications/{id}/cancel": {"End a verification; nothing more is sent for it.", nil, verification{}, nil},
	"POST /v1/verifications/{id}/next":   {"Take the next way of the route now: another carrier, or the call.", nil, verification{}, nil},
	"POST /v1/notices": {
		"Send a text from a template, to a number or to the patient's number of the day. One with the key of an earlier one is that one, 200 instead of 201.",
		noticeRequest{}, noticeAnswer{}, nil},
	"GET /v1/notices/{id}":    {"How a notice stands.", nil, noticeAnswer{}, nil},
	"DELETE /v1/notices/{id}": {"Cancel a notice that has not gone.", nil, noticeAnswer{}, nil},
	"GET /v1/messages": {
		"Outgoing messages, newest first. A portal or an engine sees its own.", nil, messageList{},
		[]parameter{{"state", false, object{"type": "string", "enum": enums[stateType]}}, {"limit", false, size}, {"cursor", false, text1}}},
	"GET /v1/messages/{id}": {"How an outgoing message stands.", nil, message{}, nil},
	"GET /v1/contacts":      {"A patient's numbers. The look is an entry of the audit.", nil, contactAnswer{}, patient},
	"POST /v1/numbers": {
		"Say what was learned of a number (it wants no calls, its calls speak slower, its kind of line), and get all that is known of it. A landline gets its codes by voice.",
		numberRequest{}, knownNumber{}, nil},
	"GET /v1/appointments": {"A patient's appointments. The look is an entry of the audit.", nil, []appointmentAnswer{}, patient},
	"GET /v1/services":     {"The verification services.", nil, []service{}, nil},
	"GET /v1/templates":    {"The templates in force.", nil, []templateAnswer{}, nil},
	"GET /v1/audit": {
		"Search the audit, newest first. The search is an entry itself. An action that ends in a dot finds all that begin with it.", nil, entryList{},
		[]parameter{{"action", false, text1}, {"actor", false, text1}, {"object", false, text1}, {"subject", false, text1},
			{"from", false, stamp}, {"to", false, stamp}, {"limit", false, size}, {"cursor", false, text1}}},
	"GET /v1/audit/head": {
		"The latest signed head of the audit, with the proof that it only appends to the head over so many entries; asking notes that you have that one.", nil, headAnswer{},
		[]parameter{{"from", false, object{"type": "integer", "minimum": 0}}}},
	"GET /v1/health": {"The tree of what depends on what.", nil, health.Node{}, nil},
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

// openAPI builds the OpenAPI 3.1 document from the routes and the Go types that they decode and
// encode, so that it cannot say anything else than the handlers do.
var openAPI = sync.OnceValue(func() []byte {
	made := schemas{}
	problems := made.of(reflect.TypeFor[problem]())
	paths := object{}
	for _, r := range routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = made.operation(r, descriptions[r.pattern])
	}
	for _, r := range fhirRoutes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = r.operation()
	}
	paths[fhirBase+"/metadata"] = object{"get": object{
		"summary": "What the FHIR API does (CapabilityStatement).", "security": []object{},
		"responses": object{"2XX": fhirContent("done", "CapabilityStatement"), "default": fhirContent("an OperationOutcome", "OperationOutcome")},
	}}
	doc := object{
		"openapi": "3.1.0",
		"info": object{"title": "Pinward", "version": "1", "description": "Verification codes and texts over the hospital's own modems. " +
			"What stands below " + fhirBase + " is FHIR R4 (http://hl7.org/fhir/R4), and its CapabilityStatement says more. " +
			"Errors are problems (RFC 9457); their types are " + problemPath + " and one of: " + strings.Join(kindNames(), ", ") + "."},
		"paths": paths,
		"components": object{
			"schemas": made,
			"securitySchemes": object{
				"token": object{"type": "http", "scheme": "bearer"},
				"basic": object{"type": "http", "scheme": "basic"},
			},
			"responses": object{"problem": object{"description": "a problem (RFC 9457)",
				"headers": object{"Retry-After": object{"description": "seconds, with 429 and 503", "schema": object{"type": "integer"}}},
				"content": object{"application/problem+json": object{"schema": problems}}}},
		},
		"security": []object{{"token": []string{}}, {"basic": []string{}}},
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // made of maps and strings alone
	}
	return b
})

func kindNames() (names []string) {
	for _, f := range kinds() {
		names = append(names, f.Kind)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s schemas) operation(r route, d described) object {
	done := object{"description": "done", "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(d.answer))}}}
	if r.effect != nil {
		done["headers"] = object{"Idempotency-Replayed": object{
			"description": "true when this is the answer to an earlier request of the same Idempotency-Key", "schema": text1}}
	}
	op := object{
		"summary":   d.summary,
		"responses": object{"2XX": done, "default": object{"$ref": "#/components/responses/problem"}},
	}
	var params []object
	for _, m := range pathParameter.FindAllStringSubmatch(r.pattern, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": text1})
	}
	for _, q := range d.query {
		params = append(params, object{"name": q.name, "in": "query", "required": q.required, "schema": q.schema})
	}
	if r.effect != nil {
		params = append(params, object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": 255},
			"description": "the same key and body within 24 hours get the same answer, and have one effect"})
	}
	if params != nil {
		op["parameters"] = params
	}
	if d.request != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(d.request))}}}
	}
	return op
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", openAPI())
}
