package api

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// TestVerification is the main way: start, read, wrong code, right code, over.
func TestVerification(t *testing.T) {
	b := newBox(t)
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{
		"service": "patient-signup", "to": "(617) 555-1234", "locale": "es", "on_behalf_of": "jane", "end_user_address": "10.1.2.3",
	}).want(201)
	m := a.json()
	if m["to"] != patientNumber || m["status"] != "pending" || m["valid"] != false || m["locale"] != "es" ||
		m["channel"] != "auto" || m["checks_left"] != float64(5) || m["on_behalf_of"] != "jane" || m["subject"] != nil {
		t.Errorf("answer to a start is %v", m)
	}
	id := a.str("id")
	for _, key := range []string{"created_at", "updated_at", "expires_at"} {
		if _, err := time.Parse(time.RFC3339, a.str(key)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	sends := m["sends"].([]any)
	if len(sends) != 1 || sends[0].(fields)["status"] != "queued" {
		t.Errorf("sends are %v", sends)
	}
	if start := b.Entries(otp.ActionStart); len(start) != 1 || start[0].Actor.OnBehalfOf != "jane" || start[0].Actor.ID != b.clients[access.Portal].sid {
		t.Errorf("entries of the start: %v", start)
	}

	code := b.Code()
	if got := b.call(access.Portal, "GET", "/v1/verifications/"+id, nil).want(200).json(); got["sends"].([]any)[0].(fields)["status"] != "sent" {
		t.Errorf("after the hand-over it stands at %v", got)
	}
	m = b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": outboxtest.Wrong(code)}).want(200).json()
	if m["valid"] != false || m["status"] != "pending" || m["checks_left"] != float64(4) {
		t.Errorf("answer to a wrong code is %v", m)
	}
	m = b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": code}).want(200).json()
	if m["valid"] != true || m["status"] != "approved" || m["checks_left"] != float64(0) {
		t.Errorf("answer to the right code is %v", m)
	}
	b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": code}).problem(404, "no-verification")
	if m = b.call(access.Portal, "GET", "/v1/verifications/"+id, nil).want(200).json(); m["valid"] != true {
		t.Errorf("afterwards it reads %v", m)
	}
}

// TestResend: a second start is the same verification with the same code, and 200.
func TestResend(t *testing.T) {
	b := newBox(t)
	id, code := b.started(patientNumber), b.Code()
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).want(200)
	if a.str("id") != id || len(a.json()["sends"].([]any)) != 2 {
		t.Errorf("a resend is %v", a.json())
	}
	if again := b.Code(); again != code {
		t.Error("a resend carries another code")
	}
	a = b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber, "fresh": true}).want(200)
	if fresh := b.Code(); a.str("id") != id || fresh == code {
		t.Error("a fresh resend is another verification, or carries the old code")
	}
}

// TestLimitsOfVerification: the sixth check and the sixth send are 429, and say until when.
func TestLimitsOfVerification(t *testing.T) {
	b := newBox(t)
	id := b.started(patientNumber)
	code := b.Code()
	for range 4 {
		b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).want(200)
	}
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).problem(429, "max-sends")
	wantRetry(t, a, 60, 300)
	for range 5 {
		b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": outboxtest.Wrong(code)}).want(200)
	}
	a = b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": code}).problem(429, "max-checks")
	wantRetry(t, a, 60, 300)
	a = b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).problem(429, "max-checks")
	wantRetry(t, a, 60, 300)
	if m := b.call(access.Portal, "GET", "/v1/verifications/"+id, nil).want(200).json(); m["status"] != "max_attempts_reached" || m["checks_left"] != float64(0) {
		t.Errorf("it reads %v", m)
	}
}

// wantRetry holds Retry-After to a range of seconds, and the problem to the same number.
func wantRetry(t *testing.T, a answer, least, most int) {
	t.Helper()
	n, err := strconv.Atoi(a.Header().Get("Retry-After"))
	if err != nil || n < least || n > most {
		t.Errorf("Retry-After is %q, want %d to %d", a.Header().Get("Retry-After"), least, most)
	}
	if a.Header().Get("Content-Type") == "application/problem+json" && a.json()["retry_after"] != float64(n) {
		t.Errorf("problem says retry_after %v, header %d", a.json()["retry_after"], n)
	}
}

// TestBudgetExceeded: a number's budget is 429 with Retry-After; the staff's reserve is still open.
func TestBudgetExceeded(t *testing.T) {
	b := newBox(t)
	for range 5 {
		id := b.started(patientNumber)
		b.call(access.Portal, "POST", "/v1/verifications/"+id+"/cancel", nil).want(200)
	}
	a := b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).problem(429, "limit")
	wantRetry(t, a, 3000, 3600)
	b.call(access.Nurse, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).want(201)
}

// TestGrowingDelay: wrong codes over several verifications earn a wait, told by Retry-After.
func TestGrowingDelay(t *testing.T) {
	b := newBox(t)
	check := func(id string) answer {
		return b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": "none"})
	}
	first := b.started(patientNumber)
	for range 5 {
		check(first).want(200) // a first verification is never held back
	}
	b.call(access.Portal, "POST", "/v1/verifications/"+first+"/cancel", nil).want(200)
	second := b.started(patientNumber)
	check(second).want(200)
	wantRetry(t, check(second).problem(429, "limit"), 29, 30)
}

// TestExpired: at the end of its life a verification is over, and its used-up checks hold the number no
// more.
func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		id := b.started(patientNumber)
		code := b.Code()
		time.Sleep(5 * time.Minute)
		b.call(access.Portal, "POST", "/v1/verifications/"+id+"/check", fields{"code": code}).problem(404, "no-verification")
		if m := b.call(access.Portal, "GET", "/v1/verifications/"+id, nil).want(200).json(); m["status"] != "expired" || m["checks_left"] != float64(0) {
			t.Errorf("it reads %v", m)
		}
		b.call(access.Portal, "POST", "/v1/verifications/"+id+"/cancel", nil).problem(404, "no-verification")
		b.call(access.Portal, "POST", "/v1/verifications/"+id+"/next", nil).problem(404, "no-verification")
	})
}

// TestCancelAndNext: the further verbs of a verification.
func TestCancelAndNext(t *testing.T) {
	b := newBox(t)
	id := b.started(patientNumber)
	b.Code()
	b.call(access.Portal, "POST", "/v1/verifications/"+id+"/next", fields{}).problem(409, "no-step")
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m2", SIM: "8902", Network: "south", Ready: true, PartTime: time.Millisecond})
	})
	b.call(access.Portal, "POST", "/v1/verifications/"+id+"/next", fields{}).want(200)
	if m := b.call(access.Portal, "POST", "/v1/verifications/"+id+"/cancel", nil).want(200).json(); m["status"] != "canceled" {
		t.Errorf("a cancelled verification is %v", m)
	}
	b.call(access.Portal, "POST", "/v1/verifications/"+id+"/next", nil).problem(404, "no-verification")
	b.call(access.Portal, "POST", "/v1/verifications/VE"+strings.Repeat("0", 32)+"/cancel", nil).problem(404, "no-verification")
	b.call(access.Portal, "GET", "/v1/verifications/nonsense", nil).problem(404, "no-verification")
}

// TestBilling: amount, payee, reference and patient are all bound, and the check has to name them.
func TestBilling(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		var to contact.Phone
		if err := to.UnmarshalText([]byte(patientNumber)); err != nil {
			return err
		}
		id := contact.SubjectID{Authority: "RVR", MRN: "4711"}
		if _, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, Source: "test", Phones: &[]contact.Number{{Phone: to, Use: "PRN", Equipment: "CP"}}}); err != nil {
			return err
		}
		return contact.Proven(tx, id, to)
	})
	start := fields{"service": "billing", "to": patientNumber, "reference": "bill-7", "amount": 12550, "payee": "Riverside Clinic", "subject": fields{"mrn": "4711"}}
	with := func(change fields) fields {
		out := fields{}
		for _, m := range []fields{start, change} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	b.call(access.Portal, "POST", "/v1/verifications", with(fields{"reference": ""})).problem(400, "reference-needed")
	b.call(access.Portal, "POST", "/v1/verifications", with(fields{"amount": 0})).problem(400, "amount-mismatch")
	b.call(access.Portal, "POST", "/v1/verifications", with(fields{"amount": -5})).problem(400, "invalid")
	b.call(access.Portal, "POST", "/v1/verifications", with(fields{"payee": "Visit https://x"})).problem(400, "invalid")
	b.call(access.Portal, "POST", "/v1/verifications", with(fields{"subject": fields{"mrn": "unknown"}})).problem(400, "subject-needed")
	b.call(access.Portal, "POST", "/v1/verifications", with(fields{"to": otherNumber})).problem(403, "number-not-bound")
	a := b.call(access.Portal, "POST", "/v1/verifications", start).want(201)
	if got := a.json()["subject"].(fields); got["authority"] != "RVR" || got["mrn"] != "4711" {
		t.Errorf("subject is %v", got)
	}
	code, check := b.Code(), "/v1/verifications/"+a.str("id")+"/check"
	b.call(access.Portal, "POST", check, fields{"code": code}).problem(409, "reference-mismatch")
	b.call(access.Portal, "POST", check, fields{"code": code, "reference": "bill-7", "amount": 1}).problem(400, "amount-mismatch")
	if m := b.call(access.Portal, "POST", check, fields{"code": code, "reference": "bill-7", "amount": 12550, "payee": "Riverside Clinic"}).want(200).json(); m["valid"] != true {
		t.Errorf("the right check is %v", m)
	}
}

// TestBlocked: after a hundred wrong codes in a row the number is blocked.
func TestBlocked(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		var to contact.Phone
		if err := to.UnmarshalText([]byte(patientNumber)); err != nil {
			return err
		}
		for range limit.MaxFailures {
			if _, err := limit.Fail(tx, limit.Triple{Number: to, Service: "patient-signup", Class: limit.Public}); err != nil {
				return err
			}
		}
		return tx.Record(store.Entry{Action: "test.block", Outcome: store.OK})
	})
	b.call(access.Portal, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).problem(403, "blocked")
}
