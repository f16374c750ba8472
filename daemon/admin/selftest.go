package admin

import (
	"net/http"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// SelfTest is one text through a SIM that proves that it sends, and where it goes to another SIM of the
// box that that one receives; or a call that proves that the modem's calls are heard. The times are seconds since it
// began, 0 for what has not happened.
type SelfTest struct {
	ID       string    `json:"id"`
	Modem    string    `json:"modem"`
	To       string    `json:"to,omitempty"` // the modem whose SIM it goes to; "" is a number outside
	Call     bool      `json:"call,omitempty"`
	Began    time.Time `json:"began"`
	Accepted float64   `json:"accepted,omitempty"` // of a call: the modem has it
	Receipt  float64   `json:"receipt,omitempty"`  // of a call: it is over, and a key was pressed
	Arrived  float64   `json:"arrived,omitempty"`
	Ended    time.Time `json:"ended,omitzero"`
	OK       bool      `json:"ok"`
	Result   string    `json:"result,omitempty"` // in words, once it has ended
}

// test begins a self-test; its answer names it for testOf.
func (d *door) test(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	name, _, err := d.named(r)
	if err != nil {
		return err
	}
	var req struct {
		To   string `json:"to"` // a number that the operator owns; "" is another SIM
		Call bool   `json:"call"`
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var to contact.Phone
	if req.Call && req.To == "" {
		return refuse(http.StatusUnprocessableEntity, "a test call needs a number of yours to ring")
	}
	if req.To != "" {
		if to, err = d.number(r, s, req.To); err != nil {
			return err
		}
	}
	var t SelfTest
	err = s.Accept(r.Context(), actor(r), func(tx *store.Tx) (err error) {
		t, err = d.Modems.Test(tx, name, to, req.Call)
		return err
	})
	if err != nil {
		return stateProblem(err)
	}
	answer(w, http.StatusAccepted, t)
	return nil
}

func (d *door) testOf(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var t SelfTest
	var ok bool
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		t, ok, err = d.Modems.TestOf(tx, r.PathValue("id"))
		return err
	})
	switch {
	case err != nil:
		return err
	case !ok:
		return refuse(http.StatusNotFound, "there is no such test")
	}
	answer(w, http.StatusOK, t)
	return nil
}
