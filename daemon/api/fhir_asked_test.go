package api

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/notice"
	"pinward/daemon/text"
	"pinward/store"
)

// TestFHIRContainedPeople: a number, a language and a death come with the request where no feed told them.
func TestFHIRContainedPeople(t *testing.T) {
	telecom := func(set ...any) fields {
		m := fields{"system": "phone", "value": "617-555-2222"}
		for i := 0; i < len(set); i += 2 {
			m[set[i].(string)] = set[i+1]
		}
		return m
	}
	past := time.Now().AddDate(-1, 0, 0).Format(time.DateOnly)
	for name, c := range map[string]struct {
		telecom []any
		number  string
	}{
		"phone":          {[]any{telecom()}, "+16175552222"},
		"sms first":      {[]any{telecom(), telecom("system", "sms", "value", "(617) 555-3333")}, "+16175553333"},
		"mobile first":   {[]any{telecom("use", "home"), telecom("use", "mobile", "value", "6175553333")}, "+16175553333"},
		"rank first":     {[]any{telecom("use", "mobile"), telecom("rank", 1, "value", "6175553333")}, "+16175553333"},
		"old":            {[]any{telecom("use", "old"), telecom("value", "6175553333", "use", "home")}, "+16175553333"},
		"over":           {[]any{telecom("rank", 1, "period", fields{"end": past}), telecom("value", "6175553333")}, "+16175553333"},
		"not yet":        {[]any{telecom("rank", 1, "period", fields{"start": "2999"}), telecom("value", "6175553333")}, "+16175553333"},
		"e-mail and fax": {[]any{telecom("system", "email"), telecom("system", "fax"), telecom("value", "6175553333")}, "+16175553333"},
		"the hospital's": {[]any{telecom("system", "email")}, patientNumber},
	} {
		b := fhirBox(t)
		p := fields{"resourceType": "Patient", "id": "p", "telecom": c.telecom, "identifier": []any{fields{"system": "urn:id:RVR", "value": patientMRN}},
			"name": []any{fields{"family": "Doe"}}, "communication": []any{fields{"language": fields{"coding": []any{fields{"code": "es"}}}, "preferred": true}}}
		id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("contained", []any{p}, "subject", fields{"reference": "#p"})).want(201).str("id")
		b.View(func(tx *store.Tx) error {
			n, _, err := notice.Get(tx, id)
			if n.To.E164() != c.number || n.Lang != "es" || n.Subject.MRN != patientMRN {
				t.Errorf("%s: to another number, or in %s", name, n.Lang)
			}
			return err
		})
	}
	b := fhirBox(t)
	relative := fields{"resourceType": "RelatedPerson", "id": "r", "patient": fields{"identifier": fields{"value": patientMRN}}, "telecom": []any{telecom()}}
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest",
		wanted("contained", []any{relative}, "recipient", []any{fields{"reference": "#r"}})).want(201).str("id")
	b.View(func(tx *store.Tx) error {
		n, _, err := notice.Get(tx, id)
		if n.To.E164() != "+16175552222" || n.Subject.MRN != patientMRN {
			t.Error("a related person is not texted in the patient's place")
		}
		return err
	})
	relative["patient"] = fields{"identifier": fields{"value": "another"}}
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("contained", []any{relative}, "recipient", []any{fields{"reference": "#r"}})).
		refused(422, "business-rule", "CommunicationRequest.recipient[0]")
	patient := func(set ...any) fields {
		m := fields{"resourceType": "Patient", "id": "p", "telecom": []any{telecom()}}
		for i := 0; i < len(set); i += 2 {
			m[set[i].(string)] = set[i+1]
		}
		return m
	}
	ask := func(p fields) answer {
		return b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("contained", []any{p}, "subject", fields{"reference": "#p"}))
	}
	ask(patient("deceasedBoolean", true)).refused(422, "business-rule", "CommunicationRequest.subject")
	ask(patient("deceasedDateTime", "2026-01-01")).refused(422, "business-rule", "CommunicationRequest.subject")
	ask(patient("active", false)).refused(422, "business-rule", "CommunicationRequest.contained")
	ask(patient("id", "q")).refused(422, "not-found", "CommunicationRequest.subject")
	ask(patient("telecom", []any{telecom("value", "12")})).refused(422, "business-rule", "CommunicationRequest.recipient[0]")
	ask(patient("relationship", []any{fields{"text": "x"}})).refused(400, "structure", "CommunicationRequest.contained[0]")
}

// TestFHIRInThePatientsPlace: a related person is told only about a patient who lives, while they are related, and at a number of their
// own; what they cannot get goes to nobody else.
func TestFHIRInThePatientsPlace(t *testing.T) {
	past := time.Now().AddDate(-1, 0, 0).Format(time.DateOnly)
	patient, relative := "p", "r"
	person := func(id string, set ...any) fields {
		m := fields{"resourceType": "Patient", "id": id, "identifier": []any{fields{"system": "urn:id:RVR", "value": patientMRN}}}
		if id == relative {
			m = fields{"resourceType": "RelatedPerson", "id": id, "patient": fields{"identifier": fields{"value": patientMRN}},
				"telecom": []any{fields{"system": "phone", "value": "617-555-2222"}}}
		}
		for i := 0; i < len(set); i += 2 {
			m[set[i].(string)] = set[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		patient, relative fields
		at                string // "" is taken
	}{
		"both":       {person(patient), person(relative, "period", fields{"start": past}), ""},
		"dead":       {person(patient, "deceasedBoolean", true), person(relative), ".subject"},
		"not in use": {person(patient, "active", false), person(relative), ".contained"},
		"over":       {person(patient), person(relative, "period", fields{"end": past}), ".contained"},
		"by e-mail":  {person(patient), person(relative, "telecom", []any{fields{"system": "email", "value": "ann@example.org"}}), ".recipient[0]"},
	} {
		b := fhirBox(t)
		a := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("contained", []any{c.patient, c.relative},
			"subject", fields{"reference": "#p"}, "recipient", []any{fields{"reference": "#r"}}))
		if c.at != "" {
			a.refused(422, "business-rule", "CommunicationRequest"+c.at)
			continue
		}
		b.View(func(tx *store.Tx) error {
			n, _, err := notice.Get(tx, a.want(201).str("id"))
			if n.To.E164() != "+16175552222" || n.Subject.MRN != patientMRN {
				t.Errorf("%s: to another number, or about another patient", name)
			}
			return err
		})
	}
}

// TestFHIRGuard: no slot carries a word of who the patient is, or why one.
func TestFHIRGuard(t *testing.T) {
	b := fhirBox(t)
	payload := []any{fields{"contentString": "result.ready?link=https%3A%2F%2Fportal.example.org%2Fwindermere"}}
	patient := fields{"resourceType": "Patient", "id": "p", "identifier": []any{fields{"system": "urn:id:RVR", "value": patientMRN}}}
	with := func(name string, v any) fields {
		p := fields{name: v}
		for k, e := range patient {
			p[k] = e
		}
		return p
	}
	for name, set := range map[string][]any{
		"reason":    {"reasonCode", []any{fields{"text": "Windermere syndrome"}}},
		"reference": {"reasonReference", []any{fields{"reference": "Condition/1", "display": "windermere"}}},
		"display":   {"subject", fields{"identifier": fields{"value": patientMRN}, "display": "Jane WINDERMERE"}},
		"name":      {"contained", []any{with("name", []any{fields{"family": "Windermere"}})}, "subject", fields{"reference": "#p"}},
		"address":   {"contained", []any{with("address", []any{fields{"line": []any{"12 Windermere Road"}}})}, "subject", fields{"reference": "#p"}},
	} {
		a := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(append(set, "payload", payload)...)).
			refused(422, "business-rule", "CommunicationRequest.payload[0].content")
		if !strings.Contains(a.Body.String(), "slot link: guarded") || strings.Contains(strings.ToLower(a.Body.String()), "windermere") {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("payload", payload,
		"contained", []any{with("address", []any{fields{"city": "Windermere"}})}, "subject", fields{"reference": "#p"})).want(201)
}

// TestFHIRWholeText: a whole text goes out only where exactly one template gives it, letter for letter.
func TestFHIRWholeText(t *testing.T) {
	b := fhirBox(t)
	send := func(body string) answer {
		return b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("payload", []any{fields{"contentString": body}}))
	}
	const whole = "Riverside: You have a new document in your portal: https://portal.example.org/ Reply STOP to opt out."
	a := send(whole).want(201)
	if !strings.Contains(a.Body.String(), "result.ready?link=") || strings.Contains(a.Body.String(), "new document") {
		t.Errorf("kept as %s", a.Body)
	}
	if job, ok := b.next(); !ok || job.Rendered.Text != whole {
		t.Error("another text goes out")
	}
	for _, other := range []string{
		whole + " ", strings.Replace(whole, "new", "bad", 1), strings.Replace(whole, "Riverside", "Bank", 1),
		strings.Replace(whole, "portal.example.org", "evil.example", 1), strings.Replace(whole, " Reply STOP to opt out.", "", 1),
	} {
		send(other).refused(422, "business-rule", "CommunicationRequest.payload[0].content")
	}
	for i, n := range b.Entries(notice.ActionSend) {
		if strings.Contains(fmt.Sprint(n.Entry), "document") {
			t.Errorf("entry %d holds the text", i)
		}
	}
}

// TestFHIRMarketing: its category names the class, and the class needs an opt-in.
func TestFHIRMarketing(t *testing.T) {
	b := fhirBox(t)
	b.Do(func(tx *store.Tx) error {
		_, err := text.Save(tx, text.Template{Name: "open.day", Lang: "en", Class: text.Marketing, Body: "{brand}: Visit us at {site}. {stop}"})
		return err
	})
	payload := []any{fields{"contentString": "open.day?site=" + url.QueryEscape("Main Street")}}
	market := []any{concept(systemActReason, "HMARKT")}
	a := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("payload", payload, "category", market)).
		refused(422, "business-rule", "CommunicationRequest.subject")
	if !strings.Contains(a.Body.String(), "no-opt-in") {
		t.Errorf("refused: %s", a.Body)
	}
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("payload", payload, "category", []any{concept(systemCommCategory, "reminder")})).
		refused(422, "business-rule", "CommunicationRequest.category")
}
