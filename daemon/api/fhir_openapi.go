package api

import "slices"

// operation is what the OpenAPI document says of an interaction. A resource is described by R4 itself and
// by the CapabilityStatement; here stands which one it is.
func (rt fhirRoute) operation() object {
	answer := rt.resource
	if rt.interaction == "search-type" {
		answer = "Bundle"
	}
	op := object{
		"summary":   rt.summary,
		"responses": object{"2XX": fhirContent("done", answer), "default": fhirContent("an OperationOutcome", "OperationOutcome")},
	}
	var params []object
	in := func(where, name string, required bool, schema object) {
		params = append(params, object{"name": name, "in": where, "required": required, "schema": schema})
	}
	for _, m := range pathParameter.FindAllStringSubmatch(rt.pattern, -1) {
		in("path", m[1], true, text1)
	}
	switch {
	case rt.interaction == "search-type" && rt.pattern[:3] == "GET":
		for _, name := range searchNames(rt.resource) {
			in("query", name, false, text1)
		}
	case rt.interaction == "search-type":
		form := object{}
		for _, name := range searchNames(rt.resource) {
			form[name] = text1
		}
		op["requestBody"] = object{"content": object{"application/x-www-form-urlencoded": object{"schema": object{"type": "object", "properties": form}}}}
	case rt.effect != nil:
		in("header", "Prefer", false, text1)
		in("header", "Idempotency-Key", false, object{"type": "string", "maxLength": 255})
		if rt.interaction == "create" {
			in("header", "If-None-Exist", false, text1)
		} else {
			in("header", "If-Match", false, text1)
		}
		op["requestBody"] = object{"required": true, "content": object{fhirType: object{"schema": resourceSchema(rt.resource)}}}
	}
	if params != nil {
		op["parameters"] = params
	}
	return op
}

// searchNames are the parameters of a search as they are written.
func searchNames(resource string) (names []string) {
	for _, p := range searchParams[resource] {
		if p.forms == nil {
			names = append(names, p.name)
		}
		names = append(names, p.forms...)
	}
	return slices.Concat(names, general)
}

func fhirContent(says, resource string) object {
	return object{"description": says, "content": object{fhirType: object{"schema": resourceSchema(resource)}}}
}

func resourceSchema(resource string) object {
	return object{
		"type": "object", "properties": object{"resourceType": object{"type": "string", "enum": []any{resource}}}, "required": []any{"resourceType"},
		"externalDocs": object{"url": "http://hl7.org/fhir/R4"},
	}
}
