package api

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// r4 is what HL7 says of the resources: elements, cardinality, required bindings and the shapes of
// primitives. It knows nothing of our types.
type r4 struct {
	Primitives map[string]struct{ JSON, Pattern string }
	shapes     map[string]*regexp.Regexp
	Types      map[string]map[string]r4Element
}

type r4Element struct {
	Type           string
	Many, Required bool
	Choice         string
	Codes          []string
}

var specification = sync.OnceValue(func() (s r4) {
	b, err := os.ReadFile("testdata/fhir-r4.json")
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		panic(err)
	}
	s.shapes = map[string]*regexp.Regexp{}
	for name, p := range s.Primitives {
		s.shapes[name] = regexp.MustCompile(p.Pattern)
	}
	return s
})

// faults says what in a resource is not R4.
func (s r4) faults(resource map[string]any) []string {
	name, _ := resource["resourceType"].(string)
	if s.Types[name] == nil {
		return []string{"no resource type of R4 that the test knows: " + name}
	}
	faults := s.object(name, name, resource)
	if name == "Consent" {
		faults = append(faults, s.consent(resource)...)
	}
	return faults
}

func (s r4) object(at, typ string, v map[string]any) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	elements := s.Types[typ]
	if len(v) == 0 {
		bad("empty")
	}
	choices := map[string]int{}
	for name, e := range v {
		if name == "resourceType" {
			continue
		}
		el, known := elements[name]
		if !known {
			bad("%s is no element of %s", name, typ)
			continue
		}
		if el.Choice != "" {
			choices[el.Choice]++
		}
		list, many := e.([]any)
		if many != el.Many {
			bad("%s is a list: %t, want %t", name, many, el.Many)
			continue
		}
		if !many {
			list = []any{e}
		}
		if len(list) == 0 {
			bad("%s is an empty list", name)
		}
		for i, one := range list {
			faults = append(faults, s.value(fmt.Sprintf("%s.%s[%d]", at, name, i), el, one)...)
		}
	}
	for name, n := range choices {
		if n > 1 {
			bad("%d of %s", n, name)
		}
	}
	for name, el := range elements {
		if _, there := v[name]; el.Required && el.Choice == "" && !there {
			bad("%s is missing", name)
		}
	}
	return faults
}

func (s r4) value(at string, el r4Element, v any) []string {
	if m, ok := v.(map[string]any); ok {
		typ := el.Type
		if typ == "Resource" {
			return s.faults(m)
		}
		if s.Types[typ] == nil {
			return []string{at + ": an object, want " + typ}
		}
		return s.object(at, typ, m)
	}
	p, ok := s.Primitives[el.Type]
	kind := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number"}[reflect.ValueOf(v).Kind()]
	switch {
	case !ok:
		return []string{at + ": want the type " + el.Type}
	case kind != p.JSON:
		return []string{at + ": " + kind + ", want " + el.Type}
	case !s.shapes[el.Type].MatchString(fmt.Sprint(v)):
		return []string{at + ": not the shape of " + el.Type}
	case el.Codes != nil && !slices.Contains(el.Codes, fmt.Sprint(v)):
		return []string{at + ": not a code of its required value set"}
	}
	return nil
}

// consent holds the rules ppc-1 and of the root rule of R4 consent.html.
func (s r4) consent(v map[string]any) (faults []string) {
	if v["policy"] == nil && v["policyRule"] == nil {
		faults = append(faults, "Consent: neither policy nor policyRule (ppc-1)")
	}
	root, _ := v["provision"].(map[string]any)
	if root["type"] != nil {
		faults = append(faults, "Consent.provision: the root rule has a type")
	}
	nested, _ := root["provision"].([]any)
	for i, n := range nested {
		if n.(map[string]any)["type"] == nil {
			faults = append(faults, fmt.Sprintf("Consent.provision.provision[%d]: a rule without a type", i))
		}
	}
	return faults
}

// TestSpecificationFindsFaults: the check is no check if it finds nothing.
func TestSpecificationFindsFaults(t *testing.T) {
	for name, c := range map[string]struct{ resource, want string }{
		"unknown element": {`{"resourceType":"Communication","status":"completed","text2":"x"}`, "no element"},
		"missing":         {`{"resourceType":"Communication"}`, "status is missing"},
		"code":            {`{"resourceType":"Communication","status":"done"}`, "required value set"},
		"list":            {`{"resourceType":"Communication","status":"completed","basedOn":{}}`, "is a list"},
		"shape":           {`{"resourceType":"Communication","status":"completed","sent":"2026-11-22T10:00:00"}`, "shape of dateTime"},
		"kind":            {`{"resourceType":"Communication","status":"completed","sent":5}`, "number, want dateTime"},
		"nested":          {`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"AuditEvent"}}]}`, "source is missing"},
		"choice":          {`{"resourceType":"CommunicationRequest","status":"active","occurrenceDateTime":"2026","occurrencePeriod":{"start":"2026"}}`, "2 of "},
		"ppc-1":           {`{"resourceType":"Consent"}`, "ppc-1"},
	} {
		var m map[string]any
		if err := json.Unmarshal([]byte(c.resource), &m); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(specification().faults(m), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
}

// TestDecoderKnowsR4: every element that R4 has can be in a request, and no other.
func TestDecoderKnowsR4(t *testing.T) {
	for name, c := range map[string]struct {
		typ  reflect.Type
		only string
	}{
		"CommunicationRequest":         {reflect.TypeFor[communicationRequest](), ""},
		"CommunicationRequest.payload": {reflect.TypeFor[fhirPayload](), ""},
		"Patient":                      {reflect.TypeFor[fhirPerson](), "Patient"},
		"RelatedPerson":                {reflect.TypeFor[fhirPerson](), "RelatedPerson"},
		"Patient.communication":        {reflect.TypeFor[fhirLanguage](), ""},
		"Reference":                    {reflect.TypeFor[fhirReference](), ""},
		"Identifier":                   {reflect.TypeFor[fhirIdentifier](), ""},
		"CodeableConcept":              {reflect.TypeFor[fhirConcept](), ""},
		"Coding":                       {reflect.TypeFor[fhirCoding](), ""},
		"Period":                       {reflect.TypeFor[fhirPeriod](), ""},
		"ContactPoint":                 {reflect.TypeFor[fhirContactPoint](), ""},
	} {
		elements := specification().Types[name]
		if elements == nil {
			t.Fatalf("the specification has no %s", name)
		}
		ours := map[string]reflect.StructField{}
		for i := range c.typ.NumField() {
			f := c.typ.Field(i)
			if only := f.Tag.Get("only"); (only == "" || only == c.only) && jsonName(f) != "resourceType" {
				ours[jsonName(f)] = f
			}
		}
		for el, e := range elements {
			f, known := ours[el]
			switch {
			case el == "contained" && c.only != "": // nothing is contained in what is contained (dom-2)
			case !known:
				t.Errorf("%s.%s would be refused", name, el)
			case e.Choice == "" && e.Required != (f.Tag.Get("required") == "true"):
				t.Errorf("%s.%s: required %t", name, el, e.Required)
			case f.Tag.Get("of") != "" && !slices.Equal(slices.Sorted(strings.FieldsSeq(f.Tag.Get("of"))), e.Codes):
				t.Errorf("%s.%s takes the codes %q, want %q", name, el, f.Tag.Get("of"), e.Codes)
			case f.Type.Kind() == reflect.Slice && !e.Many || e.Many && f.Type.Kind() != reflect.Slice && f.Type.Size() != 0:
				t.Errorf("%s.%s: many %t", name, el, e.Many)
			}
			delete(ours, el)
		}
		for el := range ours {
			t.Errorf("%s.%s is not in R4", name, el)
		}
	}
}
