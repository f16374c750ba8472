package otp

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// A denied code is over, its number is free, and each denial counts for a day, also of what was over by then.
func TestDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		for range 2 {
			b.Do(func(tx *store.Tx) error { return Deny(tx, v.ID) })
		}
		b.Do(func(tx *store.Tx) error { return Deny(tx, "VE00000000000000000000000000000000") }) // long gone
		if got := b.get(v.ID).State; got != Canceled {
			t.Errorf("it is %s", got)
		}
		if next := b.mustStart(StartRequest{Service: "patient-signup", To: patient}); next.ID == v.ID {
			t.Error("the number is not free")
		}
		count := func() (n int) {
			b.Do(func(tx *store.Tx) (err error) { n, err = Denials(tx); return err })
			return n
		}
		if n := count(); n != 2 {
			t.Errorf("%d denials, want 2", n)
		}
		time.Sleep(DenialsFor + time.Hour)
		if n := count(); n != 0 {
			t.Errorf("%d denials a day later", n)
		}
		time.Sleep(2 * DenialsFor)
		w := b.mustStart(StartRequest{Service: "portal-login", To: patient})
		b.Do(func(tx *store.Tx) error { return Deny(tx, w.ID) })
		kept := 0
		b.Do(func(tx *store.Tx) error {
			return denials.Each(tx, store.Range{}, func([]byte, int) error { kept++; return nil })
		})
		if n := count(); n != 1 || kept != 1 {
			t.Errorf("%d denials, %d hours kept", n, kept)
		}
	})
}

// Who is not to be called is not: a number that wants no calls, the hospital's own, a patient's room, a person who said so. A call that
// was asked for is refused, and a route goes on without it.
func TestNoCalls(t *testing.T) {
	room, own := outboxtest.Phone("+16175552041"), outboxtest.Phone("+16175551000")
	yes := true
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		site, err := contact.SiteOf(tx)
		if err != nil {
			return err
		}
		site.NoCalls = []string{"+16175552"}
		if err := contact.SetSite(tx, site); err != nil {
			return err
		}
		if err := contact.Flag(tx, outboxtest.Phone("+16175551235"), contact.Flags{NoVoice: &yes}, "patient"); err != nil {
			return err
		}
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second})
	})
	for name, req := range map[string]StartRequest{
		"flagged": {To: outboxtest.Phone("+16175551235")}, "a room": {To: room}, "the hospital itself": {To: own},
	} {
		req.Service, req.Channel = "patient-signup", ChannelCall
		if _, err := b.start(req); !errors.Is(err, ErrNoCalls) {
			t.Errorf("%s: %v", name, err)
		}
		req.Channel = ChannelAuto
		v := b.mustStart(req)
		var m outbox.Message
		b.Do(func(tx *store.Tx) (err error) { m, _, err = outbox.Get(tx, v.Sends[0].Message); return err })
		for _, s := range m.Route {
			if s.Channel == outbox.Call {
				t.Errorf("%s: the route has a call", name)
			}
		}
	}
	who := contact.SubjectID{Authority: "T", MRN: "no-voice"}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: who, NoVoice: &yes, Source: "hl7:ehr"})
		return err
	})
	if _, err := b.start(StartRequest{Service: "patient-signup", Channel: ChannelCall, To: patient, Subject: who}); !errors.Is(err, ErrNoCalls) {
		t.Errorf("a person who wants no calls: %v", err)
	}
	// Who asks for a code by the number alone does not call them either, but somebody with whom they share the phone.
	shared := outboxtest.Phone("+16175551240")
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: who, Phones: &[]contact.Number{{Phone: shared}}, Source: "hl7:ehr"})
		return err
	})
	if _, err := b.start(StartRequest{Service: "patient-signup", Channel: ChannelCall, To: shared}); !errors.Is(err, ErrNoCalls) {
		t.Errorf("the number of a person who wants no calls: %v", err)
	}
	other := contact.SubjectID{Authority: "T", MRN: "voice"}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: other, Phones: &[]contact.Number{{Phone: shared}}, Source: "hl7:ehr"})
		return err
	})
	gone := func(v Verification, why string) {
		t.Helper()
		b.Do(func(tx *store.Tx) error {
			m, _, err := outbox.Get(tx, v.Sends[0].Message)
			if err != nil {
				return err
			}
			if _, err := Render(tx, m); !errors.Is(err, outbox.ErrGone) {
				t.Errorf("rendered for %s: %v", why, err)
			}
			return nil
		})
	}
	theirs := b.mustStart(StartRequest{Service: "patient-signup", Channel: ChannelCall, To: shared, Subject: other})
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: other, NoVoice: &yes, Source: "hl7:ehr"})
		return err
	})
	b.Do(func(tx *store.Tx) error {
		third := contact.SubjectID{Authority: "T", MRN: "third"}
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: third, Phones: &[]contact.Number{{Phone: shared}}, Source: "hl7:ehr"})
		return err
	})
	gone(theirs, "a person who wants no calls any more")
	v := b.mustStart(StartRequest{Service: "patient-signup", Channel: ChannelCall, To: patient})
	b.Do(func(tx *store.Tx) error { return contact.Flag(tx, patient, contact.Flags{NoVoice: &yes}, "patient") })
	gone(v, "a number that wants no calls any more")
}

// A send whose route went on is told as the ways it went, each with its own id and where it stands.
func TestTries(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second})
	})
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	tries := func() (all []Try) {
		b.Do(func(tx *store.Tx) (err error) { all, err = Tries(tx, v); return err })
		return all
	}
	if got := tries(); len(got) != 1 || got[0].ID != v.Sends[0].ID || got[0].Channel != outbox.SMS || got[0].Status != outbox.Queued {
		t.Fatalf("at first: %v", got)
	}
	hand := func(r outbox.Result) {
		b.Do(func(tx *store.Tx) error {
			job, ok, err := outbox.Next(tx, "m1", sources)
			if err != nil || !ok {
				t.Fatalf("nothing to hand over: %v", err)
			}
			return outbox.Settle(tx, job.Message.ID, job.Attempt, r)
		})
	}
	hand(outbox.Result{Outcome: outbox.Refused, Cause: "no texts"})
	hand(outbox.Result{Outcome: outbox.Undelivered, Cause: "busy"})
	got := tries()
	if len(got) != 2 || got[0].Status != outbox.Refused || got[1].Channel != outbox.Call || got[1].Status != outbox.Undelivered || got[1].ID == got[0].ID || len(got[1].ID) != 34 {
		t.Errorf("after a refused text and a busy call: %v", got)
	}
}
