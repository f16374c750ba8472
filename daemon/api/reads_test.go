package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/record"
	"pinward/store"
)

var visit = fields{"site": "Main Street", "start": "2099-03-04T15:30:00Z", "phone": "617-555-1000"}

// TestNotice: sent once by its key, read, cancelled.
func TestNotice(t *testing.T) {
	b := newBox(t)
	body := fields{"template": "prescription.ready", "to": "617 555 1234", "key": "rx/1", "slots": fields{"site": "Main Street", "phone": "617-555-1000"},
		"on_behalf_of": "jane", "send_at": time.Now().Add(time.Hour).Format(time.RFC3339), "expires_at": time.Now().Add(5 * time.Hour).Format(time.RFC3339)}
	a := b.call(access.Portal, "POST", "/v1/notices", body).want(201)
	m := a.json()
	if m["to"] != patientNumber || m["status"] != "queued" || m["template"] != "prescription.ready" || m["locale"] != "en" {
		t.Errorf("notice is %v", m)
	}
	id, message := a.str("id"), a.str("message")
	if again := b.call(access.Portal, "POST", "/v1/notices", body).want(200); again.str("id") != id {
		t.Error("the key's notice is another one")
	}
	if got := b.call(access.Portal, "GET", "/v1/notices/"+id, nil).want(200); got.str("id") != id {
		t.Errorf("it reads %s", got.Body)
	}
	if got := b.call(access.Portal, "GET", "/v1/messages/"+message, nil).want(200).json(); got["ref"] != id || got["kind"] != "notice" || got["lane"] != "notice" {
		t.Errorf("its message is %v", got)
	}
	// Another client's notices are no business of a portal's or an engine's.
	b.call(access.Engine, "GET", "/v1/notices/"+id, nil).problem(404, "no-notice")
	b.call(access.Engine, "DELETE", "/v1/notices/"+id, nil).problem(404, "no-notice")
	b.call(access.Engine, "GET", "/v1/messages/"+message, nil).problem(404, "no-message")
	b.call(access.Auditor, "GET", "/v1/notices/"+id, nil).want(200)

	if m := b.call(access.Portal, "DELETE", "/v1/notices/"+id, nil).want(200).json(); m["status"] != "canceled" {
		t.Errorf("a cancelled notice is %v", m)
	}
	b.call(access.Portal, "DELETE", "/v1/notices/"+id, nil).problem(409, "over")
	for _, r := range b.Entries(notice.ActionSend) {
		if r.Actor.OnBehalfOf != "jane" {
			t.Errorf("the notice was sent on behalf of %q", r.Actor.OnBehalfOf)
		}
	}
}

// TestNoticeRefused holds each way in which a notice can be wrong to its answer.
func TestNoticeRefused(t *testing.T) {
	b := newBox(t)
	ok := func(change fields) fields {
		f := fields{"template": "appointment.reminder", "to": patientNumber, "slots": visit}
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	slots := func(change fields) fields {
		s := fields{}
		for _, m := range []fields{visit, change} {
			for k, v := range m {
				if s[k] = v; v == nil {
					delete(s, k)
				}
			}
		}
		return ok(fields{"slots": s})
	}
	for name, c := range map[string]struct {
		body   any
		status int
		kind   string
		field  string
	}{
		"no template":       {ok(fields{"template": ""}), 400, "invalid", "template"},
		"unknown template":  {ok(fields{"template": "nope"}), 404, "unknown-template", "template"},
		"a code's template": {ok(fields{"template": "verification", "slots": fields{}}), 404, "unknown-template", "template"},
		"a system template": {ok(fields{"template": "test", "slots": fields{}}), 404, "unknown-template", "template"},
		"nobody":            {ok(fields{"to": ""}), 400, "invalid", "to"},
		"number":            {ok(fields{"to": "12"}), 422, "number-refused", "to"},
		"unknown patient":   {ok(fields{"to": "", "subject": fields{"mrn": "9"}}), 422, "no-number", "subject"},
		"missing slot":      {slots(fields{"site": nil}), 400, "slot", "slots.site"},
		"unknown slot":      {slots(fields{"diagnosis": "x"}), 400, "slot", "slots.(not in template)"},
		"slot of no time":   {slots(fields{"start": "tomorrow"}), 400, "slot", "slots.start"},
		"forbidden word":    {slots(fields{"site": "Oncology"}), 400, "slot", "slots.site"},
		"send_at":           {ok(fields{"send_at": "tomorrow"}), 400, "invalid", "send_at"},
		"far ahead":         {ok(fields{"send_at": "2199-01-01T00:00:00Z"}), 400, "invalid", "send_at"},
		"expires_at":        {ok(fields{"expires_at": "2026-13-01"}), 400, "invalid", "expires_at"},
		"too late":          {ok(fields{"expires_at": "2020-01-01T00:00:00Z"}), 422, "pointless", "expires_at"},
		"long key":          {ok(fields{"key": strings.Repeat("k", 257)}), 400, "invalid", "key"},
		"slot of no string": {slots(fields{"site": 5}), 400, "invalid", "slots"},
		"slots as a list":   {ok(fields{"slots": []string{"x"}}), 400, "invalid", "slots"},
		"a free text":       {ok(fields{"body": "hello"}), 400, "invalid", "body"},
	} {
		t.Run(name, func(t *testing.T) {
			b.T = t
			a := b.call(access.Portal, "POST", "/v1/notices", c.body).problem(c.status, c.kind)
			if got, _ := a.json()["field"].(string); got != c.field {
				t.Errorf("field is %q, want %q", got, c.field)
			}
		})
	}
	b.T = t
	causes := map[string]bool{}
	for _, r := range b.Entries(notice.ActionSend) {
		if r.Entry.Outcome != store.Refused {
			t.Errorf("entry %d says %v", r.Seq, r.Entry.Outcome)
		}
		causes[outboxtest.Attr(r.Entry, "cause")] = true
	}
	for _, want := range []string{"slot site: forbidden", "unknown template", "number short", "no number to text"} {
		if !causes[want] {
			t.Errorf("no entry with cause %q: %v", want, causes)
		}
	}
}

// TestMessages: the list is newest first, in pages, by state, and each caller's own.
func TestMessages(t *testing.T) {
	b := newBox(t)
	ids := map[string]bool{}
	for _, to := range []string{patientNumber, otherNumber, "+16175552222"} {
		b.started(to)
	}
	b.call(access.Nurse, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": "+16175553333"}).want(201)
	b.next()
	list := func(role access.Role, query string) map[string]any {
		t.Helper()
		return b.call(role, "GET", "/v1/messages"+query, nil).want(200).json()
	}
	var created []string
	for next, pages := "", 0; ; pages++ {
		m := list(access.Portal, "?limit=2&cursor="+next)
		for _, it := range m["items"].([]any) {
			ids[it.(fields)["id"].(string)] = true
			created = append(created, it.(fields)["created_at"].(string))
		}
		if next = m["next"].(string); next == "" {
			break
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if len(ids) != 3 {
		t.Errorf("the portal sees %d messages, want its 3", len(ids))
	}
	for i := 1; i < len(created); i++ {
		if created[i] > created[i-1] {
			t.Errorf("not newest first: %v", created)
		}
	}
	if n := len(list(access.Nurse, "")["items"].([]any)); n != 4 {
		t.Errorf("the nurses' station sees %d messages, want 4", n)
	}
	if n := len(list(access.Nurse, "?state=sent")["items"].([]any)); n != 1 {
		t.Errorf("%d messages are sent, want 1", n)
	}
	for query, field := range map[string]string{
		"?state=gone": "state", "?limit=0": "limit", "?limit=1001": "limit", "?limit=x": "limit", "?cursor=x": "cursor", "?cursor=%00": "cursor",
	} {
		if a := b.call(access.Nurse, "GET", "/v1/messages"+query, nil).problem(400, "invalid"); a.json()["field"] != field {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
	if n := len(b.Entries(record.ActionView)); n != 4 {
		t.Errorf("%d looks at the list are on record, want 4", n)
	}
}

// TestContacts: a patient's numbers and appointments, and each look is an entry before it is a look.
func TestContacts(t *testing.T) {
	b := newBox(t)
	id := contact.SubjectID{Authority: "RVR", MRN: "MR-1"}
	start := time.Date(2099, 3, 4, 15, 30, 0, 0, time.UTC)
	b.Do(func(tx *store.Tx) error {
		var to contact.Phone
		if err := to.UnmarshalText([]byte(patientNumber)); err != nil {
			return err
		}
		if _, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, Source: "test", Language: new("es"), Phones: &[]contact.Number{{Phone: to, Use: "PRN", Equipment: "CP", Type: contact.LineMobile}}}); err != nil {
			return err
		}
		_, _, err := contact.Book(tx, contact.Appointment{ID: contact.AppointmentID{Authority: "SCH", Number: "A1"}, Subject: id, Start: start, Minutes: 20, SiteName: "Main Street", Status: contact.Booked, AsOf: tx.Now()})
		return err
	})
	for _, query := range []string{"?mrn=MR-1", "?authority=RVR&mrn=MR-1"} {
		m := b.call(access.Nurse, "GET", "/v1/contacts"+query, nil).want(200).json()
		n := m["numbers"].([]any)
		if m["language"] != "es" || m["subject"].(fields)["mrn"] != "MR-1" || len(n) != 1 || n[0].(fields)["to"] != patientNumber || n[0].(fields)["type"] != "mobile" {
			t.Errorf("%s: %v", query, m)
		}
	}
	a := b.call(access.Nurse, "GET", "/v1/appointments?mrn=MR-1", nil).want(200)
	if !strings.Contains(a.Body.String(), `"id":"A1","start":"2099-03-04T15:30:00Z","minutes":20,"site":"Main Street","status":"booked"`) {
		t.Errorf("appointments are %s", a.Body)
	}
	b.call(access.Nurse, "GET", "/v1/contacts?mrn=other", nil).problem(404, "not-found")
	b.call(access.Nurse, "GET", "/v1/contacts", nil).problem(400, "invalid")
	b.call(access.Nurse, "GET", "/v1/contacts?mrn="+strings.Repeat("9", 300), nil).problem(400, "invalid")
	b.call(access.Nurse, "GET", "/v1/contacts?mrn=%00", nil).problem(400, "invalid")
	looks := b.Entries(record.ActionView)
	if len(looks) != 4 || looks[0].Entry.Subject != id.Key() || looks[2].Entry.Object != "appointments" || looks[3].Entry.Subject != "RVR|other" {
		t.Errorf("looks on record: %v", looks)
	}
}

// TestAudit: search, pages, and the search itself is an entry.
func TestAudit(t *testing.T) {
	b := newBox(t)
	id := b.started(patientNumber)
	b.Code()
	list := func(query string) []any {
		t.Helper()
		return b.call(access.Auditor, "GET", "/v1/audit"+query, nil).want(200).json()["items"].([]any)
	}
	first := list("?action=audit.")
	if len(first) != 1 || first[0].(fields)["action"] != "audit.search" || first[0].(fields)["actor"] != "client:"+b.clients[access.Auditor].sid {
		t.Errorf("the search is on record as %v", first)
	}
	got := list("?action=verification.&object=" + id)
	if len(got) != 1 {
		t.Fatalf("%d entries of the verification", len(got))
	}
	e := got[0].(fields)
	if e["outcome"] != "ok" || e["attrs"].(fields)["phone"] != patientNumber || e["on_behalf_of"] != "" {
		t.Errorf("entry is %v", e)
	}
	if n := len(list("?actor=client:" + b.clients[access.Portal].sid)); n != 1 {
		t.Errorf("%d entries of the portal", n)
	}
	if n := len(list("?subject=" + url.QueryEscape("RVR|nobody"))); n != 1 { // the search for them alone
		t.Errorf("%d entries of nobody", n)
	}
	if n := len(list("?to=2000-01-01T00:00:00Z")); n != 0 {
		t.Errorf("%d entries of the past", n)
	}
	if n := len(list("?from=2000-01-01T00:00:00Z&limit=3")); n != 3 {
		t.Errorf("%d entries on a page of three", n)
	}
	seen := map[float64]bool{}
	for next, n := "", 0; n == 0 || next != ""; n++ {
		m := b.call(access.Auditor, "GET", "/v1/audit?action=client.&limit=5&cursor="+next, nil).want(200).json()
		for _, it := range m["items"].([]any) {
			seq := it.(fields)["seq"].(float64)
			if seen[seq] {
				t.Errorf("entry %v is on two pages", seq)
			}
			seen[seq] = true
		}
		next = m["next"].(string)
	}
	if len(seen) != 3*len(access.Roles()) { // created, changed, and a token each
		t.Errorf("the pages hold %d entries", len(seen))
	}
	for query, field := range map[string]string{
		"?from=x": "from", "?to=x": "to", "?cursor=x": "cursor", "?limit=x": "limit", "?subject=x": "subject", "?action=%00": "action",
	} {
		if a := b.call(access.Auditor, "GET", "/v1/audit"+query, nil).problem(400, "invalid"); a.json()["field"] != field {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
}
