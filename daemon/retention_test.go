package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/record"
	"pinward/store"
	"pinward/store/storetest"
)

// oldBox is a house of which only the store and the rounds of retention run.
type oldBox struct {
	t testing.TB
	*house
	stop func()
}

// newOldBox opens it on a store; sweeps run each hour as well.
func newOldBox(t *testing.T, s *store.Store) *oldBox {
	t.Helper()
	b := &oldBox{t: t, house: &house{store: s, log: slog.New(slog.DiscardHandler)}}
	b.do(func(tx *store.Tx) error {
		if err := otp.Install(tx); err != nil {
			return err
		}
		err := contact.SetSite(tx, contact.Site{Name: "Test", Brand: "Test", Zone: "UTC", Region: "US", Area: "617", Authority: "T", HelpPhone: "617-555-1000", Mode: contact.Live})
		if err != nil {
			return err
		}
		if err := outbox.SetSIM(tx, outbox.SIM{ICCID: "sim", Permission: outbox.Permission{Reference: "test"}, PerMinute: -1, PerDay: -1, PortOutLock: true}); err != nil {
			return err
		}
		return outbox.Report(tx, outbox.Sender{Name: "m", SIM: "sim", Network: "red", Ready: true, PartTime: time.Second})
	})
	return b
}

// run lets the rounds and the sweeps go on until the end of the test.
func (b *oldBox) run() {
	ctx, cancel := context.WithCancel(context.Background())
	b.rest.Go(func() { b.retain(ctx) })
	b.rest.Go(func() {
		every := time.NewTicker(time.Hour)
		defer every.Stop()
		numbers := sweepNumbers()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			for _, sweep := range []func(*store.Tx) error{unheld(otp.Sweep), unheld(notice.Sweep), outbox.Expire, numbers} {
				if err := b.store.Update(ctx, self, sweep); err != nil && ctx.Err() == nil {
					b.t.Error(err)
				}
			}
		}
	})
	b.stop = func() { cancel(); b.rest.Wait() }
}

func (b *oldBox) do(fn func(*store.Tx) error) {
	b.t.Helper()
	storetest.Update(b.t, b.store, fn)
}

// short keeps all for the shortest time that makes sense here: a store that gets older costs time.
func (b *oldBox) short() {
	b.t.Helper()
	b.do(func(tx *store.Tx) error { return setRetention(tx, retention{8, 14, 14}) })
}

// inOldBubble gives a test such a box, on a clock that it moves by sleeping.
func inOldBubble(t *testing.T, test func(t *testing.T, b *oldBox)) {
	dir, keys := filepath.Join(t.TempDir(), "store"), storetest.NewKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), dir, storetest.Options(keys))
		if err != nil {
			t.Fatal(err)
		}
		b := newOldBox(t, s)
		b.run()
		test(t, b)
		b.stop()
		if err := errors.Join(s.Check(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
	})
}

func oldPhone(n int) contact.Phone {
	var p contact.Phone
	if err := p.UnmarshalText(fmt.Appendf(nil, "+1617%03d%04d", 200+n/10000, n%10000)); err != nil {
		panic(err)
	}
	return p
}

// put queues messages in one transaction, and cancels those that are not to wait.
func (b *oldBox) put(from, n int, due time.Duration, wait bool) (ids []string) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		for i := range n {
			m, err := outbox.Put(tx, outbox.Message{
				Kind: notice.Kind, Ref: fmt.Sprint("ref", from+i), Lane: outbox.Notice, To: oldPhone(from + i), Client: "test",
				Route: []outbox.Step{{Channel: outbox.SMS}}, Due: tx.Now().Add(due), Expires: tx.Now().Add(due + time.Hour), Mode: contact.Live,
			})
			if err != nil {
				return err
			}
			if ids = append(ids, m.ID); !wait {
				if err := outbox.Cancel(tx, m.ID); err != nil {
					return err
				}
			}
		}
		return tx.Record(store.Entry{Action: "test.put", Outcome: store.OK})
	})
	return ids
}

// book keeps appointments that are so far ahead.
func (b *oldBox) book(from, n int, ahead time.Duration) {
	b.t.Helper()
	b.do(func(tx *store.Tx) error {
		for i := range n {
			_, _, err := contact.Book(tx, contact.Appointment{
				ID: contact.AppointmentID{Authority: "S", Number: fmt.Sprint(from + i)}, Subject: contact.SubjectID{Authority: "T", MRN: fmt.Sprint(from + i)},
				Start: tx.Now().Add(ahead), Minutes: 20,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// count tells what is there of messages and of the first n appointments, and how many were deleted by the audit's word.
func (b *oldBox) count(n int) (messages, appointments int, purged map[store.Action]int) {
	b.t.Helper()
	purged = map[store.Action]int{}
	storetest.View(b.t, b.store, func(tx *store.Tx) error {
		cursor := ""
		for {
			page, next, err := outbox.List(tx, outbox.Filter{Limit: 1000}, cursor)
			if err != nil {
				return err
			}
			messages += len(page)
			if cursor = next; next == "" {
				break
			}
		}
		for i := range n {
			_, ok, err := contact.FindAppointment(tx, contact.AppointmentID{Authority: "S", Number: fmt.Sprint(i)})
			if err != nil {
				return err
			}
			list, err := contact.AppointmentsOf(tx, contact.SubjectID{Authority: "T", MRN: fmt.Sprint(i)})
			if err != nil {
				return err
			}
			if ok {
				appointments++
			}
			if ok != (len(list) == 1) {
				b.t.Errorf("appointment %d is there: %t, and found by its patient: %d", i, ok, len(list))
			}
		}
		return tx.Entries(0, func(r store.Record) error {
			if !strings.HasSuffix(string(r.Entry.Action), ".purge") {
				return nil
			}
			n, err := strconv.Atoi(record.Attr(r.Entry, "count"))
			if err != nil || n < 1 || n > retainMost || r.Actor != self || r.Entry.Subject != "" || r.Entry.Object != "" || len(r.Entry.Attrs) != 1 {
				b.t.Errorf("the entry of a batch is %v", r.Entry)
			}
			purged[r.Entry.Action] += n
			return nil
		})
	})
	return messages, appointments, purged
}

// TestWhatIsOverIsDeletedByAge: ten thousands of records go after their time, in small steps with an entry each; what waits stays.
func TestWhatIsOverIsDeletedByAge(t *testing.T) {
	const many, booked = 11_000, 2_000
	inOldBubble(t, func(t *testing.T, b *oldBox) {
		b.short()
		b.put(0, 50, 18*day, true) // the oldest of all, and they wait
		for i := 0; i < many; i += 500 {
			b.put(100+i, 500, time.Minute, false)
		}
		b.book(0, booked, day)
		b.book(booked, 20, 18*day)
		b.do(func(tx *store.Tx) error {
			for i := range 3 {
				w, err := consent.Open(tx, consent.WorkItem{Kind: consent.ItemWrongNumber, Phone: oldPhone(i)})
				if err == nil && i == 2 {
					_, err = consent.Close(tx, w.ID, "called")
				}
				if err != nil {
					return err
				}
			}
			return nil
		})

		time.Sleep(8*day - time.Hour)
		if m, a, purged := b.count(booked + 20); m != many+50 || a != booked+20 || len(purged) != 0 {
			t.Errorf("before their time: %d messages, %d appointments, deleted %v", m, a, purged)
		}
		time.Sleep(8 * time.Hour)
		if m, a, purged := b.count(booked + 20); m != 50 || a != booked+20 || purged[outbox.ActionPurge] != many {
			t.Errorf("after 8 days: %d messages, %d appointments, deleted %v", m, a, purged)
		}
		time.Sleep(7 * day)
		m, a, purged := b.count(booked + 20)
		if m != 50 || a != 20 || purged[contact.ActionPurge] != booked || purged[consent.ActionPurge] != 1 {
			t.Errorf("after 15 days: %d messages, %d appointments, deleted %v", m, a, purged)
		}
		storetest.View(t, b.store, func(tx *store.Tx) error {
			if list, err := consent.Items(tx, 0); err != nil || len(list) != 2 {
				t.Errorf("%d open work items are left, %v", len(list), err)
			}
			return nil
		})
		time.Sleep(12 * day) // those that waited were never sent, and that is over too
		if m, a, purged := b.count(booked + 20); m != 0 || a != 20 || purged[outbox.ActionPurge] != many+50 {
			t.Errorf("in the end: %d messages, %d appointments, deleted %v", m, a, purged)
		}
	})
}

// TestRetentionIsPolicy: who wants it otherwise says so, and what is asked of it is checked.
func TestRetentionIsPolicy(t *testing.T) {
	inOldBubble(t, func(t *testing.T, b *oldBox) {
		b.put(0, 10, time.Minute, false)
		b.book(0, 10, time.Hour)
		p := &policyBox{t, b.store, &box{}}
		for file, want := range map[string]string{
			"{\n \"retention\": {\"messages_days\": 7}}":         "line 2, column 15: retention: messages_days: must be 8 to 3660",
			`{"retention": {"appointments_days": 13}}`:           "appointments_days: must be 14 to 3660",
			`{"retention": {"work_items_days": 0}}`:              "work_items_days: must be 1 to 3660",
			`{"retention": {"messages": 9}}`:                     `unknown key "messages"`,
			`{"retention": {"messages_days": "9"}}`:              "messages_days must not be a string",
			`{"retention": {"appointments_days": 100000000000}}`: "must be 14 to 3660",
		} {
			if _, err := p.apply([]byte(file), ""); !errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", file, err)
			}
		}
		if doc := p.export(); doc.Retention != (retention{30, 90, 90}) {
			t.Errorf("exported %+v", doc.Retention)
		}
		n := p.entries()
		if doc, err := p.apply([]byte(`{"retention": {"messages_days": 8, "appointments_days": 14}}`), ""); err != nil || doc.Retention != (retention{8, 14, 90}) {
			t.Fatalf("%+v, %v", doc.Retention, err)
		}
		if got := storetest.Entries(t, b.store)[n:]; len(got) != 2 || got[0].Action != actRetention || got[1].Action != actConfig {
			t.Errorf("entries %v", got)
		}
		time.Sleep(8*day + 8*time.Hour)
		if m, a, _ := b.count(10); m != 0 || a != 10 {
			t.Errorf("after 8 days %d messages, %d appointments", m, a)
		}
		time.Sleep(6 * day)
		if _, a, _ := b.count(10); a != 0 {
			t.Errorf("after 14 days %d appointments", a)
		}
	})
}
