package console

import (
	"context"
	"errors"
	"net"
	"net/http"

	"pinward/daemon/access"
	"pinward/store"
)

// cookie carries the session's token. The prefix makes browsers insist on Secure, on this host alone
// and on the path "/" (RFC 6265bis section 4.1.3.2).
const cookie = "__Host-pinward"

// stranger is the actor of a login before it is known who it is.
var stranger = store.Actor{Kind: "user", ID: "unknown"}

// update is Store.Update or Store.Accept.
type update func(context.Context, store.Actor, func(*store.Tx) error) error

// visit recognises the person by the session's cookie. A quiet visit is one of the page and not of
// the person: it does not keep the session from ending.
func (c *console) visit(r *http.Request, quiet bool) (*visit, error) {
	ck, err := r.Cookie(cookie)
	if err != nil {
		return nil, err
	}
	v := &visit{Request: r}
	var stale bool
	err = c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		var s access.Session
		s, v.who, stale, err = access.FindSession(tx, ck.Value)
		v.csrf = s.CSRF
		return err
	})
	if err != nil {
		return nil, err
	}
	if stale && !quiet {
		err = c.Store.Update(r.Context(), v.who.Actor, func(tx *store.Tx) error { return access.Touch(tx, ck.Value) })
	}
	return v, err
}

func (c *console) showLogin(w http.ResponseWriter, r *http.Request) {
	out := view{Title: "Log in"}
	if r.URL.Query().Has("over") {
		out.Error = "Your session has ended. Log in again."
	}
	c.render(w, &visit{Request: r}, http.StatusOK, "login", out)
}

func (c *console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	token, err := c.session(r, r.PostFormValue("user"), r.PostFormValue("password"))
	if err != nil {
		c.fail(w, &visit{Request: r}, err, "login", view{Title: "Log in"})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: token, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(access.SessionMax.Seconds()),
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// session has the password proved between two transactions, because it takes long: on purpose, or by the network.
func (c *console) session(r *http.Request, user, password string) (token string, err error) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = "unknown"
	}
	var attempt access.Attempt
	if err := c.Store.Update(r.Context(), stranger, func(tx *store.Tx) (err error) {
		attempt, err = access.BeginLogin(tx, c.Directory(), user, address)
		return err
	}); err != nil {
		return "", err
	}
	proof, err := attempt.Prove(r.Context(), c.Passwords, password)
	if err != nil {
		return "", err
	}
	var verdict error
	err = c.Store.Update(r.Context(), stranger, func(tx *store.Tx) error {
		if _, token, verdict = access.EndLogin(tx, attempt, proof); access.Refusal(verdict) {
			return nil
		}
		return verdict
	})
	return token, errors.Join(err, verdict)
}

func (c *console) logout(w http.ResponseWriter, r *http.Request) {
	if ck, err := r.Cookie(cookie); err == nil {
		if err := c.Store.Update(r.Context(), stranger, func(tx *store.Tx) error { return access.EndSession(tx, ck.Value) }); err != nil {
			c.fail(w, &visit{Request: r}, err, "error", view{Title: "Not logged out"})
			return
		}
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
