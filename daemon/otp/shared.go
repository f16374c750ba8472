package otp

import (
	"fmt"

	"pinward/daemon/contact"
	"pinward/store"
)

// sameOrOwn gives what is going on for the person of a start: v, the last that was started, if that may be theirs; else the last of the
// number that may be, and before it one whose checks are used up, whomever it is about. ErrNotFound is neither.
func sameOrOwn(tx *store.Tx, v Verification, req StartRequest) (Verification, error) {
	same, err := samePerson(tx, v.Subject, req.Subject)
	if same || err != nil {
		return v, err
	}
	all, err := Of(tx, req.To)
	if err != nil {
		return Verification{}, err
	}
	own := Verification{}
	for _, o := range all {
		if o.Service != v.Service || o.Reference != v.Reference || !o.going(tx.Now()) {
			continue
		}
		if o.State == MaxChecks {
			return o, nil
		}
		same, err := samePerson(tx, o.Subject, req.Subject)
		if err != nil {
			return Verification{}, err
		}
		if same && own.ID == "" {
			own = o
		}
	}
	if own.ID == "" {
		return Verification{}, ErrNotFound
	}
	return own, nil
}

// samePerson tells whether two starts may be about one person: one of them does not say, or one record was merged into the other since.
func samePerson(tx *store.Tx, a, b contact.SubjectID) (bool, error) {
	if a == b || a.IsZero() || b.IsZero() {
		return true, nil
	}
	for _, id := range []*contact.SubjectID{&a, &b} {
		s, known, err := contact.Find(tx, *id)
		if err != nil {
			return false, fmt.Errorf("look up subject: %w", err)
		}
		if known {
			*id = s.ID
		}
	}
	return a == b, nil
}
