package otp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

// A stranger's guesses hold back the public, not the desk; and a success ends
// the row.
func TestFailuresOfThePublicDoNotHoldStaffBackAndASuccessEndsTheRow(t *testing.T) {
	inBubble(t, func(b *box) {
		fail := func(staff bool, n int) (Verification, string) {
			b.T.Helper()
			v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Staff: staff})
			code := b.Code()
			for i := range n {
				if _, _, err := b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(code)}); err != nil {
					t.Fatalf("try %d: %v", i+1, err)
				}
			}
			return v, code
		}
		fail(false, 5)
		time.Sleep(5 * time.Minute)
		v, _ := fail(false, 1)
		if _, _, err := b.check(CheckRequest{ID: v.ID, Code: "000000"}); !Refusal(err) {
			t.Fatalf("the public is not held back: %v", err)
		}
		b.Do(func(tx *store.Tx) error {
			_, err := Cancel(tx, v.ID)
			return err
		})
		for range 2 {
			v, code := fail(true, 4)
			if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); err != nil || !valid {
				t.Fatalf("staff: valid %t, %v", valid, err)
			}
		}
	})
}

// What a stranger can use up of a number's budget leaves the reserve to staff.
func TestBudgetOfANumberKeepsItsReserveForStaff(t *testing.T) {
	b := newBox(t)
	hour := limit.Default().NumberHour
	i := 0
	start := func(staff bool) error {
		i++
		_, err := b.start(StartRequest{Service: "patient-signup", To: patient, Reference: fmt.Sprint(i), Staff: staff})
		return err
	}
	full := func(err error) bool {
		e, ok := errors.AsType[*limit.Exceeded](err)
		return ok && e.Budget == hour.Name && e.RetryAfter > 0
	}
	for range hour.Max - hour.Reserve {
		if err := start(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := start(false); !full(err) {
		t.Fatalf("the public gets into the reserve: %v", err)
	}
	if r := b.Last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || outboxtest.Attr(r.Entry, "cause") != "limit "+hour.Name {
		t.Errorf("entry is %v, cause %q", r.Entry, outboxtest.Attr(r.Entry, "cause"))
	}
	for range hour.Reserve {
		if err := start(true); err != nil {
			t.Fatalf("staff does not get the reserve: %v", err)
		}
	}
	if err := start(true); !full(err) {
		t.Fatalf("staff gets more than the whole: %v", err)
	}
	if _, err := b.start(StartRequest{Service: "patient-signup", To: outboxtest.Phone("+16175551235")}); err != nil {
		t.Errorf("another number: %v", err)
	}
}

// A start that no sender could take costs the patient nothing of the budget.
func TestBusyRefusesAndLeavesBudgetsAsTheyWere(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Ready: false, Cause: "no network"})
	})
	for range limit.Default().NumberHour.Max + 1 {
		_, err := b.start(StartRequest{Service: "patient-signup", To: patient})
		if busy, ok := errors.AsType[*outbox.Busy](err); !ok || busy.RetryAfter < time.Second {
			t.Fatalf("start without a sender: %v", err)
		}
	}
	if r := b.Last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || outboxtest.Attr(r.Entry, "cause") == "" {
		t.Errorf("entry of a busy start is %v", r.Entry)
	}
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Ready: true})
	})
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
}

// A call on a box without a modem that calls is no matter of waiting: who asks
// again later gets no further, so it is not told to.
func TestChannelThatNoModemTakesIsRefusedAndNotBusy(t *testing.T) {
	b := newBox(t)
	for range limit.Default().NumberHour.Max + 1 {
		_, err := b.start(StartRequest{Service: "patient-signup", To: patient, Channel: ChannelCall})
		if !errors.Is(err, ErrChannel) || !Refusal(err) || Overloaded(err) {
			t.Fatalf("call without a modem that calls: %v", err)
		}
	}
	if r := b.Last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || !strings.Contains(outboxtest.Attr(r.Entry, "cause"), ErrChannel.Error()) {
		t.Errorf("entry is %v", r.Entry)
	}
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient, Channel: ChannelCall}); !errors.Is(err, ErrChannel) {
		t.Errorf("resend by call: %v", err)
	}
	if got := b.get(v.ID); got.State != Pending || got.Channel != ChannelAuto || len(got.Sends) != 1 {
		t.Errorf("the refused resend changed the verification: %s by %s, %d sends", got.State, got.Channel, len(got.Sends))
	}
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m2", SIM: "8902", Voice: true})
	})
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient, Channel: ChannelCall}); !Overloaded(err) {
		t.Errorf("call while the modem that calls is not ready: %v", err)
	}
}

func TestUnknownServiceChannelAndLocaleAreRefused(t *testing.T) {
	b := newBox(t)
	for _, c := range []struct {
		req  StartRequest
		want error
	}{
		{StartRequest{Service: "nothing", To: patient}, ErrUnknownService},
		{StartRequest{Service: "VA00000000000000000000000000000000", To: patient}, ErrUnknownService},
		{StartRequest{Service: "patient-signup", To: patient, Channel: "email"}, ErrChannel},
		{StartRequest{Service: "patient-signup", To: patient, Locale: "fr"}, ErrLocale},
		{StartRequest{Service: "staff-login", To: patient}, ErrStaffOnly},
		{StartRequest{Service: "billing", To: patient}, ErrReferenceNeeded},
		{StartRequest{Service: "consent-signature", To: patient, Reference: "hash"}, ErrSubjectNeeded},
		{StartRequest{Service: "patient-signup", To: patient, Amount: 100, Payee: "Desk"}, ErrAmount},
		{StartRequest{Service: "patient-signup", To: patient, CustomCode: "123456"}, ErrCustomCode},
	} {
		if _, err := b.start(c.req); !errors.Is(err, c.want) {
			t.Errorf("start of %s: %v, not %v", c.req.Service, err, c.want)
		}
	}
}
