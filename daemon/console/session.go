package console

import (
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

// visit recognises the person by the session's cookie.
func (c *console) visit(r *http.Request) (*visit, error) {
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
	if err == nil && stale {
		err = c.Store.Update(r.Context(), v.who.Actor, func(tx *store.Tx) error { return access.Touch(tx, ck.Value) })
	}
	return v, err
}

func (c *console) showLogin(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, http.StatusOK, "login", view{Title: "Log in"})
}

func (c *console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	token, err := c.session(r, r.PostFormValue("user"), r.PostFormValue("password"))
	switch {
	case access.Refusal(err):
		c.show(w, r, http.StatusUnauthorized, "login", view{Title: "Log in", Error: "User or password is wrong, or there were too many tries. Wait a little, then try again."})
	case errors.Is(err, access.ErrTooMany):
		c.show(w, r, http.StatusServiceUnavailable, "login", view{Title: "Log in", Error: "Many people are logging in. Try again in a moment."})
	case err != nil:
		status, words := c.explain(r, err)
		c.show(w, r, status, "login", view{Title: "Log in", Error: words})
	default:
		http.SetCookie(w, &http.Cookie{
			Name: cookie, Value: token, Path: "/", Secure: true, HttpOnly: true,
			SameSite: http.SameSiteStrictMode, MaxAge: int(access.SessionMax.Seconds()),
		})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// session compares the password between two transactions, because it takes long on purpose.
func (c *console) session(r *http.Request, user, password string) (token string, err error) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = "unknown"
	}
	var hash access.PasswordHash
	if err := c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		hash, err = access.HashOf(tx, user, address)
		return err
	}); err != nil {
		return "", err
	}
	right, err := c.Passwords.Verify(r.Context(), hash, password)
	if err != nil {
		return "", err
	}
	var verdict error
	err = c.Store.Update(r.Context(), stranger, func(tx *store.Tx) error {
		if _, token, verdict = access.Login(tx, user, address, right); access.Refusal(verdict) {
			return nil
		}
		return verdict
	})
	return token, errors.Join(err, verdict)
}

func (c *console) logout(w http.ResponseWriter, r *http.Request) {
	if ck, err := r.Cookie(cookie); err == nil {
		if err := c.Store.Update(r.Context(), stranger, func(tx *store.Tx) error { return access.EndSession(tx, ck.Value) }); err != nil {
			c.Log.Error("end session", "error", err)
		}
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
