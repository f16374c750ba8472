package admin

import (
	"errors"
	"net/http"

	"pinward/daemon/outbox"
	"pinward/store"
)

// plan plays a hospital's worst day with the modems that there are.
func (d *door) plan(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var load outbox.Load
	if err := decode(w, r, &load); err != nil {
		return err
	}
	var out struct {
		Load     outbox.Load     `json:"load"`
		Forecast outbox.Forecast `json:"forecast"`
	}
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		out.Load, out.Forecast, err = outbox.PlanNow(tx, load)
		return err
	})
	if invalid, ok := errors.AsType[*outbox.InvalidError](err); ok {
		return refuse(http.StatusBadRequest, "%v", invalid)
	}
	if err == nil {
		answer(w, http.StatusOK, out)
	}
	return err
}
