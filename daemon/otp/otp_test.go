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
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/store"
)

func TestWrongCodeIsCountedRightCodeApprovesAndIsTakenOnce(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	if v.State != Pending || len(v.Sends) != 1 || !strings.HasPrefix(v.ID, "VE") || len(v.ID) != 34 {
		t.Fatalf("start gave %v with %d sends", v, len(v.Sends))
	}
	code := b.Code()

	got, valid, err := b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(code)})
	if err != nil || valid || got.State != Pending || got.Checks != 1 {
		t.Fatalf("wrong code: %v valid %t checks %d, %v", got, valid, got.Checks, err)
	}
	if r := b.Last(); r.Entry.Action != ActionCheck || r.Entry.Outcome != store.Refused || r.Actor.ID != portal.ID {
		t.Errorf("entry of a wrong code is %v by %v", r.Entry, r.Actor)
	}
	got, valid, err = b.check(CheckRequest{Service: v.ServiceSID, To: patient, Code: code[:3] + " " + code[3:]})
	if err != nil || !valid || got.State != Approved || got.Checks != 2 {
		t.Fatalf("right code: %v valid %t checks %d, %v", got, valid, got.Checks, err)
	}
	if r := b.Last(); r.Entry.Action != ActionCheck || r.Entry.Outcome != store.OK || outboxtest.Attr(r.Entry, "state") != "approved" {
		t.Errorf("entry of a right code is %v, state %q", r.Entry, outboxtest.Attr(r.Entry, "state"))
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
		code := b.Code()
		for i := range 5 {
			got, valid, err := b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(code)})
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

func TestNothingIsRenderedAfterTheEnd(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	job, _ := b.Send(outbox.Sent)
	b.check(CheckRequest{ID: v.ID, Code: outboxtest.CodeIn(t, job)})
	b.Do(func(tx *store.Tx) error {
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
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "a", Ready: true, Voice: true})
	})
	calls := func(channel string) (n int) {
		b.T.Helper()
		v := b.mustStart(StartRequest{Service: "prescription-pickup", To: patient, Channel: channel})
		b.Do(func(tx *store.Tx) error {
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

func TestAnotherReferenceIsAnotherVerification(t *testing.T) {
	b := newBox(t)
	one := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Reference: "form-1"})
	code := b.Code()
	two := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Reference: "form-2"})
	other := b.Code()
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
	b.mustStart(StartRequest{Service: "portal-login", To: outboxtest.Phone("+16175551235")})
	b.Do(func(tx *store.Tx) error {
		all, err := Of(tx, patient)
		if err != nil || len(all) != 2 || all[0].ID != two.ID || all[1].ID != one.ID {
			t.Errorf("%d verifications, %v", len(all), err)
		}
		return nil
	})
}

func TestSpanishTextForASpanishLocale(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient, Locale: "es-US"})
	if v.Locale != "es" {
		t.Fatalf("locale is %q", v.Locale)
	}
	job, ok := b.Send(outbox.Sent)
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
				b.Do(func(tx *store.Tx) error {
					_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: req.Subject, At: tx.Now(), Source: "desk",
						Phones: &[]contact.Number{{Phone: patient}}})
					if err != nil {
						return err
					}
					return contact.Proven(tx, req.Subject, patient)
				})
			}
			v := b.mustStart(req)
			code := b.Code()
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
	code := b.Code()
	b.check(CheckRequest{ID: v.ID, Code: outboxtest.Wrong(code), Reference: "ref-1f9a33"})
	b.check(CheckRequest{ID: v.ID, Code: code, Reference: "ref-1f9a33"})
	planted := []string{patient.E164()[1:], "ref-1f9a33", "Riverside: "}
	found := 0
	err := filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
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
	for _, r := range b.Entries() {
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
	b.Do(func(tx *store.Tx) error {
		_, err := Cancel(tx, v.ID)
		return err
	})
	if _, ok := b.Send(outbox.Sent); ok {
		t.Error("the text of a canceled verification goes out")
	}
	if got := b.get(v.ID); got.State != Canceled {
		t.Errorf("state is %s", got.State)
	}
	if next := b.mustStart(StartRequest{Service: "patient-signup", To: patient}); next.ID == v.ID {
		t.Error("a start after a cancel is a resend")
	}
	b.Do(func(tx *store.Tx) error {
		if _, err := Cancel(tx, v.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("second cancel: %v", err)
		}
		return nil
	})
}

func TestClientsWordNeedsTheServicesLeaveAndIsMarked(t *testing.T) {
	b := newBox(t)
	v := b.mustStart(StartRequest{Service: "patient-signup", To: patient})
	b.Code()
	b.Do(func(tx *store.Tx) error {
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
	job, _ := b.Send(outbox.Sent)
	if !strings.Contains(job.Rendered.Text, "90210") {
		t.Error("the custom code is not in the text")
	}
	got, valid, err := b.check(CheckRequest{ID: v.ID, Code: "90210"})
	if err != nil || !valid || !got.Asserted || got.Custom != "" {
		t.Errorf("custom code: valid %t, asserted %t, %v", valid, got.Asserted, err)
	}
	v = b.mustStart(StartRequest{Service: "legacy", To: patient, Reference: "order"})
	b.Do(func(tx *store.Tx) error {
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
	b.Do(func(tx *store.Tx) error {
		_, err := Start(tx, StartRequest{Service: "patient-signup", To: patient}) // no mode: shadow
		return err
	})
	if _, ok := b.Send(outbox.Sent); ok {
		t.Error("a text goes out in shadow mode")
	}
}

// A neighbour's transaction or an error after Start leaves nothing behind.
func TestFailedTransactionLeavesNothing(t *testing.T) {
	b := newBox(t)
	before := len(b.Entries())
	fail := errors.New("door failed")
	err := b.Store.Update(context.Background(), portal, func(tx *store.Tx) error {
		if _, err := Start(tx, StartRequest{Service: "patient-signup", To: patient, Mode: contact.Live}); err != nil {
			return err
		}
		return fail
	})
	if !errors.Is(err, fail) {
		t.Fatal(err)
	}
	if _, ok := b.Send(outbox.Sent); ok || len(b.Entries()) != before {
		t.Error("a failed start left a message or an entry")
	}
}
