package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"pinward/daemon/text"
)

// finding is one thing that is wrong with a request: a place and a reason, never a value.
type finding struct {
	severity string // "" is error
	code     string // issue-type (R4 valueset-issue-type)
	at       string // FHIRPath, or "http." and the name of a parameter or header
	text     string
}

// badResource is a resource that is wrong in itself (400), or that asks for what is not done here (422).
type badResource struct {
	status   int
	findings []finding
}

func (e *badResource) Error() string { return "invalid resource: " + e.findings[0].text }

// placed is a refusal of a verb with the element that it is about. R4 keeps 404 for resources, so that
// a template that does not exist is 422.
type placed struct {
	error
	at string
}

func (e *placed) Unwrap() error { return e.error }

// put shows the fault as one of an element.
func (e *placed) put(f fault) fault {
	f.Field = e.at
	if s, ok := errors.AsType[*text.SlotError](e.error); ok {
		f.Detail = "slot " + s.Slot + ": " + string(s.Reason)
	}
	if f.Status == http.StatusNotFound || f.Status == http.StatusBadRequest {
		f.Status = http.StatusUnprocessableEntity
	}
	return f
}

type operationOutcome struct {
	ResourceType string      `json:"resourceType"`
	Issue        []fhirIssue `json:"issue"`
}

type fhirIssue struct {
	Severity    string       `json:"severity"`
	Code        string       `json:"code"`
	Details     *fhirConcept `json:"details,omitempty"`
	Diagnostics string       `json:"diagnostics,omitempty"`
	Expression  []string     `json:"expression,omitempty"`
}

func outcome(findings ...finding) operationOutcome {
	out := operationOutcome{ResourceType: "OperationOutcome"}
	for _, f := range findings {
		i := fhirIssue{Severity: f.severity, Code: f.code, Diagnostics: f.text}
		if i.Severity == "" {
			i.Severity = "error"
		}
		if f.at != "" {
			i.Expression = []string{f.at}
		}
		out.Issue = append(out.Issue, i)
	}
	return out
}

func outcomeOf(findings ...finding) []byte {
	b, err := json.Marshal(outcome(findings...))
	if err != nil {
		panic(err) // made of strings alone
	}
	return append(b, '\n')
}

// systemProblem is the code system of the kinds of faults, the last part of a problem's type in /v1.
const systemProblem = "urn:pinward:problem"

// showOutcome writes a fault as an OperationOutcome.
func showOutcome(w http.ResponseWriter, _ *http.Request, f fault) {
	body := outcomeOf(f.findings...)
	if f.findings == nil {
		out := outcome(finding{code: f.issueType(), at: f.expression(), text: f.Detail})
		out.Issue[0].Details = &fhirConcept{Coding: []fhirCoding{{System: systemProblem, Code: fhirCode(f.Kind)}}, Text: f.Title}
		if r, ok := reasonOfKind[f.Kind]; ok {
			out.Issue[0].Details.Coding = append(out.Issue[0].Details.Coding, r.codings()...)
		}
		if f.Kind == faultInternal.Kind {
			out.Issue[0].Severity = "fatal"
		}
		b, err := json.Marshal(out)
		if err != nil {
			panic(err) // made of strings alone
		}
		body = append(b, '\n')
	}
	writeJSON(w, f.Status, fhirType+"; charset=utf-8", body)
}

// expression is the place of a fault as R4 writes it: an element of the resource, or a part of HTTP.
func (f fault) expression() string {
	switch {
	case f.Field == "" || f.Field == "body":
		return ""
	case strings.HasPrefix(f.Field, "http.") || strings.HasPrefix(f.Field, fhirRequestType):
		return f.Field
	}
	return "http." + f.Field
}

// issueType is the code of valueset-issue-type that fits a fault.
func (f fault) issueType() string {
	switch f.Kind {
	case "duplicate":
		return "duplicate"
	case "disk-full":
		return "no-store"
	}
	switch f.Status {
	case http.StatusUnauthorized:
		return "login"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not-found"
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		return "not-supported"
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "conflict"
	case http.StatusRequestEntityTooLarge:
		return "too-long"
	case http.StatusUnprocessableEntity:
		return "business-rule"
	case http.StatusTooManyRequests:
		return "throttled"
	case http.StatusServiceUnavailable:
		return "transient"
	case http.StatusInternalServerError:
		return "exception"
	}
	return "invalid"
}
