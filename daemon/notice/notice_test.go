package notice

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// inBubble runs a test on a clock that it moves by sleeping. It begins at noon
// in New York, outside of the quiet hours.
func inBubble(t *testing.T, fn func(b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(17 * time.Hour) // the bubble begins at midnight UTC, 19:00 in New York
		fn(newBox(t))
	})
}

func TestNoticeGoesOutWhenDueAndNotBefore(t *testing.T) {
	inBubble(t, func(b *box) {
		n := b.mustAsk(Request{To: patient, At: time.Now().Add(3 * time.Hour)})
		if _, ok := b.Send(outbox.Sent); ok {
			t.Fatal("it goes out at once")
		}
		time.Sleep(3*time.Hour + time.Second)
		b.Do(outbox.Expire)
		job, ok := b.Send(outbox.Sent)
		if !ok || !strings.HasPrefix(job.Rendered.Text, "Riverside: You have a visit at Main Street") || !strings.Contains(job.Rendered.Text, "617-555-1000") {
			t.Fatalf("it does not go out when due, or says something else")
		}
		if _, s := b.state(n.ID); s != outbox.Sent {
			t.Errorf("state is %s", s)
		}
	})
}

func TestSecondNoticeOfAKeyIsTheSameNotice(t *testing.T) {
	inBubble(t, func(b *box) {
		req := Request{To: patient, Group: "appointment|RIV|77", Key: "reminder"}
		n := b.mustAsk(req)
		entries := len(b.Entries())
		again, already, err := b.ask(req)
		if err != nil || !already || again.ID != n.ID || len(b.Entries()) != entries {
			t.Fatalf("second: already %t, same %t, %v", already, again.ID == n.ID, err)
		}
		b.Send(outbox.Sent)
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("two texts go out")
		}
		req.Key = "moved"
		if other := b.mustAsk(req); other.ID == n.ID {
			t.Error("another key is the same notice")
		}
	})
}

func TestCancelGroupStopsWhatWaitsAndFreesTheKey(t *testing.T) {
	inBubble(t, func(b *box) {
		req := Request{To: patient, Group: "appointment|RIV|77", At: time.Now().Add(time.Hour)}
		for _, key := range []string{"reminder", "directions"} {
			req.Key = key
			b.mustAsk(req)
		}
		other := b.mustAsk(Request{To: patient, Group: "appointment|RIV|7", Key: "reminder", At: time.Now().Add(time.Hour)})
		b.Do(func(tx *store.Tx) error {
			if n, err := CancelGroup(tx, "appointment|RIV|77", "cancelled by SIU^S15"); n != 2 || err != nil {
				t.Errorf("%d canceled, %v", n, err)
			}
			if n, err := CancelGroup(tx, "appointment|RIV|77", "again"); n != 0 || err != nil {
				t.Errorf("%d canceled again, %v", n, err)
			}
			return nil
		})
		if again, already, err := b.ask(req); err != nil || already || again.ID == "" {
			t.Errorf("the key is not free: already %t, %v", already, err)
		}
		if _, s := b.state(other.ID); s != outbox.Queued {
			t.Errorf("a notice of another group is %s", s)
		}
	})
}

func TestWhatIsOutCannotBeCanceledNorMoved(t *testing.T) {
	inBubble(t, func(b *box) {
		n := b.mustAsk(Request{To: patient, Group: "g", Key: "k"})
		b.Send(outbox.Sent)
		b.Do(func(tx *store.Tx) error {
			if done, err := Cancel(tx, n.ID, "late"); done || err != nil {
				t.Errorf("cancel: %t, %v", done, err)
			}
			if _, moved, err := Move(tx, "g", "k", tx.Now().Add(time.Hour), time.Time{}, nil); moved || err != nil {
				t.Errorf("move: %t, %v", moved, err)
			}
			return nil
		})
	})
}

func TestMoveGivesAnotherTimeAndOtherWords(t *testing.T) {
	inBubble(t, func(b *box) {
		n := b.mustAsk(Request{To: patient, Group: "g", Key: "k", At: time.Now().Add(time.Hour)})
		slots := text.Values{}
		slots.SetSite("Oak Avenue")
		slots.SetInstant("start", time.Now().Add(50*time.Hour))
		b.Do(func(tx *store.Tx) error {
			got, moved, err := Move(tx, "g", "k", tx.Now().Add(2*time.Hour), time.Time{}, slots)
			if !moved || got.ID != n.ID || got.Message == n.Message {
				t.Errorf("moved %t, same notice %t, same message %t", moved, got.ID == n.ID, got.Message == n.Message)
			}
			return err
		})
		time.Sleep(61 * time.Minute)
		b.Do(outbox.Expire)
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("it goes out at the old time")
		}
		time.Sleep(time.Hour)
		b.Do(outbox.Expire)
		if job, ok := b.Send(outbox.Sent); !ok || !strings.Contains(job.Rendered.Text, "Oak Avenue") {
			t.Error("it does not go out at the new time with the new words")
		}
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("two texts go out")
		}
	})
}

// Consent is asked when the notice is made and again when it goes.
func TestStopBetweenSendAndRenderIsHeeded(t *testing.T) {
	inBubble(t, func(b *box) {
		n := b.mustAsk(Request{To: patient, At: time.Now().Add(time.Hour)})
		b.in(patient, "STOP")
		for {
			job, ok := b.Send(outbox.Sent)
			if !ok {
				break
			}
			if job.Message.Kind != consent.Kind {
				t.Error("a notice goes out after a STOP")
			}
		}
		time.Sleep(time.Hour + time.Second)
		b.Do(outbox.Expire)
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("a notice goes out after a STOP")
		}
		if got, s := b.state(n.ID); s != outbox.Canceled || got.Cause != consent.ErrOptedOut.Error() {
			t.Errorf("it is %s: %q", s, got.Cause)
		}
		if _, _, err := b.ask(Request{To: patient}); !errors.Is(err, consent.ErrOptedOut) {
			t.Errorf("a new one: %v", err)
		}
	})
}

func TestFollowsTheSubjectToANewNumberAndNeverTextsBoth(t *testing.T) {
	inBubble(t, func(b *box) {
		id := b.subject("42", patient)
		n := b.mustAsk(Request{Subject: id, At: time.Now().Add(time.Hour)})
		if !n.Follow || n.To != patient {
			t.Fatal("it is not for the subject's number")
		}
		moved := outboxtest.Phone("+16175551299")
		b.subject("42", moved)
		time.Sleep(time.Hour + time.Second)
		b.Do(outbox.Expire)
		var to []contact.Phone
		for range 3 {
			if job, ok := b.Send(outbox.Sent); ok {
				to = append(to, job.Message.To)
			}
		}
		if len(to) != 1 || to[0] != moved {
			t.Errorf("%d texts, to the new number %t", len(to), len(to) == 1 && to[0] == moved)
		}
	})
}

func TestNothingGoesOutAboutTheDead(t *testing.T) {
	inBubble(t, func(b *box) {
		id := b.subject("42", patient)
		follow := b.mustAsk(Request{Subject: id, At: time.Now().Add(time.Hour)})
		fixed := b.mustAsk(Request{Subject: id, To: outboxtest.Phone("+16175551299"), At: time.Now().Add(time.Hour)})
		b.Do(func(tx *store.Tx) error {
			_, err := contact.MarkDead(tx, id, tx.Now(), true)
			return err
		})
		time.Sleep(time.Hour + time.Second)
		b.Do(outbox.Expire)
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("a text goes out about the dead")
		}
		for _, n := range []Notice{follow, fixed} {
			if _, s := b.state(n.ID); s != outbox.Canceled {
				t.Errorf("it is %s", s)
			}
		}
		if _, _, err := b.ask(Request{Subject: id}); !errors.Is(err, consent.ErrDead) {
			t.Errorf("a new one: %v", err)
		}
	})
}

func TestCancelSubject(t *testing.T) {
	inBubble(t, func(b *box) {
		id, other := b.subject("42", patient), b.subject("421", patient)
		for range 3 {
			b.mustAsk(Request{Subject: id, At: time.Now().Add(time.Hour)})
		}
		keep := b.mustAsk(Request{Subject: other, At: time.Now().Add(time.Hour)})
		b.Do(func(tx *store.Tx) error {
			if n, err := CancelSubject(tx, id, "died"); n != 3 || err != nil {
				t.Errorf("%d canceled, %v", n, err)
			}
			return nil
		})
		if _, s := b.state(keep.ID); s != outbox.Queued {
			t.Errorf("another subject's is %s", s)
		}
	})
}

func TestAnswersAndCancelGoToWhomTheyShould(t *testing.T) {
	inBubble(t, func(b *box) {
		if b.in(patient, "yes") {
			t.Error("YES to nothing is handled")
		}
		n := b.mustAsk(Request{Template: "appointment.confirm", To: patient})
		b.Send(outbox.Sent)
		if !b.in(patient, "S\u00ed!") {
			t.Fatal("YES is not handled")
		}
		if got, _ := b.state(n.ID); got.Answer != "yes" || got.Answered.IsZero() {
			t.Errorf("answer is %q", got.Answer)
		}
		if len(b.items()) != 0 {
			t.Error("YES opens a work item")
		}
		b.in(patient, "No")
		if items := b.items(); len(items) != 1 || items[0].Kind != consent.ItemDeclined || items[0].Ref != n.ID {
			t.Errorf("%d work items after NO", len(items))
		}
		time.Sleep(time.Second) // work items of one instant have no order
		b.mustAsk(Request{Template: "appointment.reminder", To: patient})
		b.Send(outbox.Sent)
		if !b.in(patient, "I need to cancel my visit") {
			t.Fatal("a wish to cancel is not handled")
		}
		if items := b.items(); len(items) != 2 || items[1].Kind != consent.ItemCancel {
			t.Errorf("%d work items after a wish to cancel", len(items))
		}
		if job, ok := b.Send(outbox.Sent); !ok || job.Message.Kind != consent.Kind || !strings.Contains(job.Rendered.Text, "617-555-1000") {
			t.Error("who wants to cancel is not told whom to call")
		}
		if b.in(patient, "thanks") {
			t.Error("any text is taken for an answer")
		}
		time.Sleep(answerLife + time.Hour)
		if b.in(patient, "yes") {
			t.Error("YES a week later is handled")
		}
	})
}

func TestRefusalsNameTheSlotAndNeverTheValue(t *testing.T) {
	inBubble(t, func(b *box) {
		slots := text.Values{}
		slots.SetSite("Planted Oncology Ward 4711")
		slots.SetInstant("start", time.Now().Add(time.Hour))
		_, _, err := b.ask(Request{To: patient, Slots: slots})
		slot, ok := errors.AsType[*text.SlotError](err)
		if !ok || slot.Slot != "site" {
			t.Fatalf("a slot with a forbidden word: %v", err)
		}
		if r := b.Last(); r.Entry.Outcome != store.Refused || !strings.Contains(outboxtest.Attr(r.Entry, "cause"), "site") || strings.Contains(fmt.Sprint(r.Entry.Attrs), "Planted") {
			t.Errorf("entry is %v, cause %q", r.Entry, outboxtest.Attr(r.Entry, "cause"))
		}
		for req, want := range map[string]error{"nothing": ErrUnknownTemplate, "verification": ErrUnknownTemplate, "optout.confirm": ErrUnknownTemplate} {
			if _, _, err := b.ask(Request{Template: req, To: patient, Slots: text.Values{}}); !errors.Is(err, want) {
				t.Errorf("template %s: %v", req, err)
			}
		}
		if _, _, err := b.ask(Request{Subject: contact.SubjectID{Authority: "RIV", MRN: "none"}}); !errors.Is(err, ErrNoNumber) {
			t.Errorf("a subject without number: %v", err)
		}
	})
}

func TestShadowRendersAndSendsNothing(t *testing.T) {
	inBubble(t, func(b *box) {
		slots := text.Values{}
		slots.SetSite("Main Street")
		slots.SetInstant("start", time.Now().Add(time.Hour))
		b.Do(func(tx *store.Tx) error {
			_, _, err := Send(tx, Request{Template: "appointment.reminder", To: patient, Slots: slots})
			return err
		})
		if _, ok := b.Send(outbox.Sent); ok {
			t.Error("a text goes out in shadow mode")
		}
	})
}

func TestSweepDeletesWhatNobodyLooksUp(t *testing.T) {
	inBubble(t, func(b *box) {
		id := b.subject("42", patient)
		n := b.mustAsk(Request{Subject: id, Group: "g", Key: "k"})
		b.Send(outbox.Sent)
		time.Sleep(24*time.Hour + keep - time.Minute)
		b.Do(sweepAll)
		b.state(n.ID)
		time.Sleep(2 * time.Minute)
		b.Do(sweepAll)
		b.Do(func(tx *store.Tx) error {
			if _, _, err := Get(tx, n.ID); !errors.Is(err, ErrNotFound) {
				t.Errorf("it is still there: %v", err)
			}
			for name, count := range map[string]func(*store.Tx) (int, error){"keys": byKey.Len, "subjects": bySubject.Len, "due": due.Len} {
				if n, err := count(tx); err != nil || n != 0 {
					t.Errorf("%d %s are left, %v", n, name, err)
				}
			}
			return nil
		})
	})
}

func TestSlotsNumbersAndKeysAreNotInTheFilesNorPrinted(t *testing.T) {
	inBubble(t, func(b *box) {
		id := b.subject("planted-mrn", patient)
		n := b.mustAsk(Request{Subject: id, Group: "planted-appointment", Key: "k"})
		b.Send(outbox.Sent)
		err := filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, planted := range []string{"planted-mrn", "planted-appointment", "Main Street", patient.E164()[1:]} {
				if bytes.Contains(raw, []byte(planted)) {
					t.Errorf("a planted value is readable in %s", filepath.Base(path))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{fmt.Sprint(n), fmt.Sprintf("%+v %#v", n, n)} {
			if strings.Contains(s, "planted") || strings.Contains(s, "5551234") || strings.Contains(s, "Main") {
				t.Error("a notice prints what it holds")
			}
		}
	})
}

// sweepAll is Sweep while there is no hold.
func sweepAll(tx *store.Tx) error { return Sweep(tx, func(_, _ time.Time) bool { return false }) }
