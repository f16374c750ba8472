package consent

import (
	"testing"
	"time"

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
	sources = outbox.Sources{Kind: Render}
)

func newBox(t testing.TB) *box {
	t.Helper()
	return &box{outboxtest.New(t, outboxtest.Setup{Actor: portal, Sources: sources, Site: outboxtest.Riverside(), PartTime: time.Second})}
}

// in offers a text as the inbox does, and says whether this room took it.
func (b *box) in(body string) (handled bool) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) {
		in := In{From: patient, Body: body, SIM: "8901", At: tx.Now()}
		if handled, err = Incoming(tx, in); err != nil || handled {
			return err
		}
		return Unread(tx, in)
	})
	return handled
}

// texted notes that a text of another room went to the patient.
func (b *box) texted(l Last) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error { return NoteText(tx, patient, l) })
}

// said drains the outbox and returns the texts.
func (b *box) said() (texts []string) {
	b.T.Helper()
	for {
		job, ok := b.Send(outbox.Sent)
		if !ok {
			return texts
		}
		texts = append(texts, job.Rendered.Text)
	}
}

// allowed asks for each class, as a text that nobody asked for.
func (b *box) allowed(class text.Class, requested bool) (err error) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		err = Allowed(tx, patient, class, requested)
		return nil
	})
	return err
}

func (b *box) items() (items []WorkItem) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) {
		items, err = Items(tx, 0)
		return err
	})
	return items
}
