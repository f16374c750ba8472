package admin

import (
	"net/http"

	"pinward/daemon/access"
	"pinward/daemon/health"
	"pinward/store"
)

// Finding is one thing that `pinward doctor` looked at, in the shape in which the command prints its own.
type Finding struct {
	Area  string       `json:"area"` // daemon, disk, certificate, relay, tpm, modem, health
	Name  string       `json:"name,omitempty"`
	State health.State `json:"state"`
	What  string       `json:"what"`
	Next  string       `json:"next,omitempty"` // what to do about it
}

// doctor answers in every state of the box: one that is not open has nobody to log in.
func (d *door) doctor(w http.ResponseWriter, r *http.Request) {
	look := func(w http.ResponseWriter, r *http.Request, _ *store.Store) error {
		answer(w, http.StatusOK, d.Doctor(r.Context()))
		return nil
	}
	if d.Store() == nil {
		_ = look(w, r, nil) // it always answers
		return
	}
	d.opened(access.StatusRead, look)(w, r)
}
