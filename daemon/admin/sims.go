package admin

import (
	"errors"
	"net/http"
	"reflect"
	"slices"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
)

func (d *door) sims(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	list := []outbox.SIM{}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		all, err := outbox.SIMs(tx)
		list = append(list, all...)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}

// setSIM keeps the whole record of one SIM.
func (d *door) setSIM(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var sim outbox.SIM
	if err := decode(w, r, &sim); err != nil {
		return err
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return outbox.SetSIM(tx, sim) })
	if invalid, ok := errors.AsType[*outbox.InvalidError](err); ok {
		return refuse(http.StatusBadRequest, "%v", invalid)
	}
	if err == nil {
		answer(w, http.StatusOK, sim)
	}
	return err
}

// fillSIM changes the fields that the body names in the record of the SIM that is in a modem now, and
// makes the record if there is none.
func (d *door) fillSIM(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	_, m, err := d.named(r)
	if err != nil {
		return err
	}
	iccid := m.Status().ICCID
	if iccid == "" {
		return refuse(http.StatusConflict, "the modem shows no SIM now")
	}
	var before outbox.SIM
	if err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		before, _, err = outbox.SIMOf(tx, iccid)
		return err
	}); err != nil {
		return err
	}
	sim := before
	sim.Lanes = slices.Clone(before.Lanes) // what is read of policy is shared: decoding must not write into it
	// A person types the number as the site writes them.
	fields := struct {
		*outbox.SIM
		Number *string `json:"number"`
	}{SIM: &sim}
	if err := decode(w, r, &fields); err != nil {
		return err
	}
	sim.ICCID = iccid
	if fields.Number != nil {
		sim.Number = contact.Phone{}
	}
	if fields.Number != nil && *fields.Number != "" {
		if sim.Number, err = d.number(r, s, *fields.Number); err != nil {
			return err
		}
	}
	err = s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		if now, _, err := outbox.SIMOf(tx, iccid); err != nil {
			return err
		} else if !reflect.DeepEqual(now, before) {
			return refuse(http.StatusConflict, "somebody else changed this SIM's record meanwhile: look at it and try again")
		}
		return outbox.SetSIM(tx, sim)
	})
	if invalid, ok := errors.AsType[*outbox.InvalidError](err); ok {
		return refuse(http.StatusBadRequest, "%v", invalid)
	}
	if err == nil {
		answer(w, http.StatusOK, sim)
	}
	return err
}

func (d *door) removeSIM(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return outbox.RemoveSIM(tx, r.PathValue("iccid")) })
	if errors.Is(err, outbox.ErrNotFound) {
		return refuse(http.StatusNotFound, "there is no record of this SIM")
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
