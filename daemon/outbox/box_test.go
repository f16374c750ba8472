package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
	"pinward/store/storetest"
)

var tester = store.Actor{Kind: "daemon", ID: "tester"}

const actionTest store.Action = "test.put"

// box is an outbox on a real store, with what the tests do to it over and over.
type box struct {
	t     testing.TB
	dir   string
	keys  *storetest.Keys
	store *store.Store
	src   Sources
}

// newBox opens a store whose site is live.
func newBox(t testing.TB) *box {
	b := &box{t: t, dir: t.TempDir(), keys: storetest.NewKeys(t), src: Sources{"code": say, "notice": say}}
	b.open()
	t.Cleanup(func() {
		if err := b.store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	b.mode(contact.Live)
	return b
}

func say(_ *store.Tx, m Message) (Rendered, error) {
	return Rendered{Text: "text of " + m.ID, Validity: 5 * time.Minute, Report: true}, nil
}

func (b *box) open() {
	b.t.Helper()
	s, err := store.Open(context.Background(), b.dir, store.Options{Origin: "pinward/test", Keys: b.keys, Strict: storetest.Strict(b.t)})
	if err != nil {
		b.t.Fatal(err)
	}
	b.store = s
}

// restart closes the store and opens it again, as the daemon does: nobody is ready, and what was in
// hand is settled.
func (b *box) restart() (recovered int) {
	b.t.Helper()
	if err := b.store.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
	b.do(func(tx *store.Tx) (err error) {
		if err = ResetSenders(tx); err != nil {
			return err
		}
		recovered, err = Recover(tx)
		return err
	})
	return recovered
}

// try runs one transaction.
func (b *box) try(fn func(*store.Tx) error) error {
	return b.store.Update(context.Background(), tester, fn)
}

// do runs one transaction that must succeed.
func (b *box) do(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.try(fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) view(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.store.View(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) mode(m contact.Mode, pilot ...contact.Phone) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		return contact.SetSite(tx, contact.Site{Name: "Test", Brand: "Test", Zone: "UTC", Region: "US", Mode: m, Pilot: pilot})
	})
}

// phone is the n-th number of the tests.
func phone(n int) contact.Phone {
	var p contact.Phone
	if err := p.UnmarshalText(fmt.Appendf(nil, "+1617%03d%04d", 200+n/10000, n%10000)); err != nil {
		panic(err)
	}
	return p
}

// code is a message of lane OTP with one step, as a test then changes it.
func code(n int) Message {
	return Message{
		Kind: "code", Lane: OTP, To: phone(n), Client: "portal", Route: []Step{{Channel: SMS}},
		Expires: time.Now().Add(5 * time.Minute), Mode: contact.Live,
	}
}

func notice(n int) Message {
	m := code(n)
	m.Kind, m.Lane, m.Expires = "notice", Notice, time.Now().Add(24*time.Hour)
	return m
}

// fullRoute is the default route of a verification.
func fullRoute() []Step {
	return []Step{{Channel: SMS, Wait: 15 * time.Second}, {Channel: SMS, Wait: 15 * time.Second, OtherCarrier: true}, {Channel: Call}}
}

func (b *box) put(m Message) Message {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		if m, err = Put(tx, m); err != nil {
			return err
		}
		return tx.Record(store.Entry{Action: actionTest, Outcome: store.OK, Object: m.ID})
	})
	return m
}

// modem is a sender of the tests: its SIM is "sim-NAME".
func modem(name, carrier string) Sender {
	return Sender{Name: name, SIM: "sim-" + name, Network: carrier, Ready: true, PartTime: time.Second}
}

// free is the record of a test's SIM: it may carry everything, without caps.
func free(sim string) SIM {
	return SIM{ICCID: sim, Permission: Permission{Reference: "test"}, PerMinute: -1, PerDay: -1, PortOutLock: true}
}

func (b *box) sim(s SIM) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error { return SetSIM(tx, s) })
}

// caps sets the budgets of the SIM of a test's sender.
func (b *box) caps(name string, perMinute, perDay int) {
	b.t.Helper()
	s := free("sim-" + name)
	s.PerMinute, s.PerDay = perMinute, perDay
	b.sim(s)
}

// report tells the state of senders; a SIM that has no record yet gets one.
func (b *box) report(all ...Sender) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		for _, s := range all {
			if _, known, err := SIMOf(tx, s.SIM); err != nil {
				return err
			} else if !known {
				if err := SetSIM(tx, free(s.SIM)); err != nil {
					return err
				}
			}
			if err := Report(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *box) next(name string) (job Job, ok bool) {
	b.t.Helper()
	b.do(func(tx *store.Tx) (err error) {
		job, ok, err = Next(tx, name, b.src)
		return err
	})
	return job, ok
}

// must is next where there has to be one.
func (b *box) must(name string) Job {
	b.t.Helper()
	job, ok := b.next(name)
	if !ok {
		b.t.Fatalf("%s got no message", name)
	}
	return job
}

func (b *box) none(names ...string) {
	b.t.Helper()
	for _, name := range names {
		if job, ok := b.next(name); ok {
			b.t.Fatalf("%s got message %s (attempt %d, step %d), and should get none", name, job.Message.ID, job.Attempt, job.Message.Step)
		}
	}
}

func (b *box) settle(job Job, res Result) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error { return Settle(tx, job.Message.ID, job.Attempt, res) })
}

func sentAs(refs ...byte) Result {
	res := Result{Outcome: Sent}
	for _, r := range refs {
		res.Parts = append(res.Parts, Part{Ref: r, State: Sent})
	}
	return res
}

func (b *box) receive(job Job, ref, status byte) {
	b.t.Helper()
	a := job.Message.Attempts[job.Attempt]
	b.do(func(tx *store.Tx) error {
		return Receive(tx, Receipt{SIM: a.SIM, Ref: ref, To: job.Message.To, Status: status, At: tx.Now()})
	})
}

func (b *box) get(id string) Message {
	b.t.Helper()
	var m Message
	b.view(func(tx *store.Tx) error {
		var ok bool
		var err error
		if m, ok, err = Get(tx, id); err == nil && !ok {
			err = errors.New("message is gone")
		}
		return err
	})
	return m
}

func (b *box) state(id string, want State) {
	b.t.Helper()
	if m := b.get(id); m.State != want {
		b.t.Fatalf("message is %s (%s), want %s", m.State, m.Cause, want)
	}
}

// expire is the daemon's sweep.
func (b *box) expire() {
	b.t.Helper()
	b.do(Expire)
}

// entries lists the actions recorded about a message.
func (b *box) entries(id string) []store.Action {
	b.t.Helper()
	var out []store.Action
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Entry.Object == id && r.Entry.Action != actionTest {
				out = append(out, r.Entry.Action)
			}
			return nil
		})
	})
	return out
}

func (b *box) recorded(id string, want ...store.Action) {
	b.t.Helper()
	if got := b.entries(id); !slices.Equal(got, want) {
		b.t.Fatalf("entries are %v, want %v", got, want)
	}
}

// bubble runs a test in a synctest bubble: time passes at once when all wait.
func bubble(t *testing.T, fn func(t *testing.T)) { t.Helper(); synctest.Test(t, fn) }

// coherent holds every index against the messages themselves.
func (b *box) coherent() {
	b.t.Helper()
	b.view(func(tx *store.Tx) error {
		counts := map[string]int{}
		if err := ready.Each(tx, store.Range{}, func(key []byte, _ struct{}) error {
			counts[string(key[:lineKeySize])]++
			id := string(key[idAt:])
			p, ok, err := places.Get(tx, []byte(id))
			if err != nil || !ok || !bytes.Equal(p.Key, key) {
				return fmt.Errorf("message in line has no place there: %w", err)
			}
			r, err := load(tx, id)
			if err != nil {
				return err
			}
			if r.State != Queued || key[0] != byte(r.Lane) {
				return fmt.Errorf("message in line is %s", r.State)
			}
			return nil
		}); err != nil {
			return err
		}
		n := 0
		if err := lines.Each(tx, store.Range{}, func(key []byte, l line) error {
			n++
			if l.Count != counts[string(key)] || l.Count == 0 {
				return fmt.Errorf("line counts %d, holds %d", l.Count, counts[string(key)])
			}
			return nil
		}); err != nil {
			return err
		}
		if n != len(counts) {
			return fmt.Errorf("%d lines are counted, %d are there", n, len(counts))
		}
		inHand := map[string]string{}
		all, err := look(tx).all()
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Hand == "" {
				continue
			}
			if other := inHand[m.Hand]; other != "" {
				return fmt.Errorf("one message is in the hands of %s and %s", other, m.Name)
			}
			inHand[m.Hand] = m.Name
		}
		return messages.Each(tx, store.Range{}, func(_ []byte, r record) error {
			_, filed, err := places.Get(tx, []byte(r.ID))
			if err != nil {
				return err
			}
			onAir := r.last() != nil && r.last().Outcome == Sending
			switch {
			case (r.State == Sending) != onAir && r.State != Delivered:
				return fmt.Errorf("message is %s, its attempt on air: %t", r.State, onAir)
			case onAir && inHand[r.ID] == "":
				return fmt.Errorf("message on air is in nobody's hand")
			case r.State == Queued && !filed && !r.Due.After(tx.Now()):
				// It must have a timer that is due, or nobody will ever see it again.
				return hasTimer(tx, &r)
			case filed && r.State != Queued:
				return fmt.Errorf("%s message is in line", r.State)
			}
			return nil
		})
	})
}

func hasTimer(tx *store.Tx, r *record) error {
	found := false
	err := timers.Each(tx, store.Range{Prefix: []byte{byte(r.Lane)}}, func(key []byte, _ struct{}) error {
		found = found || string(key[9:]) == r.ID
		return nil
	})
	if err == nil && !found {
		err = errors.New("a message that is due is neither in line nor has a timer")
	}
	return err
}
