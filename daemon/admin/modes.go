package admin

import (
	"errors"
	"net/http"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/store"
)

// setSite changes the site. Live needs a second person: until one agrees the other changes hold, and the
// mode stays; the answer tells.
func (d *door) setSite(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var site contact.Site
	if err := decode(w, r, &site); err != nil {
		return err
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		if err := d.shadowUntilFinished(tx, site); err != nil {
			return err
		}
		old, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		if site.Mode, err = d.agreed(tx, "site live", old.Mode, site.Mode); err != nil {
			return err
		}
		return contact.SetSite(tx, site)
	})
	if err == nil {
		answer(w, http.StatusOK, site)
	}
	return secondPerson(err)
}

// agreed is the mode that what holds now: the one that is wanted, or the one that it had while live waits
// for a second person. The demo has one person.
func (d *door) agreed(tx *store.Tx, what string, had, want contact.Mode) (contact.Mode, error) {
	if want != contact.Live || had == contact.Live || d.Owner != "" {
		return want, nil
	}
	ok, err := access.Agree(tx, what)
	if err != nil || !ok {
		return had, err
	}
	return want, nil
}

func secondPerson(err error) error {
	if errors.Is(err, access.ErrSecondPerson) {
		return refuse(http.StatusConflict, "you asked for this: another person has to agree")
	}
	return err
}

// ClientMode is how far a client's messages go.
type ClientMode struct {
	Mode contact.Mode `json:"mode"`
}

// setClientMode changes a client's mode, to live with a second person. The answer has the mode that holds.
func (d *door) setClientMode(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req ClientMode
	if err := decode(w, r, &req); err != nil {
		return err
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		c, err := access.FindClient(tx, r.PathValue("sid"))
		if err != nil {
			return err
		}
		had, err := contact.ParseMode(c.Mode)
		if err != nil {
			return err
		}
		if req.Mode, err = d.agreed(tx, "client live "+c.SID, had, req.Mode); err != nil {
			return err
		}
		if req.Mode == had {
			return nil // Agree has left its entry, or nothing changes
		}
		c.Mode = req.Mode.String()
		return access.SetClient(tx, c)
	})
	switch {
	case errors.Is(err, access.ErrNoClient):
		return refuse(http.StatusNotFound, "no client has this account: see pinward client list")
	case err != nil:
		return secondPerson(err)
	}
	answer(w, http.StatusOK, req)
	return nil
}
