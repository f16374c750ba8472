// Package console is the door of people: pages for the nurses' station, the operator and the auditor,
// over the same verbs as the API.
//
// The pages work without scripts and load nothing from elsewhere. The package knows forms, cookies
// and sessions; it holds no rule about codes or consent.
package console

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
)

// Options is what the program gives this door.
type Options struct {
	Store     *store.Store
	Health    func() health.Node
	Passwords *access.Passwords
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
	m.HandleFunc("GET /style.css", style)
	m.HandleFunc("GET /login", c.showLogin)
	m.HandleFunc("POST /login", c.login)
	m.HandleFunc("POST /logout", c.logout)
	for pattern, p := range map[string]page{
		"GET /{$}":                        {access.Verify, (*console).desk},
		"POST /verifications":             {access.Verify, (*console).start},
		"GET /verifications/{id}":         {access.VerifyRead, (*console).verification},
		"POST /verifications/{id}/check":  {access.Verify, (*console).check},
		"POST /verifications/{id}/next":   {access.Verify, (*console).next},
		"POST /verifications/{id}/resend": {access.Verify, (*console).resend},
		"POST /verifications/{id}/cancel": {access.Verify, (*console).cancel},
		"GET /messages":                   {access.NotifyRead, (*console).messages},
		"GET /contacts":                   {access.ContactRead, (*console).contacts},
		"GET /work":                       {access.WorkItems, (*console).work},
		"POST /work/{id}/close":           {access.WorkItems, (*console).closeWork},
		"GET /audit":                      {access.AuditRead, (*console).audit},
		"GET /health":                     {access.StatusRead, (*console).health},
	} {
		m.HandleFunc(pattern, c.page(p))
	}
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c.show(w, r, http.StatusNotFound, "error", view{Title: "No such page", Error: "There is no page at this address."})
	})
	// Forms of other sites are refused by what the browser says of their origin.
	return secured(http.NewCrossOriginProtection().Handler(m))
}

// secured sets what holds for every page. Nothing may be loaded from elsewhere, and a page with a
// patient's number stays out of every cache.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// page is one page of somebody who has logged in and may see it.
type page struct {
	may   access.Permission
	serve func(*console, http.ResponseWriter, *visit) error
}

// visit is one request of a person.
type visit struct {
	*http.Request
	who  access.Principal
	csrf string
}

// view is what every template gets.
type view struct {
	Title   string
	Who     access.Principal
	CSRF    string
	Site    contact.Site
	Refresh int    // seconds, 0 for never
	Error   string // shown on top
	Done    string // shown on top
	Body    any
}

// Can lets a template leave out what this person may not do.
func (v view) Can(p string) bool { return v.Who.Can(access.Permission(p)) }

// refusal is an error whose words are for the person at the desk.
type refusal struct{ words string }

func (e *refusal) Error() string { return e.words }

func (c *console) page(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := c.visit(r)
		if err != nil {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		switch {
		case r.Method == http.MethodPost && r.PostFormValue("csrf") != v.csrf:
			c.show(w, r, http.StatusForbidden, "error", view{Title: "Not done", Who: v.who, Error: "This form is from another session. Go back, load the page again and repeat."})
			return
		case !v.who.Can(p.may):
			c.show(w, r, http.StatusForbidden, "error", view{Title: "Not allowed", Who: v.who, CSRF: v.csrf, Error: "Your roles do not include this page."})
			return
		}
		if err := p.serve(c, w, v); err != nil {
			status, words := c.explain(r, err)
			c.show(w, r, status, "error", view{Title: "Not done", Who: v.who, CSRF: v.csrf, Error: words})
		}
	}
}

// explain finds words for a person; what it does not know is trouble of ours and goes to the log.
func (c *console) explain(r *http.Request, err error) (int, string) {
	if words, ok := wordsFor(err); ok {
		return http.StatusUnprocessableEntity, words
	}
	c.Log.Error("serve page", "pattern", r.Pattern, "error", err)
	return http.StatusInternalServerError, "Something went wrong here. It is in the log; please tell the IT desk."
}

// show renders a page whole before the first byte leaves, so that an error never follows half a page.
func (c *console) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	if err := c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		v.Site, err = contact.SiteOf(tx)
		return err
	}); err != nil {
		c.Log.Error("read site", "error", err)
	}
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		c.Log.Error("render page", "page", name, "error", err)
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser is gone: there is nobody to tell
}

func (c *console) render(w http.ResponseWriter, v *visit, name string, out view) error {
	out.Who, out.CSRF = v.who, v.csrf
	c.show(w, v.Request, http.StatusOK, name, out)
	return nil
}

// decide runs a verb. A refusal is recorded in the transaction, which commits, and comes back.
func (c *console) decide(v *visit, fn func(*store.Tx) error) error {
	var refused error
	err := c.Store.Accept(v.Context(), v.who.Actor, func(tx *store.Tx) error {
		err := fn(tx)
		if recorded(err) {
			refused = err
			return nil
		}
		return err
	})
	return errors.Join(err, refused)
}

func parsePages() map[string]*template.Template {
	funcs := template.FuncMap{
		"clock": func(t time.Time, zone *time.Location) string { return t.In(zone).Format("15:04:05") },
		"day":   func(t time.Time, zone *time.Location) string { return t.In(zone).Format("2006-01-02 15:04:05") },
		"ago":   ago,
		"options": func() []outbox.State {
			return []outbox.State{outbox.Queued, outbox.Sending, outbox.Sent, outbox.Delivered, outbox.Undelivered,
				outbox.Unknown, outbox.Refused, outbox.Expired, outbox.Canceled}
		},
	}
	base := template.Must(template.New("").Funcs(funcs).ParseFS(files, "pages/layout.html"))
	pages := map[string]*template.Template{}
	for _, name := range []string{"login", "desk", "verification", "messages", "contacts", "work", "audit", "health", "error"} {
		pages[name] = template.Must(template.Must(base.Clone()).ParseFS(files, "pages/"+name+".html"))
	}
	return pages
}

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, files, "pages/style.css")
}

// ago tells a duration as people do.
func ago(t time.Time) string {
	d := time.Since(t).Round(time.Second)
	switch {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return d.Round(time.Minute).String()[:len(d.Round(time.Minute).String())-2]
	}
	return d.Round(time.Hour).String()
}
