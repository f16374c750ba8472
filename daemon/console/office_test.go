package console

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/record"
	"pinward/store"
)

// TestMessages: the list by state, in pages, and each look is on record.
func TestMessages(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	var last string
	for i := range 52 {
		last = p.post("/verifications", "number", fmt.Sprintf("617 555 %04d", 2000+i), "service", "patient-signup").leads()
	}
	b.Code()
	page := p.get("/messages").want(200).says("(617) 555-2051", `<a href="`+last+`">code</a>`, "Older").Body.String()
	if n := strings.Count(page, "<tr>"); n != 51 {
		t.Errorf("%d rows, want 50 and the head", n)
	}
	older := between(t, page, `<a class="button quiet" href="`, `"`)
	p.get(strings.ReplaceAll(older, "&amp;", "&")).want(200).says("(617) 555-2000").hides("Older")
	p.get("/messages?state=sent").want(200).says("taken by the network", `value="sent" selected`).hides("(617) 555-2051")
	p.get("/messages?state=nonsense").want(200).says("Nothing here.")
	p.get("/messages?cursor=nonsense").want(422).says("does not exist")
	if n := len(b.Entries(record.ActionView)); n != 4 {
		t.Errorf("%d looks on record, want 4", n)
	}
}

func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	out, _, end := strings.Cut(rest, to)
	if !ok || !end {
		t.Fatalf("no %s in the page", from)
	}
	return out
}

// TestContacts: numbers and appointments of a patient, and no record number in any address.
func TestContacts(t *testing.T) {
	b := newBox(t)
	b.patient()
	p := b.login(access.Nurse)
	p.get("/contacts").want(200).says("Look up").hides("Numbers")
	p.post("/contacts", "mrn", " "+patient.MRN+" ").want(200).says("(617) 555-1234", "Español", "mobile", "Main Street", "Wed 4 Mar 2099, 10:30", "booked")
	p.post("/contacts", "mrn", "unknown").want(200).says("No patient of this record number is known here.")
	p.post("/contacts", "mrn", "").want(200).says("Look up")
	p.post("/contacts", "mrn", strings.Repeat("9", 300)).want(422).says("This is no record number.")
	p.get("/contacts?mrn=" + patient.MRN).want(200).hides("Main Street") // not by the address
	looks := b.Entries(record.ActionView)
	if len(looks) != 2 || looks[0].Entry.Subject != patient.Key() || looks[0].Actor.ID != "nurse" || looks[1].Entry.Subject != "RVR|unknown" {
		t.Errorf("looks on record: %v", looks)
	}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.MarkDead(tx, patient, tx.Now(), true)
		return err
	})
	p.post("/contacts", "mrn", patient.MRN).want(200).says("Recorded as dead: nothing is sent.")
}

// TestWork: what is left to people, with its text for a day, and what they did about it.
func TestWork(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	p.get("/items").want(200).says("Nothing waits for a person.")
	var item consent.WorkItem
	b.Do(func(tx *store.Tx) (err error) {
		to := outboxtest.Phone(patientNumber)
		item, err = consent.OpenFor(tx, consent.In{From: to, Body: `stop by <b>tomorrow</b> & "call"`, At: tx.Now()}, consent.WorkItem{Kind: consent.ItemDoubtfulStop, Phone: to})
		return err
	})
	p.get("/items").want(200).says("Meant as STOP?", "(617) 555-1234", `stop by &lt;b&gt;tomorrow&lt;/b&gt; &amp; &#34;call&#34;`, "ago")
	p.post("/items/"+item.ID+"/close", "note", " ").want(422).says("Say in a sentence what was done.")
	p.post("/items/"+item.ID+"/close", "note", strings.Repeat("x", maxNote+1)).want(422)
	if to := p.post("/items/"+item.ID+"/close", "note", "called back").leads(); to != "/items" {
		t.Errorf("settling leads to %s", to)
	}
	p.get("/items").want(200).says("Nothing waits for a person.")
	p.post("/items/"+item.ID+"/close", "note", "again").want(422).says("Somebody has settled this already.")
	p.post("/items/nonsense/close", "note", "again").want(422)
	if closed := b.Entries(consent.ActionItemClosed); len(closed) != 1 || closed[0].Actor.ID != "nurse" {
		t.Errorf("settled on record: %v", closed)
	}
}

// TestAudit: the auditor finds who did what to whom, by form and never by address.
func TestAudit(t *testing.T) {
	b := newBox(t)
	b.patient()
	n := b.login(access.Nurse)
	id := strings.TrimPrefix(n.post("/verifications", "mrn", patient.MRN, "service", "patient-signup").leads(), "/verifications/")
	b.Code()
	p := b.login(access.Auditor)
	p.get("/audit").want(200).says("user:nurse", "verification.start", "audit.search")
	for name, fields := range map[string][]string{
		"patient": {"mrn", patient.MRN, "action", "verification."}, "number": {"number", "617 555 1234", "action", "verification.start"},
		"record": {"object", id}, "who": {"actor", "user:nurse", "action", "verification."}, "name": {"actor", "nurse", "action", "verification."},
		"today": {"from", time.Now().In(newYork(t)).Format(time.DateOnly), "to", time.Now().In(newYork(t)).Format(time.DateOnly), "action", "verification."},
	} {
		a := p.post("/audit", fields...).want(200)
		if !strings.Contains(a.Body.String(), `/verifications/`+id+`">`+id+"</a></td>") {
			t.Errorf("by %s the start is not found: %s", name, a.Body)
		}
	}
	p.post("/audit", "action", "nothing.").want(200).says("No entry matches.")
	p.post("/audit", "to", "2001-01-01").want(200).says("No entry matches.", `value="2001-01-01"`)
	for field, value := range map[string]string{"number": "five", "from": "yesterday", "to": "1.2.3", "before": "x", "action": strings.Repeat("a", 300)} {
		p.post("/audit", field, value).want(422).says(`role="alert"`, "Search")
	}
	p.get("/audit?mrn=" + patient.MRN).want(200).hides(`value="` + patient.MRN + `"`)

	// Pages: the form carries the search on.
	for range 110 {
		n.post("/contacts", "mrn", patient.MRN)
	}
	page := p.post("/audit", "mrn", patient.MRN, "action", "record.view").want(200).says("Older").Body.String()
	before := between(t, page, `name="before" value="`, `"`)
	p.post("/audit", "mrn", patient.MRN, "action", "record.view", "before", before).want(200).says("record.view").hides("Older")
	if n := len(b.Entries(record.ActionSearch)); n < 10 {
		t.Errorf("%d searches on record", n)
	}
}

func newYork(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestHealthAndServices: one root cause on top, and the policies in words.
func TestHealthAndServices(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Operator)
	page := p.get("/health").want(200).says("pinward › store › modems</b>: no modem can send, for 1 hour", "depends on modems", `content="10;url=/health?auto=1"`).Body.String()
	if n := strings.Count(page, `role="alert"`); n != 1 {
		t.Errorf("%d causes are shown, want the one", n)
	}
	well := New(Options{Store: b.Store, Planned: b.plan, Health: func() health.Node { return health.Node{Name: "pinward", Since: time.Now()} }})
	w := httptest.NewRecorder()
	well.ServeHTTP(w, p.request("GET", "/health"))
	answer{w, t}.want(200).says("All is well.")
	p.get("/services").want(200).says("Patient signup", "5:00", "text, then text by another carrier, then call", "checks 1:30 after each send", "amount, known patient, reference", "calls on a click only")
	p.get("/nothing").want(404).says("There is no page at this address.", "Log out")
	(&person{box: b}).get("/nothing").want(404).hides("Log out")
}

// TestModeIsShown: staff see that nothing goes out.
func TestModeIsShown(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	p.get("/").want(200).hides(`class="mode"`)
	b.Do(func(tx *store.Tx) error { return contact.SetSite(tx, contact.Site{Zone: "UTC"}) })
	p.get("/").want(200).says("Mode shadow:</strong> nothing leaves this box.", "<title>Send a code · Pinward</title>")
	b.Do(func(tx *store.Tx) error { return contact.SetSite(tx, contact.Site{Zone: "UTC", Mode: contact.Pilot}) })
	p.get("/").want(200).says("only pilot numbers are texted")
}

// TestWords: durations and names as people say them.
func TestWords(t *testing.T) {
	now := time.Now()
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds", 90 * time.Second: "1 minute", 59 * time.Minute: "59 minutes",
		time.Hour: "1 hour", 47 * time.Hour: "47 hours", 49 * time.Hour: "2 days", -time.Hour: "0 seconds",
	} {
		if got := ago(now.Add(-d)); got != want {
			t.Errorf("ago(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "1 second", 90 * time.Second: "90 seconds", 121 * time.Second: "3 minutes", 29500 * time.Millisecond: "30 seconds"} {
		if got := wait(d); got != want {
			t.Errorf("wait(%v) = %q, want %q", d, got, want)
		}
	}
	if got := national(outboxtest.Phone("+442079460000")); got != "+442079460000" {
		t.Errorf("a foreign number is %s", got)
	}
	if title("") != "" || title("lab-release") != "Lab release" || language("fr") != "fr" || say("word") != "word" {
		t.Error("a label is wrong")
	}
}
