package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/store"
)

// listView is a page of a list.
type listView struct {
	Items any
	Next  string // where the older ones go on; "" at the end
	Query map[string]string
	Zone  *time.Location
}

func (c *console) messages(w http.ResponseWriter, v *visit) error {
	q := v.URL.Query()
	body := listView{Query: map[string]string{"state": q.Get("state")}}
	if err := c.Store.View(v.Context(), func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		body.Zone = site.Location()
		body.Items, body.Next, err = outbox.List(tx, outbox.Filter{State: outbox.State(q.Get("state")), Limit: 50}, q.Get("cursor"))
		return err
	}); err != nil {
		return err
	}
	return c.render(w, v, "messages", view{Title: "Messages", Body: body})
}

// contactView is one patient's numbers and appointments.
type contactView struct {
	MRN          string
	Asked, Known bool
	contact.Subject
	Appointments []contact.Appointment
	Zone         *time.Location
}

func (c *console) contacts(w http.ResponseWriter, v *visit) error {
	body := contactView{MRN: strings.TrimSpace(v.URL.Query().Get("mrn"))}
	body.Asked = body.MRN != ""
	// Looking a patient up is an entry, whether or not there is one.
	if body.Asked {
		if err := c.Store.Update(v.Context(), v.who.Actor, func(tx *store.Tx) error {
			site, err := contact.SiteOf(tx)
			if err != nil {
				return err
			}
			body.Zone = site.Location()
			id := contact.SubjectID{Authority: site.Authority, MRN: body.MRN}
			if body.Subject, body.Known, err = contact.Find(tx, id); err != nil {
				return err
			}
			if body.Appointments, err = contact.AppointmentsOf(tx, id); err != nil {
				return err
			}
			return tx.Record(store.Entry{Action: "contact.read", Outcome: store.OK, Subject: id.Key()})
		}); err != nil {
			return err
		}
	}
	return c.render(w, v, "contacts", view{Title: "Patient", Body: body})
}

// workView is something that only a person can settle, with its text while that is kept.
type workView struct {
	consent.WorkItem
	Text string
}

func (c *console) work(w http.ResponseWriter, v *visit) error {
	var items []workView
	if err := c.Store.Update(v.Context(), v.who.Actor, func(tx *store.Tx) error {
		all, err := consent.Items(tx, 100)
		if err != nil {
			return err
		}
		for _, it := range all {
			text, err := consent.Body(tx, it)
			if err != nil {
				text = "" // wiped after a day
			}
			items = append(items, workView{it, text})
		}
		return tx.Record(store.Entry{Action: "work.read", Outcome: store.OK})
	}); err != nil {
		return err
	}
	return c.render(w, v, "work", view{Title: "To do", Body: items})
}

func (c *console) closeWork(w http.ResponseWriter, v *visit) error {
	err := c.decide(v, func(tx *store.Tx) error {
		_, err := consent.Close(tx, v.PathValue("id"), v.PostFormValue("note"))
		return err
	})
	if err != nil {
		return err
	}
	http.Redirect(w, v.Request, "/work", http.StatusSeeOther)
	return nil
}

func (c *console) audit(w http.ResponseWriter, v *visit) error {
	q := v.URL.Query()
	query := record.Query{Action: q.Get("action"), Object: q.Get("object"), Limit: 100}
	if _, id, ok := strings.Cut(q.Get("actor"), ":"); ok {
		query.Actor = id
	} else {
		query.Actor = q.Get("actor")
	}
	if s := q.Get("cursor"); s != "" {
		before, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return &refusal{"This page of the audit does not exist."}
		}
		query.Before = before
	}
	body := listView{Query: map[string]string{"action": q.Get("action"), "actor": q.Get("actor"), "object": q.Get("object")}}
	if err := c.Store.Update(v.Context(), v.who.Actor, func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		body.Zone = site.Location()
		found, err := record.Search(tx, query)
		if err != nil {
			return err
		}
		body.Items = found.Records
		if found.Next > 0 {
			body.Next = strconv.FormatUint(found.Next, 10)
		}
		return record.Note(tx, query)
	}); err != nil {
		return err
	}
	return c.render(w, v, "audit", view{Title: "Audit", Body: body})
}

// healthView is the tree, with its root causes first.
type healthView struct {
	Tree   health.Node
	Causes []health.Cause
}

func (c *console) health(w http.ResponseWriter, v *visit) error {
	tree := c.Health()
	return c.render(w, v, "health", view{Title: "Health", Refresh: 10, Body: healthView{tree, tree.Causes()}})
}
