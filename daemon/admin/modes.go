package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

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
		if site.Mode, err = d.live(tx, old.Mode, site.Mode, r.URL.Query().Get("override")); err != nil {
			return err
		}
		return contact.SetSite(tx, site)
	})
	if err == nil {
		answer(w, http.StatusOK, site)
	}
	return stateProblem(secondPerson(err))
}

// ActOverride is the entry of a site that goes live although its acceptance was not passed.
const ActOverride store.Action = "acceptance.overridden"

// live is the site's mode that holds now. Live needs the site's acceptance, or two persons who answer for going without,
// by the same reason.
func (d *door) live(tx *store.Tx, had, want contact.Mode, override string) (contact.Mode, error) {
	if want != contact.Live || had == contact.Live || d.MayGoLive == nil || d.Owner != "" {
		return d.agreed(tx, "site live", had, want)
	}
	if override == "" {
		if err := d.MayGoLive(tx); err != nil {
			return had, err
		}
		return d.agreed(tx, "site live", had, want)
	}
	if err := CheckOverride(override); err != nil {
		return had, err
	}
	mode, err := d.agreed(tx, "site live without acceptance: "+override, had, want)
	if err != nil || mode != contact.Live {
		return mode, err
	}
	return mode, tx.Record(store.Entry{Action: ActOverride, Outcome: store.OK, Attrs: []store.Attr{{Key: "reason", Value: override}}})
}

// CheckOverride says whether a reason will do for going live without an acceptance.
func CheckOverride(reason string) error {
	if len(strings.TrimSpace(reason)) < 10 || len(reason) > 400 {
		return fmt.Errorf("%w: going live without acceptance needs a reason that an auditor understands (10 to 400 characters)", ErrState)
	}
	return nil
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
		if _, err := contact.SetMode(tx, contact.OfClient(c.SID), had, req.Mode); err != nil {
			return err
		}
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
