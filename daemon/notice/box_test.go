package notice

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/daemon/consent"
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
	sources = outbox.Sources{Kind: Render, consent.Kind: consent.Render}
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
			QuietFrom: "21:00", QuietTo: "08:00",
			Mode: contact.Live, LinkHosts: []string{"portal.example.org"}, Languages: []string{"en", "es"},
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

// ask sends a notice as a live client does; a refusal is committed.
func (b *box) ask(req Request) (n Notice, already bool, err error) {
	b.t.Helper()
	req.Mode = contact.Live
	if req.Template == "" {
		req.Template = "appointment.reminder"
	}
	if req.Slots == nil && strings.HasPrefix(req.Template, "appointment.") {
		req.Slots = text.Values{}
		req.Slots.SetSite("Main Street")
		req.Slots.SetInstant("start", time.Now().Add(24*time.Hour))
	}
	b.do(func(tx *store.Tx) error {
		n, already, err = Send(tx, req)
		if Refusal(err) {
			return nil
		}
		return err
	})
	return n, already, err
}

func (b *box) mustAsk(req Request) Notice {
	b.t.Helper()
	n, _, err := b.ask(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// state is where a notice stands.
func (b *box) state(id string) (n Notice, s outbox.State) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		n, s, err = Get(tx, id)
		return err
	})
	return n, s
}

// in offers a text as the inbox does: consent first.
func (b *box) in(from contact.Phone, body string) (handled bool) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
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
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		items, err = consent.Items(tx, 0)
		return err
	})
	return items
}

// subject puts a person with one number on record.
func (b *box) subject(mrn string, p contact.Phone) contact.SubjectID {
	b.t.Helper()
	id := contact.SubjectID{Authority: "RIV", MRN: mrn}
	b.do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, At: tx.Now(), Source: "hl7:adt",
			Phones: &[]contact.Number{{Phone: p, Equipment: "CP"}}})
		return err
	})
	return id
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
