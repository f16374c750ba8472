// Package api is the door of machines: HTTPS with JSON in Pinward's own shape (/v1) and in the shape
// of Twilio Verify v2 (/v2), health for monitors and metrics.
//
// It decodes, opens the transaction, calls verbs and encodes. It holds no rule about codes, consent
// or limits, and it knows neither TLS nor sessions.
package api

import (
	"context"
	"log/slog"
	"net/http"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/health"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/store"
)

// Options is what the program gives this door.
type Options struct {
	Store   *store.Store
	Health  func() health.Node
	Log     *slog.Logger
	Version string
}

type api struct {
	Options
	metrics *metrics
	refused refusals
}

// New makes the handler of the API's paths. It expects to be asked for nothing else: an unknown path
// is answered in the API's own shape.
func New(o Options) http.Handler {
	a := &api{Options: o, metrics: newMetrics(o)}
	m := http.NewServeMux()
	for _, r := range a.routes() {
		m.HandleFunc(r.pattern, a.native(r))
	}
	a.verifyRoutes(m)
	m.HandleFunc("GET /healthz", a.healthz)
	m.HandleFunc("GET /readyz", a.readyz)
	m.Handle("GET /metrics", a.metrics.handler())
	m.HandleFunc("GET /v1/openapi.json", serveOpenAPI)
	m.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { writeProblem(w, faultOf(errPath)) })
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeVerifyError(w, faultOf(errPath)) })
	return a.metrics.count(m)
}

// route is one operation of the native API; the OpenAPI document is held against this list.
type route struct {
	pattern string
	may     access.Permission
	// Exactly one of the two is set. An effect is one decision: it runs in one transaction that also
	// keeps its answer under the request's idempotency key.
	read   func(*api, *http.Request, *store.Tx, access.Principal) (any, error)
	effect func(*api, *http.Request, []byte) (effect, error)
	// goesOn marks what belongs to something already accepted: it goes on while the disk is too full
	// for anything new.
	goesOn bool
}

// effect decides within a transaction and returns what to answer.
type effect func(*store.Tx, access.Principal) (status int, answer any, err error)

func (a *api) routes() []route {
	return []route{
		{pattern: "POST /v1/verifications", may: access.Verify, effect: startVerification},
		{pattern: "GET /v1/verifications/{id}", may: access.VerifyRead, read: getVerification},
		{pattern: "POST /v1/verifications/{id}/check", may: access.Verify, goesOn: true, effect: checkVerification},
		{pattern: "POST /v1/verifications/{id}/cancel", may: access.Verify, goesOn: true, effect: cancelVerification},
		{pattern: "POST /v1/verifications/{id}/next", may: access.Verify, goesOn: true, effect: hastenVerification},
		{pattern: "POST /v1/notices", may: access.Notify, effect: sendNotice},
		{pattern: "GET /v1/notices/{id}", may: access.NotifyRead, read: getNotice},
		{pattern: "DELETE /v1/notices/{id}", may: access.Notify, goesOn: true, effect: cancelNotice},
		{pattern: "GET /v1/messages", may: access.NotifyRead, read: listMessages},
		{pattern: "GET /v1/messages/{id}", may: access.NotifyRead, read: getMessage},
		{pattern: "GET /v1/contacts", may: access.ContactRead, read: getContact},
		{pattern: "GET /v1/appointments", may: access.ContactRead, read: listAppointments},
		{pattern: "GET /v1/services", may: access.VerifyRead, read: listServices},
		{pattern: "GET /v1/templates", may: access.NotifyRead, read: listTemplates},
		{pattern: "GET /v1/audit", may: access.AuditRead, read: searchAudit},
		{pattern: "GET /v1/health", may: access.StatusRead, read: getHealth},
	}
}

// native serves one route: who asks, whether they may, then the read or the effect.
func (a *api) native(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.principal(r)
		if err == nil && !p.Can(rt.may) {
			err = errForbidden
		}
		if err != nil {
			a.problem(w, r, err)
			return
		}
		if rt.read != nil {
			a.serveRead(w, r, rt, p)
			return
		}
		a.serveEffect(w, r, rt, p)
	}
}

func (a *api) serveRead(w http.ResponseWriter, r *http.Request, rt route, p access.Principal) {
	var answer any
	open := a.Store.View
	if rt.may == access.AuditRead { // reading the audit is an entry itself
		open = func(ctx context.Context, fn func(*store.Tx) error) error { return a.Store.Update(ctx, p.Actor, fn) }
	}
	err := open(r.Context(), func(tx *store.Tx) (err error) {
		answer, err = rt.read(a, r, tx, p)
		return err
	})
	if err != nil {
		a.problem(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (a *api) serveEffect(w http.ResponseWriter, r *http.Request, rt route, p access.Principal) {
	body, err := readBody(w, r)
	if err != nil {
		a.problem(w, r, err)
		return
	}
	do, err := rt.effect(a, r, body)
	if err != nil {
		a.problem(w, r, err)
		return
	}
	reply, err := a.once(r, body, p, rt.goesOn, do)
	if err != nil {
		a.problem(w, r, err)
		return
	}
	reply.write(w)
}

// decide runs a decision. A refusal is a decision too: it is recorded in the transaction, which
// commits, and comes back as the error. Only what belongs to something accepted goes on while the
// disk is nearly full.
func (a *api) decide(r *http.Request, p access.Principal, goesOn bool, fn func(*store.Tx) error) error {
	open := a.Store.Accept
	if goesOn {
		open = a.Store.Update
	}
	var refused error
	err := open(r.Context(), p.Actor, func(tx *store.Tx) error {
		err := fn(tx)
		if refusal(err) {
			refused = err
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// refusal tells a decision from trouble, for every verb that this door calls.
func refusal(err error) bool {
	return err != nil && (otp.Refusal(err) || notice.Refusal(err) || consent.Refused(err) || access.Refusal(err))
}
