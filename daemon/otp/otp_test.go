package otp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/store"
)

func TestWrongCodeIsCountedRightCodeApprovesAndIsTakenOnce(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	if v.State != Pending || len(v.Sends) != 1 || !strings.HasPrefix(v.ID, "VE") || len(v.ID) != 34 {
		t.Fatalf("start gave %v with %d sends", v, len(v.Sends))
	}
	code := b.code()

	got, valid, err := b.check(CheckRequest{ID: v.ID, Code: wrong(code)})
	if err != nil || valid || got.State != Pending || got.Checks != 1 {
		t.Fatalf("wrong code: %v valid %t checks %d, %v", got, valid, got.Checks, err)
	}
	if r := b.last(); r.Entry.Action != ActionCheck || r.Entry.Outcome != store.Refused || r.Actor.ID != portal.ID {
		t.Errorf("entry of a wrong code is %v by %v", r.Entry, r.Actor)
	}
	got, valid, err = b.check(CheckRequest{Service: v.ServiceSID, To: patient, Code: code[:3] + " " + code[3:]})
	if err != nil || !valid || got.State != Approved || got.Checks != 2 {
		t.Fatalf("right code: %v valid %t checks %d, %v", got, valid, got.Checks, err)
	}
	if r := b.last(); r.Entry.Action != ActionCheck || r.Entry.Outcome != store.OK || value(r.Entry, "state") != "approved" {
		t.Errorf("entry of a right code is %v, state %q", r.Entry, value(r.Entry, "state"))
	}
	for _, req := range []CheckRequest{{ID: v.ID, Code: code}, {Service: "patient-signup", To: patient, Code: code}} {
		if _, valid, err := b.check(req); !errors.Is(err, ErrNotFound) || valid {
			t.Errorf("second check of a code: valid %t, %v", valid, err)
		}
	}
}

func TestFiveWrongCodesThenMaxChecksUntilLifeEndsThenNotFound(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		code := b.code()
		for i := range 5 {
			got, valid, err := b.check(CheckRequest{ID: v.ID, Code: wrong(code)})
			want := Pending
			if i == 4 {
				want = MaxChecks
			}
			if err != nil || valid || got.State != want {
				t.Fatalf("wrong code %d: %v, valid %t, %v", i+1, got, valid, err)
			}
		}
		if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); !errors.Is(err, ErrMaxChecks) || valid {
			t.Errorf("the right code after five wrong ones: valid %t, %v", valid, err)
		}
		if _, err := b.start(StartRequest{Service: "patient-signup", To: patient}); !errors.Is(err, ErrMaxChecks) {
			t.Errorf("start after five wrong codes: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if _, valid, err := b.check(CheckRequest{ID: v.ID, Code: code}); !errors.Is(err, ErrNotFound) || valid {
			t.Errorf("the right code after the life: valid %t, %v", valid, err)
		}
	})
}

// NIST SP 800-63B 3.1.3.2: a new code shall not reset the failure count.
func TestNewCodeResetsNoFailureCount(t *testing.T) {
	inBubble(t, func(b *box) {
		v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
		code := b.code()
		for range 3 {
			b.check(CheckRequest{ID: v.ID, Code: wrong(code)})
		}
		again := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
		fresh := b.code()
		if again.ID != v.ID || again.Generation != 1 || again.Checks != 3 {
			t.Fatalf("fresh resend: same id %t, generation %d, checks %d", again.ID == v.ID, again.Generation, again.Checks)
		}
		b.check(CheckRequest{ID: v.ID, Code: wrong(fresh)})
		got, _, _ := b.check(CheckRequest{ID: v.ID, Code: wrong(fresh)})
		if got.State != MaxChecks {
			t.Errorf("five wrong codes over two generations leave it %s", got.State)
		}
		// Nor does another verification: its first wrong code is the sixth in a row
		// and holds the next check back.
		time.Sleep(5 * time.Minute)
		v = b.mustStart(StartRequest{Service: "patient-signup", To: patient})
		code = b.code()
		if _, _, err := b.check(CheckRequest{ID: v.ID, Code: wrong(code)}); err != nil {
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
	old := b.code()
	b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
	fresh := b.code()
	if fresh == old { // one chance in a million
		b.mustStart(StartRequest{Service: "patient-signup", To: patient, Fresh: true})
		fresh = b.code()
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
	code := b.code()
	for i := 2; i <= 5; i++ {
		again := b.mustStart(StartRequest{Service: v.ServiceSID, To: patient})
		if again.ID != v.ID || len(again.Sends) != i {
			t.Fatalf("start %d: same id %t, %d sends", i, again.ID == v.ID, len(again.Sends))
		}
		if got := b.code(); got != code {
			t.Fatalf("start %d sends another code", i)
		}
	}
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient}); !errors.Is(err, ErrMaxSends) {
		t.Fatalf("sixth send: %v", err)
	}
	if r := b.last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || r.Entry.Object != v.ID {
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
	b.code()
	if job, ok := b.send(outbox.Sent); ok {
		t.Errorf("a second text goes out: %s", job.Message.ID)
	}
}

// Nor do further steps follow a text that a resend overtook, and both texts
// have the type by which a handset replaces one by the other.
func TestResendEndsTheRouteOfTheTextBeforeIt(t *testing.T) {
	b := newBox(t)
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	first, _ := b.send(outbox.Sent)
	b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	second, _ := b.send(outbox.Sent)
	if first.Rendered.Replace != 1 || second.Rendered.Replace != 1 {
		t.Errorf("replace types %d and %d", first.Rendered.Replace, second.Rendered.Replace)
	}
	b.do(func(tx *store.Tx) error {
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

func TestNothingIsRenderedAfterTheEnd(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	job, _ := b.send(outbox.Sent)
	b.check(CheckRequest{ID: v.ID, Code: sixDigits.FindString(job.Rendered.Text)})
	b.do(func(tx *store.Tx) error {
		if _, err := Render(tx, job.Message); !errors.Is(err, outbox.ErrGone) {
			t.Errorf("the code of an approved verification is rendered: %v", err)
		}
		job.Message.Ref = "VE00000000000000000000000000000000"
		if _, err := Render(tx, job.Message); !errors.Is(err, outbox.ErrGone) {
			t.Errorf("a message of nothing is rendered: %v", err)
		}
		return nil
	})
}

func TestDeskCallsOnlyOnAClick(t *testing.T) {
	b := newBox(t)
	b.do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true})
	})
	calls := func(channel string) (n int) {
		b.t.Helper()
		v := b.mustStart(StartRequest{Service: "prescription-pickup", To: patient, Channel: channel})
		b.do(func(tx *store.Tx) error {
			m, _, err := outbox.Get(tx, v.Sends[len(v.Sends)-1].Message)
			for _, s := range m.Route {
				if s.Channel == outbox.Call {
					n++
				}
			}
			return err
		})
		return n
	}
	if auto, call := calls(ChannelAuto), calls(ChannelCall); auto != 0 || call != 1 {
		t.Errorf("%d calls on the route of auto, %d on that of call", auto, call)
	}
}

// A stranger's guesses hold back the public, not the desk; and a success ends
// the row.
func TestFailuresOfThePublicDoNotHoldStaffBackAndASuccessEndsTheRow(t *testing.T) {
	inBubble(t, func(b *box) {
		fail := func(staff bool, n int) (Verification, string) {
			b.t.Helper()
			v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Staff: staff})
			code := b.code()
			for i := range n {
				if _, _, err := b.check(CheckRequest{ID: v.ID, Code: wrong(code)}); err != nil {
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
		b.do(func(tx *store.Tx) error {
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

func TestAnotherReferenceIsAnotherVerification(t *testing.T) {
	b := newBox(t)
	one := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Reference: "form-1"})
	code := b.code()
	two := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Reference: "form-2"})
	other := b.code()
	if one.ID == two.ID {
		t.Fatal("two references share one verification")
	}
	for _, req := range []CheckRequest{
		{ID: one.ID, Code: code},
		{ID: one.ID, Code: code, Reference: "form-2"},
		{Service: "patient-signup", To: patient, Code: code, Reference: "form-3"},
	} {
		if _, valid, err := b.check(req); !errors.Is(err, ErrReference) || valid {
			t.Errorf("check with reference %q: valid %t, %v", req.Reference, valid, err)
		}
	}
	if _, valid, err := b.check(CheckRequest{Service: "patient-signup", To: patient, Code: other, Reference: "form-2"}); err != nil || !valid {
		t.Errorf("check with its own reference: valid %t, %v", valid, err)
	}
}

func TestOfListsANumbersVerificationsNewestFirst(t *testing.T) {
	b := newBox(t)
	one := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	two := b.mustStart(StartRequest{Service: "portal-login", To: patient})
	b.mustStart(StartRequest{Service: "portal-login", To: phone("+16175551235")})
	b.do(func(tx *store.Tx) error {
		all, err := Of(tx, patient)
		if err != nil || len(all) != 2 || all[0].ID != two.ID || all[1].ID != one.ID {
			t.Errorf("%d verifications, %v", len(all), err)
		}
		return nil
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
	if r := b.last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || value(r.Entry, "cause") != "limit "+hour.Name {
		t.Errorf("entry is %v, cause %q", r.Entry, value(r.Entry, "cause"))
	}
	for range hour.Reserve {
		if err := start(true); err != nil {
			t.Fatalf("staff does not get the reserve: %v", err)
		}
	}
	if err := start(true); !full(err) {
		t.Fatalf("staff gets more than the whole: %v", err)
	}
	if _, err := b.start(StartRequest{Service: "patient-signup", To: phone("+16175551235")}); err != nil {
		t.Errorf("another number: %v", err)
	}
}

// A start that no sender could take costs the patient nothing of the budget.
func TestBusyRefusesAndLeavesBudgetsAsTheyWere(t *testing.T) {
	b := newBox(t)
	b.do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Ready: false, Cause: "no network"})
	})
	for range limit.Default().NumberHour.Max + 1 {
		_, err := b.start(StartRequest{Service: "patient-signup", To: patient})
		if busy, ok := errors.AsType[*outbox.Busy](err); !ok || busy.RetryAfter < time.Second {
			t.Fatalf("start without a sender: %v", err)
		}
	}
	if r := b.last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || value(r.Entry, "cause") == "" {
		t.Errorf("entry of a busy start is %v", r.Entry)
	}
	b.do(func(tx *store.Tx) error {
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
	if r := b.last(); r.Entry.Action != ActionStart || r.Entry.Outcome != store.Refused || !strings.Contains(value(r.Entry, "cause"), ErrChannel.Error()) {
		t.Errorf("entry is %v", r.Entry)
	}
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	if _, err := b.start(StartRequest{Service: "patient-signup", To: patient, Channel: ChannelCall}); !errors.Is(err, ErrChannel) {
		t.Errorf("resend by call: %v", err)
	}
	if got := b.get(v.ID); got.State != Pending || got.Channel != ChannelAuto || len(got.Sends) != 1 {
		t.Errorf("the refused resend changed the verification: %s by %s, %d sends", got.State, got.Channel, len(got.Sends))
	}
	b.do(func(tx *store.Tx) error {
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

func TestSpanishTextForASpanishLocale(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Locale: "es-US"})
	if v.Locale != "es" {
		t.Fatalf("locale is %q", v.Locale)
	}
	job, ok := b.send(outbox.Sent)
	if !ok || !strings.Contains(job.Rendered.Text, "es su clave") {
		t.Error("the text is not Spanish")
	}
}

func TestEachShippedServiceSendsItsOneCode(t *testing.T) {
	for _, s := range Shipped() {
		t.Run(s.Name, func(t *testing.T) {
			b := newBox(t)
			req := StartRequest{Service: s.Name, To: patient, Staff: s.Staff}
			if s.Reference {
				req.Reference = "order-7"
			}
			if s.Amount {
				req.Amount, req.Payee = 125_00, "Riverside"
			}
			if s.Bound {
				req.Subject = contact.SubjectID{Authority: "RIV", MRN: "000123"}
				b.do(func(tx *store.Tx) error {
					_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: req.Subject, At: tx.Now(), Source: "desk",
						Phones: &[]contact.Number{{Phone: patient}}})
					if err != nil {
						return err
					}
					return contact.Proven(tx, req.Subject, patient)
				})
			}
			v := b.mustStart(req)
			code := b.code()
			got, valid, err := b.check(CheckRequest{ID: v.ID, Code: code, Reference: req.Reference})
			if err != nil || !valid || got.State != Approved {
				t.Errorf("check: %v, valid %t, %v", got, valid, err)
			}
		})
	}
}

// The code is nowhere on the disk: not in a record, an entry or an index.
func TestCodeAndNumberAreNotInTheFiles(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Reference: "ref-1f9a33"})
	code := b.code()
	b.check(CheckRequest{ID: v.ID, Code: wrong(code), Reference: "ref-1f9a33"})
	b.check(CheckRequest{ID: v.ID, Code: code, Reference: "ref-1f9a33"})
	planted := []string{patient.E164()[1:], "ref-1f9a33", "Riverside: "}
	found := 0
	err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found++
		for _, p := range planted {
			if bytes.Contains(raw, []byte(p)) {
				t.Errorf("a planted value is readable in %s", filepath.Base(path))
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Fatalf("looked at %d files: %v", found, err)
	}
	for _, r := range b.entries() {
		for _, a := range r.Entry.Attrs {
			if a.Value == code {
				t.Errorf("entry %s holds the code", r.Entry.Action)
			}
		}
	}
	for _, printed := range []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), v.LogValue().String()} {
		if strings.Contains(printed, "5551234") || strings.Contains(printed, "ref-1f9a33") {
			t.Errorf("a verification prints its number or reference: %s", v.ID)
		}
	}
}

func TestCancelWithdrawsTheTextAndFreesTheNumber(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.do(func(tx *store.Tx) error {
		_, err := Cancel(tx, v.ID)
		return err
	})
	if _, ok := b.send(outbox.Sent); ok {
		t.Error("the text of a canceled verification goes out")
	}
	if got := b.get(v.ID); got.State != Canceled {
		t.Errorf("state is %s", got.State)
	}
	if next := b.mustStart(StartRequest{Service: "patient-signup", To: patient}); next.ID == v.ID {
		t.Error("a start after a cancel is a resend")
	}
	b.do(func(tx *store.Tx) error {
		if _, err := Cancel(tx, v.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("second cancel: %v", err)
		}
		return nil
	})
}

func TestClientsWordNeedsTheServicesLeaveAndIsMarked(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.code()
	b.do(func(tx *store.Tx) error {
		if _, err := Approve(tx, v.ID); !errors.Is(err, ErrAsserted) {
			t.Errorf("approve by a client: %v", err)
		}
		s, err := FindService(tx, "patient-signup")
		if err != nil {
			return err
		}
		s.Name, s.SID, s.Asserted, s.CustomCodes = "legacy", "", true, true
		_, err = SaveService(tx, s)
		return err
	})
	v = b.mustStart(StartRequest{Service: "legacy", To: patient, CustomCode: "90210"})
	job, _ := b.send(outbox.Sent)
	if !strings.Contains(job.Rendered.Text, "90210") {
		t.Error("the custom code is not in the text")
	}
	got, valid, err := b.check(CheckRequest{ID: v.ID, Code: "90210"})
	if err != nil || !valid || !got.Asserted || got.Custom != "" {
		t.Errorf("custom code: valid %t, asserted %t, %v", valid, got.Asserted, err)
	}
	v = b.mustStart(StartRequest{Service: "legacy", To: patient, Reference: "order"})
	b.do(func(tx *store.Tx) error {
		if _, err := Approve(tx, v.ID); !errors.Is(err, ErrAsserted) {
			t.Errorf("an assertion satisfies a reference: %v", err)
		}
		return nil
	})
	if _, err := b.start(StartRequest{Service: "legacy", To: patient, Reference: "x", CustomCode: "1234"}); !errors.Is(err, ErrCustomCode) {
		t.Errorf("custom code with a reference: %v", err)
	}
}

func TestShadowModeAcceptsAndSendsNothing(t *testing.T) {
	b := newBox(t)
	b.do(func(tx *store.Tx) error {
		_, err := Start(tx, StartRequest{Service: "patient-signup", To: patient}) // no mode: shadow
		return err
	})
	if _, ok := b.send(outbox.Sent); ok {
		t.Error("a text goes out in shadow mode")
	}
}

// A neighbour's transaction or an error after Start leaves nothing behind.
func TestFailedTransactionLeavesNothing(t *testing.T) {
	b := newBox(t)
	before := len(b.entries())
	fail := errors.New("door failed")
	err := b.store.Update(context.Background(), portal, func(tx *store.Tx) error {
		if _, err := Start(tx, StartRequest{Service: "patient-signup", To: patient, Mode: contact.Live}); err != nil {
			return err
		}
		return fail
	})
	if !errors.Is(err, fail) {
		t.Fatal(err)
	}
	if _, ok := b.send(outbox.Sent); ok || len(b.entries()) != before {
		t.Error("a failed start left a message or an entry")
	}
}
