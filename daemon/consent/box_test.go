package consent

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
	"pinward/store/storetest"
)

// box is a store with a live site and one modem that reported itself ready.
type box struct {
	t     testing.TB
	store *store.Store
	dir   string
}

var (
	portal  = store.Actor{Kind: "client", ID: "AC0000000000000000000000000000000a"}
	patient = phone("+16175551234")
	sources = outbox.Sources{Kind: Render}
)

func phone(e164 string) contact.Phone {
	var p contact.Phone
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		panic(err)
	}
	return p
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir()}
	s, err := store.Open(context.Background(), filepath.Join(b.dir, "store"), store.Options{
		Origin: "pinward/test", Keys: storetest.NewKeys(t), Log: slog.New(slog.DiscardHandler), HeadEvery: 24 * time.Hour, Strict: storetest.Strict(t),
		Free: func(string) (uint64, uint64, error) { return 1 << 40, 1 << 41, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b.do(func(tx *store.Tx) error {
		err := contact.SetSite(tx, contact.Site{
			Name: "Riverside", Brand: "Riverside", Zone: "America/New_York", Region: "US", HelpPhone: "617-555-1000",
			Mode: contact.Live, Languages: []string{"en", "es"},
		})
		if err != nil {
			return err
		}
		sim := outbox.SIM{ICCID: "8901", Permission: outbox.Permission{Reference: "test"}, PerMinute: -1, PerDay: -1}
		if err := outbox.SetSIM(tx, sim); err != nil {
			return err
		}
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, PartTime: time.Second})
	})
	return b
}

// do runs a transaction of the portal that must succeed.
func (b *box) do(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), portal, fn); err != nil {
		b.t.Fatal(err)
	}
}

// in offers a text as the inbox does, and says whether this room took it.
func (b *box) in(body string) (handled bool) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
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
	b.t.Helper()
	b.do(func(tx *store.Tx) error { return NoteText(tx, patient, l) })
}

// said drains the outbox and returns the texts.
func (b *box) said() (texts []string) {
	b.t.Helper()
	for {
		job, ok := b.send(outbox.Sent)
		if !ok {
			return texts
		}
		texts = append(texts, job.Rendered.Text)
	}
}

// allowed asks for each class, as a text that nobody asked for.
func (b *box) allowed(class text.Class, requested bool) (err error) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		err = Allowed(tx, patient, class, requested)
		return nil
	})
	return err
}

func (b *box) items() (items []WorkItem) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		items, err = Items(tx, 0)
		return err
	})
	return items
}

// send hands the next message over and settles it; ok is false if there is
// none.
func (b *box) send(outcome outbox.State) (job outbox.Job, ok bool) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		job, ok, err = outbox.Next(tx, "m1", sources)
		return err
	})
	if !ok {
		return job, false
	}
	b.do(func(tx *store.Tx) error {
		res := outbox.Result{Outcome: outcome}
		if outcome == outbox.Sent {
			res.Parts = []outbox.Part{{Ref: 1, State: outbox.Sent}}
		}
		return outbox.Settle(tx, job.Message.ID, job.Attempt, res)
	})
	return job, true
}

// entries lists the actions of the log, in order.
func (b *box) entries() (out []store.Record) {
	b.t.Helper()
	err := b.store.View(context.Background(), func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			out = append(out, r)
			return nil
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *box) last() store.Record {
	b.t.Helper()
	all := b.entries()
	return all[len(all)-1]
}

func value(e store.Entry, key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}
