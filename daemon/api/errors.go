package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
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
// reason, never a value.
type fault struct {
	status int
	code   int    // of the Verify shape (reference of its error codes: the vendor's list)
	kind   string // last part of the problem's type, for programs
	title  string
	detail string
	field  string        // which part of the request
	retry  time.Duration // Retry-After, if any
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

var (
	errPath        = errors.New("no such path")
	errAbsent      = errors.New("no such record")
	errIdempotency = errors.New("idempotency key was used for another request")
)

// faults is the one table from errors to answers.
var faults = []struct {
	err error
	fault
}{
	{errUnauthorized, fault{status: 401, code: 20003, kind: "unauthorized", title: "authentication required"}},
	{errForbidden, fault{status: 403, code: 20003, kind: "forbidden", title: "this caller may not do that"}},
	{errPath, fault{status: 404, code: 20404, kind: "not-found", title: "no such path"}},
	{errAbsent, fault{status: 404, code: 20404, kind: "not-found", title: "no such record"}},
	{errIdempotency, fault{status: 422, code: 60200, kind: "idempotency-key-reused", title: "this Idempotency-Key was used for another request"}},
	{otp.ErrNotFound, fault{status: 404, code: 20404, kind: "not-found", title: "no such verification, or it is over"}},
	{otp.ErrUnknownService, fault{status: 404, code: 20404, kind: "unknown-service", title: "no such service", field: "service"}},
	{otp.ErrLocale, fault{status: 404, code: 20404, kind: "locale-not-supported", title: "no text in this language", field: "locale"}},
	{otp.ErrChannel, fault{status: 400, code: 60223, kind: "channel-not-offered", title: "the service does not offer this channel", field: "channel"}},
	{otp.ErrMaxSends, fault{status: 429, code: 60203, kind: "max-sends", title: "max send attempts reached"}},
	{otp.ErrMaxChecks, fault{status: 429, code: 60202, kind: "max-checks", title: "max check attempts reached"}},
	{otp.ErrReference, fault{status: 409, code: 60200, kind: "reference-mismatch", title: "the check names another reference than the start", field: "reference"}},
	{otp.ErrReferenceNeeded, fault{status: 400, code: 60200, kind: "reference-needed", title: "this service binds each code to a reference", field: "reference"}},
	{otp.ErrAmount, fault{status: 400, code: 60206, kind: "amount-mismatch", title: "amount and payee do not match", field: "amount"}},
	{otp.ErrStaffOnly, fault{status: 403, code: 60200, kind: "staff-only", title: "the service is for staff"}},
	{otp.ErrSubjectNeeded, fault{status: 400, code: 60200, kind: "subject-needed", title: "the service works for known patients only", field: "subject"}},
	{otp.ErrNumberNotBound, fault{status: 403, code: 60200, kind: "number-not-bound", title: "the number is not the patient's for long enough", field: "to"}},
	{otp.ErrCustomCode, fault{status: 400, code: 60200, kind: "custom-code", title: "the service takes no code from the client", field: "custom_code"}},
	{otp.ErrAsserted, fault{status: 403, code: 60200, kind: "assertion", title: "the service does not let a client approve"}},
	{limit.ErrBlocked, fault{status: 403, code: 60238, kind: "blocked", title: "blocked after too many wrong codes in a row"}},
	{consent.ErrOptedOut, fault{status: 422, code: 21610, kind: "opted-out", title: "the number has opted out", field: "to"}},
	{consent.ErrOptedOutOfCodes, fault{status: 422, code: 21610, kind: "opted-out-of-codes", title: "the number has opted out of texts with codes; a call is still possible", field: "to"}},
	{consent.ErrNoOptIn, fault{status: 422, code: 21610, kind: "no-opt-in", title: "the number has not opted in", field: "to"}},
	{consent.ErrWrongNumber, fault{status: 422, code: 60200, kind: "wrong-number", title: "the number is flagged as wrong", field: "to"}},
	{consent.ErrDead, fault{status: 422, code: 60200, kind: "not-sent", title: "nothing is sent about this patient", field: "subject"}},
	{consent.ErrNoTexts, fault{status: 422, code: 60200, kind: "no-texts", title: "the patient wants no texts", field: "subject"}},
	{outbox.ErrNoStep, fault{status: 409, code: 60200, kind: "no-step", title: "there is no other way to send it now"}},
	{outbox.ErrOver, fault{status: 409, code: 60200, kind: "over", title: "it is over; nothing can be changed"}},
	{outbox.ErrNotFound, fault{status: 404, code: 20404, kind: "not-found", title: "no such message"}},
	{notice.ErrNotFound, fault{status: 404, code: 20404, kind: "not-found", title: "no such notice"}},
	{notice.ErrUnknownTemplate, fault{status: 404, code: 20404, kind: "unknown-template", title: "no such template", field: "template"}},
	{notice.ErrNoNumber, fault{status: 422, code: 60200, kind: "no-number", title: "the patient has no number that can be texted", field: "subject"}},
	{notice.ErrPointless, fault{status: 422, code: 60200, kind: "pointless", title: "by the time it may go, it is of no use", field: "expires_at"}},
	{text.ErrNoTemplate, fault{status: 404, code: 20404, kind: "unknown-template", title: "no such template", field: "template"}},
	{store.ErrFull, fault{status: 503, code: 20503, kind: "disk-full", title: "the disk is full; nothing new is accepted until there is space", retry: time.Minute}},
	{access.ErrDenied, fault{status: 401, code: 20003, kind: "unauthorized", title: "authentication required"}},
}

// faultOf finds the answer to an error; what the table does not know is trouble of ours, and its
// words stay in the log.
func faultOf(err error) fault {
	if e, ok := errors.AsType[*invalid](err); ok {
		return fault{status: e.status, code: 60200, kind: "invalid", title: "the request is wrong", detail: e.detail, field: e.field}
	}
	if e, ok := errors.AsType[*keptFault](err); ok {
		return e.fault
	}
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return fault{status: 429, code: 20429, kind: "limit", title: "too many requests", detail: "the budget " + e.Budget + " is used up", retry: e.RetryAfter}
	}
	if e, ok := errors.AsType[*outbox.Busy](err); ok {
		return fault{status: 503, code: 20503, kind: "busy", title: "no modem could take a code within 10 seconds", detail: e.Reason, retry: e.RetryAfter}
	}
	if e, ok := errors.AsType[*contact.NumberError](err); ok {
		return numberFault(e)
	}
	if e, ok := errors.AsType[*text.SlotError](err); ok {
		return fault{status: 400, code: 60200, kind: "slot", title: "a slot cannot be filled", detail: string(e.Reason), field: "slots." + e.Slot}
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.fault
		}
	}
	return fault{status: 500, code: 20500, kind: "internal", title: "the request failed; the box's log says why"}
}

// numberFault tells a number that is none (400) from one that policy refuses (403 in the Verify
// shape's words: not reachable from here).
func numberFault(e *contact.NumberError) fault {
	f := fault{status: 422, code: 60200, kind: "number-refused", title: "the number is refused", detail: string(e.Reason), field: "to"}
	if e.Reason == contact.Foreign || e.Reason == contact.Premium {
		f.code = 60605
	}
	return f
}

// problem answers in the native shape, RFC 9457.
func (a *api) problem(w http.ResponseWriter, r *http.Request, err error) {
	f := faultOf(err)
	if f.status == http.StatusInternalServerError {
		a.Log.Error("serve request", "method", r.Method, "pattern", r.Pattern, "error", err)
	}
	writeProblem(w, f)
}

func (f fault) headers(w http.ResponseWriter) {
	if f.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retry.Seconds()))))
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="pinward"`)
	}
}

// problemBody is application/problem+json (RFC 9457 section 3.1), with one member of our own.
type problemBody struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Field  string `json:"field,omitempty"` // which part of the request is at fault
}

// problemType begins the type of each problem.
const problemType = "urn:pinward:problem:"

func (f fault) problem() problemBody {
	return problemBody{Type: problemType + f.kind, Title: f.title, Status: f.status, Detail: f.detail, Field: f.field}
}

func writeProblem(w http.ResponseWriter, f fault) {
	f.headers(w)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(f.problem()) // the caller is gone: there is nobody to tell
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
