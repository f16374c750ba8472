package otp

import (
	"errors"
	"testing"

	"pinward/daemon/contact"
	"pinward/store"
)

// TestSharedPhoneIsTwoVerifications: two people of one phone have a code each, and neither's proves anything about the other.
func TestSharedPhoneIsTwoVerifications(t *testing.T) {
	b := newBox(t)
	ann, bob := contact.SubjectID{Authority: "RIV", MRN: "ann"}, contact.SubjectID{Authority: "RIV", MRN: "bob"}
	ask := func(who contact.SubjectID, request string) (Verification, string) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Subject: who, Request: request})
		return v, b.Code()
	}
	hers, code := ask(ann, "REQ-A")
	his, other := ask(bob, "REQ-B")
	if hers.ID == his.ID || his.Subject != bob {
		t.Fatal("one verification for two people")
	}
	if again, _ := ask(contact.SubjectID{}, ""); again.ID != his.ID {
		t.Error("a start that names nobody is another verification than the last")
	}
	b.Do(func(tx *store.Tx) error {
		pending, err := PendingOf(tx, patient)
		if len(pending) != 2 || pending[0].ID != his.ID {
			t.Errorf("%d pending", len(pending))
		}
		for request, want := range map[string]string{"REQ-A": hers.ID, "REQ-B": his.ID} {
			if v, err := FindRequest(tx, "patient-signup", request); err != nil || v.ID != want {
				t.Errorf("%s is another's: %v", request, err)
			}
		}
		return err
	})
	if _, valid, err := b.check(CheckRequest{ID: his.ID, Code: code}); err != nil || valid {
		t.Errorf("her code as his: valid %t, %v", valid, err)
	}
	if _, valid, err := b.check(CheckRequest{Service: "patient-signup", To: patient, Code: other}); err != nil || !valid {
		t.Errorf("the number alone means the last: valid %t, %v", valid, err)
	}
	if v, valid, err := b.check(CheckRequest{ID: hers.ID, Code: code}); err != nil || !valid || v.Subject != ann {
		t.Errorf("her code after his: valid %t, %v", valid, err)
	}
}

// TestMergedSubjectIsTheSamePerson: a record that was merged away is no second person; nor does another person open a number that is
// being guessed at.
func TestMergedSubjectIsTheSamePerson(t *testing.T) {
	b := newBox(t)
	old, now, third := contact.SubjectID{Authority: "RIV", MRN: "old"}, contact.SubjectID{Authority: "RIV", MRN: "now"}, contact.SubjectID{Authority: "RIV", MRN: "third"}
	one := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Subject: old})
	b.Code()
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Merge(tx, now, old, tx.Now())
		return err
	})
	if v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Subject: now}); v.ID != one.ID {
		t.Error("the survivor has a verification of its own")
	}
	for range 5 {
		if _, valid, err := b.check(CheckRequest{ID: one.ID, Code: "x"}); err != nil || valid {
			t.Fatalf("valid %t, %v", valid, err)
		}
	}
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient, Subject: third}); !errors.Is(err, ErrMaxChecks) {
		t.Errorf("a third person at a number that is guessed at: %v", err)
	}
}

// TestSharedPhoneSecondAsk: whoever asks again has the same verification again, though another asked meanwhile, and is the last then; nor
// does another's start between give back the checks that were used up.
func TestSharedPhoneSecondAsk(t *testing.T) {
	b := newBox(t)
	start := func(mrn string) (Verification, error) {
		return b.start(StartRequest{Service: "patient-signup", To: patient, Subject: contact.SubjectID{Authority: "RIV", MRN: mrn}})
	}
	hers, err := start("ann")
	if err != nil {
		t.Fatal(err)
	}
	code := b.Code()
	his, err := start("bob")
	if err != nil {
		t.Fatal(err)
	}
	other := b.Code()
	if v, err := start("ann"); err != nil || v.ID != hers.ID || b.Code() != code {
		t.Errorf("she has another verification, or another code: %v", err)
	}
	if v, valid, err := b.check(CheckRequest{Service: "patient-signup", To: patient, Code: code}); err != nil || !valid || v.ID != hers.ID {
		t.Errorf("the number alone is not the last that asked: valid %t, %v", valid, err)
	}
	if _, valid, err := b.check(CheckRequest{ID: his.ID, Code: other}); err != nil || !valid {
		t.Errorf("his code: valid %t, %v", valid, err)
	}

	b = newBox(t)
	if hers, err = start("ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := start("bob"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, valid, err := b.check(CheckRequest{ID: hers.ID, Code: "x"}); err != nil || valid {
			t.Fatalf("valid %t, %v", valid, err)
		}
	}
	if _, err := start("ann"); !errors.Is(err, ErrMaxChecks) {
		t.Errorf("five more checks: %v", err)
	}
}
