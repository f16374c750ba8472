package console

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"net/http"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/store"
)

// visit is one request of a person. One of nobody has neither name nor token.
type visit struct {
	*http.Request
	who  access.Principal
	csrf string
}

// view is what every template gets.
type view struct {
	Title   string
	Path    string // of the page in the navigation
	Who     access.Principal
	CSRF    string
	Site    contact.Site
	Refresh string // content of <meta http-equiv="refresh">, "" for never
	Error   string // shown on top
	Notices notices
	Body    any
}

// Can lets a template leave out what this person may not do.
func (v view) Can(p string) bool { return v.Who.Can(access.Permission(p)) }

// maxForm is far more than any form of a page holds.
const maxForm = 64 << 10

// page guards one page: a session, the form's token, the role.
func (c *console) page(pattern string, p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := c.visit(r, p.quiet || r.URL.Query().Has("auto"))
		if err != nil {
			c.turnAway(w, r, p, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if r.Method == http.MethodPost && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(v.csrf)) != 1 {
			c.render(w, v, http.StatusForbidden, "error", view{Title: "Not done", Error: "This form is from another session. Load the page again and repeat."})
			return
		}
		if p.may != "" && !v.who.Can(p.may) {
			if err := c.Store.Update(r.Context(), v.who.Actor, func(tx *store.Tx) error { return access.Forbid(tx, pattern) }); err != nil {
				c.Log.Error("record refused page", "error", err)
			}
			c.render(w, v, http.StatusForbidden, "error", view{Title: "Not allowed", Error: "Your roles do not include this page."})
			return
		}
		if err := p.serve(c, w, v); err != nil {
			c.fail(w, v, err, "error", view{Title: "Not done"})
		}
	}
}

// turnAway sends who has no session to the login; a frame only says so.
func (c *console) turnAway(w http.ResponseWriter, r *http.Request, p page, err error) {
	switch {
	case !errors.Is(err, access.ErrDenied) && !errors.Is(err, http.ErrNoCookie):
		c.fail(w, &visit{Request: r}, err, "error", view{Title: "Not done"})
	case p.quiet:
		framed(w)
		c.render(w, &visit{Request: r}, http.StatusUnauthorized, "over", view{Title: "Logged out"})
	case errors.Is(err, access.ErrDenied):
		http.Redirect(w, r, "/login?over=1", http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	}
}

// fail shows a page with the words for an error on top.
func (c *console) fail(w http.ResponseWriter, v *visit, err error, name string, out view) {
	status, words, known := wordsFor(err)
	if !known {
		if v.Context().Err() != nil {
			return // the browser is gone: there is nobody to tell
		}
		c.Log.Error("serve page", "pattern", v.Pattern, "error", err)
		status, words = http.StatusInternalServerError, "Something went wrong here. It is in the log; please tell the IT desk."
	}
	out.Error = words
	c.render(w, v, status, name, out)
}

// render shows a page. It is made whole before the first byte leaves, so that an error never follows
// half a page.
func (c *console) render(w http.ResponseWriter, v *visit, status int, name string, out view) {
	out.Who, out.CSRF = v.who, v.csrf
	if out.Path == "" {
		out.Path = v.URL.Path
	}
	if err := c.Store.View(v.Context(), func(tx *store.Tx) (err error) {
		if out.Site, err = contact.SiteOf(tx); err != nil || v.who.Name == "" {
			return err
		}
		out.Notices, err = c.notices(tx, out.Site)
		return err
	}); err != nil && v.Context().Err() == nil {
		c.Log.Error("read site", "error", err)
	}
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "page", out); err != nil {
		c.Log.Error("render page", "page", name, "error", err)
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser is gone: there is nobody to tell
}

func (c *console) ok(w http.ResponseWriter, v *visit, name string, out view) error {
	c.render(w, v, http.StatusOK, name, out)
	return nil
}

// accept runs a verb that begins something new; goOn, one about something accepted, which goes on
// while the disk is nearly full. A refusal is recorded in the transaction, which commits, and comes
// back.
func (c *console) accept(v *visit, fn func(*store.Tx) error) error {
	return c.decide(v, c.Store.Accept, fn)
}

func (c *console) goOn(v *visit, fn func(*store.Tx) error) error {
	return c.decide(v, c.Store.Update, fn)
}

func (c *console) decide(v *visit, open update, fn func(*store.Tx) error) error {
	var refused error
	err := open(v.Context(), v.who.Actor, func(tx *store.Tx) error {
		err := fn(tx)
		if recorded(err) {
			refused = err
			return nil
		}
		return err
	})
	return errors.Join(err, refused)
}
