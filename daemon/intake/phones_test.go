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
	b.see(func(tx *store.Tx) error {
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
