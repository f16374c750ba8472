package admin

import (
	"errors"
	"net/http"
	"strings"

	"pinward/daemon/access"
	"pinward/store"
)

// NewUser is a person to be made known to the box.
type NewUser struct {
	Name     string        `json:"name"`
	Password string        `json:"password"`
	Roles    []access.Role `json:"roles,omitempty"`
}

// opened is for what needs an open box and a person who may do it.
func (d *door) opened(may access.Permission, h func(http.ResponseWriter, *http.Request, *store.Store) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := d.Store()
		if s == nil {
			d.fail(w, refuse(http.StatusConflict, "the box is not open: see pinward status"))
			return
		}
		p, err := d.principal(r, s)
		if err == nil && !p.Can(may) {
			err = refuse(http.StatusForbidden, "your roles do not allow this")
		}
		if err == nil {
			err = h(w, r.WithContext(access.NewContext(r.Context(), p)), s)
		}
		if err != nil {
			d.fail(w, err)
		}
	}
}

// orEmpty is for what an empty box does for whoever may use its control socket, since it knows nobody yet, and an open box for
// persons who may.
func (d *door) orEmpty(empty func(http.ResponseWriter, *http.Request) error, opened http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if d.Store() != nil || d.Status().State != "empty" {
			opened(w, r)
		} else if err := empty(w, r); err != nil {
			d.fail(w, err)
		}
	}
}

// principal is who asks: the owner of the demo's socket, or the person of the session that
// `pinward login` opened. The uid of the peer proves nothing, because a sandboxed daemon sees every
// caller as nobody.
func (d *door) principal(r *http.Request, s *store.Store) (access.Principal, error) {
	if d.Owner != "" {
		return access.PrincipalOfUser(access.User{Name: d.Owner, Roles: access.Roles()}), nil
	}
	token, ok := bearer(r)
	if !ok {
		return access.Principal{}, refuse(http.StatusUnauthorized, "who are you? Run: pinward login")
	}
	var p access.Principal
	var stale bool
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		_, p, stale, err = access.FindSession(tx, token)
		return err
	})
	if errors.Is(err, access.ErrDenied) {
		return p, refuse(http.StatusUnauthorized, "the session has ended. Run: pinward login")
	}
	if err == nil && stale {
		err = s.Update(r.Context(), p.Actor, func(tx *store.Tx) error { return access.Touch(tx, token) })
	}
	return p, err
}

func bearer(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// someone is the actor of a login before it is known who it is.
var someone = store.Actor{Kind: "root", ID: "control socket"}

// login has the password proved between two transactions, because it takes long: on purpose, or by the network.
func (d *door) login(w http.ResponseWriter, r *http.Request) {
	s := d.Store()
	if s == nil {
		d.fail(w, refuse(http.StatusConflict, "the box is not open: see pinward status"))
		return
	}
	var req struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	if err := decode(w, r, &req); err != nil {
		d.fail(w, err)
		return
	}
	token, err := d.session(r, s, req.User, req.Password)
	if access.Refusal(err) {
		err = refusedLogin(err)
	}
	if err != nil {
		d.fail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"token": token})
}

// refusedLogin is what the person is told.
func refusedLogin(err error) error {
	for _, told := range []error{access.ErrDirectory, access.ErrPasswordDue, access.ErrBarred, access.ErrNoRole} {
		if errors.Is(err, told) {
			return refuse(http.StatusUnauthorized, "%v", told)
		}
	}
	return refuse(http.StatusUnauthorized, "user or password is wrong, or there were too many tries: wait a little")
}

func (d *door) session(r *http.Request, s *store.Store, user, password string) (token string, err error) {
	const from = "control socket"
	var attempt access.Attempt
	err = s.Update(r.Context(), someone, func(tx *store.Tx) (err error) {
		attempt, err = access.BeginLogin(tx, d.Directory(), user, from)
		return err
	})
	if err != nil {
		return "", err
	}
	proof, err := attempt.Prove(r.Context(), d.Passwords, password)
	if err != nil {
		return "", err
	}
	var verdict error
	err = s.Update(r.Context(), someone, func(tx *store.Tx) error {
		if _, token, verdict = access.EndLogin(tx, attempt, proof); access.Refusal(verdict) {
			return nil
		}
		return verdict
	})
	return token, errors.Join(err, verdict)
}

func (d *door) logout(w http.ResponseWriter, r *http.Request) {
	if token, ok := bearer(r); ok && d.Store() != nil {
		if err := d.Store().Update(r.Context(), someone, func(tx *store.Tx) error { return access.EndSession(tx, token) }); err != nil {
			d.fail(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// native hands the API's own paths to the API, as the person of this socket.
func (d *door) native(w http.ResponseWriter, r *http.Request) {
	s := d.Store()
	if s == nil {
		d.fail(w, refuse(http.StatusConflict, "the box is not open: see pinward status"))
		return
	}
	p, err := d.principal(r, s)
	if err != nil {
		d.fail(w, err)
		return
	}
	d.API.ServeHTTP(w, r.WithContext(access.NewContext(r.Context(), p)))
}
