// Package console is the door of people: pages for the nurses' station, the operator and the auditor,
// over the same verbs as the API.
//
// The pages work without scripts and load nothing from elsewhere. The package knows forms, cookies
// and sessions; it holds no rule about codes or consent.
package console

import (
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/health"
	"pinward/store"
)

// Options is what the program gives this door. All are required.
type Options struct {
	Store  *store.Store
	Health func() health.Node // the tree as it was last judged; it must return at once
	// Planned is until when the box is in maintenance and by whom; on is false if it is not.
	Planned   func() (until time.Time, by string, on bool)
	Passwords *access.Passwords // shared with the other doors, so that one core at most hashes
	// Directory is the hospital's directory as it is connected now; nil where none is. It must return at once.
	Directory func() *access.Directory
	Log       *slog.Logger
}

type console struct {
	Options
	pages map[string]*template.Template
}

//go:embed pages
var files embed.FS

// New makes the handler of the pages.
func New(o Options) http.Handler {
	c := &console{Options: o, pages: parsePages()}
	m := http.NewServeMux()
	m.HandleFunc("GET /style.css", asset("style.css", "text/css; charset=utf-8"))
	m.HandleFunc("GET /icon.svg", asset("icon.svg", "image/svg+xml"))
	m.HandleFunc("GET /login", c.showLogin)
	m.HandleFunc("POST /login", c.login)
	m.HandleFunc("POST /logout", c.logout)
	for pattern, p := range pages {
		m.HandleFunc(pattern, c.page(pattern, p))
	}
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		v, err := c.visit(r, true)
		if err != nil {
			v = &visit{Request: r}
		}
		c.render(w, v, http.StatusNotFound, "error", view{Title: "No such page", Error: "There is no page at this address."})
	})
	// Forms of other sites are refused by what the browser says of their origin.
	return secured(http.NewCrossOriginProtection().Handler(m))
}

// page is one page of somebody who has logged in and may see it.
type page struct {
	may   access.Permission
	serve func(*console, http.ResponseWriter, *visit) error
	// quiet pages load themselves again: that is no sign that somebody is there.
	quiet bool
}

// pages are all that need a login; a test asks each of them as each role.
var pages = map[string]page{
	"GET /{$}":                        {"", (*console).home, false},
	"POST /{$}":                       {access.Verify, (*console).desk, false},
	"POST /verifications":             {access.Verify, (*console).start, false},
	"GET /verifications/{id}":         {access.VerifyRead, (*console).verification, false},
	"GET /verifications/{id}/status":  {access.VerifyRead, (*console).status, true},
	"POST /verifications/{id}/check":  {access.Verify, (*console).check, false},
	"POST /verifications/{id}/next":   {access.Verify, (*console).next, false},
	"POST /verifications/{id}/call":   {access.Verify, (*console).callInstead, false},
	"POST /verifications/{id}/resend": {access.Verify, (*console).resend, false},
	"POST /verifications/{id}/cancel": {access.Verify, (*console).cancel, false},
	"GET /messages":                   {access.NotifyRead, (*console).messages, false},
	"GET /contacts":                   {access.ContactRead, (*console).contacts, false},
	"POST /contacts":                  {access.ContactRead, (*console).contacts, false},
	"POST /contacts/language":         {access.ContactWrite, (*console).saveLanguage, false},
	"GET /numbers":                    {access.ContactRead, (*console).number, false},
	"POST /numbers":                   {access.ContactRead, (*console).number, false},
	"POST /numbers/save":              {access.ContactWrite, (*console).saveNumber, false},
	"GET /items":                      {access.WorkItems, (*console).work, false},
	"POST /items/{id}/close":          {access.WorkItems, (*console).closeWork, false},
	"GET /services":                   {access.StatusRead, (*console).services, false},
	"GET /audit":                      {access.AuditRead, (*console).audit, false},
	"POST /audit":                     {access.AuditRead, (*console).audit, false},
	"GET /reports":                    {access.AuditRead, (*console).reports, false},
	"POST /reports":                   {access.AuditRead, (*console).showReport, false},
	"POST /reports/csv":               {access.AuditRead, (*console).saveReport, false},
	"GET /health":                     {access.StatusRead, (*console).health, false},
	"GET /alarms":                     {access.Operate, (*console).alarms, false},
	"POST /alarms/{id}/acknowledge":   {access.Operate, (*console).acknowledge, false},
}

// policy is what a page may load: its own style sheet, its own icon and, on one page, a frame of its
// own.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "

// secured sets what holds for every page. Nothing may be loaded from elsewhere, and a page with a
// patient's number stays out of every cache.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy+"'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// asset serves a file that is part of the program. Pages ask for it under an address that changes
// with it, so it may be kept.
func asset(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		w.Header().Set("Content-Type", kind)
		http.ServeFileFS(w, r, files, "pages/"+name)
	}
}
