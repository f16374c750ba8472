package api

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"

	"pinward/daemon/contact"
)

// The data types and resources of R4 as far as they are read or written here, with every element that
// R4 has: what is not in a type here is not in R4 either. The bare types of datatypes.html have a shape.

type (
	fhirID       string
	fhirCode     string
	fhirURI      string
	fhirDateTime string
	fhirInstant  string
	fhirCount    int // positiveInt
)

// ignored is an element of R4 that nothing here depends on. It is read over and not kept: what is not
// needed for a text has no place on the box.
type ignored struct{}

// guarded is an element that is not kept either, and that tells who the patient is, or why a patient:
// none of its words may stand in the text.
type guarded struct{}

// refused is an element that changes what the others mean: to read over it would be to misread them.
type refused struct{}

type fhirMeta struct {
	VersionID   string      `json:"versionId,omitempty"`
	LastUpdated fhirInstant `json:"lastUpdated,omitempty"`
}

type fhirCoding struct {
	ID           ignored  `json:"id,omitzero"`
	Extension    ignored  `json:"extension,omitzero"`
	System       fhirURI  `json:"system,omitempty"`
	Version      ignored  `json:"version,omitzero"`
	Code         fhirCode `json:"code,omitempty"`
	Display      string   `json:"display,omitempty" keep:"no"`
	UserSelected ignored  `json:"userSelected,omitzero"`
}

type fhirConcept struct {
	ID        ignored      `json:"id,omitzero"`
	Extension ignored      `json:"extension,omitzero"`
	Coding    []fhirCoding `json:"coding,omitempty"`
	Text      string       `json:"text,omitempty" keep:"no"`
}

// has tells whether one of the codings is this one.
func (c fhirConcept) has(system, code string) bool {
	for _, one := range c.Coding {
		if string(one.System) == system && string(one.Code) == code {
			return true
		}
	}
	return false
}

type fhirIdentifier struct {
	ID        ignored `json:"id,omitzero"`
	Extension ignored `json:"extension,omitzero"`
	Use       ignored `json:"use,omitzero"`
	Type      ignored `json:"type,omitzero"`
	System    fhirURI `json:"system,omitempty"`
	Value     string  `json:"value,omitempty"`
	Period    ignored `json:"period,omitzero"`
	Assigner  ignored `json:"assigner,omitzero"`
}

type fhirReference struct {
	ID         ignored         `json:"id,omitzero"`
	Extension  ignored         `json:"extension,omitzero"`
	Reference  string          `json:"reference,omitempty"`
	Type       fhirURI         `json:"type,omitempty"`
	Identifier *fhirIdentifier `json:"identifier,omitempty"`
	Display    guarded         `json:"display,omitzero"`
}

type fhirPeriod struct {
	ID        ignored      `json:"id,omitzero"`
	Extension ignored      `json:"extension,omitzero"`
	Start     fhirDateTime `json:"start,omitempty"`
	End       fhirDateTime `json:"end,omitempty"`
}

type fhirContactPoint struct {
	ID        ignored    `json:"id,omitzero"`
	Extension ignored    `json:"extension,omitzero"`
	System    fhirCode   `json:"system,omitempty" of:"phone fax email pager url sms other"`
	Value     string     `json:"value,omitempty"`
	Use       fhirCode   `json:"use,omitempty" of:"home work temp old mobile"`
	Rank      fhirCount  `json:"rank,omitempty"`
	Period    fhirPeriod `json:"period,omitzero"`
}

const (
	systemCommCategory = "http://terminology.hl7.org/CodeSystem/communication-category"
	systemMode         = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
	systemActReason    = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	systemActCode      = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
)

func concept(system, code string) fhirConcept {
	return fhirConcept{Coding: []fhirCoding{{System: fhirURI(system), Code: fhirCode(code)}}}
}

// The shapes of R4's primitive types (datatypes.html#primitive); those of times are held to the calendar
// as well, where they are read.
var shapes = map[string]*regexp.Regexp{
	"fhirID":       regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`),
	"fhirCode":     regexp.MustCompile(`^[^\s]+(\s[^\s]+)*$`),
	"fhirURI":      regexp.MustCompile(`^\S+$`),
	"fhirDateTime": regexp.MustCompile(`^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$`),
	"fhirInstant":  regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`),
}

// stampOf writes an instant; "" for none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// span is the time that a dateTime stands for: a year, a month, a day of the site, or an instant.
func (s fhirDateTime) span(zone *time.Location) (from, to time.Time, ok bool) {
	var err error
	switch len(s) {
	case len("2006"):
		from, err = time.ParseInLocation("2006", string(s), zone)
		to = from.AddDate(1, 0, 0)
	case len("2006-01"):
		from, err = time.ParseInLocation("2006-01", string(s), zone)
		to = from.AddDate(0, 1, 0)
	case len(time.DateOnly):
		from, err = time.ParseInLocation(time.DateOnly, string(s), zone)
		to = from.AddDate(0, 0, 1)
	default:
		from, err = time.Parse(time.RFC3339, string(s))
		to = from.Add(time.Second)
		if strings.Contains(string(s), ".") {
			to = from.Add(time.Nanosecond)
		}
	}
	return from, to, err == nil
}

const (
	oidURN = "urn:oid:"
	// nameURN begins the system of an authority that has only a name, as in HL7 v2 (CX.4.1).
	nameURN = "urn:id:"
	// uriSystem is the system of identifiers that are URIs themselves.
	uriSystem = "urn:ietf:rfc:3986"
)

var oidShape = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]*))+$`)

// systemOf is an assigning authority as Identifier.system.
func systemOf(authority string) fhirURI {
	switch {
	case authority == "":
		return ""
	case oidShape.MatchString(authority):
		return fhirURI(oidURN + authority)
	case strings.Contains(authority, ":"):
		return fhirURI(authority)
	}
	return fhirURI(nameURN + url.PathEscape(authority))
}

// authorityOf is systemOf read back; one that is not named is the site's own.
func authorityOf(system string, site contact.Site) string {
	if system == "" {
		return site.Authority
	}
	if oid, ok := strings.CutPrefix(system, oidURN); ok {
		return oid
	}
	if name, ok := strings.CutPrefix(system, nameURN); ok {
		if plain, err := url.PathUnescape(name); err == nil {
			return plain
		}
	}
	return system
}

func (i *fhirIdentifier) subject(site contact.Site) contact.SubjectID {
	if i == nil || i.Value == "" {
		return contact.SubjectID{}
	}
	return contact.SubjectID{Authority: authorityOf(string(i.System), site), MRN: i.Value}
}

// patientRef names a patient by the record number; nil for nobody.
func patientRef(id contact.SubjectID) *fhirReference {
	if id.IsZero() {
		return nil
	}
	return &fhirReference{Type: "Patient", Identifier: &fhirIdentifier{System: systemOf(id.Authority), Value: id.MRN}}
}

type fhirBundle struct {
	ResourceType string      `json:"resourceType"`
	Type         string      `json:"type"`
	Link         []fhirLink  `json:"link"`
	Entry        []fhirEntry `json:"entry,omitempty"`
}

type fhirLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type fhirEntry struct {
	FullURL  string            `json:"fullUrl,omitempty"`
	Resource any               `json:"resource"`
	Search   map[string]string `json:"search"` // mode
}

// sealed is what a door keeps beside a notice, as JSON.
func sealed(v any) (json.RawMessage, error) { return json.Marshal(v) }
