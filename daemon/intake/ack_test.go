package intake

import (
	"context"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox/outboxtest"
	"pinward/hl7"
	"pinward/store"
)

// TestAcknowledgmentModes holds MSA-1 to HL7 v2.5.1 section 2.9, and to what senders wait for.
func TestAcknowledgmentModes(t *testing.T) {
	const good, bad = "PID|1||4711^^^RIV^MR", "PV1|1"
	for _, c := range []struct {
		listener, msh15, msh16 string
		body                   string
		want                   hl7.AckCode // "" is silence
	}{
		{"", "", "", good, hl7.AA},
		{"", "", "", bad, hl7.AE},
		{"original", "AL", "", good, hl7.AA}, // simhospital
		{"original", "AL", "NE", bad, hl7.AE},
		{"original", "SU", "", bad, hl7.AE},
		{"original", "NE", "", good, ""},
		{"original", "NE", "AL", bad, ""},
		{"enhanced", "", "", good, hl7.AA},
		{"enhanced", "AL", "", good, hl7.CA},
		{"enhanced", "AL", "NE", bad, hl7.CE},
		{"enhanced", "ER", "", good, ""},
		{"enhanced", "ER", "", bad, hl7.CE},
		{"enhanced", "SU", "", good, hl7.CA},
		{"enhanced", "SU", "", bad, ""},
		{"enhanced", "NE", "AL", good, ""},
		{"enhanced", "", "AL", good, hl7.AA},
		{"enhanced", "", "ER", good, ""},
		{"enhanced", "", "ER", bad, hl7.AE},
		{"enhanced", "XX", "", good, hl7.CA},
	} {
		b := newBoxIn(t, Listener{Name: "adt", Mode: contact.Live, ACK: c.listener})
		a := b.send(header("ADT^A04", "C1", time.Now()) + "|||" + c.msh15 + "|" + c.msh16 + "\n" + c.body)
		if a.code != c.want {
			t.Errorf("%s, MSH-15 %q, MSH-16 %q: answered %q, want %q", c.listener, c.msh15, c.msh16, a.code, c.want)
		}
		if a.code != "" && a.control != "C1" {
			t.Errorf("MSA-2 is %q", a.control)
		}
		if _, known := b.subject("4711"); known != (c.body == good) {
			t.Errorf("%s, MSH-15 %q: the contact is kept: %v", c.listener, c.msh15, known)
		}
	}
}

// TestAcknowledgmentsAreNotAnswered plays hl7v2-net, whose client answers our acknowledgment on the same
// socket. ORR^O02 carries an MSA as well and wants an answer (simhospital hangs without).
func TestAcknowledgmentsAreNotAnswered(t *testing.T) {
	b := newBox(t)
	if a := b.send(header("ACK^A04^ACK", "1", time.Now()) + "\nMSA|AA|7"); a.code != "" {
		t.Errorf("answered %s", a.code)
	}
	if a := b.send(header("ORR^O02", "2", time.Now()) + "\nMSA|AA|7"); a.code != hl7.AA || a.control != "2" {
		t.Errorf("answered %q for %q", a.code, a.control)
	}
	if n := len(b.explain("1")); n != 0 {
		t.Errorf("an acknowledgment is kept %d times", n)
	}
}

// TestProcessingID lets nothing for training near a patient: AR 202 on a live listener, shadow elsewhere.
func TestProcessingID(t *testing.T) {
	for _, c := range []struct {
		mode contact.Mode
		id   string
		code hl7.AckCode
		want contact.Mode // of the text
	}{
		{contact.Live, "P", hl7.AA, contact.Live},
		{contact.Live, "P^T", hl7.AA, contact.Live},
		{contact.Live, "", hl7.AA, contact.Live},
		{contact.Live, "T", hl7.AR, 0},
		{contact.Live, "D", hl7.AR, 0},
		{contact.Live, "X", hl7.AR, 0},
		{contact.Pilot, "P", hl7.AA, contact.Pilot},
		{contact.Pilot, "T", hl7.AA, contact.Shadow},
		{contact.Shadow, "P", hl7.AA, contact.Shadow},
		{contact.Shadow, "T^A", hl7.AA, contact.Shadow},
	} {
		b := newBoxIn(t, Listener{Name: "adt", Mode: c.mode})
		h := strings.Replace(header("ADT^A08", "C1", time.Now()), "|P|", "|"+c.id+"|", 1)
		a := b.send(h + "\n" + jane + "\nZNT|1|NOTICE^result.ready|R1")
		if a.code != c.code {
			t.Errorf("%s, MSH-11 %q: answered %s", c.mode, c.id, a.code)
		}
		q := b.texts()
		if c.code == hl7.AR {
			if len(q) != 0 || !strings.Contains(a.raw, "ERR|") || !strings.Contains(a.raw, "202") {
				t.Errorf("%d texts; answered %q", len(q), a.raw)
			}
			continue
		}
		if len(q) != 1 || q[0].mode != c.want {
			t.Errorf("%s, MSH-11 %q: texts %+v", c.mode, c.id, q)
		}
	}
}

// TestTrainingIsKeptApart lets a test system, which is often a copy, change nothing of real patients.
func TestTrainingIsKeptApart(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
	b.listen(Listener{Name: "test", Mode: contact.Shadow})
	for i, event := range []string{"S15", "S12", "S13"} {
		message := b.message(siu(event, time.Now().Add(time.Duration(60+i)*time.Hour), ""))
		sendOK(t, b, strings.ReplaceAll(strings.Replace(strings.Replace(message, "|P|", "|T|", 1), "5551234", "5559999", 1), "\r", "\n"))
	}
	sendOK(t, b, strings.Replace(header("ADT^A08", "T9", time.Now()), "|P|", "|D|", 1)+"\n"+jane+strings.Repeat("|", 17)+"Y")
	if s, _ := b.subject("4711"); s.Dead != nil || len(b.numbers("4711")) != 1 || b.numbers("4711")[0] != "+16175551234" {
		t.Errorf("dead %v, numbers %q", s.Dead != nil, b.numbers("4711"))
	}
	live := 0
	for _, q := range b.texts() {
		if q.mode == contact.Live && q.to == "+16175551234" {
			live++
		}
	}
	if live != 2 {
		t.Errorf("%d reminders of the real appointment wait", live)
	}
}

// TestActor names the sender by its listener and what it calls itself, cut down to a name.
func TestActor(t *testing.T) {
	b := newBox(t)
	m := "MSH|^~\\&|EPIC/<x>^1.2^ISO|RIV ER|P|B|20260101||ADT^A04|1|P|2.5.1\rEVN|A04|||MANUAL|NURSE7^JONES\r" + jane + "\r"
	b.raw(m)
	for _, r := range b.Entries()[len(b.Entries())-2:] {
		if want := (store.Actor{Kind: "peer", ID: "adt/EPIC__x_^RIV_ER", OnBehalfOf: "NURSE7"}); r.Actor != want {
			t.Errorf("%s is by %q for %q", r.Entry.Action, r.Actor.ID, r.Actor.OnBehalfOf)
		}
	}
	last := b.Entries()[len(b.Entries())-1].Entry
	if last.Action != ActionMessage || last.Object != "1" || last.Subject != "RIV|4711" || outboxtest.Attr(last, "rule") != "adt.contact" ||
		outboxtest.Attr(last, "type") != "ADT^A04" || outboxtest.Attr(last, "did") != "contact created" || outboxtest.Attr(last, "ack") != "AA" {
		t.Errorf("the last entry is %s about %q", last.Action, last.Object)
	}
}

// TestRulesAreWhole holds the shipped rules to be complete: each effect exists, and what it needs is
// set.
func TestRulesAreWhole(t *testing.T) {
	names, events := map[string]bool{}, map[string]string{}
	for _, r := range Shipped() {
		if r.Name == "" || names[r.Name] || len(r.Do) == 0 {
			t.Errorf("rule %q: no name of its own, or nothing to do", r.Name)
		}
		names[r.Name] = true
		for _, e := range r.Events {
			if other := events[r.Type+e]; other != "" {
				t.Errorf("%s^%s is in %s and %s", r.Type, e, other, r.Name)
			}
			events[r.Type+e] = r.Name
		}
		for _, e := range r.Do {
			if effects[e] == nil {
				t.Errorf("rule %s: effect %q does not exist", r.Name, e)
			}
			if e == SendNotice && (r.Notice.Template == "" || len(r.Notice.Key) == 0 && r.Notice.Once == 0) {
				t.Errorf("rule %s: the notice has no template, or nothing keeps it from being sent twice", r.Name)
			}
			if e == EndVisit && r.Ends == "" {
				t.Errorf("rule %s: ends a visit as nothing", r.Name)
			}
		}
		for _, c := range r.When {
			if c.Why == "" || c.Test != Dead && (c.Segment == "" || c.Field == 0) || (c.Test == Every || c.Test == Only) && len(c.In) == 0 && c.List == 0 {
				t.Errorf("rule %s: a condition is not whole", r.Name)
			}
		}
	}
}

// TestPolicy refuses what would send nonsense.
func TestPolicy(t *testing.T) {
	b := newBox(t)
	for name, p := range map[string]Policy{
		"forbidden word":   {Places: map[string]string{"X": "Oncology"}},
		"too long":         {Places: map[string]string{"X": strings.Repeat("x", 40)}},
		"rising leads":     {Leads: []time.Duration{time.Hour, 2 * time.Hour}},
		"lead of a second": {Leads: []time.Duration{time.Second}},
		"segment PID":      {ZSegment: "PID"},
	} {
		err := b.Store.Update(context.Background(), operator, func(tx *store.Tx) error { return SetPolicy(tx, p) })
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	b.policy(Policy{Leads: []time.Duration{48 * time.Hour, 90 * time.Minute}, ZSegment: "ZOT", WorkPhones: true})
	sendOK(t, b, siu("S12", time.Now().Add(50*time.Hour), ""))
	if got := b.whats(); got != "48h 90m" {
		t.Errorf("texts are %q", got)
	}
	sendOK(t, b, "ADT^A08\nPID|1||9^^^RIV^MR|||||||||||6175552222^WPN^PH\nZNT|1|OTP^login|R1\nZOT|1|OTP^login|R2")
	if got := b.whats(); got != "portal-login 48h 90m" {
		t.Errorf("texts are %q, why %q", got, b.last().Why)
	}
}
