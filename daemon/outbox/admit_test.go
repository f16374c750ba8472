package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/store"
)

// size is the number of entries.
func (b *box) size() (n int) {
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(store.Record) error { n++; return nil })
	})
	return n
}

func TestRenderedShowsNothing(t *testing.T) {
	r := Rendered{Text: "Your code is 482917"}
	job := Job{Message: code(1), Rendered: r}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "r", r, "job", job)
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%+v %#v %s %x %q", r, r, r, r, r), fmt.Sprintf("%+v", job), fmt.Sprintf("%#v", job), log.String()} {
		if strings.Contains(s, "482917") || strings.Contains(s, job.Message.To.E164()[2:]) || strings.Contains(s, "343832393137") {
			t.Errorf("shown: %s", s)
		}
	}
}

func TestAdmit(t *testing.T) {
	b := newBox(t)
	admit := func(m Message) (busy *Busy) {
		t.Helper()
		err := b.try(func(tx *store.Tx) error { return Admit(tx, m) })
		if err != nil && !errors.As(err, &busy) {
			t.Fatal(err)
		}
		return busy
	}
	if busy := admit(code(1)); busy == nil || busy.RetryAfter < time.Second {
		t.Fatalf("admitted without a sender: %v", busy)
	}
	if busy := admit(notice(1)); busy != nil {
		t.Fatalf("a notice can wait: %v", busy)
	}
	early := code(1)
	early.Route = []Step{{Channel: Call}}
	if busy := admit(early); busy == nil {
		t.Fatal("a call was admitted before any sender was known")
	}
	s := modem("a", "red")
	s.PartTime = 2 * time.Second
	b.report(s)
	n := 0
	for ; n < 50 && admit(code(n)) == nil; n++ {
		b.put(code(n))
	}
	if n != 6 { // 0, 2, 4, 6, 8 and 10 s
		t.Fatalf("%d codes were admitted, want 6", n)
	}
	staff := code(60)
	staff.Staff = true
	if busy := admit(staff); busy != nil {
		t.Errorf("staff goes first, and was refused: %v", busy)
	}
	s2 := modem("b", "red")
	s2.PartTime = 2 * time.Second
	b.report(s2)
	if busy := admit(code(60)); busy != nil {
		t.Errorf("refused with two senders: %v", busy)
	}
	call := code(61)
	call.Route = []Step{{Channel: Call}}
	if err := b.try(func(tx *store.Tx) error { return Admit(tx, call) }); !errors.Is(err, ErrNoStep) {
		t.Errorf("a call without a sender that could ever make it: %v", err)
	}
	caller := modem("c", "red")
	caller.Voice, caller.Ready = true, false
	b.report(caller)
	if busy := admit(call); busy == nil {
		t.Error("a call was admitted while its only sender is not ready")
	}
	b.do(func(tx *store.Tx) error { return Pause(tx, OTP) })
	if busy := admit(code(62)); busy == nil {
		t.Error("admitted into a lane that is held")
	}
	b.none("a")
	b.do(func(tx *store.Tx) error { return Resume(tx, OTP) })
	b.must("a")
	b.caps("a", -1, 1)
	b.caps("b", -1, 1)
	b.settle(b.must("b"), sentAs(1))
	if busy := admit(code(63)); busy == nil {
		t.Error("admitted with all budgets used up")
	}
}

// Health asks without a message: no mode and no number of its own.
func TestAccepting(t *testing.T) {
	b := newBox(t)
	accepting := func() (err error) {
		b.view(func(tx *store.Tx) error { err = Accepting(tx); return nil })
		return err
	}
	var busy *Busy
	if err := accepting(); !errors.As(err, &busy) {
		t.Errorf("without a sender: %v", err)
	}
	b.report(modem("a", "red"))
	if err := accepting(); err != nil {
		t.Errorf("with an idle sender: %v", err)
	}
	b.do(func(tx *store.Tx) error { return Pause(tx, OTP) })
	if err := accepting(); !errors.As(err, &busy) {
		t.Errorf("with the lane held: %v", err)
	}
}

func TestDepthAndCodeWaits(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	b.put(code(1))
	b.put(code(2))
	b.put(notice(3))
	waits := func() (on bool) {
		b.view(func(tx *store.Tx) (err error) { on, err = CodeWaits(tx); return err })
		return on
	}
	if waits() {
		t.Error("a sender is idle")
	}
	b.must("a")
	if !waits() {
		t.Error("the only sender is busy")
	}
	b.view(func(tx *store.Tx) error {
		d, err := Depth(tx)
		if len(d) != 3 || d[0].Due != 1 || d[0].OnAir != 1 || d[1].Due != 1 || d[0].Oldest.IsZero() || d[2].Due != 0 {
			t.Errorf("depth %+v", d)
		}
		s, err2 := Senders(tx)
		if len(s) != 1 || s[0].Hand == "" || s[0].Minute != 1 || s[0].Day != 1 {
			t.Errorf("senders %+v", s)
		}
		return errors.Join(err, err2)
	})
	b.report(modem("b", "red"))
	if waits() {
		t.Error("b is idle")
	}
}

func TestListAndByRef(t *testing.T) {
	b := newBox(t)
	var want []string
	for i := range 7 {
		m := code(i)
		m.Ref = fmt.Sprint("VE", i%2)
		want = append(want, b.put(m).ID)
		time.Sleep(2 * time.Millisecond) // ids rise by the millisecond
	}
	b.put(notice(9))
	slices.Reverse(want)
	var got []string
	b.view(func(tx *store.Tx) error {
		for cursor := ""; ; {
			page, next, err := List(tx, Filter{Lane: OTP, Limit: 3}, cursor)
			if err != nil {
				return err
			}
			for _, m := range page {
				got = append(got, m.ID)
			}
			if cursor = next; next == "" {
				break
			}
		}
		of, err := ByRef(tx, "VE0")
		if len(of) != 4 || of[0].ID != want[6] {
			t.Errorf("by ref: %d", len(of))
		}
		return err
	})
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}
