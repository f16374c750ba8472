package console

import (
	"testing"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/record"
	"pinward/store"
)

// known is what is kept of the patient's number.
func (b *box) known() (c contact.Contact) {
	b.T.Helper()
	b.View(func(tx *store.Tx) (err error) { c, err = contact.Of(tx, outboxtest.Phone(patientNumber)); return err })
	return c
}

// TestNumber: a nurse sees what is known of a number and sets it; each look and each change is an entry, and what holds is used at once.
func TestNumber(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	p.get("/numbers").want(200).says("Look up").hides("Save")
	p.post("/numbers", "number", "617 555 1234").want(200).says("(617) 555-1234", "It may be called.", "The line: not known.", "Save").hides("checked", "Saved")
	if n := len(b.Entries(record.ActionView)); n != 1 {
		t.Errorf("%d looks on record, want 1", n)
	}
	p.post("/numbers/save", "number", patientNumber, "no_voice", "true", "slow", "true", "type", "landline").want(200).
		says("Saved.", "It is never called.", "landline, takes no texts (said at a desk)", `name="was_no_voice" value="true"`, `value="landline" selected`)
	if c := b.known(); !c.NoVoice || !c.Slow || c.WrongNumber || c.Type != contact.LineLandline || c.TypeSource != deskSource {
		t.Errorf("kept %+v", c)
	}
	e := b.Entries(contact.ActionFlag)
	if len(e) != 1 || e[0].Actor.ID != "nurse" {
		t.Fatalf("%d entries of it", len(e))
	}
	p.post("/verifications", "number", patientNumber, "service", "patient-signup").want(422).says("is not to be called")
	p.post("/verifications", "number", patientNumber, "service", "patient-signup", "channel", "call").want(422).says("is not to be called")

	// What nobody touched stays, though somebody else changed it since the form was shown.
	b.Do(func(tx *store.Tx) error {
		return contact.Flag(tx, outboxtest.Phone(patientNumber), contact.Flags{Slow: new(false)}, "api:AC")
	})
	p.post("/numbers/save", "number", patientNumber, "was_no_voice", "true", "was_slow", "true", "slow", "true", "was_type", "landline", "type", "", "wrong_number", "true").
		want(200).says("Saved.", "it is the wrong one")
	if c := b.known(); c.NoVoice || c.Slow || !c.WrongNumber || c.Type != contact.LineUnknown {
		t.Errorf("kept %+v", c)
	}
	p.post("/verifications", "number", patientNumber, "service", "patient-signup").want(422).says("it is the wrong one")
	n := len(b.Entries(contact.ActionFlag))
	p.post("/numbers/save", "number", patientNumber, "was_wrong_number", "true", "wrong_number", "true").want(200)
	if len(b.Entries(contact.ActionFlag)) != n {
		t.Error("nothing was changed, and there is an entry")
	}

	p.post("/numbers/save", "number", patientNumber, "type", "fax").want(422).says("no type of a line")
	p.post("/numbers", "number", "617").want(422).says("no phone number").hides("Save")
	p.post("/numbers/save", "number", "<script>", "slow", "true").want(422).says("&lt;script&gt;")
	b.login(access.Auditor).post("/numbers", "number", patientNumber).want(200).says("it is the wrong one").hides("/numbers/save")
	b.login(access.Auditor).post("/numbers/save", "number", patientNumber, "slow", "true").want(403)
	p.csrf = "another"
	p.post("/numbers/save", "number", patientNumber, "slow", "true").want(403).says("from another session")
	if b.known().Slow {
		t.Error("changed by who may not")
	}
}

// TestPatientsLanguage: the language that a patient asks for at the desk is that of what follows.
func TestPatientsLanguage(t *testing.T) {
	b := newBox(t)
	b.patient()
	p := b.login(access.Nurse)
	p.post("/contacts", "mrn", patient.MRN).want(200).says("Save the language", "Properties of (617) 555-1234")
	p.post("/contacts/language", "mrn", patient.MRN, "language", "en").want(200).says("Language: English")
	if e := b.Entries(contact.ActionSubjectUpdate); len(e) != 1 || e[0].Actor.ID != "nurse" || record.Attr(e[0].Entry, "source") != deskSource {
		t.Errorf("entries %v", e)
	}
	p.post("/contacts/language", "mrn", patient.MRN, "language", "tlh").want(422).says("no text in this language")
	p.post("/contacts/language", "mrn", "nobody", "language", "en").want(422).says("No patient of this record number")
	b.login(access.Auditor).post("/contacts", "mrn", patient.MRN).want(200).hides("Save the language")
}
