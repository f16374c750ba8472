// Package outboxtest gives the tests of the rooms above outbox what they stand on: a real store with a live
// site and one modem, whose texts the test takes and reads.
//
// It stands beside outbox as storetest stands beside store. Only tests may import it. It knows no room above
// outbox: what a room adds to the site, and how it renders its texts, the room says.
package outboxtest

import (
	"context"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/storetest"
)

// Modem is the name of the box's one sender, ICCID its SIM.
const (
	Modem = "m1"
	ICCID = "8901"
)

// Setup is what differs between the boxes of two rooms.
type Setup struct {
	Actor    store.Actor    // who asks for the transactions of Do
	Sources  outbox.Sources // who renders what Send hands over
	Site     contact.Site
	PartTime time.Duration                                // how long the modem has for a part
	Free     func(string) (free, total uint64, err error) // how full the disk is; nil is a disk with room
	Keys     store.Keys                                   // nil are new ones
}

// Box is a store with a live site and one modem that reported itself ready. A subtest puts its own T in.
type Box struct {
	T     testing.TB
	Store *store.Store
	Dir   string // holds the store, and is removed when the test ends
	setup Setup
}

// New opens the store of a test, and closes it when the test ends.
func New(t testing.TB, s Setup) *Box {
	t.Helper()
	if s.Keys == nil {
		s.Keys = storetest.NewKeys(t)
	}
	o := storetest.Options(s.Keys)
	if s.Free != nil {
		o.Free = s.Free
	}
	b := &Box{T: t, Dir: t.TempDir(), setup: s}
	b.Store = storetest.OpenIn(t, filepath.Join(b.Dir, "store"), o)
	b.Do(func(tx *store.Tx) error {
		if err := contact.SetSite(tx, s.Site); err != nil {
			return err
		}
		return b.Report(tx, true)
	})
	return b
}

// Riverside is a live site in Boston that speaks English and Spanish.
func Riverside() contact.Site {
	return contact.Site{
		Name: "Riverside", Brand: "Riverside", Zone: "America/New_York", Region: "US", HelpPhone: "617-555-1000",
		Mode: contact.Live, Languages: []string{"en", "es"},
	}
}

// Phone is a number that is known to be one.
func Phone(e164 string) contact.Phone {
	var p contact.Phone
	if err := p.UnmarshalText([]byte(e164)); err != nil {
		panic(err)
	}
	return p
}

// Report has the modem say whether it can send. Its SIM has no budget.
func (b *Box) Report(tx *store.Tx, ready bool) error {
	sim := outbox.SIM{ICCID: ICCID, Permission: outbox.Permission{Reference: "test"}, PerMinute: -1, PerDay: -1}
	if err := outbox.SetSIM(tx, sim); err != nil {
		return err
	}
	return outbox.Report(tx, outbox.Sender{Name: Modem, SIM: ICCID, Network: "north", Ready: ready, PartTime: b.setup.PartTime})
}

// Do runs a transaction that has to succeed.
func (b *Box) Do(fn func(*store.Tx) error) {
	b.T.Helper()
	if err := b.Store.Update(context.Background(), b.setup.Actor, fn); err != nil {
		b.T.Fatal(err)
	}
}

// View runs fn in a snapshot.
func (b *Box) View(fn func(*store.Tx) error) {
	b.T.Helper()
	if err := b.Store.View(context.Background(), fn); err != nil {
		b.T.Fatal(err)
	}
}

// Send hands the next message to the modem and settles it; ok is false if there is none.
func (b *Box) Send(outcome outbox.State) (job outbox.Job, ok bool) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) {
		job, ok, err = outbox.Next(tx, Modem, b.setup.Sources)
		return err
	})
	if !ok {
		return job, false
	}
	b.Do(func(tx *store.Tx) error {
		res := outbox.Result{Outcome: outcome}
		if outcome == outbox.Sent {
			res.Parts = []outbox.Part{{Ref: 1, State: outbox.Sent}}
		}
		return outbox.Settle(tx, job.Message.ID, job.Attempt, res)
	})
	return job, true
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// Code sends what goes out next and reads the code in it.
func (b *Box) Code() string {
	b.T.Helper()
	job, ok := b.Send(outbox.Sent)
	if !ok {
		b.T.Fatal("no text goes out")
	}
	return CodeIn(b.T, job)
}

// CodeIn is the code in a text: its only group of six digits.
func CodeIn(t testing.TB, job outbox.Job) string {
	t.Helper()
	codes := sixDigits.FindAllString(job.Rendered.Text, -1)
	if len(codes) != 1 {
		t.Fatalf("text has %d groups of six digits, not one", len(codes))
	}
	return codes[0]
}

// Wrong is a code of as many digits that is not this one.
func Wrong(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

// Entries lists the log's entries in order: all, or those of the actions named.
func (b *Box) Entries(of ...store.Action) (out []store.Record) {
	b.T.Helper()
	b.View(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if len(of) == 0 {
				out = append(out, r)
			}
			for _, a := range of {
				if r.Entry.Action == a {
					out = append(out, r)
				}
			}
			return nil
		})
	})
	return out
}

// Last is the log's newest entry.
func (b *Box) Last() store.Record {
	b.T.Helper()
	all := b.Entries()
	return all[len(all)-1]
}

// Attr is the value of an entry's attribute, or "".
func Attr(e store.Entry, key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}
