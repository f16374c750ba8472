package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// fault is an error as both shapes show it. Its words are for outsiders: they name a place and a
// reason, never a value. A refusal is kept under its idempotency key in this form.
type fault struct {
	Status int           `json:"status"`
	Code   int           `json:"code"`             // of the Verify shape (the vendor's list of codes)
	Kind   string        `json:"kind"`             // last part of the problem's type, for programs
	Title  string        `json:"title"`            // the same for every fault of a kind
	Detail string        `json:"detail,omitempty"` // of this one
	Field  string        `json:"field,omitempty"`  // which part of the request
	Retry  time.Duration `json:"-"`                // Retry-After, if any; what has one is not kept

	findings []finding // of a FHIR resource that is wrong in itself
}

// invalid is a request that is wrong in itself.
type invalid struct {
	status int
	field  string
	detail string
}

func (e *invalid) Error() string { return "invalid request: " + e.field + ": " + e.detail }

func bad(field, format string, args ...any) error {
	return &invalid{http.StatusBadRequest, field, fmt.Sprintf(format, args...)}
}

// after is a refusal that ends by itself, and when.
type after struct {
	error
	wait time.Duration
}

func (e *after) Unwrap() error { return e.error }

var (
	errPath        = errors.New("no such path")
	errMethod      = errors.New("method not allowed")
	errAbsent      = errors.New("no such record")
	errIdempotency = errors.New("idempotency key was used for another request")
)

// Faults whose details come with the error.
var (
	faultInvalid  = fault{Status: 400, Code: 60200, Kind: "invalid", Title: "the request is wrong"}
	faultLimit    = fault{Status: 429, Code: 20429, Kind: "limit", Title: "too many requests"}
	faultBusy     = fault{Status: 503, Code: 20503, Kind: "busy", Title: "no modem could take a code within 10 seconds"}
	faultNumber   = fault{Status: 422, Code: 60200, Kind: "number-refused", Title: "the number is refused"}
	faultSlot     = fault{Status: 400, Code: 60200, Kind: "slot", Title: "a slot cannot be filled"}
	faultStopping = fault{Status: 503, Code: 20503, Kind: "stopping", Title: "the box is stopping", Retry: 10 * time.Second}
	faultInternal = fault{Status: 500, Code: 20500, Kind: "internal", Title: "the request failed; the box's log says why"}
)

// faults is the one table from errors to answers.
var faults = []struct {
	err error
	fault
}{
	{errUnauthorized, fault{Status: 401, Code: 20003, Kind: "unauthorized", Title: "authentication required"}},
	{errForbidden, fault{Status: 403, Code: 20003, Kind: "forbidden", Title: "this caller may not do that"}},
	{errPath, fault{Status: 404, Code: 20404, Kind: "no-path", Title: "no such path"}},
	{errMethod, fault{Status: 405, Code: 20004, Kind: "no-method", Title: "this path does not take that method"}},
	{errAbsent, fault{Status: 404, Code: 20404, Kind: "not-found", Title: "no such record"}},
	{errIdempotency, fault{Status: 422, Code: 60200, Kind: "idempotency-key-reused", Title: "this Idempotency-Key was used for another request"}},
	{otp.ErrNotFound, fault{Status: 404, Code: 20404, Kind: "no-verification", Title: "no such verification, or it is over"}},
	{otp.ErrUnknownService, fault{Status: 404, Code: 20404, Kind: "unknown-service", Title: "no such service", Field: "service"}},
	{otp.ErrLocale, fault{Status: 404, Code: 20404, Kind: "locale-not-supported", Title: "no text in this language", Field: "locale"}},
	{otp.ErrChannel, fault{Status: 400, Code: 60223, Kind: "channel-not-offered", Title: "the service does not offer this channel", Field: "channel"}},
	{otp.ErrNoCalls, fault{Status: 422, Code: 60410, Kind: "no-calls", Title: "the number is not to be called", Field: "to"}},
	{otp.ErrLandline, fault{Status: 422, Code: 60205, Kind: "landline", Title: "the number is a landline and takes no texts; ask for a call", Field: "to"}},
	{otp.ErrMaxSends, fault{Status: 429, Code: 60203, Kind: "max-sends", Title: "max send attempts reached"}},
	{otp.ErrMaxChecks, fault{Status: 429, Code: 60202, Kind: "max-checks", Title: "max check attempts reached"}},
	{otp.ErrReference, fault{Status: 409, Code: 60200, Kind: "reference-mismatch", Title: "the check names another reference than the start", Field: "reference"}},
	{otp.ErrReferenceNeeded, fault{Status: 400, Code: 60200, Kind: "reference-needed", Title: "this service binds each code to a reference", Field: "reference"}},
	{otp.ErrAmount, fault{Status: 400, Code: 60206, Kind: "amount-mismatch", Title: "amount and payee do not match", Field: "amount"}},
	{otp.ErrStaffOnly, fault{Status: 403, Code: 60200, Kind: "staff-only", Title: "the service is for staff"}},
	{otp.ErrSubjectNeeded, fault{Status: 400, Code: 60200, Kind: "subject-needed", Title: "the service works for known patients only", Field: "subject"}},
	{otp.ErrNumberNotBound, fault{Status: 403, Code: 60200, Kind: "number-not-bound", Title: "the number is not the patient's for long enough", Field: "to"}},
	{otp.ErrCustomCode, fault{Status: 400, Code: 60200, Kind: "custom-code", Title: "the service takes no code from the client", Field: "custom_code"}},
	{otp.ErrAsserted, fault{Status: 403, Code: 60200, Kind: "assertion", Title: "the service does not let a client approve"}},
	{limit.ErrBlocked, fault{Status: 403, Code: 60238, Kind: "blocked", Title: "blocked after too many wrong codes in a row"}},
	{consent.ErrOptedOut, fault{Status: 422, Code: 21610, Kind: "opted-out", Title: "the number has opted out", Field: "to"}},
	{consent.ErrOptedOutOfCodes, fault{Status: 422, Code: 21610, Kind: "opted-out-of-codes", Title: "the number has opted out of texts with codes; a call is still possible", Field: "to"}},
	{consent.ErrNoOptIn, fault{Status: 422, Code: 21610, Kind: "no-opt-in", Title: "the number has not opted in", Field: "to"}},
	{consent.ErrWrongNumber, fault{Status: 422, Code: 60200, Kind: "wrong-number", Title: "the number is flagged as wrong", Field: "to"}},
	{consent.ErrDead, fault{Status: 422, Code: 60200, Kind: "not-sent", Title: "nothing is sent about this patient", Field: "subject"}},
	{consent.ErrNoTexts, fault{Status: 422, Code: 60200, Kind: "no-texts", Title: "the patient wants no texts", Field: "subject"}},
	{outbox.ErrNoStep, fault{Status: 409, Code: 60200, Kind: "no-step", Title: "there is no other way to send it now"}},
	{outbox.ErrOver, fault{Status: 409, Code: 60200, Kind: "over", Title: "it is over; nothing can be changed"}},
	{outbox.ErrNotFound, fault{Status: 404, Code: 20404, Kind: "no-message", Title: "no such message"}},
	{notice.ErrNotFound, fault{Status: 404, Code: 20404, Kind: "no-notice", Title: "no such notice"}},
	{notice.ErrUnknownTemplate, fault{Status: 404, Code: 20404, Kind: "unknown-template", Title: "no such template", Field: "template"}},
	{notice.ErrNoNumber, fault{Status: 422, Code: 60200, Kind: "no-number", Title: "the patient has no number that can be texted, or called about this", Field: "subject"}},
	{notice.ErrNoVoice, fault{Status: 422, Code: 60200, Kind: "no-voice", Title: "it cannot be told by a call: the template is not spoken, or no modem calls", Field: "template"}},
	{notice.ErrNoCalls, fault{Status: 422, Code: 60410, Kind: "no-calls", Title: "the number is not to be called", Field: "to"}},
	{notice.ErrPointless, fault{Status: 422, Code: 60200, Kind: "pointless", Title: "by the time it may go, it is of no use", Field: "expires_at"}},
	{text.ErrNoMatch, fault{Status: 422, Code: 60200, Kind: "no-template-match", Title: "the text is not that of exactly one template"}},
	{errCategory, fault{Status: 422, Code: 60200, Kind: "category", Title: "the category is not the template's"}},
	{errDuplicate, fault{Status: 409, Code: 60200, Kind: "duplicate", Title: "the identifier was used for another request"}},
	{errVersion, fault{Status: 412, Code: 60200, Kind: "version", Title: "it has another version by now"}},
	{errChange, fault{Status: 422, Code: 60200, Kind: "change", Title: "only the status can change, to revoked"}},
	{store.ErrFull, fault{Status: 503, Code: 20503, Kind: "disk-full", Title: "the disk is full; nothing new is accepted until there is space", Retry: time.Minute}},
	{store.ErrClosed, faultStopping},
}

// faultOf finds the answer to an error; what the table does not know is trouble of ours, and its
// words stay in the log.
func faultOf(err error) fault {
	f := find(err)
	if e, ok := errors.AsType[*after](err); ok {
		f.Retry = e.wait
	}
	if e, ok := errors.AsType[*placed](err); ok {
		f = e.put(f)
	}
	return f
}

func find(err error) fault {
	if e, ok := errors.AsType[*invalid](err); ok {
		f := faultInvalid
		f.Status, f.Detail, f.Field = e.status, e.detail, e.field
		return f
	}
	if e, ok := errors.AsType[*badResource](err); ok {
		f := faultInvalid
		f.Status, f.findings = e.status, e.findings
		return f
	}
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		f := faultLimit
		f.Detail, f.Retry = "the budget "+e.Budget+" is used up", e.RetryAfter
		return f
	}
	if e, ok := errors.AsType[*outbox.Busy](err); ok {
		f := faultBusy
		f.Detail, f.Retry = e.Reason, e.RetryAfter
		return f
	}
	if e, ok := errors.AsType[*contact.NumberError](err); ok {
		return numberFault(e)
	}
	if e, ok := errors.AsType[*text.SlotError](err); ok {
		f := faultSlot
		f.Detail, f.Field = string(e.Reason), "slots."+e.Slot
		return f
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.fault
		}
	}
	return faultInternal
}

// numberFault tells a number that is none from one that exists and that this site does not reach: in
// the Verify shape the first is an invalid parameter, the second a forbidden region.
func numberFault(e *contact.NumberError) fault {
	f := faultNumber
	f.Detail, f.Field = string(e.Reason), "to"
	if e.Reason == contact.Foreign || e.Reason == contact.Premium {
		f.Code = 60605
	}
	return f
}

// refusal tells a decision from trouble, for every verb that this door calls. A decision commits,
// with the entry that its verb has written.
func refusal(err error) bool {
	if _, ok := errors.AsType[*contact.NumberError](err); ok {
		return true
	}
	if errors.Is(err, errCategory) || errors.Is(err, text.ErrNoMatch) {
		return true
	}
	return err != nil && (otp.Refusal(err) || notice.Refusal(err) || consent.Refused(err) || access.Refusal(err))
}

// gone reports whether the error only says that nobody waits for the answer any more.
func gone(r *http.Request, err error) bool {
	return r.Context().Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}
