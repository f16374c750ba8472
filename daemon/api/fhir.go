package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"pinward/daemon/access"
)

// The files fhir*.go are the FHIR R4 shape (HL7 FHIR 4.0.1) over the same verbs as /v1: a
// CommunicationRequest asks for a text, Communication tells what became of it, Consent what a patient's
// numbers may get, AuditEvent what is on record. JSON only, and only what the CapabilityStatement
// lists, which is made from fhirRoutes.

const (
	fhirBase    = "/fhir/r4"
	fhirVersion = "4.0.1"
	fhirType    = "application/fhir+json"
)

// fhirRoute is one interaction (R4 http.html).
type fhirRoute struct {
	route
	resource    string
	interaction string // code system restful-interaction
	summary     string // for the OpenAPI document
}

func fhirRoutes() []fhirRoute {
	at := func(method, resource, rest string) string { return method + " " + fhirBase + "/" + resource + rest }
	list := []fhirRoute{
		{route{pattern: at("POST", fhirRequestType, ""), may: access.Notify, effect: createRequest}, fhirRequestType, "create",
			"Ask for a text. With an identifier, or If-None-Exist, the same request again is answered with the first one."},
		{route{pattern: at("GET", fhirRequestType, "/{id}"), may: access.NotifyRead, read: readRequest}, fhirRequestType, "read",
			"How a request stands."},
		{route{pattern: at("GET", fhirRequestType, "/{id}/_history/{vid}"), may: access.NotifyRead, read: readRequest}, fhirRequestType, "vread",
			"How a request stands; only the present version is kept."},
		{route{pattern: at("PUT", fhirRequestType, "/{id}"), may: access.Notify, goesOn: true, effect: revokeRequest}, fhirRequestType, "update",
			"Revoke a request: only status may differ, and only be revoked."},
		{route{pattern: at("GET", fhirCommunicationType, "/{id}"), may: access.NotifyRead, read: readCommunication}, fhirCommunicationType, "read",
			"What became of a text."},
		{route{pattern: at("GET", fhirCommunicationType, "/{id}/_history/{vid}"), may: access.NotifyRead, read: readCommunication}, fhirCommunicationType, "vread",
			"What became of a text; only the present version is kept."},
	}
	for _, s := range []struct {
		resource, summary string
		route
	}{
		{fhirCommunicationType, "Texts, newest first. A portal or an engine sees its own.",
			route{may: access.NotifyRead, viewed: viewedCommunications, read: searchCommunications}},
		{"Consent", "What each of a patient's numbers may get. The look is an entry of the audit.",
			route{may: access.ContactRead, viewed: viewedConsents, read: searchConsents}},
		{"AuditEvent", "Search the audit, newest first. The search is an entry itself.",
			route{may: access.AuditRead, viewed: viewedAuditEvents, read: searchAuditEvents}},
	} {
		get, post := s.route, s.route
		get.pattern, post.pattern = at("GET", s.resource, ""), at("POST", s.resource, "/_search")
		list = append(list, fhirRoute{get, s.resource, "search-type", s.summary},
			// A patient's identifier in an address stands in logs on the way; in a form it does not.
			fhirRoute{post, s.resource, "search-type", s.summary + " The parameters come as a form."})
	}
	return list
}

func (a *api) fhirRoutes(m *http.ServeMux) {
	for _, r := range fhirRoutes() {
		m.HandleFunc(r.pattern, a.serveFHIR(r))
	}
	m.HandleFunc("GET "+fhirBase+"/metadata", a.metadata)
	m.HandleFunc(fhirBase+"/", a.lost(m, showOutcome))
}

func (a *api) serveFHIR(rt fhirRoute) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.admit(r, rt.may)
		if err == nil {
			err = acceptable(r)
		}
		if err == nil && rt.interaction == "search-type" {
			err = readForm(w, r)
		}
		if err == nil && rt.interaction == "search-type" {
			err = checkSearch(r, rt.resource)
		}
		var out reply
		switch {
		case err != nil:
		case rt.read != nil:
			out, err = a.read(r, rt.route, p)
		default:
			out, err = a.effect(w, r, rt.route, p)
		}
		if err != nil || out.fault != nil {
			a.send(w, r, out, err, showOutcome)
			return
		}
		if out.replayed {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		showResource(w, r, rt, out)
	}
}

// acceptable holds the request to the one format that this API has (R4 http.html#mime-type). _format
// stands before Accept.
func acceptable(r *http.Request) error {
	wanted := r.URL.Query().Get("_format")
	if wanted == "" {
		wanted = strings.Join(r.Header.Values("Accept"), ",")
	}
	if wanted == "" {
		return nil
	}
	for one := range strings.SplitSeq(wanted, ",") {
		kind, params, _ := strings.Cut(one, ";")
		// A "+" that nobody escaped in an address has become a space.
		kind = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(kind)), " ", "+")
		if slices.Contains([]string{"json", "text/json", "application/json", fhirType, "*/*", "application/*"}, kind) && servesVersion(params) {
			return nil
		}
	}
	return &invalid{http.StatusNotAcceptable, "http.Accept", "FHIR " + fhirVersion + " as " + fhirType + " is what there is"}
}

// servesVersion looks for a fhirVersion that is not R4.
func servesVersion(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "fhirVersion") && !slices.Contains([]string{"4.0", fhirVersion}, strings.Trim(value, `"`)) {
			return false
		}
	}
	return true
}

// readForm takes a search by form (R4 http.html#search) as one by address.
func readForm(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		if !contentType(r, "application/x-www-form-urlencoded") {
			return &invalid{http.StatusUnsupportedMediaType, "http.Content-Type", "send application/x-www-form-urlencoded"}
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	if err := r.ParseForm(); err != nil {
		return bad("body", "the parameters cannot be read")
	}
	return nil
}

// fhirMediaType holds a body to the formats that R4 allows for JSON.
func fhirMediaType(r *http.Request) error {
	if contentType(r, fhirType) || contentType(r, "application/json") {
		return nil
	}
	return &invalid{http.StatusUnsupportedMediaType, "http.Content-Type", "send " + fhirType}
}

// prefers reads the header Prefer (RFC 7240): "return" or "handling"; "" if it says nothing.
func prefers(r *http.Request, name string) string {
	for _, h := range r.Header.Values("Prefer") {
		for p := range strings.FieldsFuncSeq(h, func(c rune) bool { return c == ',' || c == ';' }) {
			if k, v, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(k, name) {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}

// baseURL is the service's address as the caller knows it.
func baseURL(r *http.Request) string { return "https://" + r.Host + fhirBase }

// showResource writes a resource with what HTTP says of it: version, date, place.
func showResource(w http.ResponseWriter, r *http.Request, rt fhirRoute, out reply) {
	var head struct {
		ID   string   `json:"id"`
		Meta fhirMeta `json:"meta"`
	}
	if err := json.Unmarshal(out.body, &head); err != nil {
		panic(err) // we made it
	}
	if head.Meta.VersionID != "" {
		h := w.Header()
		h.Set("ETag", etag(head.Meta.VersionID))
		at, err := time.Parse(time.RFC3339, string(head.Meta.LastUpdated))
		if err == nil {
			h.Set("Last-Modified", at.UTC().Format(http.TimeFormat))
		}
		if rt.read != nil && unchanged(r, head.Meta.VersionID, at) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if rt.effect != nil {
			h.Set("Location", baseURL(r)+"/"+rt.resource+"/"+head.ID+"/_history/"+head.Meta.VersionID)
		}
	}
	if rt.effect != nil {
		switch prefers(r, "return") {
		case "minimal":
			w.WriteHeader(out.status)
			return
		case "OperationOutcome":
			out.body = outcomeOf(finding{severity: "information", code: "informational", text: "taken"})
		}
	}
	if r.FormValue("_pretty") == "true" {
		var b bytes.Buffer
		if err := json.Indent(&b, out.body, "", "  "); err == nil {
			out.body = b.Bytes()
		}
	}
	writeJSON(w, out.status, fhirType+"; charset=utf-8", out.body)
}

func etag(version string) string { return `W/"` + version + `"` }

// unchanged answers a conditional read (R4 http.html#cread).
func unchanged(r *http.Request, version string, at time.Time) bool {
	if tags := r.Header.Values("If-None-Match"); tags != nil {
		return namesVersion(strings.Join(tags, ","), version)
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !at.Truncate(time.Second).After(since)
}

// namesVersion reads a list of entity tags; R4 takes the weak and the strong form for the same.
func namesVersion(tags, version string) bool {
	for t := range strings.SplitSeq(tags, ",") {
		t = strings.TrimSpace(t)
		if t == "*" || strings.Trim(strings.TrimPrefix(t, "W/"), `"`) == version {
			return true
		}
	}
	return false
}

// vread answers for the present version alone: others are not kept.
func vread(r *http.Request, m *fhirMeta) error {
	if vid := r.PathValue("vid"); cmp.Or(vid, m.VersionID) != m.VersionID {
		return errAbsent
	}
	return nil
}
