package notice

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/text"
	"pinward/store"
)

// landline makes the modem one that calls, and the number a landline.
func (b *box) landline(p contact.Phone) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		if err := outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second}); err != nil {
			return err
		}
		return contact.Flag(tx, p, contact.Flags{Type: new(contact.LineLandline)}, "desk")
	})
}

// hand is what the modem is given, if anything.
func (b *box) hand() (job outbox.Job, ok bool) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) (err error) { job, ok, err = outbox.Next(tx, "m1", sources); return err })
	return job, ok
}

func (b *box) over(job outbox.Job, s outbox.State) {
	b.T.Helper()
	b.Do(func(tx *store.Tx) error {
		return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: s, Cause: "test"})
	})
}

// A landline is told by day, by a call that says nothing of the text, once a day; a text that asks for an answer, and a template that may
// not be spoken, do not go there at all.
func TestNoticeForALandline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.landline(patient)
		n := b.mustAsk(Request{To: patient}) // the bubble's clock begins at 19:00 in New York
		if !n.Voice {
			t.Fatal("a landline is texted")
		}
		if _, ok := b.hand(); ok {
			t.Fatal("a telephone rings in the evening")
		}
		time.Sleep(13*time.Hour + 59*time.Minute)
		if _, ok := b.hand(); ok {
			t.Fatal("a telephone rings before nine, though the quiet hours are over")
		}
		time.Sleep(time.Minute)
		job, ok := b.hand()
		if !ok || job.Rendered.Text != "" || job.Rendered.Call.Say != outbox.SayNotice || job.Rendered.Call.Code != "" || job.Rendered.Call.Phone != "617-555-1000" {
			t.Fatalf("at nine: %v", ok)
		}
		b.over(job, outbox.Delivered)
		if _, s := b.state(n.ID); s != outbox.Delivered {
			t.Errorf("it is %s", s)
		}
		second := b.mustAsk(Request{To: patient, Urgent: true, Expires: time.Now().Add(72 * time.Hour)})
		if _, ok := b.hand(); ok {
			t.Error("a second call on one day")
		}
		time.Sleep(24*time.Hour + time.Minute)
		b.landline(patient) // its modem reports each hour
		if job, ok = b.hand(); !ok {
			n, s := b.state(second.ID)
			t.Fatalf("no call the day after: %s, %s, not before %v, it is %v", s, n.Cause, n.At, time.Now())
		}
		b.over(job, outbox.Undelivered)
		for _, name := range []string{"appointment.confirm", "telehealth.link"} {
			v := text.Values{}
			v.SetSite("Main Street")
			v.SetInstant("start", time.Now().Add(48*time.Hour))
			if err := v.SetLink("https://portal.example.org/x", []string{"portal.example.org"}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := b.ask(Request{Template: name, To: patient, Slots: v}); !errors.Is(err, ErrNoNumber) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Whoever asks for a call gets one, to a mobile as well, and to a telephone at home before it; where none is possible that is a refusal of its
// own, and no text goes in its place, also when it turns out later.
func TestCallAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		id := contact.SubjectID{Authority: "RIV", MRN: "42"}
		home := outboxtest.Phone("+16175559876")
		person := func(u contact.SubjectUpdate) {
			t.Helper()
			u.ID, u.Source = id, "test"
			b.Do(func(tx *store.Tx) error { _, err := contact.Upsert(tx, u); return err })
		}
		person(contact.SubjectUpdate{Phones: &[]contact.Number{{Phone: patient, Use: "PRN", Equipment: "CP"}}})
		refused := func(want error, req Request) {
			t.Helper()
			if req.Call = true; req.Expires.IsZero() {
				req.Expires = time.Now().Add(72 * time.Hour)
			}
			if _, _, err := b.ask(req); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		refused(ErrNoVoice, Request{Subject: id}) // no modem calls
		modem := func() {
			b.Do(func(tx *store.Tx) error {
				return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true, PartTime: time.Second})
			})
		}
		modem()
		n := b.mustAsk(Request{Subject: id, Call: true}) // the bubble's clock begins at 19:00 in New York
		if n.To != patient || !n.Voice {
			t.Errorf("to the mobile %v, by voice %v", n.To == patient, n.Voice)
		}
		if b.mustAsk(Request{To: patient, Call: true}).Voice != true || b.mustAsk(Request{To: patient, Key: "text"}).Voice {
			t.Error("a number that is named goes otherwise than it was asked for")
		}
		job, ok := b.hand()
		if !ok || job.Rendered.Text == "" {
			t.Fatalf("the text waits for the day as well: %v", ok)
		}
		b.over(job, outbox.Sent)
		time.Sleep(14 * time.Hour)
		modem()
		if job, ok := b.hand(); !ok || job.Rendered.Call.Say != outbox.SayNotice || job.Rendered.Text != "" {
			t.Fatalf("no call by day: %v", ok)
		} else {
			b.over(job, outbox.Delivered)
		}
		v := text.Values{}
		v.SetSite("Main Street")
		v.SetInstant("start", time.Now().Add(48*time.Hour))
		refused(ErrNoVoice, Request{Template: "appointment.confirm", Subject: id, Slots: v}) // it asks for an answer

		person(contact.SubjectUpdate{Phones: &[]contact.Number{{Phone: patient, Use: "PRN", Equipment: "CP"}, {Phone: home, Use: "PRN", Equipment: "PH"}}})
		b.Do(func(tx *store.Tx) error {
			return contact.Flag(tx, home, contact.Flags{Type: new(contact.LineLandline)}, "desk")
		})
		if n := b.mustAsk(Request{Subject: id, Call: true}); n.To != home || !n.Voice {
			t.Error("the mobile is called before the telephone at home")
		}
		person(contact.SubjectUpdate{NoVoice: new(true)})
		refused(ErrNoCalls, Request{Subject: id})
		refused(ErrNoCalls, Request{Subject: id, To: patient})
		for range 3 { // what waits is asked about again
			if _, ok := b.hand(); ok {
				t.Error("somebody who wants no calls is told by one, or by a text in its place")
			}
			time.Sleep(24 * time.Hour)
			modem()
		}
	})
}

// The key that refuses such calls is recorded as consent, holds for notices by voice alone, and can be taken back; a number that wants no
// calls, and a box that makes none, refuse at once.
func TestNoMoreCallsAboutNotices(t *testing.T) {
	b := newBox(t)
	b.landline(patient)
	n := b.mustAsk(Request{To: patient})
	b.Do(func(tx *store.Tx) error { return RefuseCalls(tx, n.ID) })
	b.Do(func(tx *store.Tx) error {
		c, err := consent.Of(tx, patient)
		if c.Voice != consent.Out || c.Texts == consent.Out || c.Codes == consent.Out {
			t.Errorf("consent: voice %q, texts %q, codes %q", c.Voice, c.Texts, c.Codes)
		}
		if err := consent.Allowed(tx, patient, text.Code, true); err != nil {
			t.Errorf("a code that was asked for: %v", err)
		}
		h, _ := consent.History(tx, patient)
		if len(h) != 1 || h[0].Class != consent.ByVoice || h[0].Source != consent.SourceCall {
			t.Errorf("history %v", h)
		}
		return err
	})
	if _, _, err := b.ask(Request{To: patient}); !errors.Is(err, consent.ErrOptedOut) {
		t.Errorf("after the key: %v", err)
	}
	b.Do(func(tx *store.Tx) error {
		return consent.Set(tx, patient, consent.ByVoice, consent.OptedIn, consent.SourceAPI)
	})
	b.mustAsk(Request{To: patient})
	b.Do(func(tx *store.Tx) error {
		return contact.Flag(tx, patient, contact.Flags{NoVoice: new(true)}, "patient")
	})
	if _, _, err := b.ask(Request{To: patient}); !errors.Is(err, ErrNoNumber) {
		t.Errorf("wants no calls: %v", err)
	}
	b.Do(func(tx *store.Tx) error {
		if err := contact.Flag(tx, patient, contact.Flags{NoVoice: new(false)}, "patient"); err != nil {
			return err
		}
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, PartTime: time.Second})
	})
	if _, _, err := b.ask(Request{To: patient}); !errors.Is(err, ErrNoNumber) {
		t.Errorf("no modem calls: %v", err)
	}
}
