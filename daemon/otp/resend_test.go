package otp

import (
	"errors"
	"testing"
	"time"

	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// NIST SP 800-63B 3.1.3.2: a new code shall not reset the failure count.
func TestNewCodeResetsNoFailureCount(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
		code := b.Code()
		for range 3 {
			b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(code)})
		}
		again := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
		fresh := b.Code()
		if again.ID != v.ID || again.Generation != 1 || again.Checks != 3 {
			t.Fatalf("fresh resend: same id %t, generation %d, checks %d", again.ID == v.ID, again.Generation, again.Checks)
		}
		b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(fresh)})
		got, _, _ := b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(fresh)})
		if got.State != MaxChecks {
			t.Errorf("five wrong codes over two generations leave it %s", got.State)
		}
		// Nor does another verification: its first wrong code is the sixth in a row
		// and holds the next check back.
		time.Sleep(5 * time.Minute)
		v = b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		code = b.Code()
		if _, _, err := b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(code)}); err != nil {
			t.Fatalf("the sixth try itself is held back: %v", err)
		}
		_, valid, err := b.check(CheckRequest{ID: v.ID, Code: code})
		held, ok := errors.AsType[*limit.Exceeded](err)
		if !ok || valid || held.RetryAfter != 30*time.Second {
			t.Fatalf("check after the sixth wrong code in a row: valid %t, %v", valid, err)
		}
		time.Sleep(30 * time.Second)
		if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); err != nil || !valid {
			t.Errorf("the right code after the wait: valid %t, %v", valid, err)
		}
	})
}

func TestFreshCodeMakesTheOldOneWorthless(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
	old := b.Code()
	b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
	fresh := b.Code()
	if fresh == old { // one chance in a million
		b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
		fresh = b.Code()
	}
	if _, valid, _ := b.check(CheckRequest{ID: v.ID, Code: old}); valid {
		t.Error("the old code is still taken")
	}
	if _, valid, _ := b.check(CheckRequest{ID: v.ID, Code: fresh}); !valid {
		t.Error("the fresh code is not taken")
	}
}

func TestSecondStartSendsTheSameCodeAgainAndTheSixthIsRefused(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	code := b.Code()
	for i := 2; i <= 5; i++ {
		again := b.mustStart(StartRequest{Service: v.ServiceSID, To: patient})
		if again.ID != v.ID || len(again.Sends) != i {
			t.Fatalf("start %d: same id %t, %d sends", i, again.ID == v.ID, len(again.Sends))
		}
		if got := b.Code(); got != code {
			t.Fatalf("start %d sends another code", i)
		}
	}
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient}); !errors.Is(err, ErrMaxSends) {
		t.Fatalf("sixth send: %v", err)
	}
	if r := b.Last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || r.Entry.Object != v.ID {
		t.Errorf("entry of the sixth send is %v", r.Entry)
	}
	if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); err != nil || !valid {
		t.Errorf("after the refused send the code: valid %t, %v", valid, err)
	}
}

// A resend overtakes what has not left yet: the patient gets one text.
func TestResendWhileQueuedSendsOneText(t *testing.T) {
	b := newBox(t)
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.Code()
	if job, ok := b.Send(outbox.Sent); ok {
		t.Errorf("a second text goes out: %s", job.Message.ID)
	}
}

// Nor do further steps follow a text that a resend overtook, and both texts
// have the type by which a handset replaces one by the other.
func TestResendEndsTheRouteOfTheTextBeforeIt(t *testing.T) {
	b := newBox(t)
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	first, _ := b.Send(outbox.Sent)
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	second, _ := b.Send(outbox.Sent)
	if first.Rendered.Replace != 1 || second.Rendered.Replace != 1 {
		t.Errorf("replace types %d and %d", first.Rendered.Replace, second.Rendered.Replace)
	}
	b.Do(func(tx *store.Tx) error {
		m, ok, err := outbox.Get(tx, first.Message.ID)
		if !ok || !m.Stopped {
			t.Error("the first text's route goes on")
		}
		if _, err := Render(tx, first.Message); !errors.Is(err, outbox.ErrGone) {
			t.Errorf("a text that was overtaken is rendered again: %v", err)
		}
		if _, err := Render(tx, second.Message); err != nil {
			t.Errorf("a step of the second text: %v", err)
		}
		return err
	})
}
