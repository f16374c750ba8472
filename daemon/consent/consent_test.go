package consent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/text"
	"pinward/store"
)

func inBubble(t *testing.T, fn func(b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(newBox(t)) })
}

func TestStopEndsTextsButNotCodesThatAreAskedFor(t *testing.T) {
	b := newBox(t)
	b.texted(Last{Kind: "notice", Class: text.Care, Ref: "SM1", Lang: "en"})
	if !b.in("Stop") {
		t.Fatal("STOP is not handled")
	}
	for _, c := range []struct {
		class     text.Class
		requested bool
		want      error
	}{
		{text.Care, false, ErrOptedOut},
		{text.Marketing, false, ErrOptedOut},
		{text.Code, false, ErrOptedOut},
		{text.Code, true, nil},
		{text.System, false, nil},
	} {
		if err := b.allowed(c.class, c.requested); !errors.Is(err, c.want) || (c.want == nil && err != nil) {
			t.Errorf("%s, requested %t: %v, not %v", c.class, c.requested, err, c.want)
		}
	}
	if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "only codes that you ask for") {
		t.Errorf("%d answers to a STOP", len(said))
	}
}

func TestSecondStopIsRecordedAndNotAnswered(t *testing.T) {
	b := newBox(t)
	b.in("STOP")
	b.said()
	b.in("stop")
	if r := b.Last(); r.Entry.Action != ActionStop || outboxtest.Attr(r.Entry, "repeated") != "yes" {
		t.Errorf("entry of the second STOP is %v, repeated %q", r.Entry, outboxtest.Attr(r.Entry, "repeated"))
	}
	if said := b.said(); len(said) != 0 {
		t.Errorf("%d answers to a second STOP", len(said))
	}
}

func TestStopThatAnswersACodeStopsCodesForADayOnly(t *testing.T) {
	inBubble(t, func(b *box) {
		b.texted(Last{Kind: "otp", Class: text.Code, Ref: "VE1", Lang: "en"})
		time.Sleep(23 * time.Hour)
		b.in("STOP")
		if err := b.allowed(text.Code, true); !errors.Is(err, ErrOptedOutOfCodes) {
			t.Errorf("codes after a STOP that answers one: %v", err)
		}
		if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "no codes by text") {
			t.Errorf("the answer does not say that codes are stopped")
		}
		b.in("START")
		if err := b.allowed(text.Code, true); err != nil {
			t.Errorf("codes after START: %v", err)
		}
		b.said()
		b.texted(Last{Kind: "otp", Class: text.Code, Ref: "VE2", Lang: "en"})
		time.Sleep(25 * time.Hour)
		b.in("STOP")
		if err := b.allowed(text.Code, true); err != nil {
			t.Errorf("codes after a STOP a day later: %v", err)
		}
	})
}

func TestStartRestoresAndMarketingStaysOut(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error { return Set(tx, patient, text.Marketing, OptedIn, SourceAPI) })
	if err := b.allowed(text.Marketing, false); err != nil {
		t.Fatalf("marketing with an opt-in: %v", err)
	}
	b.in("STOP")
	b.in("unstop")
	if err := b.allowed(text.Care, false); err != nil {
		t.Errorf("care after START: %v", err)
	}
	if err := b.allowed(text.Marketing, false); !errors.Is(err, ErrOptedOut) {
		t.Errorf("marketing after START: %v", err)
	}
	var lines []Change
	b.Do(func(tx *store.Tx) (err error) {
		lines, err = History(tx, patient)
		return err
	})
	if len(lines) != 5 || lines[0].Source != SourceAPI || lines[1].Source != SourceSMS || lines[1].Choice != Out {
		t.Errorf("history has %d lines", len(lines))
	}
}

func TestMarketingNeedsAnOptIn(t *testing.T) {
	b := newBox(t)
	if err := b.allowed(text.Marketing, false); !errors.Is(err, ErrNoOptIn) {
		t.Errorf("marketing without a word: %v", err)
	}
	if err := b.allowed(text.Care, false); err != nil {
		t.Errorf("care without a word: %v", err)
	}
}

func TestYesTakesAStopBackOnlyRightAfterIt(t *testing.T) {
	b := newBox(t)
	b.texted(Last{Kind: "notice", Class: text.Care, Ref: "SM1", Lang: "en"})
	if b.in("YES") {
		t.Fatal("YES to a notice is taken for consent")
	}
	b.said()
	b.in("STOP")
	b.said() // the confirmation is now the last text
	if !b.in("yes") {
		t.Fatal("YES to the confirmation of a STOP is not handled")
	}
	if err := b.allowed(text.Care, false); err != nil {
		t.Errorf("care after YES: %v", err)
	}
}

func TestDoubtfulStopsAndGoesToAPersonAndSaysThatNobodyReads(t *testing.T) {
	b := newBox(t)
	const body = "It does not stop bleeding, what shall I do"
	if !b.in(body) {
		t.Fatal("not handled")
	}
	if err := b.allowed(text.Care, false); !errors.Is(err, ErrOptedOut) {
		t.Errorf("care after a doubtful stop: %v", err)
	}
	said := b.said()
	if len(said) != 1 || !strings.Contains(said[0], "911") || !strings.Contains(said[0], "Nobody reads") || !strings.Contains(said[0], "no more texts") {
		t.Errorf("%d answers, which do not say that nobody reads texts, and what was stopped", len(said))
	}
	items := b.items()
	if len(items) != 1 || items[0].Kind != ItemDoubtfulStop || items[0].Phone != patient {
		t.Fatalf("%d work items", len(items))
	}
	b.Do(func(tx *store.Tx) error {
		got, err := Body(tx, items[0])
		if err != nil || got != body {
			t.Errorf("body of the work item: %v", err)
		}
		w, err := Close(tx, items[0].ID, "called back")
		if err != nil || w.By != portal.ID || w.Closed.IsZero() {
			t.Errorf("close: by %q, %v", w.By, err)
		}
		if _, err := Close(tx, items[0].ID, "again"); !errors.Is(err, ErrNoItem) {
			t.Errorf("second close: %v", err)
		}
		return nil
	})
	if len(b.items()) != 0 {
		t.Error("a closed item is listed")
	}
}

func TestCancelAfterAReminderStopsAndOpensAWorkItem(t *testing.T) {
	b := newBox(t)
	b.in("CANCEL") // answers nothing: a plain stop word
	if len(b.items()) != 0 {
		t.Error("CANCEL out of the blue opens a work item")
	}
	b.texted(Last{Kind: "notice", Class: text.Care, Ref: "SM1", Lang: "en"})
	b.in("Cancel")
	items := b.items()
	if len(items) != 1 || items[0].Kind != ItemCancel || items[0].Ref != "SM1" {
		t.Fatalf("%d work items", len(items))
	}
	if err := b.allowed(text.Care, false); !errors.Is(err, ErrOptedOut) {
		t.Errorf("care after CANCEL: %v", err)
	}
}

func TestWrongNumberStopsEverything(t *testing.T) {
	b := newBox(t)
	b.in("sorry, wrong number")
	for _, class := range []text.Class{text.Care, text.Code, text.Marketing} {
		if err := b.allowed(class, true); !errors.Is(err, ErrWrongNumber) {
			t.Errorf("%s to a wrong number: %v", class, err)
		}
	}
	if items := b.items(); len(items) != 1 || items[0].Kind != ItemWrongNumber {
		t.Errorf("%d work items", len(items))
	}
	if said := b.said(); len(said) != 0 {
		t.Errorf("a wrong number gets %d answers", len(said))
	}
}

func TestHelpNamesThePhoneInTheLanguageOfTheWord(t *testing.T) {
	b := newBox(t)
	b.in("AYUDA")
	if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "617-555-1000") || !strings.Contains(said[0], "llame") {
		t.Error("the answer to AYUDA is not Spanish, or names no phone")
	}
	if err := b.allowed(text.Care, false); err != nil {
		t.Errorf("care after HELP: %v", err)
	}
}

func TestUnreadIsSaidOnceADayAndTheBodyIsWipedAfterOne(t *testing.T) {
	inBubble(t, func(b *box) {
		if b.in("when is my visit") || b.in("hello?") {
			t.Fatal("a question is taken for consent")
		}
		if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "Nobody reads") {
			t.Errorf("%d answers to two questions", len(said))
		}
		kept := func() (n int) {
			b.Do(func(tx *store.Tx) (err error) {
				n, err = bodies.Len(tx)
				return err
			})
			return n
		}
		time.Sleep(23 * time.Hour)
		b.Do(Sweep)
		if n := kept(); n != 2 {
			t.Errorf("%d bodies before their time", n)
		}
		time.Sleep(time.Hour + time.Second)
		b.Do(Sweep)
		if n := kept(); n != 0 {
			t.Errorf("%d bodies after their time", n)
		}
		if r := b.Last(); r.Entry.Action != ActionWiped || outboxtest.Attr(r.Entry, "count") != "2" {
			t.Errorf("entry of the wipe is %v, count %q", r.Entry, outboxtest.Attr(r.Entry, "count"))
		}
		b.in("hello again")
		if said := b.said(); len(said) != 1 {
			t.Errorf("%d answers a day later", len(said))
		}
	})
}

// A stop amid other words is answered once, whatever else was said that day.
func TestDoubtfulStopEarnsOneAnswer(t *testing.T) {
	for _, c := range []struct {
		bodies []string
		want   int
	}{
		{[]string{"STOP HELP"}, 1}, {[]string{"no stop"}, 1}, {[]string{"no stop", "no stop", "thank you"}, 1},
		{[]string{"thank you", "STOP HELP"}, 2}, // told that nobody reads, then that texts stop
		{[]string{"STOP", "STOP HELP"}, 2},      // nothing is left to stop, but nobody reads what else it says
	} {
		b := newBox(t)
		for _, body := range c.bodies {
			b.in(body)
		}
		if said := b.said(); len(said) != c.want {
			t.Errorf("%q: %d answers, want %d", c.bodies, len(said), c.want)
		}
	}
}

// Two machines that answer each other must come to an end.
func TestAnAutoresponderGetsFewAnswers(t *testing.T) {
	inBubble(t, func(b *box) {
		for range 2 {
			n := 0
			for i := range 40 {
				b.in([]string{"HELP", "help!"}[i%2])
				n += len(b.said())
			}
			if n != maxAlike {
				t.Errorf("%d answers to 40 calls for help", n)
			}
			time.Sleep(replySpan)
		}
	})
}

// Who changes a choice is told so, however much was said that day.
func TestEachChangeOfAChoiceIsConfirmed(t *testing.T) {
	b := newBox(t)
	for range 12 {
		b.in("HELP")
		b.in("Out of office until Monday")
	}
	b.said()
	for i := range maxAlike {
		b.in("STOP")
		if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "no more texts") {
			t.Fatalf("STOP %d: %d answers", i+1, len(said))
		}
		b.in("START")
		if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "texts again") {
			t.Fatalf("START %d: %d answers", i+1, len(said))
		}
	}
	b.in("AYUDA")
	if said := b.said(); len(said) != 1 {
		t.Errorf("another call for help: %d answers", len(said))
	}
}

func TestDeadSubjectAndNoTextsAreRefused(t *testing.T) {
	b := newBox(t)
	id := contact.SubjectID{Authority: "RIV", MRN: "7"}
	noTexts := true
	ask := func(class text.Class) (err error) {
		b.Do(func(tx *store.Tx) error {
			err = AllowedSubject(tx, id, class)
			return nil
		})
		return err
	}
	if err := ask(text.Care); err != nil {
		t.Errorf("an unknown subject: %v", err)
	}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.Upsert(tx, contact.SubjectUpdate{ID: id, Source: "test", NoTexts: &noTexts})
		return err
	})
	if err := ask(text.Care); !errors.Is(err, ErrNoTexts) {
		t.Errorf("care for a subject that wants none: %v", err)
	}
	if err := ask(text.Code); err != nil {
		t.Errorf("a code for a subject that wants no texts: %v", err)
	}
	b.Do(func(tx *store.Tx) error {
		_, err := contact.MarkDead(tx, id, tx.Now(), true)
		return err
	})
	if err := ask(text.Code); !errors.Is(err, ErrDead) {
		t.Errorf("a code for the dead: %v", err)
	}
}

func TestNobodyAnswersAShortCode(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		in := In{Body: "Your balance is 3.50. Reply HELP", At: tx.Now()}
		if handled, err := Incoming(tx, in); err != nil || handled {
			t.Errorf("handled %t, %v", handled, err)
		}
		return Unread(tx, in)
	})
	if said := b.said(); len(said) != 0 {
		t.Errorf("%d answers", len(said))
	}
}

func TestBodiesAndNumbersAreNotInTheFiles(t *testing.T) {
	b := newBox(t)
	b.in("planted please stop zebra")
	err := filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("zebra")) || bytes.Contains(raw, []byte(patient.E164()[1:])) {
			t.Errorf("a planted value is readable in %s", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
