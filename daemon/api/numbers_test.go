package api

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/record"
	"pinward/store"
)

// caller makes the box's modem one that calls as well.
func (b *box) caller() {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "north", Ready: true, Voice: true, PartTime: time.Millisecond})
	})
}

// begin starts a verification of a number.
func (b *box) begin(service, channel string) answer {
	b.T.Helper()
	return b.call(access.Nurse, "POST", "/v1/verifications", fields{"service": service, "to": patientNumber, "channel": channel})
}

// A number that wants no calls is never called: a call is refused and says why, a route goes without one, in both shapes; taken back, it is
// called again. Whoever only looks is on record.
func TestNumberThatWantsNoCalls(t *testing.T) {
	b := newBox(t)
	b.caller()
	if m := b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": patientNumber}).want(200).json(); m["no_voice"] != false || m["callable"] != true {
		t.Fatalf("at first: %v", m)
	}
	if n := len(b.Entries(record.ActionView)); n != 1 {
		t.Errorf("%d entries of a look", n)
	}
	if m := b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": patientNumber, "no_voice": true}).want(200).json(); m["no_voice"] != true || m["callable"] != false {
		t.Fatalf("flagged: %v", m)
	}
	if e := b.Entries(contact.ActionFlag); len(e) != 1 || outboxtest.Attr(e[0].Entry, "no_voice") != "true" || !strings.HasPrefix(outboxtest.Attr(e[0].Entry, "source"), "api:") {
		t.Errorf("entries: %v", e)
	}
	b.begin("patient-signup", "call").problem(422, "no-calls")
	b.form("POST", b.path("patient-signup", "/Verifications"), "To", patientNumber, "Channel", "call").verifyError(400, 60410)
	m := b.begin("patient-signup", "auto").want(201).json()
	b.View(func(tx *store.Tx) error {
		sent := m["sends"].([]any)[0].(map[string]any)
		msg, _, err := outbox.Get(tx, sent["message"].(string))
		for _, s := range msg.Route {
			if s.Channel == outbox.Call {
				t.Error("the route has a call")
			}
		}
		return err
	})
	b.call(access.Engine, "POST", "/v1/numbers", fields{"to": patientNumber, "no_voice": false}).want(200)
	b.begin("patient-signup", "call").want(200)
	b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": "617", "slow": true}).problem(422, "number-refused")
	b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": patientNumber, "type": "fax"}).problem(400, "invalid")
}

// A landline gets its code by voice at once; a text to one is refused and says so, and at a desk a call is made only on a click.
func TestLandlineGetsItsCodeByVoice(t *testing.T) {
	b := newBox(t)
	b.caller()
	m := b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": patientNumber, "type": "landline", "slow": true}).want(200).json()
	if m["type"] != "landline" || !strings.HasPrefix(m["type_source"].(string), "api:") || m["slow"] != true {
		t.Fatalf("flagged: %v", m)
	}
	b.begin("patient-signup", "sms").problem(422, "landline")
	b.form("POST", b.path("patient-signup", "/Verifications"), "To", patientNumber, "Channel", "sms").verifyError(400, 60205)
	b.begin("prescription-pickup", "auto").problem(422, "landline")
	if m := b.begin("prescription-pickup", "call").want(201).json(); m["attempts"].([]any)[0].(map[string]any)["channel"] != "call" {
		t.Errorf("asked for at the desk: %v", m["attempts"])
	}
	m = b.begin("patient-signup", "auto").want(201).json()
	if tries := m["attempts"].([]any); len(tries) != 1 || tries[0].(map[string]any)["channel"] != "call" {
		t.Errorf("the code goes by %v", tries)
	}
	b.call(access.Nurse, "POST", "/v1/numbers", fields{"to": patientNumber, "type": "mobile"}).want(200)
	b.begin("portal-login", "sms").want(201)
}
