package console

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/health"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/store"
)

// noted writes down that somebody looks at patients' data, and then reads.
func (c *console) noted(v *visit, what string, id contact.SubjectID, read func(*store.Tx) error) error {
	if err := c.Store.Update(v.Context(), v.who.Actor, func(tx *store.Tx) error { return record.Viewed(tx, what, id) }); err != nil {
		return err
	}
	return c.Store.View(v.Context(), read)
}

// messagesView is a page of what left the box or is to leave it.
type messagesView struct {
	Items []outbox.Message
	State string
	Next  string // where the older ones go on; "" at the end
	Zone  *time.Location
}

var messageID = regexp.MustCompile(`^SM[0-9a-f]{32}$`)

func (c *console) messages(w http.ResponseWriter, v *visit) error {
	q := v.URL.Query()
	body, cursor := messagesView{State: q.Get("state")}, q.Get("cursor")
	if cursor != "" && !messageID.MatchString(cursor) {
		return &refusal{"This page of the list does not exist."}
	}
	err := c.noted(v, "messages", contact.SubjectID{}, func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		body.Zone = site.Location()
		body.Items, body.Next, err = outbox.List(tx, outbox.Filter{State: outbox.State(body.State), Limit: 50}, cursor)
		return err
	})
	if err != nil {
		return err
	}
	return c.ok(w, v, "messages", view{Title: "Messages", Body: body})
}

// contactView is one patient's numbers and appointments.
type contactView struct {
	MRN          string
	Asked, Known bool
	contact.Subject
	Appointments []contact.Appointment
	Zone         *time.Location
}

// contacts looks a patient up. The record number comes in the form and never in the address, which
// browsers keep. The look is an entry, whether or not there is such a patient.
func (c *console) contacts(w http.ResponseWriter, v *visit) error {
	body := contactView{MRN: strings.TrimSpace(v.PostFormValue("mrn"))}
	body.Asked = body.MRN != ""
	if body.Asked {
		if len(body.MRN) > 256 {
			return &refusal{"This is no record number."}
		}
		site, err := c.site(v)
		if err != nil {
			return err
		}
		body.Zone = site.Location()
		id := contact.SubjectID{Authority: site.Authority, MRN: body.MRN}
		err = c.noted(v, "contact", id, func(tx *store.Tx) (err error) {
			if body.Subject, body.Known, err = contact.Find(tx, id); err != nil {
				return err
			}
			body.Appointments, err = contact.AppointmentsOf(tx, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.ok(w, v, "contacts", view{Title: "Patient", Body: body})
}

func (c *console) site(v *visit) (site contact.Site, err error) {
	err = c.Store.View(v.Context(), func(tx *store.Tx) error {
		site, err = contact.SiteOf(tx)
		return err
	})
	return site, err
}

// workView is something that only a person can settle, with its text while that is kept.
type workView struct {
	consent.WorkItem
	Text string
}

func (c *console) work(w http.ResponseWriter, v *visit) error {
	var items []workView
	err := c.noted(v, "work", contact.SubjectID{}, func(tx *store.Tx) error {
		all, err := consent.Items(tx, 100)
		if err != nil {
			return err
		}
		for _, it := range all {
			text, err := consent.Body(tx, it)
			if err != nil && !errors.Is(err, consent.ErrNoBody) {
				return err
			}
			items = append(items, workView{it, text})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.ok(w, v, "work", view{Title: "To do", Body: items})
}

// maxNote bounds what a person writes about a work item, in bytes.
const maxNote = 800

func (c *console) closeWork(w http.ResponseWriter, v *visit) error {
	note := strings.TrimSpace(v.PostFormValue("note"))
	if note == "" || len(note) > maxNote {
		return &refusal{"Say in a sentence what was done."}
	}
	err := c.goOn(v, func(tx *store.Tx) error {
		_, err := consent.Close(tx, v.PathValue("id"), note)
		return err
	})
	if err != nil {
		return err
	}
	http.Redirect(w, v.Request, "/items", http.StatusSeeOther)
	return nil
}

func (c *console) services(w http.ResponseWriter, v *visit) error {
	var all []otp.Service
	if err := c.Store.View(v.Context(), func(tx *store.Tx) (err error) {
		all, err = otp.Services(tx)
		return err
	}); err != nil {
		return err
	}
	return c.ok(w, v, "services", view{Title: "Services", Body: all})
}

// plain is the tree for those who do not operate the box: what works and what does not, without modems,
// causes and what to do about them.
func plain(n health.Node) health.Node {
	n.Cause = ""
	children := n.Children
	n.Children = nil
	for _, child := range children {
		if child.Name == "modems" {
			child.Children = nil
		}
		n.Children = append(n.Children, plain(child))
	}
	return n
}

// healthView is the tree, with its root causes first.
type healthView struct {
	Tree   health.Node
	Causes []health.Cause
}

func (c *console) health(w http.ResponseWriter, v *visit) error {
	tree := c.Health()
	if !v.who.Can(access.Operate) {
		tree = plain(tree)
	}
	return c.ok(w, v, "health", view{Title: "Health", Refresh: "10;url=/health?auto=1", Body: healthView{tree, tree.Causes()}})
}
