package api

import (
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/otp"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/record"
	"pinward/store"
)

// members holds an answer to exactly these members: one more can break a client that is strict.
func members(t *testing.T, m map[string]any, want ...string) {
	t.Helper()
	var got []string
	for k := range m {
		got = append(got, k)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("members are %v, want %v", got, want)
	}
}

var isoSecond = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)

// TestVerifyShape is the vendor's conversation, to the letter.
func TestVerifyShape(t *testing.T) {
	b := newBox(t)
	s, account := serviceOf(t, "patient-signup"), b.clients[access.Portal].sid
	start := b.path("patient-signup", "/Verifications")
	m := b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201).json()
	members(t, m, "sid", "service_sid", "account_sid", "to", "channel", "status", "valid", "lookup", "amount", "payee",
		"send_code_attempts", "date_created", "date_updated", "sna", "url")
	ve := m["sid"].(string)
	if !regexp.MustCompile(`^VE[0-9a-f]{32}$`).MatchString(ve) || m["service_sid"] != s.SID || m["account_sid"] != account {
		t.Errorf("SIDs are %v %v %v", m["sid"], m["service_sid"], m["account_sid"])
	}
	if m["to"] != patientNumber || m["channel"] != "sms" || m["status"] != "pending" || m["valid"] != false || m["amount"] != nil || m["payee"] != nil || m["sna"] != nil {
		t.Errorf("verification is %v", m)
	}
	if m["url"] != "https://pinward.test"+start+"/"+ve {
		t.Errorf("url is %v", m["url"])
	}
	for _, k := range []string{"date_created", "date_updated"} {
		if !isoSecond.MatchString(m[k].(string)) {
			t.Errorf("%s is %v", k, m[k])
		}
	}
	sent := m["send_code_attempts"].([]any)
	first := sent[0].(fields)
	members(t, first, "time", "channel", "attempt_sid")
	if len(sent) != 1 || first["channel"] != "SMS" || !regexp.MustCompile(`^VL[0-9a-f]{32}$`).MatchString(first["attempt_sid"].(string)) || !isoSecond.MatchString(first["time"].(string)) {
		t.Errorf("attempts are %v", sent)
	}
	code := b.Code()

	// A second start within the window is the same verification with the same code.
	m = b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201).json()
	if m["sid"] != ve || len(m["send_code_attempts"].([]any)) != 2 || b.Code() != code {
		t.Errorf("a resend is %v", m)
	}
	// Read by SID and by number.
	for _, key := range []string{ve, strings.ToLower(ve[2:]), patientNumber, url.PathEscape(patientNumber), "%2B" + patientNumber[1:]} {
		if key == ve[2:] {
			b.form("GET", start+"/"+key).verifyError(400, 60200)
			continue
		}
		if got := b.form("GET", start+"/"+key).want(200).json(); got["sid"] != ve {
			t.Errorf("GET %s is %v", key, got)
		}
	}

	check := b.path("patient-signup", "/VerificationCheck")
	m = b.form("POST", check, "To", patientNumber, "Code", outboxtest.Wrong(code)).want(200).json()
	members(t, m, "sid", "service_sid", "account_sid", "to", "channel", "status", "valid", "amount", "payee",
		"sna_attempts_error_codes", "date_created", "date_updated")
	if m["status"] != "pending" || m["valid"] != false || m["sid"] != ve || len(m["sna_attempts_error_codes"].([]any)) != 0 {
		t.Errorf("a wrong code is %v", m)
	}
	m = b.form("POST", check, "VerificationSid", ve, "Code", code).want(200).json()
	if m["status"] != "approved" || m["valid"] != true || !isoSecond.MatchString(m["date_updated"].(string)) {
		t.Errorf("the right code is %v", m)
	}
	b.form("POST", check, "VerificationSid", ve, "Code", code).verifyError(404, 20404)
	b.form("POST", check, "To", patientNumber, "Code", code).verifyError(404, 20404)
	b.form("GET", start+"/"+ve).verifyError(404, 20404)
	b.form("POST", start+"/"+ve, "Status", "canceled").verifyError(404, 20404)
}

// TestVerifyOtherService: a verification is found below its own service only.
func TestVerifyOtherService(t *testing.T) {
	b := newBox(t)
	ve := b.form("POST", b.path("patient-signup", "/Verifications"), "To", patientNumber, "Channel", "sms").want(201).str("sid")
	code := b.Code()
	b.form("GET", b.path("portal-login", "/Verifications/"+ve)).verifyError(404, 20404)
	b.form("POST", b.path("portal-login", "/Verifications/"+ve), "Status", "canceled").verifyError(404, 20404)
	b.form("POST", b.path("portal-login", "/VerificationCheck"), "VerificationSid", ve, "Code", code).verifyError(404, 20404)
	b.form("POST", b.path("patient-signup", "/VerificationCheck"), "VerificationSid", ve, "To", otherNumber, "Code", code).verifyError(404, 20404)
	if m := b.form("POST", b.path("patient-signup", "/VerificationCheck"), "VerificationSid", ve, "Code", code).want(200).json(); m["valid"] != true {
		t.Errorf("below its own service the check is %v", m)
	}
}

// TestVerifyMaxChecks: five wrong codes are answers, the sixth check is 429/60202 even with the right
// one, and after the life it is 404.
func TestVerifyMaxChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		start, check := b.path("patient-signup", "/Verifications"), b.path("patient-signup", "/VerificationCheck")
		ve := b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201).str("sid")
		code := b.Code()
		for range 5 {
			if m := b.form("POST", check, "To", patientNumber, "Code", outboxtest.Wrong(code)).want(200).json(); m["status"] != "pending" || m["valid"] != false {
				t.Errorf("a wrong code is %v", m)
			}
		}
		a := b.form("POST", check, "To", patientNumber, "Code", code).verifyError(429, 60202)
		wantRetry(t, a, 250, 300)
		if m := b.form("GET", start+"/"+ve).want(200).json(); m["status"] != "max_attempts_reached" {
			t.Errorf("it reads %v", m)
		}
		time.Sleep(5 * time.Minute)
		b.form("POST", check, "To", patientNumber, "Code", code).verifyError(404, 20404)
		b.form("GET", start+"/"+ve).verifyError(404, 20404)
	})
}

// TestVerifyMaxSends: the sixth send is 429/60203.
func TestVerifyMaxSends(t *testing.T) {
	b := newBox(t)
	start := b.path("patient-signup", "/Verifications")
	for range 5 {
		b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201)
	}
	a := b.form("POST", start, "To", patientNumber, "Channel", "sms").verifyError(429, 60203)
	wantRetry(t, a, 250, 300)
}

// TestVerifyErrors holds each wrong request to the vendor's code.
func TestVerifyErrors(t *testing.T) {
	b := newBox(t)
	start, check := b.path("patient-signup", "/Verifications"), b.path("patient-signup", "/VerificationCheck")
	nobodys := "/v2/Services/VA" + strings.Repeat("0", 32)
	for name, c := range map[string]struct {
		path   string
		fields []string
		status int
		code   int
	}{
		"no To":                {start, []string{"Channel", "sms"}, 400, 60200},
		"national To":          {start, []string{"To", "6175551234", "Channel", "sms"}, 400, 60200},
		"To of letters":        {start, []string{"To", "+letters", "Channel", "sms"}, 400, 60200},
		"unassigned To":        {start, []string{"To", "+11235551234", "Channel", "sms"}, 400, 60200},
		"foreign To":           {start, []string{"To", "+442079460000", "Channel", "sms"}, 403, 60605},
		"no Channel":           {start, []string{"To", patientNumber}, 400, 60200},
		"email":                {start, []string{"To", "a@b.example", "Channel", "email"}, 400, 60223},
		"whatsapp":             {start, []string{"To", patientNumber, "Channel", "whatsapp"}, 400, 60223},
		"sna":                  {start, []string{"To", patientNumber, "Channel", "sna"}, 400, 60223},
		"locale":               {start, []string{"To", patientNumber, "Channel", "sms", "Locale", "tlh"}, 404, 20404},
		"custom code":          {start, []string{"To", patientNumber, "Channel", "sms", "CustomCode", "123456"}, 400, 60200},
		"amount of words":      {start, []string{"To", patientNumber, "Channel", "sms", "Amount", "much"}, 400, 60200},
		"amount for no PSD2":   {start, []string{"To", patientNumber, "Channel", "sms", "Amount", "5", "Payee", "X"}, 400, 60206},
		"device address":       {start, []string{"To", patientNumber, "Channel", "sms", "DeviceIp", "here"}, 400, 60200},
		"unknown service":      {nobodys + "/Verifications", []string{"To", patientNumber, "Channel", "sms"}, 404, 20404},
		"service by name":      {"/v2/Services/patient-signup/Verifications", []string{"To", patientNumber, "Channel", "sms"}, 404, 20404},
		"no Code":              {check, []string{"To", patientNumber}, 400, 60200},
		"check of nobody":      {check, []string{"Code", "123456"}, 400, 60200},
		"check of nothing":     {check, []string{"To", patientNumber, "Code", "123456"}, 404, 20404},
		"check of no SID":      {check, []string{"VerificationSid", "VE1", "Code", "123456"}, 404, 20404},
		"check elsewhere":      {nobodys + "/VerificationCheck", []string{"To", patientNumber, "Code", "123456"}, 404, 20404},
		"status of no kind":    {start + "/" + patientNumber, []string{"Status", "done"}, 400, 60200},
		"update of nothing":    {start + "/VE" + strings.Repeat("0", 32), []string{"Status", "canceled"}, 404, 20404},
		"control in a field":   {start, []string{"To", patientNumber + "\n", "Channel", "sms"}, 400, 60200},
		"a field that is huge": {start, []string{"To", patientNumber, "Payee", strings.Repeat("x", maxBody)}, 413, 60200},
	} {
		t.Run(name, func(t *testing.T) {
			b.T = t
			b.form("POST", c.path, c.fields...).verifyError(c.status, c.code)
		})
	}
	b.T = t
	b.form("GET", nobodys).verifyError(404, 20404)
	b.form("GET", "/v2/Services/x").verifyError(404, 20404)
	b.form("GET", start+"/"+otherNumber).verifyError(404, 20404)
	r := b.formRequest("POST", start)
	r.Body = httptest.NewRequest("POST", "/", strings.NewReader("To=%zz")).Body
	b.ask(r).verifyError(400, 60200)
}

// TestVerifyUpdate: cancel, and the client's own "approved" only where the service allows it.
func TestVerifyUpdate(t *testing.T) {
	b := newBox(t)
	start := b.path("patient-signup", "/Verifications")
	ve := b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201).str("sid")
	b.form("POST", start+"/"+ve, "Status", "approved").verifyError(403, 60200)
	if m := b.form("POST", start+"/"+ve, "Status", "canceled").want(200).json(); m["status"] != "canceled" || m["valid"] != false || m["sid"] != ve {
		t.Errorf("cancelled is %v", m)
	}
	b.form("POST", start+"/"+ve, "Status", "canceled").verifyError(404, 20404)

	b.Do(func(tx *store.Tx) error {
		s := serviceOf(t, "patient-signup")
		s.Asserted, s.CustomCodes = true, true
		_, err := otp.SaveService(tx, s)
		return err
	})
	b.form("POST", start, "To", patientNumber, "Channel", "sms", "CustomCode", "428816").want(201)
	// By number as well as by SID, and a code that the client brings is the one.
	if m := b.form("POST", start+"/"+patientNumber, "Status", "approved").want(200).json(); m["status"] != "approved" || m["valid"] != true {
		t.Errorf("approved is %v", m)
	}
}

// TestVerifyServices: services are read, not changed, and lists come in pages.
func TestVerifyServices(t *testing.T) {
	b := newBox(t)
	s := serviceOf(t, "patient-signup")
	m := b.form("GET", "/v2/Services/"+s.SID).want(200).json()
	members(t, m, "sid", "account_sid", "friendly_name", "code_length", "lookup_enabled", "psd2_enabled", "skip_sms_to_landlines",
		"dtmf_input_required", "tts_name", "do_not_share_warning_enabled", "custom_code_enabled", "push", "totp", "default_template_sid",
		"verify_event_subscription_enabled", "date_created", "date_updated", "url", "links")
	if m["sid"] != s.SID || m["code_length"] != float64(6) || m["friendly_name"] != "patient-signup" {
		t.Errorf("service is %v", m)
	}
	links := m["links"].(fields)
	if links["verifications"] != m["url"].(string)+"/Verifications" || links["verification_checks"] != m["url"].(string)+"/VerificationCheck" {
		t.Errorf("links are %v", links)
	}
	if up := b.form("GET", "/v2/Services/VA"+strings.ToUpper(s.SID[2:])).want(200).json(); up["sid"] != s.SID {
		t.Errorf("by a SID in capitals it is %v", up)
	}
	b.form("POST", "/v2/Services", "FriendlyName", "mine").verifyError(405, 20004)

	seen := map[string]bool{}
	for next, pages := "/v2/Services?PageSize=4", 0; next != ""; pages++ {
		m := b.form("GET", next).want(200).json()
		members(t, m, "services", "meta")
		meta := m["meta"].(fields)
		members(t, meta, "key", "page", "page_size", "first_page_url", "previous_page_url", "url", "next_page_url")
		if meta["key"] != "services" || meta["page"] != float64(pages) || meta["page_size"] != float64(4) || (meta["previous_page_url"] == nil) != (pages == 0) {
			t.Errorf("meta is %v", meta)
		}
		for _, s := range m["services"].([]any) {
			seen[s.(fields)["sid"].(string)] = true
		}
		next, _ = meta["next_page_url"].(string)
		next = strings.TrimPrefix(next, "https://pinward.test")
	}
	if len(seen) != len(otp.Shipped()) {
		t.Errorf("the pages hold %d services, want %d", len(seen), len(otp.Shipped()))
	}
	b.form("GET", "/v2/Services?PageSize=0").verifyError(400, 60200)
	b.form("GET", "/v2/Services?PageSize=1001").verifyError(400, 60200)
	b.form("GET", "/v2/Services?Page=-1").verifyError(400, 60200)
	if m := b.form("GET", "/v2/Services?Page=9").want(200).json(); len(m["services"].([]any)) != 0 {
		t.Error("a page behind the end is not empty")
	}
}

// TestVerifyAttempts: sends to one number, with what became of them, and their sum.
func TestVerifyAttempts(t *testing.T) {
	b := newBox(t)
	start, check := b.path("patient-signup", "/Verifications"), b.path("patient-signup", "/VerificationCheck")
	first := b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201).str("sid")
	b.form("POST", check, "To", patientNumber, "Code", b.Code()).want(200)
	second := b.form("POST", start, "To", patientNumber, "Channel", "auto").want(201).str("sid")
	b.form("POST", start, "To", patientNumber, "Channel", "sms").want(201)

	q := "?ChannelData.To=" + url.QueryEscape(patientNumber)
	list := func(query string) []any {
		return b.form("GET", "/v2/Attempts"+query).want(200).json()["attempts"].([]any)
	}
	all := list(q)
	if len(all) != 3 {
		t.Fatalf("%d attempts, want 3", len(all))
	}
	m := all[2].(fields)
	members(t, m, "sid", "account_sid", "service_sid", "verification_sid", "date_created", "date_updated", "conversion_status",
		"channel", "price", "channel_data", "url")
	if m["verification_sid"] != first || m["conversion_status"] != "converted" || m["channel_data"].(fields)["to"] != patientNumber {
		t.Errorf("the oldest attempt is %v", m)
	}
	for query, want := range map[string]int{
		"&Status=converted": 1, "&Status=unconverted": 2, "&Channel=sms": 3, "&VerifyServiceSid=VA" + strings.Repeat("0", 32): 0,
		"&VerifyServiceSid=" + serviceOf(t, "patient-signup").SID: 3, "&Country=US": 3, "&Country=CA": 0,
		"&DateCreatedAfter=2100-01-01T00:00:00Z": 0, "&DateCreatedBefore=2100-01-01T00:00:00Z": 3,
	} {
		if got := list(q + query); len(got) != want {
			t.Errorf("%s: %d attempts, want %d", query, len(got), want)
		}
	}
	if got := list("?VerificationSid=" + second); len(got) != 2 {
		t.Errorf("%d attempts of the second verification", len(got))
	}
	sum := b.form("GET", "/v2/Attempts/Summary"+q).want(200).json()
	members(t, sum, "total_attempts", "total_converted", "total_unconverted", "conversion_rate_percentage", "url")
	if sum["total_attempts"] != float64(3) || sum["total_converted"] != float64(1) || sum["total_unconverted"] != float64(2) || sum["conversion_rate_percentage"] != "33.3" {
		t.Errorf("the sum is %v", sum)
	}
	if sum = b.form("GET", "/v2/Attempts/Summary?ChannelData.To="+url.QueryEscape(otherNumber)).want(200).json(); sum["conversion_rate_percentage"] != "0.0" {
		t.Errorf("the sum of nothing is %v", sum)
	}
	if got := list(""); len(got) != 3 { // every filter is optional
		t.Errorf("%d attempts without a filter", len(got))
	}
	if n := len(b.Entries(record.ActionView)); n < 10 {
		t.Errorf("%d looks at attempts are on record", n)
	}
	b.form("GET", "/v2/Attempts?ChannelData.To=6175551234").verifyError(400, 60200)
	b.form("GET", "/v2/Attempts"+q+"&DateCreatedAfter=yesterday").verifyError(400, 60200)

	// A portal sees its own, a nurses' station every one.
	other := b.formRequest("GET", "/v2/Attempts"+q)
	other.Header.Set("Authorization", b.clients[access.Engine].basic())
	if m := b.ask(other).want(200).json(); len(m["attempts"].([]any)) != 0 {
		t.Error("another client sees the attempts")
	}
	other.Header.Set("Authorization", b.clients[access.Nurse].basic())
	if m := b.ask(other).want(200).json(); len(m["attempts"].([]any)) != 3 {
		t.Error("the nurses' station sees not all attempts")
	}
}

// TestVerifyStatusEqualsCode: whatever fails in that shape, status says what HTTP says.
func TestVerifyStatusEqualsCode(t *testing.T) {
	for _, f := range kinds() {
		w := httptest.NewRecorder()
		showVerifyError(w, httptest.NewRequest("GET", "https://pinward.test/v2/x", nil), f)
		m := answer{w, t}.json()
		if m["status"] != float64(w.Code) || w.Code < 400 || w.Code == 422 {
			t.Errorf("%s: %d and %v", f.Kind, w.Code, m["status"])
		}
		if _, err := strconv.Atoi(fmt.Sprint(m["code"])); err != nil || m["code"] == float64(0) {
			t.Errorf("%s has code %v", f.Kind, m["code"])
		}
	}
}

// TestVerifyBarePlus: a plus that nobody encoded, which a form and a query read as a space, is the plus.
func TestVerifyBarePlus(t *testing.T) {
	b := newBox(t)
	ask := func(path, body string) answer {
		r := b.formRequest("POST", b.path("patient-signup", path))
		r.Body = io.NopCloser(strings.NewReader(body))
		return b.ask(r)
	}
	if to := ask("/Verifications", "Channel=sms&To="+patientNumber).want(201).str("to"); to != patientNumber {
		t.Error("To is another number")
	}
	ask("/VerificationCheck", "Code="+b.Code()+"&To="+patientNumber).want(200)
	if m := b.form("GET", "/v2/Attempts?ChannelData.To="+patientNumber).want(200).json(); len(m["attempts"].([]any)) != 1 {
		t.Errorf("attempts are %v", m)
	}
}
