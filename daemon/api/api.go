// Package api is the door of machines: HTTPS with JSON in Pinward's own shape (/v1), in the shape of
// Twilio Verify v2 (/v2) and in that of FHIR R4 (/fhir/r4), health for monitors and metrics.
//
// It decodes, opens the transaction, calls verbs and encodes. It holds no rule about codes, consent
// or limits, and it knows neither TLS nor sessions.
package api

import (
	"log/slog"
	"net/http"
	"strings"

	"pinward/daemon/access"
	"pinward/daemon/health"
	"pinward/store"
)

// Options is what the program gives this door. All but Version are required.
type Options struct {
	Store  *store.Store
	Health func() health.Node // the tree as it was last judged; it must return at once
	Log    *slog.Logger
	// Box gives the figures of the whole, for metrics; nil is none.
	Box func() []Figure
	// Figures are those of the modems, for metrics; nil is none.
	Figures func() []ModemFigures
	// Backup are those of the backups; nil is none.
	Backup func() BackupFigures
	// Maintenance tells whether planned maintenance is on; nil is never. The program keeps requests away then.
	Maintenance func() bool
	Version     string // of the program, for metrics
}

type api struct {
	Options
	metrics *metrics
	refused refusals
}

// New makes the handler of the API's paths. It expects to be asked for nothing else: an unknown path
// is answered in the shape of the path's beginning.
func New(o Options) http.Handler {
	a := &api{Options: o, metrics: newMetrics(o)}
	m := http.NewServeMux()
	for _, r := range routes() {
		m.HandleFunc(r.pattern, a.native(r))
	}
	a.verifyRoutes(m)
	a.fhirRoutes(m)
	m.HandleFunc("GET /healthz", a.healthz)
	m.HandleFunc("GET /readyz", a.readyz)
	m.Handle("GET /metrics", a.metrics.handler())
	m.HandleFunc("GET /v1/openapi.json", serveOpenAPI)
	m.HandleFunc("GET /v1/problems/{kind}", a.problemPage)
	m.HandleFunc("/v1/", a.lost(m, showProblem))
	m.HandleFunc("/", a.lost(m, showVerifyError))
	return a.metrics.count(private(m))
}

// private keeps answers, which may name a patient's number, out of every cache.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// lost answers what no route takes: another method of a known path, or no such path.
func (a *api) lost(m *http.ServeMux, show shape) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var methods []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			_, pattern := m.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
			if strings.HasPrefix(pattern, method+" ") {
				methods = append(methods, method)
			}
		}
		err := errPath
		if methods != nil {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			err = errMethod
		}
		a.send(w, r, reply{}, err, show)
	}
}

// route is one operation of the native API; the OpenAPI document is made from this list.
type route struct {
	pattern string
	may     access.Permission
	// Exactly one of the two is set. An effect is one decision: it runs in one transaction that also
	// keeps its answer under the request's idempotency key.
	read   func(*api, *http.Request, *store.Tx, access.Principal) (any, error)
	effect func(*api, *http.Request, []byte) (decision, error)
	// viewed notes, in a transaction of its own before the read, that somebody looks at data which
	// names patients.
	viewed func(*http.Request, *store.Tx) error
	// goesOn marks what belongs to something already accepted: it goes on while the disk is too full
	// for anything new.
	goesOn bool
}

// decision is what a request asks for, decoded.
type decision struct {
	onBehalfOf string // the person for whom the caller says to speak
	do         func(*store.Tx, access.Principal) (status int, answer any, err error)
}

func routes() []route {
	return []route{
		{pattern: "POST /v1/verifications", may: access.Verify, effect: startVerification},
		{pattern: "GET /v1/verifications", may: access.VerifyRead, read: findVerification},
		{pattern: "GET /v1/verifications/{id}", may: access.VerifyRead, read: getVerification},
		{pattern: "POST /v1/verifications/{id}/check", may: access.Verify, goesOn: true, effect: checkVerification},
		{pattern: "POST /v1/verifications/{id}/cancel", may: access.Verify, goesOn: true, effect: cancelVerification},
		{pattern: "POST /v1/verifications/{id}/next", may: access.Verify, goesOn: true, effect: hastenVerification},
		{pattern: "POST /v1/notices", may: access.Notify, effect: sendNotice},
		{pattern: "GET /v1/notices/{id}", may: access.NotifyRead, read: getNotice},
		{pattern: "DELETE /v1/notices/{id}", may: access.Notify, goesOn: true, effect: cancelNotice},
		{pattern: "GET /v1/messages", may: access.NotifyRead, viewed: viewedMessages, read: listMessages},
		{pattern: "GET /v1/messages/{id}", may: access.NotifyRead, read: getMessage},
		{pattern: "GET /v1/contacts", may: access.ContactRead, viewed: viewedSubject("contact"), read: getContact},
		{pattern: "POST /v1/numbers", may: access.ContactWrite, effect: flagNumber},
		{pattern: "GET /v1/appointments", may: access.ContactRead, viewed: viewedSubject("appointments"), read: listAppointments},
		{pattern: "GET /v1/services", may: access.VerifyRead, read: listServices},
		{pattern: "GET /v1/templates", may: access.NotifyRead, read: listTemplates},
		{pattern: "GET /v1/audit", may: access.AuditRead, viewed: viewedAudit, read: searchAudit},
		{pattern: "GET /v1/audit/head", may: access.AuditHead, viewed: viewedHead, read: getHead},
		{pattern: "GET /v1/health", may: access.StatusRead, read: getHealth},
	}
}

// native serves one route: who asks, whether they may, then the read or the effect.
func (a *api) native(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.admit(r, rt.may)
		var out reply
		switch {
		case err != nil:
		case rt.read != nil:
			out, err = a.read(r, rt, p)
		default:
			out, err = a.effect(w, r, rt, p)
		}
		a.send(w, r, out, err, showProblem)
	}
}

// read reads from a snapshot. Noting that somebody looked is a short transaction of its own, so that
// a long read never holds the writer up.
func (a *api) read(r *http.Request, rt route, p access.Principal) (out reply, err error) {
	if rt.viewed != nil {
		if err := a.Store.Update(r.Context(), p.Actor, func(tx *store.Tx) error { return rt.viewed(r, tx) }); err != nil {
			return out, err
		}
	}
	err = a.Store.View(r.Context(), func(tx *store.Tx) error {
		answer, err := rt.read(a, r, tx, p)
		if err != nil {
			return err
		}
		out, err = encode(http.StatusOK, answer)
		return err
	})
	return out, err
}

func (a *api) effect(w http.ResponseWriter, r *http.Request, rt route, p access.Principal) (reply, error) {
	body, err := readBody(w, r)
	if err != nil {
		return reply{}, err
	}
	d, err := rt.effect(a, r, body)
	if err != nil {
		return reply{}, err
	}
	return a.once(r, body, p, rt.goesOn, d)
}
