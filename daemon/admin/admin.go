// Package admin is the door of the operator: HTTP and JSON over the control socket, for `pinward`.
//
// It decodes, opens the transaction, calls verbs and encodes, as every door does. What only the
// program itself can do (commission, unseal) it is given as functions. It answers in every state of
// the box; while the box is empty or sealed there are no accounts to ask, so whoever may open the
// socket is obeyed, for set-up and unsealing alone.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/health"
	"pinward/daemon/record"
	"pinward/modem"
	"pinward/store"
)

// Status is what `pinward status` shows. It holds no number, no name and no text.
type Status struct {
	State   string    `json:"state"` // empty, sealed, open or decommissioned
	Cause   string    `json:"cause,omitempty"`
	Next    string    `json:"next,omitempty"` // what the operator should do
	Since   time.Time `json:"since"`
	Box     string    `json:"box"`
	Version string    `json:"version"`
	Unseal  string    `json:"unseal,omitempty"` // what a start needs: tpm, tpm+passphrase or operator
	Signer  string    `json:"signer,omitempty"` // fingerprint of the audit's signer
	Mode    string    `json:"mode,omitempty"`   // shadow, pilot or live
	Accepts bool      `json:"accepts"`          // a verification would be accepted now
	Entries uint64    `json:"entries"`          // audit entries so far
	// Counter is what the TPM's counter stood at when a head was last bound to it, at Anchored; 0 if the
	// keys have none. An auditor compares it with that of a bundle.
	Counter   uint64                 `json:"counter,omitempty"`
	Anchored  time.Time              `json:"anchored,omitzero"`
	Witnesses []record.WitnessStatus `json:"witnesses,omitempty"`
	// Repository is the hospital's audit repository, nil where there is none.
	Repository *Repository    `json:"repository,omitempty"`
	Backup     *BackupStatus  `json:"backup,omitempty"`
	Queue      map[string]int `json:"queue,omitempty"` // messages waiting, by lane
	// Maintenance is the planned one that is on, nil if none is.
	Maintenance *Maintenance            `json:"maintenance,omitempty"`
	Modems      map[string]modem.Status `json:"modems,omitempty"`
	Alarms      []Alarm                 `json:"alarms,omitempty"` // that are not over, the most severe first
	Setup       *Progress               `json:"setup,omitempty"`  // nil once it is finished
	Health      health.Node             `json:"health"`
}

// Alarm is one that is not over.
type Alarm struct {
	ID       uint64    `json:"id"`
	Severity string    `json:"severity"` // warning or critical
	Path     string    `json:"path"`     // where in health
	Cause    string    `json:"cause"`
	Since    time.Time `json:"since"`
	Seen     time.Time `json:"acknowledged,omitzero"`
	SeenBy   string    `json:"acknowledged_by,omitempty"`
}

// Maintenance is a planned time in which nothing new is taken.
type Maintenance struct {
	On      bool      `json:"on"`
	From    time.Time `json:"from,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Waiting int       `json:"waiting"` // messages that were accepted before and have not left
	OnAir   int       `json:"on_air"`
}

// Repository is how far the events of the audit have come to the hospital's audit repository.
type Repository struct {
	Relay  string `json:"relay"`
	Format string `json:"format"`
	record.FollowerStatus
}

// Options is what the program gives this door.
type Options struct {
	Store  func() *store.Store // nil while the box is not open
	API    http.Handler        // the native API, with the caller as principal
	Status func() Status
	Keys   Keys
	// Doctor looks at what only the program can see.
	Doctor func(context.Context) []Finding
	// Backups writes and restores them.
	Backups Backups
	// Modems are those of the open box.
	Modems Modems
	// Routes are verbs of rooms that this one may not import.
	Routes []Route
	// MayGoLive says what keeps the site from going live; nil lets it.
	MayGoLive func(*store.Tx) error
	// Passwords hashes for every door, one at a time.
	Passwords *access.Passwords
	// Directory is the hospital's directory as it is connected now; nil where none is.
	Directory func() *access.Directory
	// Owner is the user that the caller is taken for without a login; only the demo sets it.
	Owner string
	Log   *slog.Logger
}

// Route is a verb that the program puts into this door. What Do returns is answered as JSON; an error
// with ErrState in its chain says in words for the operator what is wrong.
type Route struct {
	Pattern string // "GET /hl7/peers"
	May     access.Permission
	Do      func(r *http.Request, s *store.Store, by store.Actor) (any, error)
}

type door struct{ Options }

// New makes the handler of the control socket.
func New(o Options) http.Handler {
	d := &door{o}
	m := http.NewServeMux()
	m.HandleFunc("GET /status", d.status)
	m.HandleFunc("GET /doctor", d.doctor)
	m.HandleFunc("POST /setup", d.setup)
	m.HandleFunc("POST /setup/drill", d.unfinished(d.setupDrill))
	m.HandleFunc("POST /setup/finish", d.unfinished(d.finish))
	m.HandleFunc("POST /setup/page", d.page)
	m.HandleFunc("POST /unseal", d.unseal)
	m.HandleFunc("POST /restore", d.restore)
	m.HandleFunc("POST /backup/run", d.runBackup)
	m.HandleFunc("GET /decommission", d.certificate)
	m.HandleFunc("POST /login", d.login)
	m.HandleFunc("POST /logout", d.logout)
	open := func(pattern string, may access.Permission, h func(http.ResponseWriter, *http.Request, *store.Store) error) {
		m.HandleFunc(pattern, d.opened(may, h))
	}
	open("GET /site", access.StatusRead, d.site)
	open("PUT /site", access.SiteWrite, d.setSite)
	open("GET /backup", access.SiteWrite, d.backup)
	open("POST /key/drill", access.SiteWrite, d.drill)
	open("GET /clients", access.AccountsWrite, d.clients)
	open("POST /clients", access.AccountsWrite, d.addClient)
	open("PUT /clients/{sid}/mode", access.AccountsWrite, d.setClientMode)
	open("GET /users", access.AccountsWrite, d.users)
	open("POST /users", access.AccountsWrite, d.addUser)
	open("POST /users/review", access.AccountsWrite, d.reviewUsers)
	open("PUT /users/{name}", access.AccountsWrite, d.changeUser)
	open("PUT /users/{name}/password", access.AccountsWrite, d.setPassword)
	open("GET /audit/export", access.AuditRead, d.export)
	open("GET /audit/open/{seq}", access.AuditRead, d.reveal)
	open("GET /audit/report/{kind}", access.AuditRead, d.report)
	open("GET /audit/holds", access.AuditRead, d.holds)
	open("POST /audit/holds", access.AuditRead, d.hold)
	open("POST /audit/holds/{id}/lift", access.AuditRead, d.lift)
	open("POST /audit/search", access.AuditRead, d.searchPhone)
	open("GET /audit/incidents", access.AuditRead, d.incidents)
	open("POST /audit/incidents", access.AuditRead, d.openIncident)
	open("GET /audit/incidents/{id}", access.AuditRead, d.incident)
	open("POST /audit/incidents/{id}/close", access.AuditRead, d.closeIncident)
	open("GET /audit/witnesses", access.AuditRead, d.witnesses)
	open("GET /outbox", access.Operate, d.outbox)
	open("POST /outbox/pause", access.Operate, d.pause)
	open("POST /outbox/resume", access.Operate, d.resume)
	open("GET /sims", access.Operate, d.sims)
	open("PUT /sims", access.Operate, d.setSIM)
	open("DELETE /sims/{iccid}", access.Operate, d.removeSIM)
	open("GET /limits", access.StatusRead, d.limits)
	open("PUT /limits", access.SiteWrite, d.setLimits)
	open("GET /modems", access.StatusRead, d.modems)
	open("GET /modems/routes", access.Operate, d.routes)
	open("POST /modems/plan", access.StatusRead, d.plan)
	m.HandleFunc("POST /modems/probe", d.orEmpty(d.look, d.opened(access.Operate, d.probe)))
	open("POST /modems/{name}/pin", access.Operate, d.pin)
	open("POST /modems/{name}/test", access.Operate, d.test)
	open("GET /selftests/{id}", access.Operate, d.testOf)
	open("PUT /modems/{name}/sim", access.Operate, d.fillSIM)
	open("POST /modems/{name}/query", access.Operate, d.query)
	open("POST /modems/{name}/reset", access.Operate, d.reset)
	open("GET /modems/{name}/watch", access.Operate, d.watch)
	open("GET /modems/{name}/forward", access.Operate, d.forwarded)
	open("PUT /modems/{name}/forward", access.Operate, d.forward)
	open("POST /modems/{name}/accept", access.Operate, d.accept)
	for _, route := range o.Routes {
		open(route.Pattern, route.May, func(w http.ResponseWriter, r *http.Request, s *store.Store) error {
			v, err := route.Do(r, s, actor(r))
			if err != nil {
				return stateProblem(err)
			}
			answer(w, http.StatusOK, v)
			return nil
		})
	}
	m.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) { d.API.ServeHTTP(w, r) }) // figures need no login, here as at the other door: monitors have no person
	m.HandleFunc("/v1/", d.native)
	return d.told(m)
}

// told leaves a line of each request in a debug log: its route, and never its path.
func (d *door) told(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.Log == nil || !d.Log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		began, seen := time.Now(), &statusSeen{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		d.Log.Debug("control request", "route", r.Pattern, "status", seen.status, "took", time.Since(began))
	})
}

// statusSeen remembers the status of an answer.
type statusSeen struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusSeen) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection, as a watch of a modem does.
func (s *statusSeen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// problem is an error with the status and the words that the operator gets.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func refuse(status int, format string, args ...any) error {
	return &problem{status, fmt.Sprintf(format, args...)}
}

func (d *door) fail(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*problem](err)
	switch {
	case ok:
	case errors.Is(err, store.ErrFull):
		p = &problem{http.StatusServiceUnavailable, "the disk is full: nothing new is accepted until there is space"}
	default:
		d.Log.Error("control request", "error", err)
		p = &problem{http.StatusInternalServerError, "the request failed; the daemon's log says why"}
	}
	answer(w, p.status, map[string]string{"error": p.text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone: there is nobody to tell
}

// maxBody is more than any request of `pinward` needs.
const maxBody = 1 << 20

// decode reads one JSON object strictly, and names the place where it is wrong.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "send application/json")
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return refuse(http.StatusBadRequest, "request body at byte %d: %v", dec.InputOffset(), err)
	}
	return nil
}

func (d *door) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, d.Status())
}
