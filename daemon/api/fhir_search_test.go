package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/daemon/text"
	"pinward/store"
)

// TestFHIRMediumOfALandline: a patient whose number takes no texts is called, and the Communication says so.
func TestFHIRMediumOfALandline(t *testing.T) {
	b := fhirBox(t)
	medium := func() string {
		id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
		m := b.fhir(access.Engine, "GET", "/Communication/"+id, nil).want(200).json()
		return m["medium"].([]any)[0].(map[string]any)["coding"].([]any)[0].(map[string]any)["code"].(string)
	}
	if got := medium(); got != "SMSWRIT" {
		t.Errorf("to a mobile it goes by %s", got)
	}
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second})
	})
	b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": patientNumber, "type": "landline"}).want(200)
	if got := medium(); got != "PHONE" {
		t.Errorf("to a landline it goes by %s", got)
	}
}

// TestFHIRMediumAskedFor: PHONE alone is a call, beside SMSWRIT it is the box's choice; where nobody may be called it is refused, and so is
// what may not be spoken.
func TestFHIRMediumAskedFor(t *testing.T) {
	b := fhirBox(t)
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second})
	})
	asks := func(codes ...string) fields {
		var m []any
		for _, c := range codes {
			m = append(m, concept(systemMode, c))
		}
		return wanted("medium", m)
	}
	for want, codes := range map[string][]string{"PHONE": {"PHONE"}, "SMSWRIT": {"PHONE", "SMSWRIT"}} {
		id := b.fhir(access.Engine, "POST", "/CommunicationRequest", asks(codes...)).want(201).str("id")
		if a := b.fhir(access.Engine, "GET", "/CommunicationRequest/"+id, nil).want(200); !strings.Contains(a.Body.String(), `"PHONE"`) {
			t.Errorf("what was asked for is not kept: %s", a.Body)
		}
		m := b.fhir(access.Engine, "GET", "/Communication/"+id, nil).want(200).json()
		if got := m["medium"].([]any)[0].(map[string]any)["coding"].([]any)[0].(map[string]any)["code"]; got != want {
			t.Errorf("%v goes by %v", codes, got)
		}
	}
	if job, ok := b.next(); !ok || job.Rendered.Text == "" {
		t.Error("the text does not go")
	}
	visit := asks("PHONE")
	visit["payload"] = []any{fields{"contentString": "telehealth.link?link=https%3A%2F%2Fportal.example.org%2F&start=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))}}
	b.fhir(access.Engine, "POST", "/CommunicationRequest", visit).refused(422, "business-rule", "CommunicationRequest.medium")
	b.Do(func(tx *store.Tx) error {
		return contact.Flag(tx, contactOf(t, patientNumber), contact.Flags{NoVoice: new(true)}, "patient")
	})
	a := b.fhir(access.Engine, "POST", "/CommunicationRequest", asks("PHONE")).refused(422, "business-rule", "CommunicationRequest.medium")
	if !strings.Contains(a.Body.String(), "no-calls") {
		t.Errorf("it says %s", a.Body)
	}
}

// TestFHIRSearchCommunications: by request, by status, page by page, and each client its own.
func TestFHIRSearchCommunications(t *testing.T) {
	b := fhirBox(t)
	var ids []string
	for range 3 {
		ids = append(ids, b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id"))
	}
	mine := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("identifier", []any{fields{"system": "urn:x", "value": "9"}})).want(201).str("id")
	b.fhir(access.Portal, "POST", "/CommunicationRequest", wanted()).want(201)
	b.fhir(access.Engine, "PUT", "/CommunicationRequest/"+ids[0], fields{"resourceType": "CommunicationRequest", "id": ids[0], "status": "revoked"}).want(200)

	for query, want := range map[string]int{
		"?based-on=CommunicationRequest/" + ids[1]:                              1,
		"?based-on=" + ids[1] + "," + ids[0]:                                    2,
		"?based-on=" + ids[1] + "&status=stopped":                               0,
		"?based-on=https://pinward.test/fhir/r4/CommunicationRequest/" + ids[1]: 1,
		"?based-on:identifier=" + url.QueryEscape("urn:x|9"):                    1,
		"?based-on:identifier=" + url.QueryEscape("urn:x|8"):                    0,
		"?status=stopped":                        1,
		"?status=preparation":                    3,
		"?status=preparation,stopped":            4,
		"?status=on-hold":                        0,
		"":                                       4,
		"?based-on=SM" + strings.Repeat("0", 32): 0,
	} {
		if got := b.fhir(access.Engine, "GET", "/Communication"+query, nil).matches(); len(got) != want {
			t.Errorf("%s: %d found, want %d", query, len(got), want)
		}
	}
	if got := b.fhir(access.Nurse, "GET", "/Communication", nil).matches(); len(got) != 5 {
		t.Errorf("a nurse sees %d", len(got))
	}
	if got := b.fhir(access.Portal, "GET", "/Communication?based-on="+mine, nil).matches(); len(got) != 0 {
		t.Error("a client sees another's")
	}
	seen, pages := map[string]bool{}, 0
	for path := "/Communication?_count=2"; path != ""; pages++ {
		a := b.fhir(access.Engine, "GET", path, nil, "Prefer", "handling=strict")
		for _, c := range a.matches() {
			seen[c["id"].(string)] = true
		}
		path = a.link("next")
	}
	if len(seen) != 4 || pages != 2 {
		t.Errorf("%d found on %d pages", len(seen), pages)
	}
	for query, at := range map[string]string{
		"?status=done": "http.status", "?based-on=Patient/1": "http.based-on", "?_count=0": "http._count", "?_cursor=1": "http._cursor",
		"?based-on:identifier=9": "http.based-on",
	} {
		b.fhir(access.Engine, "GET", "/Communication"+query, nil).refused(400, "invalid", at)
	}
}

// TestFHIRUnknownParameters: passed over and told, or refused where the caller is strict; one that would
// narrow the search is never passed over.
func TestFHIRUnknownParameters(t *testing.T) {
	b := fhirBox(t)
	a := b.fhir(access.Engine, "GET", "/Communication?sender=x&status=completed", nil).want(200)
	if self := a.link("self"); self != "/Communication?status=completed" {
		t.Errorf("self is %q", self)
	}
	if !strings.Contains(a.Body.String(), `"mode":"outcome"`) || !strings.Contains(a.Body.String(), "not-supported") {
		t.Errorf("not told: %s", a.Body)
	}
	b.fhir(access.Engine, "GET", "/Communication?sender=x", nil, "Prefer", "handling=lenient").want(200)
	b.fhir(access.Engine, "GET", "/Communication?sender=x", nil, "Prefer", "return=minimal; handling=strict").refused(400, "not-supported", "")
	for _, query := range []string{"/AuditEvent?patient=Patient/1", "/AuditEvent?patient:missing=true", "/AuditEvent?agent.name=x", "/Consent?patient=1"} {
		role, name := access.Auditor, "http.patient"
		if strings.Contains(query, "agent") {
			name = "http.agent"
		}
		b.fhir(role, "GET", query, nil).refused(400, "not-supported", name)
	}
	b.fhir(access.Auditor, "GET", "/AuditEvent?patient.identifier=1&patient.identifier=2", nil).refused(400, "invalid", "http.patient.identifier")
}

// TestFHIRConsent: a rule for each class of text, as the box decides it now.
func TestFHIRConsent(t *testing.T) {
	b := fhirBox(t)
	rules := func() string {
		t.Helper()
		all := b.fhir(access.Engine, "GET", "/Consent?patient:identifier="+url.QueryEscape("urn:id:RVR|"+patientMRN), nil).matches()
		if len(all) != 1 {
			t.Fatalf("%d consents", len(all))
		}
		c := all[0]
		if v := c["identifier"].([]any)[0].(map[string]any)["value"]; v != "tel:"+patientNumber {
			t.Errorf("the consent is of %v", v)
		}
		var out []string
		for _, r := range c["provision"].(map[string]any)["provision"].([]any) {
			r := r.(map[string]any)
			class := r["code"].([]any)[0].(map[string]any)["coding"].([]any)[0].(map[string]any)["code"].(string)
			out = append(out, class+":"+r["type"].(string))
		}
		return strings.Join(out, " ")
	}
	if got := rules(); got != "care:permit code:permit marketing:deny" {
		t.Errorf("at first %s", got)
	}
	p := contactOf(t, patientNumber)
	b.Do(func(tx *store.Tx) error {
		return consent.Set(tx, p, text.Marketing, consent.OptedIn, consent.SourceAPI)
	})
	if got := rules(); got != "care:permit code:permit marketing:permit" {
		t.Errorf("after the opt-in %s", got)
	}
	b.Do(func(tx *store.Tx) error {
		_, err := consent.Incoming(tx, consent.In{From: p, Body: "STOP", SIM: "8901", At: tx.Now()})
		return err
	})
	if got := rules(); got != "care:deny code:permit marketing:deny" {
		t.Errorf("after STOP %s", got)
	}
	b.Do(func(tx *store.Tx) error { return deadSubject(tx, patientMRN, true) })
	if got := rules(); got != "care:deny code:deny marketing:deny" {
		t.Errorf("after the death %s", got)
	}
	b.fhir(access.Engine, "GET", "/Consent", nil).refused(400, "required", "http.patient")
	if got := b.fhir(access.Engine, "GET", "/Consent?patient.identifier=nobody", nil).matches(); len(got) != 0 {
		t.Errorf("%d consents of nobody", len(got))
	}
	looks := b.Entries(record.ActionView)
	if len(looks) < 5 || looks[0].Entry.Object != "consents" || looks[0].Entry.Subject != "RVR|"+patientMRN {
		t.Errorf("looks: %v", looks)
	}
}

// TestFHIRAuditEvent: the search by date, patient and agent, itself on record, with numbers masked.
func TestFHIRAuditEvent(t *testing.T) {
	b := fhirBox(t)
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("requester", fields{"identifier": fields{"value": "drmiller"}})).want(201)
	job, _ := b.next()
	b.receipt(job, 0)
	engine := b.clients[access.Engine].sid
	count := func(query string) []map[string]any {
		t.Helper()
		return b.fhir(access.Auditor, "GET", "/AuditEvent"+query, nil, "Prefer", "handling=strict").matches()
	}
	all := count("?patient.identifier=" + url.QueryEscape("urn:id:RVR|"+patientMRN))
	text := toJSON(t, all)
	if len(all) < 3 || !strings.Contains(text, "drmiller") || strings.Contains(text, patientNumber) || !strings.Contains(text, "+1617*****34") {
		t.Errorf("of the patient: %s", text)
	}
	if first := toJSON(t, all[0]); !strings.Contains(first, "audit.search") || !strings.Contains(first, "110101") {
		t.Errorf("the search itself is not the newest: %s", first)
	}
	mine := count("?agent:identifier=" + url.QueryEscape("urn:pinward:client|"+engine))
	if len(mine) == 0 || len(count("?agent.identifier="+engine)) != len(mine) || len(count("?agent.identifier="+url.QueryEscape("urn:pinward:user|"+engine))) != 0 {
		t.Errorf("%d of the agent", len(mine))
	}
	for _, e := range mine {
		if n := strings.Count(toJSON(t, e), `"requestor":true`); n != 1 {
			t.Errorf("%d requestors", n)
		}
	}
	now := time.Now()
	day := func(d int) string { return now.UTC().AddDate(0, 0, d).Format(time.DateOnly) }
	for query, some := range map[string]bool{
		"?date=ge" + day(-1): true, "?date=gt" + day(2): false, "?date=lt" + day(-1): false, "?date=le" + day(2): true,
		"?date=ge" + day(-1) + "&date=lt" + day(2): true, "?date=" + now.Format("2006"): true, "?date=" + day(-3): false,
		"?date=ge" + url.QueryEscape(now.Add(-time.Hour).Format(time.RFC3339)): true, "?date=sa" + now.Add(time.Hour).UTC().Format(time.RFC3339): false,
		"?date=eb" + now.Add(-time.Hour).UTC().Format(time.RFC3339): false, "?date=lt" + now.In(time.FixedZone("", 3600)).Add(-time.Hour).Format(time.RFC3339): false,
	} {
		if got := count(query); (len(got) > 0) != some {
			t.Errorf("%s: %d found", query, len(got))
		}
	}
	for _, query := range []string{"?date=ne2026", "?date=yesterday", "?date=ge", "?date=2026-13-01"} {
		b.fhir(access.Auditor, "GET", "/AuditEvent"+query, nil).refused(400, "invalid", "http.date")
	}
	seen := map[string]bool{}
	pages := 0
	for path := "/AuditEvent?_count=7&date=lt" + url.QueryEscape(now.Add(time.Minute).UTC().Format(time.RFC3339)); path != "" && pages < 30; pages++ {
		a := b.fhir(access.Auditor, "GET", path, nil, "Prefer", "handling=strict")
		for _, e := range a.matches() {
			seen[e["id"].(string)] = true
		}
		path = a.link("next")
	}
	if pages < 3 || !seen["0"] && !seen["1"] {
		t.Errorf("%d entries on %d pages, not to the first", len(seen), pages)
	}
	searches := b.Entries(record.ActionSearch)
	if len(searches) < 10 || searches[0].Entry.Subject != "RVR|"+patientMRN || searches[0].Actor.ID != b.clients[access.Auditor].sid {
		t.Errorf("searches on record: %d", len(searches))
	}
}

// TestFHIRAuditEventOfADisclosure: of what left the box it is told from whom, to which number, about whom, and as which Communication
// (IHE BALP, Privacy Disclosure).
func TestFHIRAuditEventOfADisclosure(t *testing.T) {
	b := fhirBox(t)
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	job, _ := b.next()
	b.receipt(job, 0)
	found := 0
	for _, e := range b.fhir(access.Auditor, "GET", "/AuditEvent?_count=200", nil).matches() {
		text := toJSON(t, e)
		if !strings.Contains(text, `"disclose"`) {
			continue
		}
		found++
		for _, part := range []string{`"110153"`, `"110152"`, `"+1617*****34"`, `"` + patientMRN + `"`, `"Communication/` + id + `"`} {
			if !strings.Contains(text, part) {
				t.Errorf("no %s in %s", part, text)
			}
		}
		if strings.Contains(text, patientNumber) || strings.Count(text, `"requestor":true`) != 1 {
			t.Errorf("the number is not masked, or another number of requestors than one: %s", text)
		}
	}
	if found == 0 {
		t.Error("no event of what was sent")
	}
}

// TestFHIRAuditEventOfAPatient: the search by patient finds what became of the texts for that patient, which the entries themselves do not
// name, on pages that meet, and nothing of another's.
func TestFHIRAuditEventOfAPatient(t *testing.T) {
	b := fhirBox(t)
	b.patient("40018", otherNumber)
	subject := func(mrn string) fields { return fields{"identifier": fields{"system": "urn:id:RVR", "value": mrn}} }
	ids := map[string]string{}
	for _, mrn := range []string{patientMRN, "40018"} {
		ids[mrn] = b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted("subject", subject(mrn))).want(201).str("id")
		job, _ := b.next()
		b.receipt(job, 0)
	}
	for mrn, id := range ids {
		sent, pages, seen := 0, 0, map[string]bool{}
		for path := "/AuditEvent?_count=2&patient.identifier=" + url.QueryEscape("urn:id:RVR|"+mrn); path != "" && pages < 20; pages++ {
			a := b.fhir(access.Auditor, "GET", path, nil, "Prefer", "handling=strict")
			for _, e := range a.matches() {
				text := toJSON(t, e)
				if seen[e["id"].(string)] || !strings.Contains(text, `"`+mrn+`"`) {
					t.Errorf("of another patient, or twice: %s", text)
				}
				seen[e["id"].(string)] = true
				if strings.Contains(text, `"disclose"`) && strings.Contains(text, `"Communication/`+id+`"`) {
					sent++
				}
			}
			path = a.link("next")
		}
		if sent != 2 || pages < 3 { // it was sent, and it arrived
			t.Errorf("%d disclosures on %d pages", sent, pages)
		}
	}
}

// TestFHIRAuthorities: a name, an OID and a URI as the system of a record number, there and back.
func TestFHIRAuthorities(t *testing.T) {
	site := contact.Site{Authority: "RVR"}
	for authority, system := range map[string]string{
		"RVR": "urn:id:RVR", "ST. MARY": "urn:id:ST.%20MARY", "1.2.840.99": "urn:oid:1.2.840.99", "https://ehr.example.org/mrn": "https://ehr.example.org/mrn",
	} {
		if got := systemOf(authority); string(got) != system {
			t.Errorf("%s is %s", authority, got)
		}
		if got := authorityOf(system, site); got != authority {
			t.Errorf("%s is %s", system, got)
		}
	}
	if authorityOf("", site) != "RVR" || authorityOf("DEMO", site) != "DEMO" || systemOf("") != "" {
		t.Error("a system that is not named")
	}
}
