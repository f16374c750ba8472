package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a resource besides maxBody.
const (
	maxDepth    = 24
	maxFindings = 20
	maxList     = 32  // elements of a list that means something here
	maxString   = 256 // bytes of a string that means something here, unless its tag says otherwise
)

// decoded is a resource that was read.
type decoded struct {
	tree     map[string]any // as it came
	words    []string       // of its guarded elements
	findings []finding
}

// decodeResource reads one resource as R4 writes JSON (json.html): no element that R4 does not know, none
// twice, nothing null or empty. What is wrong is told by its path, all at once.
func decodeResource(body []byte, resource string, into any) (decoded, error) {
	d := decoded{}
	tree, err := readTree(body)
	if err != nil {
		return d, err
	}
	d.tree = tree
	if tree["resourceType"] != resource {
		return d, oneFinding(http.StatusBadRequest, "invalid", "", "want the resource type "+resource)
	}
	d.object(resource, tree, reflect.ValueOf(into).Elem())
	if len(d.findings) > 0 {
		return d, &badResource{http.StatusBadRequest, d.findings}
	}
	return d, nil
}

func oneFinding(status int, code, at, text string) error {
	return &badResource{status, []finding{{code: code, at: at, text: text}}}
}

func (d *decoded) wrong(code, at, format string, args ...any) {
	if len(d.findings) < maxFindings {
		d.findings = append(d.findings, finding{code: code, at: at, text: fmt.Sprintf(format, args...)})
	}
}

// readTree reads one JSON object. encoding/json alone would take a name that is given twice, and bytes
// that are no UTF-8.
func readTree(body []byte) (map[string]any, error) {
	bad := func(text string) error { return oneFinding(http.StatusBadRequest, "structure", "", text) }
	if !utf8.Valid(body) {
		return nil, bad("no valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := readValue(dec, 0)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			if m, ok := v.(map[string]any); ok {
				return m, nil
			}
			return nil, bad("no JSON object")
		}
		return nil, bad("there is more after the object")
	}
	if own, ok := errors.AsType[*badResource](err); ok {
		return nil, own
	}
	return nil, bad(fmt.Sprintf("no valid JSON at byte %d", dec.InputOffset()))
}

func readValue(dec *json.Decoder, depth int) (any, error) {
	bad := func(text string) error {
		return oneFinding(http.StatusBadRequest, "structure", "", fmt.Sprintf("%s, at byte %d", text, dec.InputOffset()))
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, bad("nested too deeply")
	}
	if open == '[' {
		list := []any{}
		for dec.More() {
			v, err := readValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	m := map[string]any{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if _, twice := m[name]; twice {
			return nil, bad("an element is given twice")
		}
		if m[name], err = readValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return m, err
}

// object reads the elements of a type; at is its FHIRPath.
func (d *decoded) object(at string, tree map[string]any, into reflect.Value) {
	fields := map[string]int{}
	for i := range into.NumField() {
		f := into.Type().Field(i)
		if only := f.Tag.Get("only"); only == "" || only == tree["resourceType"] {
			fields[jsonName(f)] = i
		}
	}
	resource := into.FieldByName("ResourceType").IsValid()
	if t, ok := tree["resourceType"].(string); ok && resource {
		into.FieldByName("ResourceType").SetString(t)
	}
	if len(tree) == 0 {
		d.wrong("structure", at, "an object without elements")
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if name == "resourceType" && resource {
			continue
		}
		i, known := fields[name]
		if !known {
			// The companion of a primitive element holds its id and extensions.
			if i, known := fields[strings.TrimPrefix(name, "_")]; name[:min(1, len(name))] == "_" && known && primitive(into.Field(i).Type()) {
				continue
			}
			d.wrong("structure", at, "an element that R4 does not have, or not here")
			continue
		}
		d.value(at+"."+name, tree[name], into.Field(i), into.Type().Field(i).Tag)
	}
	for i := range into.NumField() {
		f := into.Type().Field(i)
		if at, ours := fields[jsonName(f)]; !ours || at != i {
			continue
		}
		if _, there := tree[jsonName(f)]; !there && f.Tag.Get("required") == "true" {
			d.wrong("required", at+"."+jsonName(f), "must be there")
		}
	}
}

// primitive tells whether an element may have a companion. Of one that is read over it is not known.
func primitive(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[ignored](), reflect.TypeFor[guarded](), reflect.TypeFor[refused]():
		return true
	}
	return t.Kind() == reflect.String || t.Kind() == reflect.Bool || t.Kind() == reflect.Int
}

func (d *decoded) value(at string, v any, into reflect.Value, tag reflect.StructTag) {
	switch into.Type() {
	case reflect.TypeFor[ignored]():
		d.whole(at, v)
		return
	case reflect.TypeFor[guarded]():
		d.whole(at, v)
		d.words = appendWords(d.words, v)
		return
	case reflect.TypeFor[refused]():
		d.wrong("not-supported", at, "it changes the meaning of the rest, and is not understood here")
		return
	}
	switch into.Kind() {
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			d.wrong("structure", at, "want a list with elements")
			return
		}
		if len(list) > maxList {
			d.wrong("too-long", at, "at most %d elements", maxList)
			return
		}
		made := reflect.MakeSlice(into.Type(), len(list), len(list))
		for i, e := range list {
			d.value(fmt.Sprintf("%s[%d]", at, i), e, made.Index(i), tag)
		}
		into.Set(made)
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.value(at, v, into.Elem(), tag)
	case reflect.Struct:
		m, ok := v.(map[string]any)
		if !ok {
			d.wrong("structure", at, "want an object")
			return
		}
		if into.Type() == reflect.TypeFor[fhirPerson]() && m["resourceType"] != "Patient" && m["resourceType"] != "RelatedPerson" {
			return // contained, and of no use here
		}
		d.object(at, m, into)
	default:
		d.primitive(at, v, into, tag)
	}
}

func (d *decoded) primitive(at string, v any, into reflect.Value, tag reflect.StructTag) {
	switch into.Kind() {
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			d.wrong("structure", at, "want true or false")
		}
		into.SetBool(b)
	case reflect.Int:
		n, ok := v.(json.Number)
		i, err := n.Int64()
		if !ok || err != nil || i < 1 || i > 1<<31-1 {
			d.wrong("value", at, "want a whole number above 0")
			return
		}
		into.SetInt(i)
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			d.wrong("structure", at, "want a string")
			return
		}
		d.text(at, s, into, tag)
	}
}

func (d *decoded) text(at, s string, into reflect.Value, tag reflect.StructTag) {
	most := maxString
	if m := tag.Get("max"); m != "" {
		_, _ = fmt.Sscan(m, &most)
	}
	shape, shaped := shapes[into.Type().Name()]
	allowed := tag.Get("of")
	switch {
	case tag.Get("keep") == "no":
		if s == "" {
			d.wrong("value", at, "a string without characters")
		}
		return
	case s == "":
		d.wrong("value", at, "a string without characters")
	case len(s) > most:
		d.wrong("too-long", at, "at most %d bytes", most)
	case line("", s, most) != nil:
		d.wrong("value", at, "one line, without control characters")
	case shaped && !shape.MatchString(s):
		d.wrong("value", at, "not the form of the type %s", strings.ToLower(into.Type().Name()[4:5])+into.Type().Name()[5:])
	case allowed != "" && !slices.Contains(strings.Fields(allowed), s):
		d.wrong("code-invalid", at, "one of %s", strings.Join(strings.Fields(allowed), ", "))
	default:
		into.SetString(s)
	}
}

// whole holds what is read over to the rules of json.html: nothing null or empty.
func (d *decoded) whole(at string, v any) {
	switch v := v.(type) {
	case nil:
		d.wrong("structure", at, "null")
	case string:
		if v == "" {
			d.wrong("value", at, "a string without characters")
		}
	case []any:
		if len(v) == 0 {
			d.wrong("structure", at, "a list without elements")
		}
	case map[string]any:
		if len(v) == 0 {
			d.wrong("structure", at, "an object without elements")
		}
	}
}

// neighbours are the elements whose words every neighbour shares, and the machinery of references.
var neighbours = []string{"city", "state", "country", "system", "url", "reference", "use", "rank", "resourceType", "status", "version"}

var markup = regexp.MustCompile(`<[^>]*>`)

// appendWords gathers the strings below a guarded element.
func appendWords(words []string, v any) []string {
	switch v := v.(type) {
	case string:
		return append(words, markup.ReplaceAllString(v, " "))
	case []any:
		for _, e := range v {
			words = appendWords(words, e)
		}
	case map[string]any:
		for k, e := range v {
			if !slices.Contains(neighbours, k) {
				words = appendWords(words, e)
			}
		}
	}
	return words
}

// loose are the elements of a request in which two may differ and ask for the same.
var loose = []string{"resourceType", "id", "meta", "text", "status", "statusReason"}

// digest tells whether two requests ask for the same, whatever their status, spaces and order; nil for
// one that asks for nothing.
func digest(tree map[string]any) []byte {
	rest := map[string]any{}
	for k, v := range tree {
		if !slices.Contains(loose, k) {
			rest[k] = v
		}
	}
	if len(rest) == 0 {
		return nil
	}
	b, err := json.Marshal(rest) // sorts the names
	if err != nil {
		panic(err) // it came out of JSON
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
