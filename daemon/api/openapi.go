package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"
)

// described is what the OpenAPI document says of a route besides what its Go types say.
type described struct {
	summary string
	request any // nil: no body
	answer  any
	query   []string
}

// descriptions holds one entry for each route; a test holds both lists together.
var descriptions = map[string]described{
	"POST /v1/verifications":             {"Send a code, or send the pending one again.", start{}, verification{}, nil},
	"GET /v1/verifications/{id}":         {"How a verification stands.", nil, verification{}, nil},
	"POST /v1/verifications/{id}/check":  {"Check a code. A wrong code is 200 with valid = false.", check{}, verification{}, nil},
	"POST /v1/verifications/{id}/cancel": {"End a verification; nothing more is sent for it.", struct{}{}, verification{}, nil},
	"POST /v1/verifications/{id}/next":   {"Take the next way of the route now.", struct{}{}, verification{}, nil},
	"POST /v1/notices":                   {"Send a text from a template.", noticeRequest{}, noticeAnswer{}, nil},
	"GET /v1/notices/{id}":               {"How a notice stands.", nil, noticeAnswer{}, nil},
	"DELETE /v1/notices/{id}":            {"Cancel a notice that has not gone.", nil, noticeAnswer{}, nil},
	"GET /v1/messages":                   {"Outgoing messages, newest first.", nil, []message{}, []string{"state", "limit", "cursor"}},
	"GET /v1/messages/{id}":              {"How an outgoing message stands.", nil, message{}, nil},
	"GET /v1/contacts":                   {"A patient's numbers.", nil, contactAnswer{}, []string{"authority", "mrn"}},
	"GET /v1/appointments":               {"A patient's appointments.", nil, []appointmentAnswer{}, []string{"authority", "mrn"}},
	"GET /v1/services":                   {"The verification services.", nil, []service{}, nil},
	"GET /v1/templates":                  {"The templates in force.", nil, []templateAnswer{}, nil},
	"GET /v1/audit": {"Search the audit; the search is an entry itself.", nil, []entry{},
		[]string{"action", "actor", "object", "subject", "from", "to", "limit", "cursor"}},
	"GET /v1/health": {"The tree of what depends on what.", nil, map[string]any{}, nil},
}

// paged are the lists that come with a cursor.
var paged = map[string]bool{"GET /v1/messages": true, "GET /v1/audit": true}

type object = map[string]any

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

// openAPI builds the OpenAPI 3.1 document from the routes and the Go types that they decode and
// encode, so that it cannot say anything else than the handlers do.
var openAPI = sync.OnceValue(func() []byte {
	paths := object{}
	for _, r := range (&api{}).routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = operation(r, descriptions[r.pattern])
	}
	doc := object{
		"openapi": "3.1.0",
		"info":    object{"title": "Pinward", "version": "1", "description": "Verification codes and texts over the hospital's own modems."},
		"paths":   paths,
		"components": object{
			"securitySchemes": object{
				"token": object{"type": "http", "scheme": "bearer"},
				"basic": object{"type": "http", "scheme": "basic"},
			},
			"schemas": object{"problem": schema(reflect.TypeFor[problemBody]())},
		},
		"security": []object{{"token": []string{}}, {"basic": []string{}}},
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // made of maps and strings alone
	}
	return b
})

func operation(r route, d described) object {
	answer := schema(reflect.TypeOf(d.answer))
	if paged[r.pattern] {
		answer = object{"type": "object", "properties": object{"items": answer, "next": object{"type": "string"}}}
	}
	op := object{
		"summary": d.summary,
		"responses": object{
			"2XX": object{"description": "done", "content": object{"application/json": object{"schema": answer}}},
			"default": object{"description": "a problem (RFC 9457)", "content": object{
				"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/problem"}}}},
		},
	}
	var params []object
	for _, m := range pathParameter.FindAllStringSubmatch(r.pattern, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range d.query {
		params = append(params, object{"name": q, "in": "query", "schema": object{"type": "string"}})
	}
	if r.effect != nil {
		params = append(params, object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": 255}})
	}
	if params != nil {
		op["parameters"] = params
	}
	if d.request != nil {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": schema(reflect.TypeOf(d.request))}}}
	}
	return op
}

// schema is the JSON Schema of what encoding/json makes of a type.
func schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		s := schema(t.Elem())
		return object{"anyOf": []object{s, {"type": "null"}}}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": schema(t.Elem())}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": schema(t.Elem())}
	case t.Kind() == reflect.Struct:
		properties := object{}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "" {
				name = t.Field(i).Name
			}
			properties[name] = schema(t.Field(i).Type)
		}
		return object{"type": "object", "properties": properties, "additionalProperties": false}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Interface:
		return object{}
	}
	return object{"type": "integer"}
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI()) // the caller is gone: there is nobody to tell
}
