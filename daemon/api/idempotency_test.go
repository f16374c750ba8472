package api

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// keyed sends a request with an Idempotency-Key.
func (b *box) keyed(key, method, path string, body any) answer {
	r := b.request(access.Portal, method, path, body)
	r.Header.Set("Idempotency-Key", key)
	return b.ask(r)
}

// wantReplay holds an answer to be an earlier one, byte for byte.
func wantReplay(t *testing.T, first, again answer) {
	t.Helper()
	if again.Header().Get("Idempotency-Replayed") != "true" {
		t.Error("the answer does not say that it is a replay")
	}
	if again.Code != first.Code || !bytes.Equal(again.Body.Bytes(), first.Body.Bytes()) || again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
		t.Errorf("a replay is %d %s, the first answer was %d %s", again.Code, again.Body, first.Code, first.Body)
	}
}

// TestIdempotentStart: one effect, one answer.
func TestIdempotentStart(t *testing.T) {
	b := newBox(t)
	body := fields{"service": "patient-signup", "to": patientNumber}
	first := b.keyed("k1", "POST", "/v1/verifications", body).want(201)
	if first.Header().Get("Idempotency-Replayed") != "" {
		t.Error("a first answer calls itself a replay")
	}
	b.Code() // what happens meanwhile does not change the answer
	wantReplay(t, first, b.keyed("k1", "POST", "/v1/verifications", body))
	if _, more := b.next(); more {
		t.Error("a replay sent a second text")
	}

	b.keyed("k1", "POST", "/v1/verifications", fields{"service": "patient-signup", "to": otherNumber}).problem(422, "idempotency-key-reused")
	b.keyed("k1", "POST", "/v1/verifications/"+first.str("id")+"/cancel", nil).problem(422, "idempotency-key-reused")
	// Another client's key is another key.
	r := b.request(access.Nurse, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": otherNumber})
	r.Header.Set("Idempotency-Key", "k1")
	b.ask(r).want(201)
}

// TestIdempotentCheck: a check whose answer was lost counts once.
func TestIdempotentCheck(t *testing.T) {
	b := newBox(t)
	id := b.started(patientNumber)
	code := b.Code()
	path := "/v1/verifications/" + id + "/check"
	first := b.keyed("c1", "POST", path, fields{"code": outboxtest.Wrong(code)}).want(200)
	wantReplay(t, first, b.keyed("c1", "POST", path, fields{"code": outboxtest.Wrong(code)}))
	if m := b.call(access.Portal, "GET", "/v1/verifications/"+id, nil).json(); m["checks_left"] != float64(4) {
		t.Errorf("after a check and its replay: %v", m)
	}
	right := b.keyed("c2", "POST", path, fields{"code": code}).want(200)
	wantReplay(t, right, b.keyed("c2", "POST", path, fields{"code": code})) // and not 404
}

// TestIdempotentAtOnce: of many requests of one key at once one has an effect, and all get its answer.
func TestIdempotentAtOnce(t *testing.T) {
	b := newBox(t)
	body := fields{"service": "patient-signup", "to": patientNumber}
	got := make([]answer, 32)
	var all sync.WaitGroup
	for i := range got {
		r := b.request(access.Portal, "POST", "/v1/verifications", body)
		r.Header.Set("Idempotency-Key", "at-once")
		all.Go(func() { got[i] = b.ask(r) })
	}
	all.Wait()
	fresh := 0
	for _, a := range got {
		a.want(201)
		if a.Header().Get("Idempotency-Replayed") == "" {
			fresh++
		}
		if !bytes.Equal(a.Body.Bytes(), got[0].Body.Bytes()) {
			t.Errorf("answers differ: %s and %s", a.Body, got[0].Body)
		}
	}
	if fresh != 1 {
		t.Errorf("%d requests had an effect", fresh)
	}
	if n := len(b.Entries(otp.ActionStart)); n != 1 {
		t.Errorf("%d starts on record", n)
	}
}

// TestIdempotentRefusals: a refusal is kept, one that says "later" is not.
func TestIdempotentRefusals(t *testing.T) {
	b := newBox(t)
	unknown := fields{"service": "nope", "to": patientNumber}
	first := b.keyed("r1", "POST", "/v1/verifications", unknown).problem(404, "unknown-service")
	b.Do(func(tx *store.Tx) error {
		s := serviceOf(t, "patient-signup")
		s.Name, s.SID = "nope", ""
		_, err := otp.SaveService(tx, s)
		return err
	})
	wantReplay(t, first, b.keyed("r1", "POST", "/v1/verifications", unknown))

	foreign := fields{"service": "patient-signup", "to": "+442079460000"}
	first = b.keyed("r2", "POST", "/v1/verifications", foreign).problem(422, "number-refused")
	wantReplay(t, first, b.keyed("r2", "POST", "/v1/verifications", foreign))

	start := fields{"service": "patient-signup", "to": patientNumber}
	b.Do(func(tx *store.Tx) error { return b.Report(tx, false) })
	b.keyed("r3", "POST", "/v1/verifications", start).problem(503, "busy")
	b.Do(func(tx *store.Tx) error { return b.Report(tx, true) })
	if a := b.keyed("r3", "POST", "/v1/verifications", start).want(201); a.Header().Get("Idempotency-Replayed") != "" {
		t.Error("a refusal that said later was kept")
	}
	// What was no request has no answer to keep.
	b.keyed("r4", "POST", "/v1/verifications", fields{"service": "patient-signup"}).problem(400, "invalid")
	b.keyed("r4", "POST", "/v1/verifications", fields{"service": "patient-signup", "to": otherNumber}).want(201)
}

// TestIdempotentVerifyShape: the other shape obeys the same header, errors in their own form.
func TestIdempotentVerifyShape(t *testing.T) {
	b := newBox(t)
	ask := func(key, path string, fields ...string) answer {
		r := b.formRequest("POST", b.path("patient-signup", path), fields...)
		r.Header.Set("Idempotency-Key", key)
		return b.ask(r)
	}
	first := ask("v1", "/Verifications", "To", patientNumber, "Channel", "sms").want(201)
	wantReplay(t, first, ask("v1", "/Verifications", "To", patientNumber, "Channel", "sms"))
	ask("v1", "/Verifications", "To", otherNumber, "Channel", "sms").verifyError(400, 60200)
	first = ask("v2", "/Verifications", "To", "+442079460000", "Channel", "sms").verifyError(403, 60605)
	again := ask("v2", "/Verifications", "To", "+442079460000", "Channel", "sms")
	wantReplay(t, first, again)
	first = ask("v3", "/VerificationCheck", "To", otherNumber, "Code", "123456").verifyError(404, 20404)
	wantReplay(t, first, ask("v3", "/VerificationCheck", "To", otherNumber, "Code", "123456"))
}

// TestIdempotencyKeyForm: what is no key is refused.
func TestIdempotencyKeyForm(t *testing.T) {
	b := newBox(t)
	for _, key := range []string{"with space", "naïve", strings.Repeat("k", 256), "tab\there"} {
		a := b.keyed(key, "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).problem(400, "invalid")
		if a.json()["field"] != "Idempotency-Key" {
			t.Errorf("key of %d bytes: %s", len(key), a.Body)
		}
	}
	b.keyed(strings.Repeat("k", 255), "POST", "/v1/verifications", fields{"service": "patient-signup", "to": patientNumber}).want(201)
}

// TestIdempotencyEnds: after a day the key is free, and Sweep forgets what is over and nothing else.
func TestIdempotencyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		cancel := func(key string) answer { return b.keyed(key, "POST", "/v1/verifications/VE0/cancel", nil) }
		for i := range 3 {
			cancel(fmt.Sprint("old", i)).want(404)
		}
		time.Sleep(23 * time.Hour)
		cancel("young").want(404)
		time.Sleep(time.Hour + time.Second)
		// old0 is used again before it is swept: its new answer stays.
		if a := cancel("old0").want(404); a.Header().Get("Idempotency-Replayed") != "" {
			t.Error("an answer outlived its day")
		}
		b.Do(Sweep)
		left := 0
		b.View(func(tx *store.Tx) (err error) {
			n, err := answers.Len(tx)
			if err != nil {
				return err
			}
			left, err = written.Len(tx)
			if n != left {
				t.Errorf("%d answers, %d in the order of time", n, left)
			}
			return err
		})
		if left != 2 {
			t.Errorf("%d answers left, want young and old0", left)
		}
		for _, key := range []string{"young", "old0"} {
			if a := cancel(key).want(404); a.Header().Get("Idempotency-Replayed") != "true" {
				t.Errorf("answer of %s is gone", key)
			}
		}
	})
}

// TestSweepIsBounded: a backlog of answers does not hold the writer up.
func TestSweepIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.Do(func(tx *store.Tx) error {
			for i := range sweptAtOnce + 10 {
				if err := keep(tx, tx.Blind("test", fmt.Sprint(i)), kept{Request: []byte("x")}); err != nil {
					return err
				}
			}
			return nil
		})
		time.Sleep(keyLife + time.Second)
		for _, want := range []int{10, 0} {
			b.Do(Sweep)
			b.View(func(tx *store.Tx) error {
				n, err := answers.Len(tx)
				if n != want {
					t.Errorf("%d answers left, want %d", n, want)
				}
				return err
			})
		}
	})
}

// TestReplayAfterRestart: an answer that was given is given again by another process.
func TestReplayAfterRestart(t *testing.T) {
	b := newBox(t)
	body := fields{"service": "patient-signup", "to": patientNumber}
	first := b.keyed("k", "POST", "/v1/verifications", body).want(201)
	other := New(Options{Store: b.Store, Health: tree, Version: "test"})
	r := b.request(access.Portal, "POST", "/v1/verifications", body)
	r.Header.Set("Idempotency-Key", "k")
	w := httptest.NewRecorder()
	other.ServeHTTP(w, r)
	wantReplay(t, first, answer{w, t})
	b.View(func(tx *store.Tx) error {
		lanes, err := outbox.Depth(tx)
		if lanes[0].Due != 1 {
			t.Errorf("%d codes in line, want 1", lanes[0].Due)
		}
		return err
	})
}
