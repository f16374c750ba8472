package otp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// inBubble runs a test on a clock that it moves by sleeping.
func inBubble(t *testing.T, fn func(b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(newBox(t)) })
}

func TestTextIsValidForTheRestOfTheLifeAndGoneAfterIt(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		if got := v.Expires.Sub(v.Created); got != 5*time.Minute {
			t.Fatalf("life is %v", got)
		}
		time.Sleep(2 * time.Minute)
		job, ok := b.Send(outbox.NotSent)
		if !ok || job.Rendered.Validity != 3*time.Minute || !job.Rendered.Report {
			t.Fatalf("validity is %v, report %t", job.Rendered.Validity, job.Rendered.Report)
		}
		time.Sleep(3 * time.Minute)
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("a dead code goes out")
		}
		if got := b.get(v.ID); got.State != Expired {
			t.Errorf("state after the life is %s, before any sweep", got.State)
		}
	})
}

func TestSweepEndsAndLaterDeletes(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		b.Code()
		approved := b.mustStart(StartRequest{Service: "patient-signup", To: outboxtest.Phone("+16175551235")})
		code := b.Code()
		b.check(CheckRequest{ID: approved.ID, Code: code})
		sweep := func() { b.T.Helper(); b.Do(sweepAll) }

		time.Sleep(5 * time.Minute)
		sweep()
		if r := b.Last(); r.Entry.Action != ActionEnd || r.Entry.Object != v.ID || outboxtest.Attr(r.Entry, "state") != "expired" {
			t.Fatalf("entry of the sweep is %v, state %q", r.Entry, outboxtest.Attr(r.Entry, "state"))
		}
		n := len(b.Entries())
		sweep() // nothing to do, nothing written
		if len(b.Entries()) != n {
			t.Error("an idle sweep leaves entries")
		}
		if got := b.get(approved.ID); got.State != Approved {
			t.Errorf("the sweep made an approved one %s", got.State)
		}
		time.Sleep(keep)
		sweep()
		if r := b.Last(); r.Entry.Action != ActionPurge || outboxtest.Attr(r.Entry, "count") != "2" {
			t.Errorf("entry of the purge is %v, count %q", r.Entry, outboxtest.Attr(r.Entry, "count"))
		}
		b.Do(func(tx *store.Tx) error {
			for _, id := range []string{v.ID, approved.ID} {
				if _, err := Get(tx, id); !errors.Is(err, ErrNotFound) {
					t.Errorf("a purged verification is found: %v", err)
				}
			}
			if n, err := due.Len(tx); err != nil || n != 0 {
				t.Errorf("%d due keys are left, %v", n, err)
			}
			if n, err := ofNumber.Len(tx); err != nil || n != 0 {
				t.Errorf("%d keys of numbers are left, %v", n, err)
			}
			if n, err := current.Len(tx); err != nil || n != 0 {
				t.Errorf("%d current keys are left, %v", n, err)
			}
			return nil
		})
	})
}

func TestRefusedByTheNetworkEndsAsFailed(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Channel: ChannelSMS})
		b.Send(outbox.Refused)
		time.Sleep(5 * time.Minute)
		b.Do(sweepAll)
		if got := b.get(v.ID); got.State != Failed {
			t.Errorf("state is %s", got.State)
		}
	})
}

func TestWindowOpensWithEachHandOver(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "portal-login", To: patient})
		job, _ := b.Send(outbox.Sent)
		code := outboxtest.CodeIn(t, job)
		if job.Rendered.Validity != 90*time.Second {
			t.Errorf("validity is %v", job.Rendered.Validity)
		}
		time.Sleep(91 * time.Second)
		got, valid, err := b.check(CheckRequest{ID: v.ID, Code: code})
		if err != nil || valid || got.State != Pending || got.Checks != 1 {
			t.Fatalf("right code behind the window: %v, valid %t, %v", got, valid, err)
		}
		if r := b.Last(); outboxtest.Attr(r.Entry, "window") != "closed" {
			t.Error("the entry does not say that the window was closed")
		}
		b.mustStart(StartRequest{Service: "portal-login", To: patient})
		if _, valid, _ := b.check(CheckRequest{ID: v.ID, Code: code}); valid {
			t.Error("the window opens before the hand-over")
		}
		b.Code()
		time.Sleep(80 * time.Second)
		if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); err != nil || !valid {
			t.Errorf("right code in the second window: valid %t, %v", valid, err)
		}
	})
}

// A text never promises more than is kept: not the minute that a window of 90
// seconds lacks, and in a resend no more than is left.
func TestTextPromisesNoMoreThanIsKept(t *testing.T) {
	inBubble(t, func(b *box) {
		promised := func() string {
			b.T.Helper()
			job, ok := b.Send(outbox.Sent)
			if !ok {
				b.T.Fatal("no text")
			}
			_, rest, _ := strings.Cut(job.Rendered.Text, "Valid ")
			minutes, _, _ := strings.Cut(rest, ".")
			return minutes
		}
		b.mustStart(StartRequest{Service: "portal-login", To: patient})
		if got := promised(); got != "1 min" {
			t.Errorf("a window of 90 s is promised as %q", got)
		}
		for i, c := range []struct {
			after time.Duration
			want  string
		}{{0, "5 min"}, {20 * time.Millisecond, "5 min"}, {time.Second, "4 min"}, {100 * time.Second, "3 min"}, {150 * time.Second, "2 min"}} {
			to := outboxtest.Phone(fmt.Sprint("+1617555124", i))
			b.mustStart(StartRequest{Service: "patient-signup", To: to})
			if c.after > time.Second {
				promised()
			}
			time.Sleep(c.after)
			if c.after > time.Second {
				b.mustStart(StartRequest{Service: "patient-signup", To: to})
			}
			if got := promised(); got != c.want {
				t.Errorf("%v after the start it says %q, want %q", c.after, got, c.want)
			}
		}
		b.mustStart(StartRequest{Service: "patient-signup", To: outboxtest.Phone("+16175551999"), Life: 45 * time.Second})
		if got := promised(); got != "1 min" {
			t.Errorf("45 s are promised as %q", got)
		}
	})
}

// A client may ask for a shorter life, and never for a longer one.
func TestLifeThatAStartAsksFor(t *testing.T) {
	inBubble(t, func(b *box) {
		for i, c := range []struct{ asked, want time.Duration }{
			{0, 5 * time.Minute}, {2 * time.Minute, 2 * time.Minute}, {time.Hour, 5 * time.Minute}, {time.Second, MinLife}, {-time.Second, 5 * time.Minute},
		} {
			v := b.mustStart(StartRequest{Service: "patient-signup", To: outboxtest.Phone(fmt.Sprint("+1617555124", i)), Life: c.asked})
			if got := v.Expires.Sub(v.Created); got != c.want {
				t.Errorf("asked for %v: the life is %v, want %v", c.asked, got, c.want)
			}
			b.Send(outbox.Sent)
		}
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Life: MinLife})
		job, _ := b.Send(outbox.Sent)
		code := outboxtest.CodeIn(t, job)
		if job.Rendered.Validity != MinLife {
			t.Errorf("the network may keep it for %v", job.Rendered.Validity)
		}
		time.Sleep(10 * time.Second)
		if again := b.mustStart(StartRequest{Service: "patient-signup", To: patient}); again.ID != v.ID || again.Expires != v.Expires {
			t.Error("a resend begins another, or changes the life")
		}
		time.Sleep(20 * time.Second)
		if _, _, err := b.check(CheckRequest{ID: v.ID, Code: code}); !errors.Is(err, ErrNotFound) {
			t.Errorf("check after the life that was asked for: %v", err)
		}
	})
}

// The last half minute of a life is no use to who has yet to read the text.
func TestStartAtTheEndOfALifeBeginsAnother(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		time.Sleep(4*time.Minute + 31*time.Second)
		next := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		if next.ID == v.ID || next.Expires.Sub(next.Created) != 5*time.Minute {
			t.Errorf("same verification %t, life %v", next.ID == v.ID, next.Expires.Sub(next.Created))
		}
	})
}

func TestCodeSurvivesTheChangeOfDay(t *testing.T) {
	inBubble(t, func(b *box) {
		time.Sleep(24*time.Hour - 2*time.Minute) // the bubble begins at midnight UTC
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		code := b.Code()
		time.Sleep(4 * time.Minute)
		b.mustStart(StartRequest{Service: "patient-signup", To: outboxtest.Phone("+16175551235")}) // makes the new day's key
		if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); err != nil || !valid {
			t.Errorf("yesterday's code, four minutes old: valid %t, %v", valid, err)
		}
	})
}

// Changing a number is binding an authenticator: a day, or proof in person.
func TestChangedNumberReleasesNothingForADay(t *testing.T) {
	inBubble(t, func(b *box) {
		id := contact.SubjectID{Authority: "RIV", MRN: "000123"}
		put := func(n contact.Number) {
			b.T.Helper()
			b.Do(func(tx *store.Tx) error {
				_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, At: tx.Now(), Source: "hl7:adt", Phones: &[]contact.Number{n}})
				return err
			})
		}
		put(contact.Number{Phone: outboxtest.Phone("+16175551200")})
		time.Sleep(48 * time.Hour)
		put(contact.Number{Phone: patient})
		req := StartRequest{Service: "lab-release", To: patient, Subject: id, Reference: "result-1"}
		if _, err := b.start(req); !errors.Is(err, ErrNumberNotBound) {
			t.Fatalf("a number of this minute: %v", err)
		}
		req.To = outboxtest.Phone("+16175551299")
		if _, err := b.start(req); !errors.Is(err, ErrNumberNotBound) {
			t.Fatalf("a number that is not the subject's: %v", err)
		}
		if _, err := b.start(StartRequest{Service: "patient-signup", To: patient, Subject: id}); err != nil {
			t.Fatalf("a service without the rule: %v", err)
		}
		time.Sleep(24 * time.Hour)
		req.To = patient
		if _, err := b.start(req); err != nil {
			t.Errorf("a day later: %v", err)
		}
	})
}

func TestOnlyTheDeskProvesAChangedNumber(t *testing.T) {
	b := newBox(t)
	id := contact.SubjectID{Authority: "RIV", MRN: "000123"}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, At: tx.Now(), Source: "hl7:adt", Phones: &[]contact.Number{{Phone: patient}}})
		return err
	})
	approve := func(service string, staff bool) {
		b.T.Helper()
		v := b.mustStart(StartRequest{Service: service, To: patient, Subject: id, Staff: staff})
		if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: b.Code()}); err != nil || !valid {
			t.Fatalf("check of %s: valid %t, %v", service, valid, err)
		}
	}
	release := StartRequest{Service: "consent-signature", To: patient, Subject: id, Reference: "document"}
	approve("patient-signup", false) // whoever changed the number can do this
	approve("prescription-pickup", false)
	if _, err := b.start(release); !errors.Is(err, ErrNumberNotBound) {
		t.Fatalf("a code typed at home binds the number: %v", err)
	}
	approve("prescription-pickup", true)
	if _, err := b.start(release); err != nil {
		t.Errorf("a code told to staff at the counter does not bind the number: %v", err)
	}
}

func TestStopThatAnswersACodeStopsCodesAndOffersACall(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true})
	})
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.Code()
	b.Do(func(tx *store.Tx) error {
		_, err := Cancel(tx, v.ID)
		return err
	})
	b.Do(func(tx *store.Tx) error {
		handled, err := consent.Incoming(tx, consent.In{From: patient, Body: "Stop", SIM: "8901", At: tx.Now()})
		if !handled {
			t.Error("STOP is not handled")
		}
		return err
	})
	for _, channel := range []string{ChannelSMS, ChannelAuto} {
		_, err := b.start(StartRequest{Service: "patient-signup", To: patient, Channel: channel})
		if !errors.Is(err, consent.ErrOptedOutOfCodes) {
			t.Errorf("start by %s after the STOP: %v", channel, err)
		}
	}
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient, Channel: ChannelCall}); err != nil {
		t.Errorf("start by call after the STOP: %v", err)
	}
}

// A STOP that came while the text waited is heeded at the last moment.
func TestStopWhileQueuedWithdrawsTheText(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.Do(func(tx *store.Tx) error {
		wrong := true
		return contact.Flag(tx, patient, contact.Flags{WrongNumber: &wrong}, "desk")
	})
	if _, ok := b.Send(outbox.Sent); ok {
		t.Error("a text goes to a number flagged as wrong")
	}
	b.Do(func(tx *store.Tx) error {
		m, _, err := outbox.Get(tx, v.Sends[0].Message)
		if m.State != outbox.Canceled {
			t.Errorf("its message is %s", m.State)
		}
		return err
	})
}

func TestCodeTextedBackCountsWhereTheServiceAllows(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		s, err := FindService(tx, "appointment-booking")
		if err != nil {
			return err
		}
		s.TextBack = true
		_, err = SaveService(tx, s)
		return err
	})
	back := func(body string) (handled bool) {
		b.T.Helper()
		b.Do(func(tx *store.Tx) (err error) {
			handled, err = Incoming(tx, consent.In{From: patient, Body: body, At: tx.Now()})
			return err
		})
		return handled
	}
	other := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	if code := b.Code(); back(code) {
		t.Error("a code is taken for a service that does not allow it")
	}
	v := b.mustStart(StartRequest{Service: "appointment-booking", To: patient})
	code := b.Code()
	if back("thanks") || back("12") {
		t.Error("a text that is no code is taken for one")
	}
	if !back(outboxtest.Wrong(code)) || b.get(v.ID).Checks != 1 {
		t.Error("a wrong code texted back is not counted")
	}
	if !back(" "+code[:3]+"-"+code[3:]+"\n") || b.get(v.ID).State != Approved {
		t.Error("the code texted back does not approve")
	}
	if got := b.get(other.ID); got.State != Pending || got.Checks != 0 {
		t.Errorf("another verification of the number is %s with %d checks", got.State, got.Checks)
	}
}

// sweepAll is Sweep while there is no hold.
func sweepAll(tx *store.Tx) error { return Sweep(tx, func(_, _ time.Time) bool { return false }) }
