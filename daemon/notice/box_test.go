package notice

import (
	"strings"
	"testing"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/text"
	"pinward/store"
)

// box is a store with a live site and one modem, and the verbs of this room on it.
type box struct{ *outboxtest.Box }

var (
	portal  = store.Actor{Kind: "client", ID: "AC0000000000000000000000000000000a"}
	patient = outboxtest.Phone("+16175551234")
	sources = outbox.Sources{Kind: Render, consent.Kind: consent.Render}
)

func newBox(t testing.TB) *box {
	t.Helper()
	site := outboxtest.Riverside()
	site.QuietFrom, site.QuietTo = "21:00", "08:00"
	site.LinkHosts = []string{"portal.example.org"}
	return &box{outboxtest.New(t, outboxtest.Setup{Actor: portal, Sources: sources, Site: site, PartTime: time.Second})}
}

// ask sends a notice as a live client does; a refusal is committed.
func (b *box) ask(req Request) (n Notice, already bool, err error) {
	b.T.Helper()
	req.Mode = contact.Live
	if req.Template == "" {
		req.Template = "appointment.reminder"
	}
	if req.Slots == nil && strings.HasPrefix(req.Template, "appointment.") {
		req.Slots = text.Values{}
		req.Slots.SetSite("Main Street")
		req.Slots.SetInstant("start", time.Now().Add(24*time.Hour))
	}
	b.Do(func(tx *store.Tx) error {
		n, already, err = Send(tx, req)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return n, already, err
}

func (b *box) mustAsk(req Request) Notice {
	b.T.Helper()
	n, _, err := b.ask(req)
	if err != nil {
		b.T.Fatal(err)
	}
	return n
}

// state is where a notice stands.
func (b *box) state(id string) (n Notice, s outbox.State) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) {
		n, s, err = Get(tx, id)
		return err
	})
	return n, s
}

// in offers a text as the inbox does: consent first.
func (b *box) in(from contact.Phone, body string) (handled bool) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) {
		in := consent.In{From: from, Body: body, SIM: "8901", At: tx.Now()}
		if handled, err = consent.Incoming(tx, in); err != nil || handled {
			return err
		}
		handled, err = Incoming(tx, in)
		return err
	})
	return handled
}

func (b *box) items() (items []consent.WorkItem) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) {
		items, err = consent.Items(tx, 0)
		return err
	})
	return items
}

// subject puts a person with one number on record.
func (b *box) subject(mrn string, p contact.Phone) contact.SubjectID {
	b.T.Helper()
	id := contact.SubjectID{Authority: "RIV", MRN: mrn}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, At: tx.Now(), Source: "hl7:adt",
			Phones: &[]contact.Number{{Phone: p, Equipment: "CP"}}})
		return err
	})
	return id
}
