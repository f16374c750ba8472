package admin

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
)

// export streams the audit, or with from and to the part between two sequence numbers, as a bundle
// that verifies offline and without keys. Reading the audit is an entry itself, written before the
// first byte leaves.
func (d *door) export(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	from, err1 := number(r, "from", 0)
	to, err2 := number(r, "to", math.MaxUint64)
	if err := cmp.Or(err1, err2); err != nil || from >= to {
		return refuse(http.StatusBadRequest, "from and to are sequence numbers, the first below the second")
	}
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: "audit.export", Outcome: store.OK, Attrs: []store.Attr{
			{Key: "from", Value: r.FormValue("from")}, {Key: "to", Value: r.FormValue("to")},
		}})
	}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-tar")
	if err := s.ExportRange(r.Context(), w, from, to); err != nil {
		// The status has left already: a cut tar is what tells the caller.
		d.Log.Error("export audit", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func number(r *http.Request, name string, none uint64) (uint64, error) {
	v := r.FormValue(name)
	if v == "" {
		return none, nil
	}
	return strconv.ParseUint(v, 10, 62)
}

// reveal opens one entry to one person, as a file that verifies offline. Who opened it is an entry.
func (d *door) reveal(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 62)
	if err != nil {
		return refuse(http.StatusBadRequest, "an entry is named by its sequence number")
	}
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error {
		return tx.Record(store.Entry{Action: "audit.open", Outcome: store.OK, Object: strconv.FormatUint(seq, 10)})
	}); err != nil {
		return err
	}
	var text []byte
	err = s.View(r.Context(), func(tx *store.Tx) error {
		o, err := tx.Reveal(seq)
		if err != nil {
			return refuse(http.StatusConflict, "%v", err)
		}
		if o.Signer, err = s.Signer(); err != nil {
			return err
		}
		text, err = o.MarshalText()
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text) // the caller is gone: there is nobody to tell
	return nil
}

// report makes one of the reports, as CSV or as JSON. The asking is an entry before it is made.
func (d *door) report(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	a := record.Ask{Kind: r.PathValue("kind")}
	for name, at := range map[string]*time.Time{"from": &a.From, "to": &a.To} {
		if v := r.FormValue(name); v != "" {
			t, err := time.Parse(time.RFC3339, v)
			if err != nil {
				return refuse(http.StatusBadRequest, "%s: a time is written as in RFC 3339", name)
			}
			*at = t
		}
	}
	for _, v := range r.Form["subject"] {
		id, err := subject(v)
		if err != nil {
			return err
		}
		a.Subjects = append(a.Subjects, id)
	}
	if what := a.Check(); what != "" {
		return refuse(http.StatusBadRequest, "%s", what)
	}
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) error { return record.NoteReport(tx, a) }); err != nil {
		return err
	}
	var made record.Report
	if err := s.View(r.Context(), func(tx *store.Tx) (err error) { made, err = record.Make(tx, a); return err }); err != nil {
		return err
	}
	if r.FormValue("format") != "csv" {
		answer(w, http.StatusOK, made)
		return nil
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	return made.WriteCSV(w)
}

func subject(v string) (contact.SubjectID, error) {
	authority, mrn, ok := strings.Cut(v, "|")
	if !ok || mrn == "" || len(v) > 256 {
		return contact.SubjectID{}, refuse(http.StatusBadRequest, "a patient is written as AUTHORITY|MRN")
	}
	return contact.SubjectID{Authority: authority, MRN: mrn}, nil
}

// NewHold is what a hold is asked for with.
type NewHold struct {
	Matter  string    `json:"matter"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Subject string    `json:"subject,omitempty"` // AUTHORITY|MRN
}

func (d *door) hold(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var req NewHold
	if err := decode(w, r, &req); err != nil {
		return err
	}
	h := record.Hold{Matter: req.Matter, From: req.From, To: req.To}
	if req.Subject != "" {
		id, err := subject(req.Subject)
		if err != nil {
			return err
		}
		h.Subject = id
	}
	if err := s.Update(r.Context(), actor(r), func(tx *store.Tx) (err error) { h, err = record.PutHold(tx, h); return err }); err != nil {
		return holdProblem(err)
	}
	answer(w, http.StatusCreated, h)
	return nil
}

func (d *door) holds(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	list := []record.Hold{}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		found, err := record.Holds(tx)
		list = append(list, found...)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}

func (d *door) lift(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	var lifted bool
	err := s.Update(r.Context(), actor(r), func(tx *store.Tx) (err error) {
		lifted, err = record.LiftHold(tx, r.PathValue("id"))
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, map[string]bool{"lifted": lifted})
	}
	return holdProblem(err)
}

func holdProblem(err error) error {
	for _, known := range []error{record.ErrHold, record.ErrNoHold, record.ErrSameLifts} {
		if errors.Is(err, known) {
			return refuse(http.StatusConflict, "%v", known)
		}
	}
	return err
}

// witnesses lists who has which head.
func (d *door) witnesses(w http.ResponseWriter, r *http.Request, s *store.Store) error {
	list := []record.WitnessStatus{}
	err := s.View(r.Context(), func(tx *store.Tx) error {
		found, err := record.Witnesses(tx)
		list = append(list, found...)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, list)
	}
	return err
}
