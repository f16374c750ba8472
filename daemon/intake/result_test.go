package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/hl7"
)

// TestResult announces a final, releasable result once a day, and nothing that is anybody's secret.
func TestResult(t *testing.T) {
	b := newBox(t)
	b.policy(Policy{Releasable: []string{"GLU"}})
	sendOK(t, b, "ADT^A08\n"+jane)
	oru := func(status, kind, orc28, obx11, obx13, obr49, vip string) string {
		return "ORU^R01\nPID|1||4711^^^RIV^MR\nPV1|1|O" + strings.Repeat("|", 14) + vip + "\nORC|RE" + strings.Repeat("|", 27) + orc28 +
			"\nOBR|1|||" + kind + "^Test" + strings.Repeat("|", 21) + status + strings.Repeat("|", 24) + obr49 +
			"\nOBX|1|NM|" + kind + "||95||||||" + obx11 + "||" + obx13
	}
	for _, c := range []struct{ message, why string }{
		{oru("P", "GLU", "", "F", "", "", ""), "(OBR-25)"},
		{oru("F", "HIV", "", "F", "", "", ""), "(OBR-4)"},
		{oru("F", "GLU", "R", "F", "", "", ""), "(ORC-28)"},
		{oru("F", "GLU", "", "P", "", "", ""), "(OBX-11)"},
		{oru("F", "GLU", "", "F", "X", "", ""), "(OBX-13)"},
		{oru("F", "GLU", "", "F", "", "N", ""), "(OBR-49)"},
		{oru("F", "GLU", "", "F", "", "", "Y"), "(PV1-16)"},
	} {
		sendOK(t, b, c.message)
		if e := b.last(); !strings.Contains(e.Why, c.why) || e.Rule != "" || b.whats() != "" {
			t.Errorf("want %s: rule %q, why %q, texts %q", c.why, e.Rule, e.Why, b.whats())
		}
	}
	sendOK(t, b, oru("F", "GLU", "U", "C", "", "", ""))
	if got := b.whats(); got != "result.ready" {
		t.Fatalf("texts are %q, why %q", got, b.last().Why)
	}
	sendOK(t, b, oru("C", "GLU", "", "F", "", "", ""))
	if got := b.whats(); got != "result.ready" || !strings.Contains(b.last().Why, "told already") {
		t.Errorf("texts are %q, why %q", got, b.last().Why)
	}
	if words := b.handOver(); !strings.Contains(words, "https://portal.example.org/") || strings.Contains(words, "GLU") {
		t.Errorf("the text is %q", words)
	}
	sendOK(t, b, "ADT^A08\n"+strings.NewReplacer("4711", "4712", "19700101", time.Now().AddDate(-15, 0, 0).Format("20060102")).Replace(jane))
	sendOK(t, b, strings.Replace(oru("F", "GLU", "", "F", "", "", ""), "4711", "4712", 1))
	if got := b.whats(); got != "" || !strings.Contains(b.last().Why, "minor") {
		t.Errorf("texts are %q, why %q for a minor", got, b.last().Why)
	}
}

// TestPickup names the pharmacy and not the clinic.
func TestPickup(t *testing.T) {
	for _, c := range []struct{ rxd13, rxd30, want string }{
		{"PHARM", "", "at Main Pharmacy."}, {"", "PHARM", "at Main Pharmacy."}, {"3W", "PHARM", "at Main Pharmacy."}, {"", "", "at Riverside."},
	} {
		b := newBox(t)
		b.policy(Policy{Places: map[string]string{"CARD": "Heart Center", "PHARM": "Main Pharmacy"}})
		sendOK(t, b, "ADT^A08\n"+jane)
		sendOK(t, b, "RDS^O13\nPID|1||4711^^^RIV^MR\nPV1|1|O|CARD\nORC|RE\nRXD|1|A^Drug|||||RX77||||||"+c.rxd13+strings.Repeat("|", 17)+c.rxd30)
		if got := b.handOver(); !strings.Contains(got, c.want) {
			t.Errorf("RXD-13 %q, RXD-30 %q: the text is %q", c.rxd13, c.rxd30, got)
		}
	}
}

// TestPrescription announces each prescription once; the next one is another.
func TestPrescription(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A08\n"+jane)
	for i, c := range []struct {
		rxd  string
		want int
	}{{"1|A^Drug|||||RX77", 1}, {"1|A^Drug|||||RX77|again", 1}, {"1|A^Drug|||||RX78", 2}} {
		sendOK(t, b, "RDS^O13\nPID|1||4711^^^RIV^MR\nORC|RE\nRXD|"+c.rxd)
		if got := len(b.texts()); got != c.want {
			t.Errorf("%d: %d texts, why %q", i, got, b.last().Why)
		}
	}
	sendOK(t, b, "RDS^O13\nPID|1||4711^^^RIV^MR\nORC|CA\nRXD|1|A^Drug|||||RX79")
	if got := len(b.texts()); got != 2 {
		t.Errorf("%d texts after a cancelled order", got)
	}
	sendOK(t, b, "RDS^O13\nPID|1||4711^^^RIV^MR\nORC|RE||||HD\nRXD|1|A^Drug|||||RX80")
	if got := len(b.texts()); got != 2 || !strings.Contains(b.last().Why, "(ORC-5)") {
		t.Errorf("%d texts after an order on hold, why %q", got, b.last().Why)
	}
	if words := b.handOver(); strings.Contains(words, "Drug") {
		t.Errorf("the text is %q", words)
	}
	if a := b.send("RDS^O13\nPID|1||4711^^^RIV^MR\nORC|RE"); a.code != hl7.AE {
		t.Errorf("without RXD answered %s", a.code)
	}
}
