package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
)

// searchParam is one parameter that a search understands.
type searchParam struct {
	name  string   // as in the definition of R4
	kind  string   // search-param-type
	forms []string // as it may be written; nil is name alone
	says  string
}

var searchParams = map[string][]searchParam{
	fhirCommunicationType: {
		{"based-on", "reference", []string{"based-on", "based-on:identifier"}, "the CommunicationRequest, by reference or by the identifier that it bears"},
		{"status", "token", nil, "codes of event-status"},
	},
	"Consent": {
		{"patient", "reference", byIdentifier("patient"), "the patient by record number, system|value; required"},
	},
	"AuditEvent": {
		{"date", "date", nil, "when it was recorded, with a prefix: eq ge gt sa le lt eb; may be given twice"},
		{"patient", "reference", byIdentifier("patient"), "the patient by record number, system|value"},
		{"agent", "reference", byIdentifier("agent"), "who did it, by identifier: system|value, or the value alone"},
	},
}

// byIdentifier is how a reference to what is no resource here is searched for: with the modifier, or
// chained.
func byIdentifier(name string) []string { return []string{name + ":identifier", name + ".identifier"} }

// cursorParam is where a next link goes on.
const cursorParam = "_cursor"

// general are the parameters that every search understands.
var general = []string{"_format", "_pretty", "_count", cursorParam}

// understood tells whether a search of a resource takes a parameter.
func understood(resource, name string) bool {
	return slices.Contains(general, name) || slices.ContainsFunc(searchParams[resource], func(p searchParam) bool {
		return slices.Contains(p.forms, name) || p.forms == nil && p.name == name
	})
}

// checkSearch refuses what a search does not understand where the caller is strict (R4 search.html#errors,
// Prefer: handling=strict); else it is passed over and told in the bundle. A known parameter in a form that
// is not understood is always refused: to leave it out would answer with other patients' records.
func checkSearch(r *http.Request, resource string) error {
	var found []finding
	for _, name := range slices.Sorted(maps.Keys(r.Form)) {
		if understood(resource, name) {
			if len(r.Form[name]) > 1 && name != "date" {
				found = append(found, finding{code: "invalid", at: "http." + name, text: "given twice"})
			}
			continue
		}
		root := name[:len(name)-len(strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz-"))]
		known := slices.ContainsFunc(searchParams[resource], func(p searchParam) bool { return p.name == root })
		if known || prefers(r, "handling") == "strict" {
			f := finding{code: "not-supported", text: "this parameter, or this form of it, is not understood"}
			if known {
				f.at = "http." + root
			}
			found = append(found, f)
		}
	}
	if found != nil {
		return &badResource{http.StatusBadRequest, found}
	}
	return nil
}

// formOf is the value of a parameter in one of its forms.
func formOf(r *http.Request, name string) string {
	for _, form := range byIdentifier(name) {
		if s := r.Form.Get(form); s != "" {
			return s
		}
	}
	return ""
}

// patientOf reads the patient of a search; zero where none is named.
func patientOf(r *http.Request, site contact.Site) (id contact.SubjectID, err error) {
	s := formOf(r, "patient")
	if s == "" {
		return id, nil
	}
	if err := line("http.patient", s, 2*maxString); err != nil {
		return id, err
	}
	system, value, ok := strings.Cut(s, "|")
	if !ok {
		system, value = "", s
	}
	i := fhirIdentifier{System: fhirURI(system), Value: value}
	if id = i.subject(site); id.IsZero() || len(id.MRN) > maxString || len(id.Authority) > maxString {
		return id, bad("http.patient", "system|value")
	}
	return id, nil
}

func countOf(r *http.Request) (int, error) {
	s := r.Form.Get("_count")
	if s == "" {
		return 50, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, bad("http._count", "a number from 1 on")
	}
	return min(n, 500), nil // a page may hold fewer than was asked for
}

// dates reads the parameters named date into [from, to).
func dates(values []string, zone *time.Location) (from, to time.Time, err error) {
	for _, v := range values {
		prefix := "eq"
		if len(v) > 2 && v[0] >= 'a' && v[0] <= 'z' {
			prefix, v = v[:2], v[2:]
		}
		// A "+" of a zone that nobody escaped in an address has become a space.
		v = strings.ReplaceAll(v, " ", "+")
		lo, hi, ok := fhirDateTime(v).span(zone)
		if !ok {
			return from, to, bad("http.date", "a date or an instant with its zone, after one of eq ge gt sa le lt eb")
		}
		switch prefix {
		case "eq":
			from, to = later(from, lo), sooner(to, hi)
		case "ge":
			from = later(from, lo)
		case "gt", "sa":
			from = later(from, hi)
		case "le":
			to = sooner(to, hi)
		case "lt", "eb":
			to = sooner(to, lo)
		default:
			return from, to, bad("http.date", "one of the prefixes eq ge gt sa le lt eb")
		}
	}
	return from, to, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// bundle is the answer to a search in the making.
type bundle struct {
	fhirBundle
	base string
	self url.Values
	path string
}

// newBundle begins the answer: its self link holds what was understood, and what was not is told.
func newBundle(r *http.Request) *bundle {
	resource := strings.Split(strings.TrimPrefix(r.URL.Path, fhirBase+"/"), "/")[0]
	b := &bundle{base: baseURL(r), self: url.Values{}, path: resource}
	unknown := false
	for name, values := range r.Form {
		if understood(resource, name) {
			b.self[name] = values
		} else {
			unknown = true
		}
	}
	b.fhirBundle = fhirBundle{ResourceType: "Bundle", Type: "searchset", Link: []fhirLink{{"self", b.url(b.self)}}}
	if unknown {
		b.Entry = append(b.Entry, fhirEntry{Search: map[string]string{"mode": "outcome"}, Resource: outcome(finding{
			severity: "warning", code: "not-supported", text: "a parameter was passed over; the self link holds those that were understood",
		})})
	}
	return b
}

func (b *bundle) url(v url.Values) string {
	if len(v) == 0 {
		return b.base + "/" + b.path
	}
	return b.base + "/" + b.path + "?" + v.Encode()
}

func (b *bundle) add(resource, id string, v any) {
	b.Entry = append(b.Entry, fhirEntry{FullURL: b.base + "/" + resource + "/" + id, Resource: v, Search: map[string]string{"mode": "match"}})
}

// next adds the link to the page after this one.
func (b *bundle) next(cursor string) {
	v := url.Values{}
	for name, values := range b.self {
		v[name] = values
	}
	v.Set(cursorParam, cursor)
	b.Link = append(b.Link, fhirLink{"next", b.url(v)})
}
