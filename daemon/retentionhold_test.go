package daemon

import (
	"slices"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/daemon/text"
	"pinward/store"
	"pinward/store/storetest"
)

// TestHoldKeepsWhatIsOver: under a hold nothing of its time is deleted, verifications and notices neither, until two have lifted it.
func TestHoldKeepsWhatIsOver(t *testing.T) {
	inOldBubble(t, func(t *testing.T, b *oldBox) {
		var code otp.Verification
		var told notice.Notice
		begin := func() {
			b.do(func(tx *store.Tx) (err error) {
				if code, err = otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: oldPhone(7), Client: "AC", Mode: contact.Live}); err != nil {
					return err
				}
				slots := text.Values{}
				slots.SetSite("Main")
				slots.SetInstant("start", tx.Now().Add(2*time.Hour))
				told, _, err = notice.Send(tx, notice.Request{Template: "appointment.reminder", To: oldPhone(8), Slots: slots, Mode: contact.Live})
				return err
			})
		}
		there := func(want bool) {
			t.Helper()
			storetest.View(t, b.store, func(tx *store.Tx) error {
				_, err := otp.Get(tx, code.ID)
				_, _, err2 := notice.Get(tx, told.ID)
				if (err == nil) != want || (err2 == nil) != want {
					t.Errorf("verification: %v, notice: %v, wanted there: %t", err, err2, want)
				}
				return nil
			})
		}
		b.short()
		begin()
		b.put(0, 300, time.Minute, false)
		b.book(0, 5, time.Hour)
		var h record.Hold
		b.do(func(tx *store.Tx) (err error) {
			h, err = record.PutHold(tx, record.Hold{Matter: "No. 7", To: tx.Now().Add(5 * day)})
			return err
		})
		time.Sleep(9 * day)
		there(true)
		before := code.ID
		begin() // after the time that is held
		b.put(1000, 3, time.Minute, false)
		time.Sleep(10 * day)
		there(false)
		if m, a, _ := b.count(5); m != 302 || a != 5 { // the verification's and the notice's own as well
			t.Errorf("under the hold: %d messages, %d appointments", m, a)
		}
		for _, who := range []string{"ann", "bo"} {
			err := b.store.Update(t.Context(), store.Actor{Kind: store.KindUser, ID: who}, func(tx *store.Tx) error {
				_, err := record.LiftHold(tx, h.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * day)
		if m, a, _ := b.count(5); m != 0 || a != 0 {
			t.Errorf("after it was lifted: %d messages, %d appointments", m, a)
		}
		code.ID = before
		there(false)
	})
}

// TestWhatTheAuditTellsOutlivesTheRecords: when all records are gone the accounting of disclosures is the same, the SIM that a number
// knows too, a late receipt does no harm, and a late event about an old appointment texts nobody.
func TestWhatTheAuditTellsOutlivesTheRecords(t *testing.T) {
	inOldBubble(t, func(t *testing.T, b *oldBox) {
		to, jane := oldPhone(1), contact.SubjectID{Authority: "T", MRN: "4711"}
		var job outbox.Job
		b.do(func(tx *store.Tx) (err error) {
			if _, err = otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: to, Subject: jane, Client: "AC", Mode: contact.Live}); err != nil {
				return err
			}
			job, _, err = outbox.Next(tx, "m", sources)
			return err
		})
		b.do(func(tx *store.Tx) error {
			return outbox.Settle(tx, job.Message.ID, job.Attempt, outbox.Result{Outcome: outbox.Sent, Parts: []outbox.Part{{Ref: 9, State: outbox.Sent}}})
		})
		receipt := func() {
			b.do(func(tx *store.Tx) error {
				return outbox.Receive(tx, outbox.Receipt{SIM: "sim", Ref: 9, To: to, At: tx.Now()})
			})
		}
		receipt()
		b.short()
		report := func() (r record.Report) {
			storetest.View(t, b.store, func(tx *store.Tx) (err error) {
				r, err = record.Make(tx, record.Ask{Kind: record.KindDisclosures, Subjects: []contact.SubjectID{jane}})
				return err
			})
			return r
		}
		before := report()
		if len(before.Rows) < 4 {
			t.Fatalf("the accounting has %d rows", len(before.Rows))
		}
		time.Sleep(13 * day)
		if m, _, _ := b.count(0); m != 0 {
			t.Fatalf("%d messages are left", m)
		}
		if after := report(); !slices.EqualFunc(before.Rows, after.Rows, slices.Equal) {
			t.Errorf("the accounting was\n%v\nand is\n%v", before.Rows, after.Rows)
		}
		storetest.View(t, b.store, func(tx *store.Tx) error {
			if c, err := contact.Of(tx, to); err != nil || c.LastSIM != "sim" {
				t.Errorf("the number knows %q, %v", c.LastSIM, err)
			}
			return nil
		})
		receipt()
	})
}
