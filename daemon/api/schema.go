package api

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/otp"
	"pinward/daemon/outbox"
)

// This file knows the Go types of requests and answers as JSON Schema sees them.

type object = map[string]any

// usualMax bounds a string of a request that has no max tag of its own.
const usualMax = 64

func maxOf(f reflect.StructField) int {
	if n, err := strconv.Atoi(f.Tag.Get("max")); err == nil {
		return n
	}
	return usualMax
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

var stateType = reflect.TypeFor[outbox.State]()

// enums are the words that fields of these types hold.
var enums = map[reflect.Type][]any{
	reflect.TypeFor[otp.State](): {otp.Pending, otp.Approved, otp.Canceled, otp.Expired, otp.MaxChecks, otp.Failed},
	stateType: {outbox.Queued, outbox.Sending, outbox.Sent, outbox.Delivered, outbox.Undelivered,
		outbox.Refused, outbox.Unknown, outbox.NotSent, outbox.Expired, outbox.Canceled},
}

var marshaler = reflect.TypeFor[encoding.TextMarshaler]()

// schemas collects the schemas of named types, each under its name.
type schemas object

// of is the JSON Schema of what encoding/json makes of a type.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[instant]():
		return object{"type": "string", "format": "date-time"}
	case enums[t] != nil:
		return object{"type": "string", "enum": enums[t]}
	case t.Implements(marshaler):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []any{s.of(t.Elem()), object{"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	}
	return object{"type": "integer"}
}

// named puts a struct among the components, once, and refers to it there; so a type may hold itself.
func (s schemas) named(t reflect.Type) object {
	name := strings.ToLower(t.Name()[:1]) + strings.TrimSuffix(t.Name()[1:], "Answer")
	ref := object{"$ref": "#/components/schemas/" + name}
	if _, known := s[name]; known {
		return ref
	}
	s[name] = nil // it is being made
	properties, required := object{}, []any{}
	for i := range t.NumField() {
		f := t.Field(i)
		p := s.of(f.Type)
		request := strings.HasSuffix(name, "Request")
		if request && f.Type.Kind() == reflect.String {
			p["maxLength"] = maxOf(f)
		}
		properties[jsonName(f)] = p
		if f.Tag.Get("required") == "true" || !request && !strings.Contains(f.Tag.Get("json"), ",omit") {
			required = append(required, jsonName(f))
		}
	}
	made := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		made["required"] = required
	}
	s[name] = made
	return ref
}
