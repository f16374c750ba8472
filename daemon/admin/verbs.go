package admin

import (
	"errors"
	"net/http"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/store"
)

func (d *door) site(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var site contact.Site
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		site, err = contact.SiteOf(tx)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, site)
	}
	return err
}

// NewClient is a program to be let in: a portal, a web server, a script.
type NewClient struct {
	Name   string        `json:"name"`
	Scopes []access.Role `json:"scopes,omitempty"` // empty: what a portal needs
	Mode   contact.Mode  `json:"mode"`             // shadow unless said otherwise
	Staff  bool          `json:"staff,omitempty"`  // it stands on a ward, and its users are staff
}

// Credentials are shown once; the box keeps keyed hashes only.
type Credentials struct {
	Account string `json:"account"` // user name of HTTP Basic
	Secret  string `json:"secret"`  // its password
	Token   string `json:"token"`   // bearer token of the native API
	// Mode is the one that holds: live waits for a second person.
	Mode contact.Mode `json:"mode"`
}

func (d *door) addClient(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req NewClient
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if len(req.Scopes) == 0 {
		req.Scopes = []access.Role{access.Portal}
	}
	var made Credentials
	err := s.Accept(r.Context(), actor(r), func(tx *store.Tx) error {
		c, secret, err := access.CreateClient(tx, req.Name, req.Scopes)
		if err != nil {
			return err
		}
		mode, err := d.agreed(tx, "client live "+c.SID, contact.Shadow, req.Mode)
		if err != nil {
			return err
		}
		c.Mode, c.Staff = mode.String(), req.Staff
		if err := access.SetClient(tx, c); err != nil {
			return err
		}
		_, token, err := access.CreateKey(tx, c.SID, "token", true)
		made = Credentials{Account: c.SID, Secret: secret, Token: token, Mode: mode}
		return err
	})
	if err != nil {
		return account(err)
	}
	answer(w, http.StatusCreated, made)
	return nil
}

// account turns what access refuses into words for the operator.
func account(err error) error {
	for _, known := range []error{access.ErrInvalid, access.ErrUserExists, access.ErrPasswordLength, access.ErrTooMany, access.ErrLastAdmin, access.ErrOfDirectory} {
		if errors.Is(err, known) {
			return refuse(http.StatusBadRequest, "%v", err)
		}
	}
	if errors.Is(err, access.ErrNoUser) {
		return refuse(http.StatusNotFound, "%v", err)
	}
	return err
}

func (d *door) clients(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var list []access.Client
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		list, err = access.Clients(tx)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}

func (d *door) addUser(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req NewUser
	if err := decode(w, r, &req); err != nil {
		return err
	}
	hash, err := d.Passwords.Hash(r.Context(), req.Password)
	if err != nil {
		return account(err)
	}
	err = s.Accept(r.Context(), actor(r), func(tx *store.Tx) error {
		_, err := access.CreateUser(tx, req.Name, hash, req.Roles)
		return err
	})
	if err != nil {
		return account(err)
	}
	answer(w, http.StatusCreated, map[string]string{"name": req.Name})
	return nil
}

// Lane is how much there is in a lane of the outbox.
type Lane struct {
	Lane   outbox.Lane `json:"lane"`
	Due    int         `json:"due"`
	OnAir  int         `json:"on_air"`
	Paused bool        `json:"paused"`
}

// Sender is a modem as the outbox sees it.
type Sender struct {
	Name    string `json:"name"`
	Carrier string `json:"carrier"`
	Ready   bool   `json:"ready"`
	Cause   string `json:"cause"`
}

func (d *door) outbox(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var view struct {
		Lanes   []Lane   `json:"lanes"`
		Senders []Sender `json:"senders"`
	}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		lanes, err := outbox.Depth(tx)
		if err != nil {
			return err
		}
		for _, l := range lanes {
			view.Lanes = append(view.Lanes, Lane{l.Lane, l.Due, l.OnAir, l.Paused})
		}
		senders, err := outbox.Senders(tx)
		for _, s := range senders {
			view.Senders = append(view.Senders, Sender{s.Name, s.Carrier, s.Ready, s.Cause})
		}
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, view)
	}
	return err
}

func (d *door) limits(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var l limit.Limits
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		l, err = limit.Of(tx)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, l)
	}
	return err
}

// setLimits changes the limits that the body names; the others stay as they are.
func (d *door) setLimits(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var l limit.Limits
	if err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		l, err = limit.Of(tx)
		return err
	}); err != nil {
		return err
	}
	if err := decode(w, r, &l); err != nil {
		return err
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return limit.Set(tx, l) })
	if err == nil {
		answer(w, http.StatusOK, l)
	}
	return err
}

func (d *door) pause(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	return d.lane(w, r, s, outbox.Pause)
}

func (d *door) resume(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	return d.lane(w, r, s, outbox.Resume)
}

func (d *door) lane(w http.ResponseWriter, r *http.Request, s *store.Store, set func(*store.Tx, outbox.Lane) error) error {
	var req struct {
		Lane outbox.Lane `json:"lane"`
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return set(tx, req.Lane) })
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// actor is the person that opened put into the request.
func actor(r *http.Request) store.Actor {
	p, _ := access.FromContext(r.Context())
	return p.Actor
}
