package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/store"
)

// auditForm is the search as it was filled in.
type auditForm struct {
	Action, Actor, Object, MRN, Number, From, To string

	Items []store.Record
	Next  string // where the older ones go on; "" at the end
	Zone  *time.Location
}

// audit searches the log, newest first. What is searched for comes in the form and never in the
// address; the search is an entry before it is made.
func (c *console) audit(w http.ResponseWriter, v *visit) error {
	field := func(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }
	f := auditForm{
		Action: field("action"), Actor: field("actor"), Object: field("object"), MRN: field("mrn"), Number: field("number"),
		From: field("from"), To: field("to"),
	}
	site, err := c.site(v)
	if err != nil {
		return err
	}
	f.Zone = site.Location()
	out := view{Title: "Audit", Path: "/audit", Body: f}
	q, err := f.query(site, field("before"))
	if err != nil {
		c.fail(w, v, err, "audit", out)
		return nil
	}
	if err := c.Store.Update(v.Context(), v.who.Actor, func(tx *store.Tx) error { return record.Note(tx, q) }); err != nil {
		return err
	}
	if err := c.Store.View(v.Context(), func(tx *store.Tx) error {
		found, err := record.Search(tx, q)
		f.Items = found.Records
		if found.Next > 0 {
			f.Next = strconv.FormatUint(found.Next, 10)
		}
		return err
	}); err != nil {
		return err
	}
	out.Body = f
	return c.ok(w, v, "audit", out)
}

// maxSearched bounds what is searched for, in bytes: the search is an entry.
const maxSearched = 256

func (f auditForm) query(site contact.Site, before string) (q record.Query, err error) {
	for _, s := range []string{f.Action, f.Actor, f.Object, f.MRN} {
		if len(s) > maxSearched {
			return q, &refusal{"This is too long to search for."}
		}
	}
	q = record.Query{Action: f.Action, Actor: f.Actor, Object: f.Object, Limit: 100}
	if _, id, ok := strings.Cut(f.Actor, ":"); ok {
		q.Actor = id // as an entry shows it
	}
	if f.MRN != "" {
		q.Subject = contact.SubjectID{Authority: site.Authority, MRN: f.MRN}
	}
	if f.Number != "" {
		if q.Phone, err = contact.ParsePhone(f.Number, site.Plan()); err != nil {
			return q, err
		}
	}
	if q.From, err = dayOf(f.From, site.Location(), 0); err != nil {
		return q, err
	}
	if q.To, err = dayOf(f.To, site.Location(), 1); err != nil { // the whole of that day
		return q, err
	}
	if before != "" {
		if q.Before, err = strconv.ParseUint(before, 10, 64); err != nil {
			return q, &refusal{"This page of the audit does not exist."}
		}
	}
	return q, nil
}

// dayOf is the beginning of a day of the site, so many days later; "" is no bound.
func dayOf(s string, zone *time.Location, later int) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil {
		return time.Time{}, &refusal{"A day is written as 2006-01-31."}
	}
	return t.AddDate(0, 0, later), nil
}
