package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/text"
	"pinward/store"
)

// TestStartRefused holds each way in which a start can be wrong to its answer, in both shapes.
func TestStartRefused(t *testing.T) {
	b := newBox(t)
	ok := func(change fields) fields {
		f := fields{"service": "patient-signup", "to": patientNumber}
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	for name, c := range map[string]struct {
		body   any
		status int
		kind   string
		field  string
	}{
		"no number":             {ok(fields{"to": ""}), 400, "invalid", "to"},
		"letters as number":     {ok(fields{"to": "call me"}), 422, "number-refused", "to"},
		"unassigned number":     {ok(fields{"to": "+11235551234"}), 422, "number-refused", "to"},
		"too short":             {ok(fields{"to": "911"}), 422, "number-refused", "to"},
		"foreign":               {ok(fields{"to": "+442079460000"}), 422, "number-refused", "to"},
		"premium":               {ok(fields{"to": "+19005551234"}), 422, "number-refused", "to"},
		"number too long":       {ok(fields{"to": strings.Repeat("6", 65)}), 400, "invalid", "to"},
		"no service":            {ok(fields{"service": ""}), 400, "invalid", "service"},
		"unknown service":       {ok(fields{"service": "nope"}), 404, "unknown-service", "service"},
		"unknown SID":           {ok(fields{"service": "VA" + strings.Repeat("0", 32)}), 404, "unknown-service", "service"},
		"staff service":         {ok(fields{"service": "staff-login"}), 403, "staff-only", ""},
		"reference needed":      {ok(fields{"service": "lab-release"}), 400, "reference-needed", "reference"},
		"patient needed":        {ok(fields{"service": "lab-release", "reference": "r"}), 400, "subject-needed", "subject"},
		"subject without MRN":   {ok(fields{"subject": fields{"authority": "A"}}), 400, "invalid", "subject.mrn"},
		"long MRN":              {ok(fields{"subject": fields{"mrn": strings.Repeat("9", 257)}}), 400, "invalid", "subject.mrn"},
		"unknown language":      {ok(fields{"locale": "tlh"}), 404, "locale-not-supported", "locale"},
		"channel of elsewhere":  {ok(fields{"channel": "whatsapp"}), 400, "channel-not-offered", "channel"},
		"amount where none is":  {ok(fields{"amount": 5, "payee": "X"}), 400, "amount-mismatch", "amount"},
		"address that is none":  {ok(fields{"end_user_address": "the browser"}), 400, "invalid", "end_user_address"},
		"reference too long":    {ok(fields{"reference": strings.Repeat("r", 257)}), 400, "invalid", "reference"},
		"line break in a field": {ok(fields{"on_behalf_of": "jane\nroot"}), 400, "invalid", "on_behalf_of"},
		"unknown key":           {ok(fields{"tto": "x"}), 400, "invalid", "tto"},
		"unknown nested key":    {ok(fields{"subject": fields{"mrn": "1", "name": "x"}}), 400, "invalid", "name"},
		"number for a string":   {ok(fields{"to": 6175551234}), 400, "invalid", "to"},
		"string for a number":   {ok(fields{"amount": "12"}), 400, "invalid", "amount"},
		"key in other letters":  {`{"service":"patient-signup","To":"` + patientNumber + `"}`, 400, "invalid", "To"},
		"key twice":             {`{"service":"patient-signup","to":"` + otherNumber + `","to":"` + patientNumber + `"}`, 400, "invalid", "to"},
		"nested key twice":      {`{"service":"patient-signup","to":"` + otherNumber + `","subject":{"mrn":"1","mrn":"2"}}`, 400, "invalid", "mrn"},
		"a list":                {`[]`, 400, "invalid", "body"},
		"null":                  {`null`, 400, "invalid", "service"},
		"cut off":               {`{"service":"pat`, 400, "invalid", "body"},
		"nothing":               {``, 400, "invalid", "body"},
		"more after it":         {`{"service":"patient-signup","to":"` + otherNumber + `"} {}`, 400, "invalid", "body"},
		"not UTF-8":             {"{\"service\":\"patient-signup\",\"to\":\"" + otherNumber + "\",\"reference\":\"\xff\"}", 400, "invalid", "reference"},
		"too large":             {ok(fields{"payee": strings.Repeat("x", maxBody)}), 413, "invalid", "body"},
	} {
		t.Run(name, func(t *testing.T) {
			b.T = t
			a := b.call(access.Portal, "POST", "/v1/verifications", c.body).problem(c.status, c.kind)
			if got, _ := a.json()["field"].(string); got != c.field {
				t.Errorf("field is %q, want %q", got, c.field)
			}
		})
	}
	b.T = t
	if _, ok := b.next(); ok {
		t.Error("a refused start put a text into the outbox")
	}
	// What was decided is on record; what was no request is not.
	causes := map[string]int{}
	for _, r := range b.Entries(otp.ActionStart) {
		if r.Entry.Outcome != store.Refused {
			t.Errorf("entry %d says %v", r.Seq, r.Entry.Outcome)
		}
		causes[outboxtest.Attr(r.Entry, "cause")]++
	}
	for _, want := range []string{"number foreign", "number premium", "unknown service", "service is for staff only", "locale not supported"} {
		if causes[want] == 0 {
			t.Errorf("no entry with cause %q: %v", want, causes)
		}
	}
}

// TestConsentRefused: STOP, a wrong number and a death are told apart, and voice stays open.
func TestConsentRefused(t *testing.T) {
	b := newBox(t)
	var to contact.Phone
	if err := to.UnmarshalText([]byte(patientNumber)); err != nil {
		t.Fatal(err)
	}
	stop := func(class text.Class, choice consent.Choice) {
		b.Do(func(tx *store.Tx) error { return consent.Set(tx, to, class, choice, consent.SourceAPI) })
	}
	stop(text.Code, consent.Out)
	start := fields{"service": "patient-signup", "to": patientNumber}
	b.call(access.Portal, "POST", "/v1/verifications", start).problem(422, "opted-out-of-codes")
	b.form("POST", b.path("patient-signup", "/Verifications"), "To", patientNumber, "Channel", "sms").verifyError(403, 21610)
	// No modem here makes calls: the refusal is another one then, not that of the STOP.
	start["channel"] = "call"
	b.call(access.Portal, "POST", "/v1/verifications", start).problem(400, "channel-not-offered")
	stop(text.Code, consent.OptedIn)

	b.Do(func(tx *store.Tx) error { return contact.Flag(tx, to, contact.Flags{WrongNumber: new(true)}, "desk") })
	delete(start, "channel")
	b.call(access.Portal, "POST", "/v1/verifications", start).problem(422, "wrong-number")
}

// TestContentType: what is no JSON by its own word is not read as JSON.
func TestContentType(t *testing.T) {
	b := newBox(t)
	for ct, status := range map[string]int{
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/jsonp": 415, ";": 415,
		"application/json": 404, "application/json; charset=utf-8": 404, "APPLICATION/JSON": 404,
	} {
		r := b.request(access.Portal, "POST", "/v1/verifications/VE0/check", `{"code":"123456"}`)
		r.Header.Set("Content-Type", ct)
		if a := b.ask(r); a.Code != status {
			t.Errorf("content type %q: status %d, want %d", ct, a.Code, status)
		}
	}
	r := b.formRequest("POST", b.path("patient-signup", "/Verifications"), "To", patientNumber, "Channel", "sms")
	r.Header.Set("Content-Type", "application/json")
	b.ask(r).verifyError(415, 60200)
}

// TestPaths: an unknown path and another method are told apart, in the shape of the path.
func TestPaths(t *testing.T) {
	b := newBox(t)
	b.call(access.Portal, "GET", "/v1/nothing", nil).problem(404, "no-path")
	b.form("GET", "/v2/Nothing").verifyError(404, 20404)
	b.form("GET", "/v2/Services/VAx/RateLimits").verifyError(404, 20404)
	a := b.call(access.Portal, "PUT", "/v1/verifications", fields{}).problem(405, "no-method")
	if a.Header().Get("Allow") != "GET, POST" {
		t.Errorf("Allow is %q", a.Header().Get("Allow"))
	}
	a = b.call(access.Portal, "POST", "/v1/notices/SM0", fields{}).problem(405, "no-method")
	if a.Header().Get("Allow") != "GET, DELETE" {
		t.Errorf("Allow is %q", a.Header().Get("Allow"))
	}
	b.form("DELETE", "/v2/Services").verifyError(405, 20004)
}

// TestAnswersStayOutOfCaches: every answer, for it may name a number.
func TestAnswersStayOutOfCaches(t *testing.T) {
	b := newBox(t)
	for _, a := range []answer{
		b.call(access.Portal, "GET", "/v1/services", nil), b.call(access.Portal, "GET", "/v1/nothing", nil),
		b.form("GET", "/v2/Services"), b.ask(httptest.NewRequest("GET", "/readyz", nil)),
	} {
		if a.Header().Get("Cache-Control") != "no-store" || a.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers of %d are %v", a.Code, a.Header())
		}
	}
}

// TestNoSender: without a modem a start is refused with Retry-After, nothing is kept of it, and a
// check goes on.
func TestNoSender(t *testing.T) {
	b := newBox(t)
	id := b.started(patientNumber)
	code := b.Code()
	b.Do(func(tx *store.Tx) error { return b.Report(tx, false) })
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": otherNumber}).problem(503, "busy")
	wantRetry(t, a, 1, 60)
	a = b.form("POST", b.path("patient-signup", "/Verifications"), "To", otherNumber, "Channel", "sms").verifyError(503, 20503)
	wantRetry(t, a, 1, 60)
	b.form("GET", b.path("patient-signup", "/Verifications/"+otherNumber)).verifyError(404, 20404)
	if m := b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": code}).want(200).json(); m["valid"] != true {
		t.Error("a check does not go on without a modem")
	}
}

// TestDiskFull: nothing new is accepted, what was accepted goes on.
func TestDiskFull(t *testing.T) {
	b := newBoxOn(t, func(string) (uint64, uint64, error) { return 1 << 20, 1 << 40, nil })
	var v otp.Verification
	b.Do(func(tx *store.Tx) (err error) {
		var to contact.Phone
		if err := to.UnmarshalText([]byte(patientNumber)); err != nil {
			return err
		}
		v, err = otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: to, Mode: contact.Live})
		return err
	})
	code := b.Code()
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": otherNumber}).problem(503, "disk-full")
	wantRetry(t, a, 60, 60)
	b.call(access.Portal, "POST", "/v1/notices", fields{"template": "prescription.ready", "to": otherNumber, "slots": fields{"site": "Main St", "phone": "617-555-1000"}}).problem(503, "disk-full")
	b.form("POST", b.path("patient-signup", "/Verifications"), "To", otherNumber, "Channel", "sms").verifyError(503, 20503)
	if a := b.ask(httptest.NewRequest("GET", "/readyz", nil)); a.Code != 503 || !strings.HasPrefix(a.Body.String(), "not ready: the disk is full\n") {
		t.Errorf("readyz says %d %q", a.Code, a.Body)
	}
	if a := b.ask(httptest.NewRequest("GET", "/metrics", nil)); !strings.Contains(a.Body.String(), "\npinward_accepting 0\n") {
		t.Error("the figures say that a code would be accepted")
	}
	b.form("POST", b.path("patient-signup", "/VerificationCheck"), "VerificationSid", v.ID, "Code", outboxtest.Wrong(code)).want(200)
	if m := b.call(access.Portal, "POST", "/v1/verifications/"+v.ID+"/check", fields{"code": code}).want(200).json(); m["valid"] != true {
		t.Error("a check does not go on while the disk is full")
	}
}

// TestWrongKeys: each wrong proof is 401 with a challenge, in the shape of the path, and an entry
// without the secret.
func TestWrongKeys(t *testing.T) {
	b := newBox(t)
	c := b.clients[access.Portal]
	b.Do(func(tx *store.Tx) error { return access.RevokeKey(tx, c.sid) })
	for name, header := range map[string]string{
		"none":          "",
		"scheme":        "Digest x",
		"wrong secret":  client{sid: b.clients[access.Nurse].sid, secret: "planted7secret"}.basic(),
		"secret as SID": client{sid: "planted7secret", secret: "x"}.basic(),
		"revoked":       c.basic(),
		"wrong token":   "Bearer planted7secret",
		"empty token":   "Bearer ",
		"broken basic":  "Basic !!!",
	} {
		r := b.request(access.Portal, "GET", "/v1/services", nil)
		r.Header.Set("Authorization", header)
		a := b.ask(r).problem(401, "unauthorized")
		if h := a.Header().Values("WWW-Authenticate"); len(h) != 2 || !strings.HasPrefix(h[0], "Basic ") || !strings.HasPrefix(h[1], "Bearer ") {
			t.Errorf("%s: challenges are %q", name, h)
		}
		r = b.formRequest("GET", "/v2/Services")
		r.Header.Set("Authorization", header)
		b.ask(r).verifyError(401, 20003)
	}
	refused := b.Entries(access.ActionRefused)
	if len(refused) != 10 { // the five proofs that could be compared, twice
		t.Errorf("%d entries of wrong keys, want 10", len(refused))
	}
	for _, r := range refused {
		if s := fmt.Sprint(r); strings.Contains(s, "planted7") {
			t.Errorf("an entry holds a secret: %s", s)
		}
	}
	// The scheme's letters do not matter (RFC 9110 section 11.1).
	r := b.request(access.Nurse, "GET", "/v1/services", nil)
	r.Header.Set("Authorization", "bearer "+b.clients[access.Nurse].token)
	b.ask(r).want(200)
}

// TestFloodOfWrongKeys: a flood writes a bounded number of entries, which still tell its size, and a
// new minute begins anew.
func TestFloodOfWrongKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		wrongKey := func(from string) {
			r := b.request(access.Portal, "GET", "/v1/services", nil)
			r.RemoteAddr = from
			r.Header.Set("Authorization", "Bearer nonsense")
			b.ask(r).want(401)
		}
		for i := range 1000 {
			wrongKey(fmt.Sprintf("10.0.0.9:%d", 1024+i))
		}
		for i := range 30 { // one host has all the addresses of its network
			wrongKey(fmt.Sprintf("[2001:db8::%x]:99", i+1))
		}
		refused := b.Entries(access.ActionRefused)
		if len(refused) != 12+10 {
			t.Errorf("%d entries, want 12 of the flood and 10 of the network", len(refused))
		}
		if last := refused[11].Entry; outboxtest.Attr(last, "tries") != "1000" || outboxtest.Attr(last, "address") != "10.0.0.9" {
			t.Errorf("the last entry of the flood is %v", last)
		}
		time.Sleep(2 * time.Minute)
		wrongKey("10.0.0.9:1")
		if n := len(b.Entries(access.ActionRefused)); n != 23 {
			t.Errorf("%d entries after a new minute, want 23", n)
		}
	})
}

// TestManySources: beyond so many sources a minute they count as one.
func TestManySources(t *testing.T) {
	var f refusals
	kept := 0
	for i := range 5000 {
		if _, write := f.again(fmt.Sprint(i)); write {
			kept++
		}
	}
	if kept > refusalsFrom+refusalsKept+3 {
		t.Errorf("%d are written", kept)
	}
}

// TestGone: a caller who has hung up is no trouble of ours.
func TestGone(t *testing.T) {
	b := newBox(t)
	r := b.request(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber})
	ctx, cancel := contextOf(r)
	cancel()
	if a := b.ask(r.WithContext(ctx)); a.Code < 400 {
		t.Errorf("a request that was given up is %d", a.Code)
	}
	if s := b.log.String(); s != "" {
		t.Errorf("log: %s", s)
	}
}

// TestClosedStore: while the box stops, callers are told to come again.
func TestClosedStore(t *testing.T) {
	b := newBox(t)
	if err := b.Store.Close(); err != nil {
		t.Fatal(err)
	}
	wantRetry(t, b.call(access.Portal, "GET", "/v1/services", nil).problem(503, "stopping"), 10, 10)
	b.form("GET", "/v2/Services").verifyError(503, 20503)
	if a := b.ask(httptest.NewRequest("GET", "/readyz", nil)); a.Code != http.StatusServiceUnavailable {
		t.Errorf("readyz is %d", a.Code)
	}
}

// TestProblemPages: the type of each problem, and each more_info, is an address that answers.
func TestProblemPages(t *testing.T) {
	b := newBox(t)
	for _, f := range kinds() {
		a := b.ask(httptest.NewRequest("GET", problemPath+f.Kind, nil)).want(200)
		if m := a.json(); m["type"] != problemPath+f.Kind || m["title"] == "" {
			t.Errorf("%s: %v", f.Kind, m)
		}
	}
	b.ask(httptest.NewRequest("GET", problemPath+"nonsense", nil)).problem(404, "no-path")
}

// TestTroubleOfOurs: what the table does not know is 500, and its words go to the log alone.
func TestTroubleOfOurs(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error { // a brand that cannot stand in a text: the operator's fault, not the caller's
		return contact.SetSite(tx, contact.Site{Brand: "Riverside 48291", Zone: "UTC", Mode: contact.Live})
	})
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).problem(500, "internal")
	if strings.Contains(a.Body.String(), "brand") || !strings.Contains(b.log.String(), "slot brand") {
		t.Errorf("answer %s, log %s", a.Body, b.log)
	}
}
