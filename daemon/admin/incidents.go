package admin

import (
	"errors"
	"net/http"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
)

// NewIncident opens the record of an incident.
type NewIncident struct {
	What       string    `json:"what"`                // in words; no patient's name
	Discovered time.Time `json:"discovered,omitzero"` // zero: now
	Phone      string    `json:"phone,omitempty"`     // at which the wrong person was reached, as the site writes numbers
	Subjects   []string  `json:"subjects,omitempty"`  // patients known to be affected, as AUTHORITY|MRN
}

// ShownIncident is an incident with whom it affects, and by when who has to be told.
type ShownIncident struct {
	record.Incident
	Affected []record.Affected `json:"affected"`
	Clocks   []record.Clock    `json:"clocks,omitempty"` // of an open one
}

func (d *door) incidents(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	list := []record.Incident{}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		found, err := record.Incidents(tx)
		list = append(list, found...)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}

func (d *door) openIncident(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req NewIncident
	if err := decode(w, r, &req); err != nil {
		return err
	}
	i := record.Incident{What: req.What, Discovered: req.Discovered}
	for _, v := range req.Subjects {
		id, err := subject(v)
		if err != nil {
			return err
		}
		i.Subjects = append(i.Subjects, id)
	}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) (err error) {
		if req.Phone != "" {
			if i.Phone, err = phoneOf(tx, req.Phone); err != nil {
				return err
			}
		}
		i, err = record.OpenIncident(tx, i)
		return err
	})
	if err != nil {
		return incidentProblem(err)
	}
	answer(w, http.StatusCreated, i)
	return nil
}

// incident shows one. Whom it affects is of patients, so who looks is an entry first.
func (d *door) incident(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		return record.Viewed(tx, "incident", contact.SubjectID{})
	}); err != nil {
		return err
	}
	var shown ShownIncident
	err := s.View(r.Context(), func(tx *store.Tx) (err error) {
		if shown.Incident, err = record.IncidentOf(tx, r.PathValue("id")); err != nil {
			return err
		}
		if shown.Affected, err = record.AffectedBy(tx, shown.Incident); err != nil || !shown.Closed.IsZero() {
			return err
		}
		shown.Clocks, err = record.Clocks(shown.Incident, len(shown.Affected))
		return err
	})
	if err != nil {
		return incidentProblem(err)
	}
	answer(w, http.StatusOK, shown)
	return nil
}

func (d *door) closeIncident(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req struct {
		Outcome string `json:"outcome"`
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var i record.Incident
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) (err error) {
		i, err = record.CloseIncident(tx, r.PathValue("id"), req.Outcome)
		return err
	})
	if err != nil {
		return incidentProblem(err)
	}
	answer(w, http.StatusOK, i)
	return nil
}

func incidentProblem(err error) error {
	for _, known := range []error{record.ErrNoIncident, record.ErrIncident, record.ErrIncidentClosed, record.ErrOutcome} {
		if errors.Is(err, known) {
			return refuse(http.StatusConflict, "%v", known)
		}
	}
	return err
}

// phoneOf reads a number as the site writes numbers.
func phoneOf(tx *store.Tx, raw string) (contact.Phone, error) {
	site, err := contact.SiteOf(tx)
	if err != nil {
		return contact.Phone{}, err
	}
	phone, err := contact.ParsePhone(raw, site.Plan())
	if err != nil {
		return phone, refuse(http.StatusBadRequest, "this is no telephone number of the site's plan")
	}
	return phone, nil
}

// foundEntry is a line of a search by number.
type foundEntry struct {
	Seq        uint64            `json:"seq"`
	At         time.Time         `json:"at"`
	Actor      string            `json:"actor"`
	OnBehalfOf string            `json:"on_behalf_of"`
	Action     store.Action      `json:"action"`
	Outcome    string            `json:"outcome"`
	Object     string            `json:"object"`
	Subject    string            `json:"subject"`
	Attrs      map[string]string `json:"attrs"`
}

// searchPhone looks for entries that name a number, through the blinded index. The number comes in the
// body, because addresses of requests end up in logs. The search is an entry before it is made.
func (d *door) searchPhone(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req struct {
		Phone  string    `json:"phone"`
		Action string    `json:"action,omitempty"`
		From   time.Time `json:"from,omitzero"`
		To     time.Time `json:"to,omitzero"`
		Limit  int       `json:"limit,omitempty"`
		Before uint64    `json:"before,omitempty"`
	}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	q := record.Query{Action: req.Action, From: req.From, To: req.To, Limit: req.Limit, Before: req.Before}
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) (err error) {
		if q.Phone, err = phoneOf(tx, req.Phone); err != nil {
			return err
		}
		return record.Note(tx, q)
	})
	if err != nil {
		return err
	}
	found := struct {
		Items []foundEntry `json:"items"`
		Next  uint64       `json:"next"`
	}{Items: []foundEntry{}}
	err = s.View(r.Context(), func(tx *store.Tx) error {
		page, err := record.Search(tx, q)
		for _, e := range page.Records {
			f := foundEntry{
				Seq: e.Seq, At: e.Time, Actor: string(e.Actor.Kind) + ":" + e.Actor.ID, OnBehalfOf: e.Actor.OnBehalfOf, Action: e.Entry.Action,
				Outcome: e.Entry.Outcome.String(), Object: e.Entry.Object, Subject: e.Entry.Subject, Attrs: map[string]string{},
			}
			for _, a := range e.Entry.Attrs {
				f.Attrs[a.Key] = a.Value
			}
			found.Items = append(found.Items, f)
		}
		found.Next = page.Next
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, found)
	}
	return err
}
