package api

import (
	"strconv"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/notice"
	"pinward/daemon/outbox"
	"pinward/store"
)

// fate is what became of a notice, in R4's words.
type fate struct {
	status   string // of the Communication: event-status
	reason   *reason
	sent     time.Time // when the network took the text
	received time.Time // when its last receipt came
	changed  time.Time // when the last thing that is on record of it happened; it names the version
}

// reason is why a text was not sent or did not arrive: a word that EHRs use for texts, and the code of R4's
// communication-not-done-reason that is nearest.
type reason struct{ word, nearest string }

const (
	systemReason  = "urn:pinward:status-reason"
	systemNotDone = "http://terminology.hl7.org/CodeSystem/communication-not-done-reason"
)

func (r *reason) codings() []fhirCoding {
	return []fhirCoding{{System: systemReason, Code: fhirCode(r.word)}, {System: systemNotDone, Code: fhirCode(r.nearest)}}
}

func (r *reason) concept() *fhirConcept {
	if r == nil {
		return nil
	}
	return &fhirConcept{Coding: r.codings()}
}

var (
	reasonOptOut    = &reason{"mu-opt-out-sms", "patient-objection"}
	reasonNoNumber  = &reason{"mu-no-sms-data", "invalid-phone-number"}
	reasonNoVoice   = &reason{"no-voice", "system-error"}
	reasonNoCalls   = &reason{"no-calls", "patient-objection"}
	reasonTooOften  = &reason{"mu-over-comm-day", "system-error"}
	reasonDead      = &reason{"deceased", "recipient-unavailable"}
	reasonTooLate   = &reason{"too-late", "system-error"}
	reasonHeldBack  = &reason{"test-mode", "system-error"}
	reasonRefused   = &reason{"refused-by-network", "invalid-phone-number"}
	reasonUndeliver = &reason{"undelivered", "recipient-unavailable"}
	reasonUnknown   = &reason{"unknown", "unknown"}
	reasonNotSent   = &reason{"not-sent", "system-error"}
)

// reasonOfKind are the reasons of what is refused at once, by the kind of the fault.
var reasonOfKind = map[string]*reason{
	"opted-out": reasonOptOut, "no-opt-in": reasonOptOut, "no-texts": reasonOptOut, "wrong-number": reasonNoNumber,
	"no-number": reasonNoNumber, "number-refused": reasonNoNumber, "not-sent": reasonDead, "pointless": reasonTooLate, "no-voice": reasonNoVoice, "no-calls": reasonNoCalls, "limit": reasonTooOften,
}

// reasonOfCause are the reasons of what was dropped later, by the words of the notice.
func reasonOfCause(cause string) *reason {
	for _, e := range []error{
		consent.ErrOptedOut, consent.ErrNoOptIn, consent.ErrNoTexts, consent.ErrWrongNumber, consent.ErrDead, notice.ErrNoNumber, notice.ErrNoVoice, notice.ErrNoCalls, notice.ErrPointless,
	} {
		if cause == e.Error() {
			return reasonOfKind[find(e).Kind]
		}
	}
	return reasonNotSent
}

// fateOf looks at a notice and its message.
func fateOf(tx *store.Tx, n notice.Notice) (fate, error) {
	f := fate{changed: n.Created}
	m, ok, err := outbox.Get(tx, n.Message)
	if err != nil {
		return f, err
	}
	if ok {
		f.count(m)
	}
	f.at(n.Canceled)
	f.decide(n, m, ok, tx.Now())
	return f, nil
}

func (f *fate) at(t time.Time) {
	if t.After(f.changed) {
		f.changed = t
	}
}

// count takes what is on record of one message.
func (f *fate) count(m outbox.Message) {
	f.at(m.Created)
	for _, a := range m.Attempts {
		f.at(a.At)
		if !a.Settled.IsZero() {
			f.at(a.Settled)
		}
		took := a.Outcome == outbox.Sent || a.Outcome == outbox.Delivered || a.Outcome == outbox.Undelivered
		if took && !a.Settled.Before(f.sent) {
			f.sent = a.Settled
		}
		for _, p := range a.Parts {
			if p.State == outbox.Sent {
				continue
			}
			f.at(p.At)
			if a.Outcome == outbox.Delivered && p.At.After(f.received) {
				f.received = p.At
			}
		}
	}
}

// decide finds the event-status.
func (f *fate) decide(n notice.Notice, m outbox.Message, known bool, now time.Time) {
	done := func(status string, why *reason) { f.status, f.reason = status, why }
	switch {
	case n.Dropped:
		done("not-done", reasonOfCause(n.Cause))
	case !n.Canceled.IsZero():
		done("stopped", nil)
	case !known:
		done("unknown", reasonUnknown)
	case m.State == outbox.Queued && f.sent.IsZero():
		done("preparation", nil)
	case m.State == outbox.Queued, m.State == outbox.Sending:
		done("in-progress", nil)
	case m.State == outbox.Sent && now.Sub(f.sent) > outbox.ReceiptsFor:
		// The network took it, and will not say any more whether it arrived.
		f.at(f.sent.Add(outbox.ReceiptsFor))
		done("unknown", nil)
	case m.State == outbox.Sent:
		done("in-progress", nil)
	case m.State == outbox.Delivered:
		done("completed", nil)
	case m.State == outbox.Undelivered:
		done("not-done", reasonUndeliver)
	case m.State == outbox.Refused:
		done("not-done", reasonRefused)
	case m.State == outbox.Unknown:
		done("unknown", reasonUnknown)
	case m.State == outbox.Expired:
		f.at(m.Expires)
		done("not-done", reasonTooLate)
	case len(m.Attempts) == 0:
		f.changed = f.changed.Add(time.Microsecond) // when, is not kept
		done("not-done", reasonHeldBack)            // shadow, or pilot for another number
	default:
		done("not-done", reasonNotSent)
	}
}

// requestVersions are the states of a CommunicationRequest in the order in which it can have them; each is
// a version.
var requestVersions = map[fhirCode]string{"active": "1", "unknown": "2", "revoked": "3", "completed": "4"}

// version names the state that the Communication has now.
func (f *fate) version() string { return strconv.FormatInt(f.changed.UnixMicro(), 10) }

// request is the status of the CommunicationRequest: active while something may still come of it, revoked
// when it ended without (terminated before it was fulfilled, R4 request-status).
func (f *fate) request() (status fhirCode, version string) {
	switch f.status {
	case "preparation", "in-progress":
		status = "active"
	case "completed", "unknown":
		status = fhirCode(f.status)
	default:
		status = "revoked"
	}
	return status, requestVersions[status]
}
