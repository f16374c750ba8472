package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

const patientMRN = "40017"

// fhirBox is a box with a patient whose number is known.
func fhirBox(t testing.TB) *box {
	t.Helper()
	b := newBox(t)
	b.patient(patientMRN, patientNumber)
	return b
}

// patient puts a person with one number on record.
func (b *box) patient(mrn, number string) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		var to contact.Phone
		if err := to.UnmarshalText([]byte(number)); err != nil {
			return err
		}
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: contact.SubjectID{Authority: "RVR", MRN: mrn}, Source: "test",
			Phones: &[]contact.Number{{Phone: to, Use: "PRN", Equipment: "CP"}}})
		return err
	})
}

// wanted is a request that is taken; set changes it: pairs of an element's name and value, nil takes it out.
func wanted(set ...any) fields {
	m := fields{
		"resourceType": "CommunicationRequest", "status": "active",
		"subject": fields{"identifier": fields{"system": "urn:id:RVR", "value": patientMRN}},
		"payload": []any{fields{"contentString": "result.ready?link=https%3A%2F%2Fportal.example.org%2F"}},
	}
	for i := 0; i < len(set); i += 2 {
		if m[set[i].(string)] = set[i+1]; set[i+1] == nil {
			delete(m, set[i].(string))
		}
	}
	return m
}

// fhir sends a request to the FHIR paths; headers are pairs. Whatever comes back must be R4.
func (b *box) fhir(role access.Role, method, path string, body any, headers ...string) answer {
	b.T.Helper()
	r := b.request(role, method, fhirBase+path, body)
	r.Header.Set("Content-Type", fhirType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.r4(r)
}

// r4 asks, and holds the answer to the specification.
func (b *box) r4(r *http.Request) answer {
	b.T.Helper()
	a := b.ask(r)
	if a.Body.Len() == 0 {
		return a
	}
	if ct := a.Header().Get("Content-Type"); ct != "application/fhir+json; charset=utf-8" {
		b.T.Errorf("%s %s: content type %q", r.Method, r.URL.Path, ct)
	}
	for _, f := range specification().faults(a.json()) {
		b.T.Errorf("%s %s: %d: %s", r.Method, r.URL.Path, a.Code, f)
	}
	return a
}

// refused holds the answer to an OperationOutcome of a status, an issue code and an expression.
func (a answer) refused(status int, code, expression string) answer {
	a.t.Helper()
	a.want(status)
	m := a.json()
	if m["resourceType"] != "OperationOutcome" {
		a.t.Fatalf("status %d without OperationOutcome: %s", a.Code, a.Body)
	}
	for _, i := range m["issue"].([]any) {
		i := i.(map[string]any)
		at := ""
		if e, ok := i["expression"].([]any); ok {
			at = e[0].(string)
		}
		if i["code"] == code && at == expression {
			return a
		}
	}
	a.t.Errorf("no issue %s at %q in %s", code, expression, a.Body)
	return a
}

// entries of a bundle that match.
func (a answer) matches() (list []map[string]any) {
	a.t.Helper()
	entries, _ := a.want(200).json()["entry"].([]any)
	for _, e := range entries {
		e := e.(map[string]any)
		if e["search"].(map[string]any)["mode"] == "match" {
			list = append(list, e["resource"].(map[string]any))
		}
	}
	return list
}

// link is the address of a link without its beginning, "" if there is none.
func (a answer) link(relation string) string {
	links, _ := a.json()["link"].([]any)
	for _, l := range links {
		if l := l.(map[string]any); l["relation"] == relation {
			path, ok := strings.CutPrefix(l["url"].(string), "https://pinward.test"+fhirBase)
			if !ok {
				a.t.Errorf("link %s leads elsewhere", relation)
			}
			return path
		}
	}
	return ""
}

// receipt has the network say of the last text of the outbox that it arrived, or not.
func (b *box) receipt(job outbox.Job, status byte) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		return outbox.Receive(tx, outbox.Receipt{SIM: "8901", Ref: 1, To: job.Message.To, Status: status, At: time.Now()})
	})
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func contactOf(t testing.TB, number string) (p contact.Phone) {
	t.Helper()
	if err := p.UnmarshalText([]byte(number)); err != nil {
		t.Fatal(err)
	}
	return p
}

func deadSubject(tx *store.Tx, mrn string, dead bool) error {
	_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: contact.SubjectID{Authority: "RVR", MRN: mrn}, Source: "test", Dead: &dead})
	return err
}

// version is that of a resource.
func (a answer) version() string {
	a.t.Helper()
	return a.want(200).json()["meta"].(map[string]any)["versionId"].(string)
}
