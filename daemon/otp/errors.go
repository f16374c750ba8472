package otp

import (
	"errors"

	"pinward/daemon/consent"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
)

// Refusals of this room. Others that the verbs return: *limit.Exceeded,
// limit.ErrBlocked, *outbox.Busy, and the reasons of consent.
var (
	// ErrUnknownService: no service has this name or SID.
	ErrUnknownService = errors.New("unknown service")
	// ErrChannel: the channel is none of sms, call, auto, or the service does
	// not offer it, or the box has no modem that could ever take it.
	ErrChannel = errors.New("channel not offered by the service")
	// ErrNoCalls: the number, or the person, is not to be called.
	ErrNoCalls = errors.New("not to be called")
	// ErrLandline: the number takes no texts, and no call was asked for.
	ErrLandline = errors.New("a landline takes no texts")
	// ErrLocale: no text exists in this language.
	ErrLocale = errors.New("locale not supported")
	// ErrStaffOnly: the service is for authenticated staff.
	ErrStaffOnly = errors.New("service is for staff only")
	// ErrReferenceNeeded: the service binds each code to an action, and the
	// request names none.
	ErrReferenceNeeded = errors.New("service needs a reference")
	// ErrAmount: amount and payee are missing where the service names them, given
	// where it does not, or others than those of the start.
	ErrAmount = errors.New("amount and payee do not match")
	// ErrSubjectNeeded: the service works for known subjects only.
	ErrSubjectNeeded = errors.New("service needs a known subject")
	// ErrNumberNotBound: the number is not the subject's, or became it less
	// than a day ago without proof in person.
	ErrNumberNotBound = errors.New("number is not bound to the subject yet")
	// ErrCustomCode: a code brought by the client where the service allows
	// none, or one that is not of 4 to 10 digits.
	ErrCustomCode = errors.New("custom code not allowed")
	// ErrAsserted: the service does not let a client approve by itself.
	ErrAsserted = errors.New("approval by the client not allowed")
	// ErrMaxSends: five texts or calls went out for this verification.
	ErrMaxSends = errors.New("max send attempts reached")
	// ErrMaxChecks: five wrong codes; nothing is compared until the life ends.
	ErrMaxChecks = errors.New("max check attempts reached")
	// ErrReference: the check names another action than the start did.
	ErrReference = errors.New("reference does not match")
	// ErrNotFound: no such verification, or it is approved, canceled, expired
	// or used up.
	ErrNotFound = errors.New("verification not found")
)

var refusals = []error{
	ErrUnknownService, ErrChannel, ErrNoCalls, ErrLandline, ErrLocale, ErrStaffOnly, ErrReferenceNeeded, ErrAmount, ErrSubjectNeeded, ErrNumberNotBound,
	ErrCustomCode, ErrAsserted, ErrMaxSends, ErrMaxChecks, limit.ErrBlocked, ErrReference, ErrNotFound,
}

// Refusal reports whether err is a decision and not trouble: it is recorded in
// the transaction, which the door must commit.
func Refusal(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*limit.Exceeded](err); ok {
		return true
	}
	if Overloaded(err) {
		return true
	}
	for _, r := range refusals {
		if errors.Is(err, r) {
			return true
		}
	}
	return consent.Refused(err)
}

// Overloaded reports whether a start was refused only for now, as no sender
// could take its code in time: the same request may be taken a little later.
func Overloaded(err error) bool {
	_, busy := errors.AsType[*outbox.Busy](err)
	return busy
}

// cause is the word by which an entry tells why something was refused: the
// constant text of the reason, which holds no value.
func cause(err error) string {
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return "limit " + e.Budget
	}
	if Overloaded(err) {
		return "no sender in time"
	}
	return err.Error()
}
