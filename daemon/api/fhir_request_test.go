package api

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// TestFHIRRequestBecomesACommunication follows one request from its creation to the receipt.
func TestFHIRRequestBecomesACommunication(t *testing.T) {
	b := fhirBox(t)
	came := wanted(
		"identifier", []any{fields{"system": "https://ehr.example.org/orders", "value": "77-1"}},
		"category", []any{fields{"coding": []any{fields{"system": systemCommCategory, "code": "notification", "display": "Notification"}}}},
		"priority", "urgent", "authoredOn", "2026-11-22T09:00:00-05:00",
		"medium", []any{fields{"coding": []any{fields{"system": systemMode, "code": "SMSWRIT"}}}},
		"about", []any{fields{"reference": "Appointment/9", "display": "x"}},
		"requester", fields{"identifier": fields{"value": "drmiller"}},
		"note", []any{fields{"text": "call before noon"}}, "_status", fields{"id": "s"})
	a := b.fhir(access.Engine, "POST", "/CommunicationRequest", came).want(201)
	id := a.str("id")
	if loc := a.Header().Get("Location"); loc != "https://pinward.test/fhir/r4/CommunicationRequest/"+id+"/_history/1" {
		t.Errorf("Location %q", loc)
	}
	if a.Header().Get("ETag") != `W/"1"` || a.Header().Get("Last-Modified") == "" {
		t.Errorf("headers %v", a.Header())
	}
	m := a.json()
	if m["status"] != "active" || m["priority"] != "urgent" || !strings.Contains(a.Body.String(), "77-1") || !strings.Contains(a.Body.String(), "Appointment/9") {
		t.Errorf("resource is %s", a.Body)
	}
	if strings.Contains(a.Body.String(), "noon") || strings.Contains(a.Body.String(), patientNumber) {
		t.Errorf("what is not needed was kept: %s", a.Body)
	}
	e := b.Entries(notice.ActionSend)
	if len(e) != 1 || e[0].Actor.OnBehalfOf != "drmiller" || e[0].Entry.Subject != "RVR|"+patientMRN {
		t.Errorf("entries %v", e)
	}
	c := "/Communication/" + id
	if a := b.fhir(access.Engine, "GET", c, nil).want(200); a.str("status") != "preparation" || a.json()["sent"] != nil {
		t.Errorf("before it went: %s", a.Body)
	}
	before := b.fhir(access.Engine, "GET", c, nil).Header().Get("ETag")
	job, ok := b.next()
	if !ok || !strings.Contains(job.Rendered.Text, "https://portal.example.org/") {
		t.Fatal("no text goes out")
	}
	sent := b.fhir(access.Engine, "GET", c, nil).want(200)
	if sent.str("status") != "in-progress" || sent.json()["sent"] == nil || sent.json()["received"] != nil || sent.Header().Get("ETag") == before {
		t.Errorf("on its way: %s", sent.Body)
	}
	b.receipt(job, 0)
	done := b.fhir(access.Engine, "GET", c, nil).want(200)
	if done.str("status") != "completed" || done.json()["received"] == nil || done.json()["payload"] != nil || strings.Contains(done.Body.String(), patientNumber) {
		t.Errorf("arrived: %s", done.Body)
	}
	if based := done.json()["basedOn"].([]any)[0].(map[string]any)["reference"]; based != "CommunicationRequest/"+id {
		t.Errorf("based on %v", based)
	}
	if r := b.fhir(access.Engine, "GET", "/CommunicationRequest/"+id, nil).want(200); r.str("status") != "completed" || r.Header().Get("ETag") == `W/"1"` {
		t.Errorf("the request is %s", r.Body)
	}
}

// TestFHIRIdentifierIsABusinessKey: the same request again is the first one, whatever became of it.
func TestFHIRIdentifierIsABusinessKey(t *testing.T) {
	b := fhirBox(t)
	const same = "identifier=https://ehr.example.org/orders|77-2"
	one := wanted("identifier", []any{fields{"system": "https://ehr.example.org/orders", "value": "77-2"}})
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", one).want(201).str("id")
	again := b.fhir(access.Engine, "POST", "/CommunicationRequest", one).want(200)
	if again.str("id") != id || !strings.Contains(again.Header().Get("Location"), id) {
		t.Errorf("again: %s", again.Body)
	}
	other := wanted("identifier", one["identifier"], "payload", []any{fields{"contentString": "prescription.ready?site=Main+Street&phone=617-555-1000"}})
	b.fhir(access.Engine, "POST", "/CommunicationRequest", other).refused(409, "duplicate", "CommunicationRequest.identifier")
	if a := b.fhir(access.Engine, "POST", "/CommunicationRequest", other, "If-None-Exist", same).want(200); a.str("id") != id {
		t.Errorf("conditional: %s", a.Body)
	}
	// Another client's identifiers are its own.
	if a := b.fhir(access.Portal, "POST", "/CommunicationRequest", one).want(201); a.str("id") == id {
		t.Error("another client got the first one's request")
	}
	// What was revoked is not asked for by asking again.
	b.fhir(access.Engine, "PUT", "/CommunicationRequest/"+id, fields{"resourceType": "CommunicationRequest", "id": id, "status": "revoked"}).want(200)
	if a := b.fhir(access.Engine, "POST", "/CommunicationRequest", one, "If-None-Exist", same).want(200); a.str("status") != "revoked" {
		t.Errorf("after the revocation: %s", a.Body)
	}
	for _, cond := range []string{"identifier=77-2", "status=active", "identifier=urn:x|77-2", "identifier=https://ehr.example.org/orders|77-2&status=active", "%zz"} {
		b.fhir(access.Engine, "POST", "/CommunicationRequest", one, "If-None-Exist", cond).refused(400, "invalid", "http.If-None-Exist")
	}
	if n := len(b.Entries(notice.ActionSend)); n != 2 {
		t.Errorf("%d notices", n)
	}
}

// TestFHIRRevoke: a request is taken back while nothing is out.
func TestFHIRRevoke(t *testing.T) {
	b := fhirBox(t)
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	path := "/CommunicationRequest/" + id
	now := b.fhir(access.Engine, "GET", path, nil).json()
	put := func(status int, change fields, headers ...string) answer {
		t.Helper()
		m := fields{}
		for k, v := range now {
			m[k] = v
		}
		for k, v := range change {
			m[k] = v
		}
		return b.fhir(access.Engine, "PUT", path, m, headers...).want(status)
	}
	put(200, nil)
	put(422, fields{"status": "on-hold"}).refused(422, "business-rule", "CommunicationRequest.status")
	put(422, fields{"status": "revoked", "priority": "stat"}).refused(422, "business-rule", "CommunicationRequest")
	put(400, fields{"status": "revoked", "id": "other"}).refused(400, "invalid", "CommunicationRequest.id")
	put(412, fields{"status": "revoked"}, "If-Match", `W/"9"`).refused(412, "conflict", "")
	b.fhir(access.Portal, "PUT", path, fields{"resourceType": "CommunicationRequest", "id": id, "status": "revoked"}).refused(404, "not-found", "")
	done := put(200, fields{"status": "revoked", "statusReason": fields{"text": "visit moved"}}, "If-Match", `W/"1"`)
	if done.str("status") != "revoked" || done.Header().Get("ETag") == `W/"1"` {
		t.Errorf("revoked: %s", done.Body)
	}
	if _, ok := b.next(); ok {
		t.Error("a text goes out all the same")
	}
	if a := b.fhir(access.Engine, "GET", "/Communication/"+id, nil).want(200); a.str("status") != "stopped" {
		t.Errorf("communication: %s", a.Body)
	}
	if e := b.Entries(notice.ActionCancel); len(e) != 1 {
		t.Errorf("%d entries of the cancellation", len(e))
	}
	b.fhir(access.Engine, "PUT", path, fields{"resourceType": "CommunicationRequest", "id": id, "status": "revoked"}).want(200)

	late := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	if _, ok := b.next(); !ok {
		t.Fatal("no text goes out")
	}
	b.fhir(access.Engine, "PUT", "/CommunicationRequest/"+late, fields{"resourceType": "CommunicationRequest", "id": late, "status": "revoked"}).
		refused(409, "conflict", "CommunicationRequest.status")
}

// TestFHIRRefusals: what the patient, the network's rules or the site do not allow is 422 with the reason,
// and leaves an entry.
func TestFHIRRefusals(t *testing.T) {
	b := fhirBox(t)
	b.patient("landline", otherNumber)
	b.Do(func(tx *store.Tx) error {
		dead := true
		p := contactOf(t, "+16175554321")
		if err := consent.Set(tx, p, text.Care, consent.Out, consent.SourceAPI); err != nil {
			return err
		}
		return deadSubject(tx, "gone", dead)
	})
	b.patient("stopped", "+16175554321")
	ref := func(mrn string) fields { return fields{"identifier": fields{"value": mrn}} }
	reminder := "appointment.reminder?site=Main+Street&phone=617-555-1000&start=2099-01-01T10:00:00Z"
	payload := func(s string) []any { return []any{fields{"contentString": s}} }
	for name, c := range map[string]struct {
		resource   fields
		status     int
		code, at   string
		word       string
		unrecorded bool
	}{
		"opted out":  {wanted("subject", ref("stopped")), 422, "business-rule", ".subject", "mu-opt-out-sms", false},
		"dead":       {wanted("subject", ref("gone")), 422, "business-rule", ".subject", "deceased", false},
		"no number":  {wanted("subject", ref("nobody")), 422, "business-rule", ".subject", "mu-no-sms-data", false},
		"template":   {wanted("payload", payload("no.such")), 422, "business-rule", ".payload[0].content", "unknown-template", false},
		"a code":     {wanted("payload", payload("verification")), 422, "business-rule", ".payload[0].content", "unknown-template", false},
		"slot":       {wanted("payload", payload("result.ready")), 422, "business-rule", ".payload[0].content", "slot link: missing", false},
		"host":       {wanted("payload", payload("result.ready?link=https://evil.example/")), 422, "business-rule", ".payload[0].content", "slot link: host", false},
		"free text":  {wanted("payload", payload("Your biopsy is back, call us")), 422, "business-rule", ".payload[0].content", "no-template-match", false},
		"category":   {wanted("category", []any{concept(systemActReason, "HMARKT")}), 422, "business-rule", ".category", "category", false},
		"too late":   {wanted("payload", payload(reminder), "occurrencePeriod", fields{"start": "2020-01-01", "end": "2020-01-02"}), 422, "business-rule", ".occurrence", "too-late", false},
		"draft":      {wanted("status", "draft"), 422, "business-rule", ".status", "", true},
		"do not":     {wanted("doNotPerform", true), 422, "not-supported", ".doNotPerform", "", true},
		"phone call": {wanted("medium", []any{concept(systemMode, "PHONE")}), 422, "business-rule", ".medium", "no-voice", false}, // no modem calls
		"by letter":  {wanted("medium", []any{concept(systemMode, "MAILWRIT")}), 422, "not-supported", ".medium", "", true},
		"group":      {wanted("subject", fields{"type": "Group", "reference": "Group/1"}), 422, "not-supported", ".subject", "", true},
		"reference":  {wanted("subject", fields{"reference": "Patient/1"}), 422, "not-supported", ".subject", "", true},
		"nobody":     {wanted("subject", nil), 422, "required", ".subject", "", true},
		"two":        {wanted("recipient", []any{ref("1"), ref("2")}), 422, "not-supported", ".recipient", "", true},
		"another":    {wanted("recipient", []any{ref("1")}), 422, "business-rule", ".recipient[0]", "", true},
		"no payload": {wanted("payload", nil), 422, "not-supported", ".payload", "", true},
		"a year":     {wanted("occurrenceDateTime", "2099"), 422, "value", ".occurrence", "", true},
		"far ahead":  {wanted("occurrenceDateTime", "2099-01-01"), 422, "business-rule", ".occurrence", "", true},
	} {
		before := len(b.Entries(notice.ActionSend))
		a := b.fhir(access.Engine, "POST", "/CommunicationRequest", c.resource).refused(c.status, c.code, "CommunicationRequest"+c.at)
		if !strings.Contains(a.Body.String(), c.word) {
			t.Errorf("%s: no %q in %s", name, c.word, a.Body)
		}
		for _, value := range []string{"biopsy", "evil", "stopped", patientMRN} {
			if strings.Contains(a.Body.String(), value) {
				t.Errorf("%s: the answer repeats a value", name)
			}
		}
		all := b.Entries(notice.ActionSend)
		if c.unrecorded != (len(all) == before) {
			t.Errorf("%s: %d entries more", name, len(all)-before)
		} else if !c.unrecorded && all[len(all)-1].Entry.Outcome != store.Refused {
			t.Errorf("%s: entry %v", name, all[len(all)-1].Entry)
		}
	}
	if _, ok := b.next(); ok {
		t.Error("a text goes out")
	}
}

// TestFHIRDroppedLater: consent is asked again when the text goes; then the Communication says why not.
func TestFHIRDroppedLater(t *testing.T) {
	b := fhirBox(t)
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	b.Do(func(tx *store.Tx) error {
		_, err := consent.Incoming(tx, consent.In{From: contactOf(t, patientNumber), Body: "STOP", SIM: "8901", At: tx.Now()})
		return err
	})
	for range 3 {
		b.next()
	}
	a := b.fhir(access.Engine, "GET", "/Communication/"+id, nil).want(200)
	if a.str("status") != "not-done" || !strings.Contains(a.Body.String(), "mu-opt-out-sms") || !strings.Contains(a.Body.String(), "patient-objection") {
		t.Errorf("communication: %s", a.Body)
	}
	if a := b.fhir(access.Engine, "GET", "/CommunicationRequest/"+id, nil).want(200); a.str("status") != "revoked" || a.json()["statusReason"] == nil {
		t.Errorf("request: %s", a.Body)
	}
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).refused(422, "business-rule", "CommunicationRequest.subject")
}

// TestFHIRModes: a client in shadow is answered like any other, and nothing goes out.
func TestFHIRModes(t *testing.T) {
	b := fhirBox(t)
	b.Do(func(tx *store.Tx) error {
		c, err := access.FindClient(tx, b.clients[access.Engine].sid)
		if err != nil {
			return err
		}
		c.Mode = "shadow"
		return access.SetClient(tx, c)
	})
	id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201).str("id")
	b.Do(func(tx *store.Tx) error { return outbox.Rehearse(tx, sources) })
	if _, ok := b.next(); ok {
		t.Error("a text goes out")
	}
	if a := b.fhir(access.Engine, "GET", "/Communication/"+id, nil).want(200); a.str("status") != "not-done" || !strings.Contains(a.Body.String(), "test-mode") {
		t.Errorf("communication: %s", a.Body)
	}
}

// TestTextsNameTheirClient: by each door, so that the mode which the client has when a text goes is the one that holds.
func TestTextsNameTheirClient(t *testing.T) {
	b := fhirBox(t)
	b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted()).want(201)
	b.call(access.Engine, "POST", "/v1/notices", fields{"template": "result.ready", "to": patientNumber, "slots": fields{"link": "https://portal.example.org/"}}).want(201)
	b.call(access.Engine, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).want(201)
	b.View(func(tx *store.Tx) error {
		page, _, err := outbox.List(tx, outbox.Filter{}, "")
		if len(page) != 3 {
			t.Errorf("%d texts", len(page))
		}
		for _, m := range page {
			if m.From != contact.OfClient(b.clients[access.Engine].sid) {
				t.Errorf("a text of lane %s is from %q", m.Lane, m.From)
			}
		}
		return err
	})
}

// TestFHIROccurrence: a day is the site's, an instant has its zone, a period ends the use of the text.
func TestFHIROccurrence(t *testing.T) {
	b := fhirBox(t)
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	y, m, d := time.Now().In(zone).AddDate(0, 0, 3).Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, zone)
	at := time.Date(y, m, d, 15, 30, 0, 0, time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		set         []any
		at, expires time.Time
	}{
		"day":     {[]any{"occurrenceDateTime", day.Format(time.DateOnly)}, day, day.AddDate(0, 0, 1)},
		"instant": {[]any{"occurrenceDateTime", at.Format(time.RFC3339)}, at, at.Add(24 * time.Hour)},
		"period":  {[]any{"occurrencePeriod", fields{"start": at.Format(time.RFC3339), "end": at.Add(time.Hour).Format(time.RFC3339)}}, at, at.Add(time.Hour)},
		"days":    {[]any{"occurrencePeriod", fields{"start": day.Format(time.DateOnly), "end": day.AddDate(0, 0, 1).Format(time.DateOnly)}}, day, day.AddDate(0, 0, 2)},
	} {
		id := b.fhir(access.Engine, "POST", "/CommunicationRequest", wanted(c.set...)).want(201).str("id")
		b.View(func(tx *store.Tx) error {
			n, _, err := notice.Get(tx, id)
			if !n.At.Equal(c.at) || !n.Expires.Equal(c.expires) {
				t.Errorf("%s: from %v to %v, want %v to %v", name, n.At, n.Expires, c.at, c.expires)
			}
			return err
		})
	}
}
