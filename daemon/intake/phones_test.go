package intake

import (
	"strings"
	"testing"

	"pinward/daemon/contact"
	"pinward/store"
)

// TestTextTelephone: a number of a TDD or TTY is kept and texted, and not called.
func TestTextTelephone(t *testing.T) {
	b := newBox(t)
	sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^TTY")
	if got := strings.Join(b.numbers("4711"), " "); got != "+16175551234" {
		t.Fatalf("numbers are %q", got)
	}
	b.View(func(tx *store.Tx) error {
		p, ok, err := contact.Textable(tx, contact.SubjectID{Authority: "RIV", MRN: "4711"})
		if err != nil || !ok {
			t.Fatalf("textable %v, %v", ok, err)
		}
		c, err := contact.Of(tx, p)
		if !c.NoVoice {
			t.Error("a text telephone would be called")
		}
		return err
	})
}

// TestLandlineByHL7: what a sender says in words, and what the site's policy says of its codes, is a landline: no text goes there, and the
// record tells who said so. The codes alone say nothing: many register a mobile as their telephone at home.
func TestLandlineByHL7(t *testing.T) {
	b := newBox(t)
	id := contact.SubjectID{Authority: "RIV", MRN: "4711"}
	is := func(want contact.LineType) {
		t.Helper()
		b.View(func(tx *store.Tx) error {
			s, _, err := contact.Find(tx, id)
			if err != nil {
				return err
			}
			line, source, err := contact.LineOf(tx, s.Phones[0].Phone, id)
			if line != want || want == contact.LineLandline && !strings.HasPrefix(source, "hl7") {
				t.Errorf("line %q by %q, want %q", line, source, want)
			}
			_, texted, terr := contact.Textable(tx, id)
			if terr != nil {
				t.Error(terr)
			}
			if texted != (want != contact.LineLandline) {
				t.Errorf("texted: %v", texted)
			}
			return err
		})
	}
	sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^PH")
	is(contact.LineUnknown)
	sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^LL")
	is(contact.LineLandline)
	sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^CP")
	is(contact.LineMobile)
	b.policy(Policy{Landlines: []string{"PRN^PH"}})
	sendOK(t, b, "ADT^A08\nPID|1||4711^^^RIV^MR||||||||||6175551234^PRN^PH")
	is(contact.LineLandline)
}
