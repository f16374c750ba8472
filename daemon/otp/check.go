package otp

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/store"
)

// CheckRequest brings a code that a person typed. The verification is named by
// ID, or by service, number and reference.
type CheckRequest struct {
	ID        string
	Service   string        // name or SID; with ID it must be the verification's, if given
	To        contact.Phone // with ID it must be the verification's, if given
	Reference string        // must be the start's
	Amount    int64         // with Payee: must be the start's, if given
	Payee     string
	Code      string
}

// Check compares a code. A wrong code is no error: valid is false and the try
// is counted in tx, which must commit. After the last try the verification is
// MaxChecks and every further check ErrMaxChecks until its life ends; after an
// end it is ErrNotFound. A row of wrong codes over several verifications earns
// a growing wait, *limit.Exceeded, in which nothing is compared.
func Check(tx *store.Tx, req CheckRequest) (v Verification, valid bool, err error) {
	v, valid, err = check(tx, req)
	if Refusal(err) {
		e := tx.Record(store.Entry{
			Action: ActionCheck, Outcome: store.Refused, Object: v.ID, Subject: v.Subject.Key(),
			Attrs: []store.Attr{attr("service", clip(req.Service)), attr("cause", cause(err))},
		})
		if e != nil {
			return Verification{}, false, e
		}
	}
	return v, valid, err
}

func check(tx *store.Tx, req CheckRequest) (Verification, bool, error) {
	v, err := named(tx, req)
	if err != nil {
		return Verification{}, false, err
	}
	now := tx.Now()
	if v.State == Pending && !now.Before(v.Expires) {
		if err := expire(tx, v); err != nil {
			return Verification{}, false, err
		}
		return Verification{}, false, ErrNotFound
	}
	if !v.going(now) {
		return Verification{}, false, ErrNotFound
	}
	if !v.refers(req.Reference) {
		return v, false, ErrReference
	}
	if (req.Amount != 0 || req.Payee != "") && (req.Amount != v.Amount || req.Payee != v.Payee) {
		return v, false, ErrAmount
	}
	if v.State == MaxChecks {
		return v, false, ErrMaxChecks
	}
	s, err := FindService(tx, v.Service)
	if err != nil {
		return Verification{}, false, fmt.Errorf("service of verification: %w", err)
	}
	t := triple(s, v.To, v.Staff)
	if err := mayTry(tx, t); err != nil {
		return v, false, err
	}

	l, err := limit.Of(tx)
	if err != nil {
		return Verification{}, false, err
	}
	v.Checks++ // counted whatever the comparison says
	v.Updated = now
	code, err := codeOf(tx, v, s)
	if err != nil {
		return Verification{}, false, err
	}
	open, err := windowOpen(tx, v, s)
	if err != nil {
		return Verification{}, false, err
	}
	valid := same(code, typed(req.Code)) && open
	if valid {
		v.Asserted = v.Custom != ""
		if err := limit.Clear(tx, t); err != nil {
			return Verification{}, false, err
		}
		if v, err = end(tx, v, Approved); err != nil {
			return Verification{}, false, err
		}
		if err := proven(tx, v, s); err != nil {
			return Verification{}, false, err
		}
		if !v.Asserted { // a code that the client chose may be known without its text
			if err := outbox.Converted(tx, v.ID); err != nil {
				return Verification{}, false, fmt.Errorf("note arrival of code: %w", err)
			}
		}
	} else {
		if _, err := limit.Fail(tx, t); err != nil {
			return Verification{}, false, err
		}
		if v.Checks >= s.checks(l) {
			v, err = end(tx, v, MaxChecks)
		} else {
			err = save(tx, v)
		}
		if err != nil {
			return Verification{}, false, err
		}
	}
	return v, valid, recordCheck(tx, v, valid, open)
}

// refers tells whether a check names the action that v is bound to. Where it is bound to none, the id of
// its request names no other.
func (v Verification) refers(reference string) bool {
	if v.Reference == "" && v.Request != "" && reference == v.Request {
		return true
	}
	return subtle.ConstantTimeCompare([]byte(reference), []byte(v.Reference)) == 1
}

// proven notes a number as proven in person: staff had the patient in front of
// them. A code typed at home proves less, for whoever changed the number of a
// record gets it too.
func proven(tx *store.Tx, v Verification, s Service) error {
	if !s.Desk || !v.Staff || v.Asserted || v.Subject.IsZero() {
		return nil
	}
	return contact.Proven(tx, v.Subject, v.To)
}

func recordCheck(tx *store.Tx, v Verification, valid, open bool) error {
	outcome := store.OK
	attrs := []store.Attr{attr("check", fmt.Sprint(v.Checks))}
	if !valid {
		outcome = store.Refused
	}
	if !open {
		attrs = append(attrs, attr("window", "closed"))
	}
	if v.Asserted {
		attrs = append(attrs, attr("asserted", "code"))
	}
	return record(tx, v, ActionCheck, outcome, attrs...)
}

// named finds the verification that a check means.
func named(tx *store.Tx, req CheckRequest) (Verification, error) {
	if req.ID == "" {
		v, err := Find(tx, req.Service, req.To, req.Reference)
		if !errors.Is(err, ErrNotFound) {
			return v, err
		}
		return Verification{}, wrongReference(tx, req)
	}
	v, err := load(tx, req.ID)
	if err != nil {
		return Verification{}, err
	}
	if req.Service != "" && req.Service != v.Service && req.Service != v.ServiceSID {
		return Verification{}, ErrNotFound
	}
	if !req.To.IsZero() && req.To != v.To {
		return Verification{}, ErrNotFound
	}
	return v, nil
}

// wrongReference tells a check that names another action than the one that is
// going on from a check of nothing at all.
func wrongReference(tx *store.Tx, req CheckRequest) error {
	pending, err := PendingOf(tx, req.To)
	if err != nil {
		return err
	}
	for _, v := range pending {
		if req.Service == v.Service || req.Service == v.ServiceSID {
			return ErrReference
		}
	}
	return ErrNotFound
}

// codeOf is the code that a person should have got.
func codeOf(tx *store.Tx, v Verification, s Service) (string, error) {
	if v.Custom != "" {
		return v.Custom, nil
	}
	return derive(tx, v, s.CodeLength)
}

// Cancel ends a pending verification, or one whose checks are used up, which
// frees its number for another start; the failures stay counted.
func Cancel(tx *store.Tx, id string) (Verification, error) {
	v, err := load(tx, id)
	if err == nil && !v.going(tx.Now()) {
		err = ErrNotFound
	}
	if err != nil {
		return refuse(tx, v, ActionCancel, err)
	}
	if v, err = end(tx, v, Canceled); err != nil {
		return Verification{}, err
	}
	return v, record(tx, v, ActionCancel, store.OK)
}

// Approve ends a pending verification as approved by the client's word. It is
// recorded as asserted, and never satisfies a reference.
func Approve(tx *store.Tx, id string) (Verification, error) {
	v, err := load(tx, id)
	if err == nil && (v.State != Pending || !v.going(tx.Now())) {
		err = ErrNotFound
	}
	if err != nil {
		return refuse(tx, v, ActionApprove, err)
	}
	s, err := FindService(tx, v.Service)
	if err != nil {
		return Verification{}, fmt.Errorf("service of verification: %w", err)
	}
	if !s.Asserted || v.Reference != "" {
		return refuse(tx, v, ActionApprove, ErrAsserted)
	}
	v.Asserted = true
	if v, err = end(tx, v, Approved); err != nil {
		return Verification{}, err
	}
	return v, record(tx, v, ActionApprove, store.OK, attr("asserted", "approval"))
}

// refuse records a refusal of one of the verbs on v and returns it.
func refuse(tx *store.Tx, v Verification, action store.Action, err error) (Verification, error) {
	if !Refusal(err) {
		return Verification{}, err
	}
	e := tx.Record(store.Entry{
		Action: action, Outcome: store.Refused, Object: v.ID, Subject: v.Subject.Key(),
		Attrs: []store.Attr{attr("service", v.Service), attr("cause", cause(err))},
	})
	if e != nil {
		return Verification{}, e
	}
	return v, err
}
