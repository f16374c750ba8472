package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

func TestMessageGoesOutAndIsDelivered(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := b.put(code(1))
	if m.State != Queued || !strings.HasPrefix(m.ID, "SM") || len(m.ID) != 34 {
		t.Fatalf("put gave id %q in state %s", m.ID, m.State)
	}
	job := b.must("a")
	if job.Message.ID != m.ID || job.Rendered.Text != "text of "+m.ID || !job.Rendered.Report {
		t.Fatalf("wrong job for %s", m.ID)
	}
	b.state(m.ID, Sending)
	b.settle(job, sentAs(7))
	b.state(m.ID, Sent)
	b.receive(job, 7, 0)
	b.state(m.ID, Delivered)
	b.recorded(m.ID, ActionSending, ActionSent, ActionDelivered)
	b.none("a")
	b.coherent()
	b.do(func(tx *store.Tx) error {
		c, err := contact.Of(tx, m.To)
		if c.LastSIM != "sim-a" {
			t.Errorf("the contact's SIM is %q", c.LastSIM)
		}
		return err
	})
}

func TestEntriesTellHandOverAndNoText(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	m := code(1)
	m.Ref = "VE0123"
	m = b.put(m)
	b.settle(b.must("a"), Result{Outcome: Refused, Code: 28, Class: "recipient", Cause: "unidentified subscriber"})
	var last store.Record
	b.view(func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if strings.Contains(fmt.Sprint(r.Entry), "text of") || strings.Contains(fmt.Sprint(r.Entry), m.To.E164()) {
				t.Errorf("an entry of %s shows the text or the number", r.Entry.Action)
			}
			last = r
			return nil
		})
	})
	want := []store.Attr{{Key: "ref", Value: "VE0123"}, {Key: "sender", Value: "a"}, {Key: "sim", Value: "sim-a"},
		{Key: "carrier", Value: "red"}, {Key: "parts", Value: "1"}, {Key: "code", Value: "28"},
		{Key: "cause", Value: "unidentified subscriber"}, {Key: "final", Value: "true"}}
	for _, a := range want {
		if !slices.Contains(last.Entry.Attrs, a) {
			t.Errorf("entry %s lacks %s=%s", last.Entry.Action, a.Key, a.Value)
		}
	}
	if last.Entry.Action != ActionRefused || last.Entry.Outcome != store.Failed {
		t.Errorf("last entry is %s", last.Entry.Action)
	}
}

func TestLanesStaffAndFairTurns(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	var names []string
	add := func(name string, m Message) {
		m.Ref = name
		b.put(m)
	}
	bulk := notice(90)
	bulk.Lane = Bulk
	add("bulk", bulk)
	add("notice", notice(91))
	for i := range 5 {
		m := code(i)
		m.Client = "flood"
		add(fmt.Sprintf("flood%d", i), m)
	}
	m := code(10)
	m.Client = "quiet"
	add("quiet", m)
	m = code(11)
	m.Client, m.Staff = "flood", true
	add("staff", m)
	for {
		job, ok := b.next("a")
		if !ok {
			break
		}
		names = append(names, job.Message.Ref)
		b.settle(job, sentAs(1))
		if len(names) == 3 { // one that comes late still stands before the rest of the flood
			m := code(12)
			m.Client = "late"
			add("late", m)
		}
	}
	got := strings.Join(names, " ")
	if got != "staff flood0 quiet flood1 late flood2 flood3 flood4 notice bulk" &&
		got != "staff flood0 quiet late flood1 flood2 flood3 flood4 notice bulk" {
		t.Fatalf("order is %s", got)
	}
	b.coherent()
}

func TestHalfOfMinuteBudgetIsKeptForCodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.caps("a", 6, -1)
		b.report(modem("a", "red"))
		for i := range 10 {
			b.put(notice(i))
			b.put(code(100 + i))
		}
		count := func() (codes, notices int) {
			for {
				job, ok := b.next("a")
				if !ok {
					return codes, notices
				}
				if job.Message.Lane == OTP {
					codes++
				} else {
					notices++
				}
				b.settle(job, sentAs(1))
			}
		}
		if codes, notices := count(); codes != 6 || notices != 0 {
			t.Fatalf("the first minute took %d codes and %d notices, want 6 and 0", codes, notices)
		}
		time.Sleep(70 * time.Second)
		if codes, notices := count(); codes != 4 || notices != 2 {
			t.Fatalf("the second minute took %d codes and %d notices, want 4 and 2", codes, notices)
		}
		time.Sleep(70 * time.Second)
		if codes, notices := count(); codes != 0 || notices != 3 {
			t.Fatalf("a minute without codes took %d notices, want half of the budget", notices)
		}
		b.view(func(tx *store.Tx) error { // an idle sender is told when to ask again
			at, ok, err := NextDue(tx)
			if wait := time.Until(at); !ok || wait <= 0 || wait > 65*time.Second {
				t.Errorf("the budget is said to have room in %v", wait)
			}
			return err
		})
	})
}

func TestDayBudgetGoesByPartsAndSIM(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBox(t)
		b.src["notice"] = func(_ *store.Tx, m Message) (Rendered, error) { return Rendered{Text: "long", Parts: 2}, nil }
		b.caps("a", -1, 8)
		b.report(modem("a", "red"))
		for i := range 4 {
			m := notice(i)
			m.Expires = time.Now().Add(72 * time.Hour)
			b.put(m)
		}
		job := b.must("a")
		b.settle(job, Result{Outcome: NotSent}) // nothing left the modem: it does not count
		b.settle(b.must("a"), sentAs(1, 2))
		b.settle(b.must("a"), sentAs(3, 4))
		b.none("a")
		s := modem("b", "red") // the SIM in another modem has the same budget
		s.SIM = "sim-a"
		b.report(s)
		b.none("b")
		time.Sleep(26 * time.Hour)
		b.must("b")
	})
}

func TestStickiness(t *testing.T) {
	setup := func(t *testing.T) *box {
		b := newBox(t)
		b.report(modem("a", "red"), modem("b", "blue"))
		b.put(code(1))
		b.settle(b.must("b"), sentAs(1)) // the patient knows the number of b now
		return b
	}
	t.Run("same number while it is idle", func(t *testing.T) {
		b := setup(t)
		b.put(code(1))
		b.none("a")
		b.must("b")
	})
	t.Run("a code does not wait for a busy one", func(t *testing.T) {
		b := setup(t)
		b.put(code(2))
		b.must("b")
		b.put(code(1))
		b.must("a")
	})
	t.Run("a notice does", func(t *testing.T) {
		b := setup(t)
		b.put(code(2))
		job := b.must("b")
		m := b.put(notice(1))
		b.none("a")
		b.settle(job, sentAs(2))
		if got := b.must("b"); got.Message.ID != m.ID {
			t.Fatal("b got another message")
		}
	})
	t.Run("not when the SIM is not well", func(t *testing.T) {
		b := setup(t)
		s := modem("b", "blue")
		s.Ready = false
		b.report(s)
		b.put(notice(1))
		b.must("a")
	})
	t.Run("not when its budget is used up", func(t *testing.T) {
		b := setup(t)
		b.caps("b", -1, 1)
		b.report(modem("b", "blue"))
		b.put(notice(1))
		b.must("a")
	})
	t.Run("a code waits a moment only, if the loop of its SIM hangs", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := setup(t)
			b.put(code(1))
			b.none("a")
			due, stop := b.store.Watch(Due)
			defer stop()
			time.Sleep(time.Second)
			b.expire()
			select {
			case <-due:
			default:
				t.Error("the others were not woken")
			}
			b.must("a")
		})
	})
}

// gammu#537: one recipient whose phone is off kept the whole queue.
func TestBlockedNumberBlocksNoOther(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	b.put(code(1))
	b.settle(b.must("a"), Result{Outcome: NotSent, Code: 38, Class: "transient"})
	m := b.put(code(2))
	if job := b.must("a"); job.Message.ID != m.ID {
		t.Fatal("the message to the number that failed came first again")
	}
}

// A line that nobody can serve now is not looked through to get to the next.
func TestUnservableLineBlocksNoOther(t *testing.T) {
	b := newBox(t)
	b.report(modem("a", "red"))
	for i := range 2 * tries {
		m := code(i)
		m.Route = []Step{{Channel: Call}}
		b.put(m)
	}
	m := b.put(code(1000))
	if job := b.must("a"); job.Message.ID != m.ID {
		t.Fatal("a call was given to a sender without voice")
	}
}

func TestSourceThatFailsBlocksNoOther(t *testing.T) {
	for name, source := range map[string]Source{
		"error":    func(*store.Tx, Message) (Rendered, error) { return Rendered{}, errors.New("secret") },
		"panic":    func(*store.Tx, Message) (Rendered, error) { panic("secret") },
		"no kind":  nil,
		"unwanted": func(*store.Tx, Message) (Rendered, error) { return Rendered{}, fmt.Errorf("x: %w", ErrGone) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				if b.src["notice"] = source; source == nil {
					delete(b.src, "notice")
				}
				b.report(modem("a", "red"))
				bad := b.put(notice(1))
				worse := b.put(notice(2))
				fine := notice(3)
				fine.Kind = "code"
				fine = b.put(fine)
				if job := b.must("a"); job.Message.ID != fine.ID {
					t.Fatal("another message was given")
				} else {
					b.settle(job, sentAs(1))
				}
				for range renderings {
					time.Sleep(time.Minute)
					b.none("a")
				}
				want := Refused
				if name == "unwanted" {
					want = Canceled
				}
				b.state(bad.ID, want)
				b.state(worse.ID, want)
				b.coherent()
			})
		})
	}
}

func TestModesHoldBack(t *testing.T) {
	t.Run("shadow", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		rendered := 0
		b.src["code"] = func(tx *store.Tx, m Message) (Rendered, error) { rendered++; return say(tx, m) }
		m := code(1)
		m.Mode = contact.Shadow
		m = b.put(m)
		b.none("a")
		b.do(func(tx *store.Tx) error { return Rehearse(tx, b.src) })
		if rendered != 1 {
			t.Errorf("rendered %d times", rendered)
		}
		if got := b.get(m.ID); got.State != Canceled || got.Cause != "shadow mode" || len(got.Attempts) != 0 {
			t.Errorf("ended as %s: %s", got.State, got.Cause)
		}
		b.recorded(m.ID, ActionCanceled)
		b.coherent()
	})
	t.Run("pilot", func(t *testing.T) {
		b := newBox(t)
		b.mode(contact.Pilot, phone(1))
		b.report(modem("a", "red"))
		other := b.put(code(2))
		m := b.put(code(1))
		if job := b.must("a"); job.Message.ID != m.ID {
			t.Fatal("wrong message")
		}
		b.do(func(tx *store.Tx) error { return Rehearse(tx, b.src) })
		b.state(other.ID, Canceled)
	})
	t.Run("made stricter while it waits", func(t *testing.T) {
		b := newBox(t)
		b.report(modem("a", "red"))
		m := b.put(code(1))
		b.mode(contact.Shadow)
		b.none("a")
		b.state(m.ID, Canceled)
		b.recorded(m.ID, ActionCanceled)
	})
	t.Run("admitted without any sender", func(t *testing.T) {
		b := newBox(t)
		b.mode(contact.Shadow)
		b.do(func(tx *store.Tx) error { return Admit(tx, code(1)) })
	})
}

func TestNextRefusesMisuse(t *testing.T) {
	b := newBox(t)
	take := func(name string) error {
		return b.try(func(tx *store.Tx) error { _, _, err := Next(tx, name, b.src); return err })
	}
	if err := take("a"); !errors.Is(err, ErrUnknownSender) {
		t.Errorf("unknown sender: %v", err)
	}
	b.report(modem("a", "red"))
	b.put(code(1))
	b.put(code(2))
	job := b.must("a")
	if err := take("a"); !errors.Is(err, ErrInHand) {
		t.Errorf("second without settling: %v", err)
	}
	b.settle(job, sentAs(1))
	err := b.try(func(tx *store.Tx) error { return Settle(tx, job.Message.ID, job.Attempt, sentAs(2)) })
	if !errors.Is(err, ErrSettled) {
		t.Errorf("settled twice: %v", err)
	}
	err = b.try(func(tx *store.Tx) error { return Settle(tx, "SM00", 0, sentAs(2)) })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("settled what is not there: %v", err)
	}
}

func TestPutRefuses(t *testing.T) {
	b := newBox(t)
	for field, spoil := range map[string]func(*Message){
		"kind":    func(m *Message) { m.Kind = "" },
		"lane":    func(m *Message) { m.Lane = 0 },
		"to":      func(m *Message) { m.To = contact.Phone{} },
		"route":   func(m *Message) { m.Route = nil },
		"expires": func(m *Message) { m.Expires = time.Now().Add(-time.Second) },
		"replace": func(m *Message) { m.Replace = 8 },
	} {
		m := code(1)
		spoil(&m)
		var invalid *InvalidError
		err := b.try(func(tx *store.Tx) error { _, err := Put(tx, m); return err })
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	m := code(1)
	m.Route = []Step{{Channel: "pigeon"}}
	if err := b.try(func(tx *store.Tx) error { _, err := Put(tx, m); return err }); err == nil {
		t.Error("an unknown channel was accepted")
	}
}

func TestIdleNextWritesNothing(t *testing.T) {
	b := newBox(t)
	s := modem("a", "red")
	b.report(s)
	before := b.size()
	changed, stop := b.store.Watch(Changed)
	defer stop()
	for range 10 {
		b.report(s)
		b.none("a")
	}
	b.expire()
	if b.size() != before {
		t.Error("idling left entries")
	}
	select {
	case <-changed:
		t.Error("idling signalled a change")
	default:
	}
}

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
