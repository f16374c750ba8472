package intake

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/store"
)

const patient = "PID|1||4711^^^RIV^MR||DOE^JANE||19700101|F|||1 ELM ST^^BOSTON|||||"

// TestMessages sends one message each to a fresh box.
func TestMessages(t *testing.T) {
	in := func(d time.Duration) string { return ts(time.Now().Add(d)) }
	for _, c := range []struct {
		name, message string
		ack           hl7.AckCode
		rule          string
		numbers       string // of RIV|4711
		texts         string
		why           string // a part of the explanation
	}{
		{"contact", "ADT^A04\nPID|1||4711^^^RIV^MR||DOE^JANE||||||||(617)555-1234^PRN^CP", hl7.AA, "adt.contact", "+16175551234", "", ""},
		{"contact without an authority", "ADT^A08\nPID|1||4711||DOE^JANE||||||||6175551234", hl7.AA, "adt.contact", "+16175551234", "", ""},
		{"no patient", "ADT^A04\nPV1|1|O", hl7.AE, "", "", "", "PID[1]"},
		{"no identifier", "ADT^A04\nPID|1||^^^RIV^MR||DOE^JANE||||||||6175551234", hl7.AE, "", "", "", "PID[1]-3"},
		{"social security number only", "ADT^A04\nPID|1||123456789^^^USA^SS||DOE^JANE", hl7.AE, "", "", "", "PID[1]-3"},
		{"unknown event", "ADT^A99\nPID|1||4711^^^RIV^MR", hl7.AA, "", "", "", noRule},
		{"unknown type", "MDM^T02\nPID|1||4711^^^RIV^MR", hl7.AA, "", "", "", noRule},
		{"booking", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^" + in(50*time.Hour) + "\n" + patient + "\nPID|1", hl7.AA, "siu.book", "", "", "no number"},
		{
			"booking with number", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^" + in(50*time.Hour) + "\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^CP",
			hl7.AA, "siu.book", "+16175551234", "24h 2h", "",
		},
		{
			"booking for today", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^" + in(3*time.Hour) + "\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^CP",
			hl7.AA, "siu.book", "+16175551234", "2h", "",
		},
		{
			"booking within the hour", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^" + in(time.Hour) + "\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^CP",
			hl7.AA, "siu.book", "+16175551234", "now", "",
		},
		{
			"booking of this minute", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^" + in(4*time.Minute) + "\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^CP",
			hl7.AA, "siu.book", "+16175551234", "", "",
		},
		{"booking without an id", "SIU^S12\nSCH||^EPIC|||||||||^^^" + in(50*time.Hour) + "\n" + patient, hl7.AE, "", "", "", "SCH[1]-2"},
		{"booking without a start", "SIU^S12\nSCH|1|A77^EPIC\n" + patient, hl7.AE, "", "", "", "SCH[1]-11"},
		{"booking with a bad start", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^tomorrow\n" + patient, hl7.AE, "", "", "", "error 102"},
		{"booking in the year 9999", "SIU^S12\nSCH|1|A77^EPIC|||||||||^^^99991231235959-1400\n" + patient, hl7.AE, "", "", "", "error 102"},
		{"event in the year 0", "ADT^A04\nEVN|A04|00000101000000+1400\n" + patient, hl7.AA, "adt.contact", "", "", ""},
		{"too long an identifier", "ADT^A04\nPID|1||" + strings.Repeat("4", 257), hl7.AE, "", "", "", "error 102, data type error at PID[1]-3"},
		{"too long a survivor", "ADT^A40\n" + patient + "\nMRG|1\nPID|2||" + strings.Repeat("4", 257) + "\nMRG|2", hl7.AE, "", "", "", "error 102"},
		{"too many merges", "ADT^A40\n" + patient + "\nMRG|" + strings.Repeat("1~", 40) + "1", hl7.AR, "", "", "", "more merges"},
		{"dead without an identifier", "DFT^P03\nPID|1||" + strings.Repeat("|", 27) + "Y", hl7.AA, "", "", "", noRule},
		{"no SCH", "SIU^S12\n" + patient, hl7.AE, "", "", "", "SCH[1]"},
		{"merge without MRG", "ADT^A34\n" + patient, hl7.AE, "", "", "", "error 101, required field missing at MRG[1]-1"},
		{
			"code", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|OTP^login|REQ-1|SMS|es",
			hl7.AA, "adt.contact", "+16175551234", "portal-login", "",
		},
		{
			"code by an event without a rule", "ORM^O01\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|OTP^patient-signup|REQ-1",
			hl7.AA, "request", "+16175551234", "patient-signup", "",
		},
		{"code for nobody", "ORM^O01\nZNT|1|OTP^login|REQ-1", hl7.AE, "", "", "", "PID[1]"},
		{"code without a number", "ADT^A08\n" + patient + "\nZNT|1|OTP^login|REQ-1", hl7.AA, "adt.contact", "", "", "verification refused: no number"},
		{"code of no service", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|OTP^lottery|REQ-1", hl7.AA, "adt.contact", "+16175551234", "", "unknown service"},
		{"code without request id", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|OTP^login|", hl7.AE, "", "", "", "ZNT[1]-3"},
		{"code by pigeon", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|OTP^login|REQ-1|PIGEON", hl7.AE, "", "", "", "error 103, table value not found at ZNT[1]-4"},
		{"code by call", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|LUNCH^login|REQ-1|CALL", hl7.AE, "", "", "", "ZNT[1]-2"},
		{
			"notice", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|NOTICE^result.ready|REQ-1|SMS",
			hl7.AA, "adt.contact", "+16175551234", "result.ready", "",
		},
		{
			"notice that does not exist", "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234\nZNT|1|NOTICE^lottery|REQ-1|SMS",
			hl7.AA, "adt.contact", "+16175551234", "", "unknown template",
		},
		{"result without policy", "ORU^R01\n" + patient + "\nOBR|1|||GLU^Glucose|||||||||||||||||||||F\nOBX|1|NM|GLU||95||||||F", hl7.AA, "", "", "", "(OBR-4)"},
		{"training", "MSH|^~\\&|EPIC|RIV|P|B|20260101||ADT^A04|C0001|T|2.5.1\n" + patient, hl7.AR, "", "", "", "error 202"},
		{"version 3", "MSH|^~\\&|EPIC|RIV|P|B|20260101||ADT^A04|C0001|P|3.0\n" + patient, hl7.AR, "", "", "", "error 203"},
		{"no control id", "MSH|^~\\&|EPIC|RIV|P|B|20260101||ADT^A04||P|2.5.1\n" + patient, hl7.AE, "", "", "", "-"},
		{"not HL7", "MSH\nhello", hl7.AE, "", "", "", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			a := b.send(c.message)
			if a.code != c.ack {
				t.Errorf("answered %s (%s), want %s", a.code, a.text, c.ack)
			}
			if got := strings.Join(b.numbers("4711"), " "); got != c.numbers {
				t.Errorf("numbers are %q, want %q", got, c.numbers)
			}
			if got := b.whats(); got != c.texts {
				t.Errorf("texts are %q, want %q", got, c.texts)
			}
			if c.why == "-" {
				return
			}
			e := b.last()
			if e.Rule != c.rule || !strings.Contains(e.Why, c.why) || c.why == "" && e.Why != "" {
				t.Errorf("explained as rule %q, did %q, why %q; want rule %q, why %q", e.Rule, e.Did, e.Why, c.rule, c.why)
			}
			if e.Ack != string(c.ack) {
				t.Errorf("explained with %s, answered %s", e.Ack, c.ack)
			}
			if c.ack != hl7.AA && b.count(ActionMessage) != 1 {
				t.Error("the refusal left no entry")
			}
		})
	}
}

// TestPolicyIsTheCallers: what a caller does with the policy that it got changes nothing for others.
func TestPolicyIsTheCallers(t *testing.T) {
	b := newBox(t)
	set := Policy{Places: map[string]string{"CARD": "Main Street"}, Releasable: []string{"GLU"}, Leads: []time.Duration{2 * time.Hour}}
	b.policy(set)
	for range 2 {
		b.View(func(tx *store.Tx) error {
			p, err := PolicyOf(tx)
			if err != nil || p.Places["CARD"] != "Main Street" || p.Releasable[0] != "GLU" || p.Leads[0] != 2*time.Hour {
				t.Errorf("policy is %+v, %v", p, err)
			}
			p.Places["CARD"], p.Releasable[0], p.Leads[0] = "changed", "changed", 0
			return err
		})
	}
}

// TestZone is what answers are written in, also by whoever answers in the intake's place.
func TestZone(t *testing.T) {
	b := newBox(t)
	if z := b.in.Zone(); z != nil {
		t.Errorf("before a message it is %s", z)
	}
	b.send("ADT^A08\n" + jane)
	if z := b.in.Zone(); z == nil || z.String() != "America/New_York" {
		t.Errorf("it is %s, want the site's", z)
	}
	utc := newBoxIn(t, Listener{Name: "adt", Mode: contact.Live, Zone: time.UTC})
	if z := utc.in.Zone(); z != time.UTC {
		t.Errorf("it is %s, want the listener's", z)
	}
}
