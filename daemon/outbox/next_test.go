package outbox

import (
	"errors"
	"fmt"
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
		m.Mode, m.Order = contact.Shadow, "REQ-1"
		m = b.put(m)
		b.none("a")
		b.do(func(tx *store.Tx) error { return Rehearse(tx, b.src) })
		b.view(func(tx *store.Tx) error { // who asked for it is told by this entry
			return tx.Entries(0, func(r store.Record) error {
				told := slices.Contains(r.Entry.Attrs, store.Attr{Key: "rehearsed", Value: "true"}) && slices.Contains(r.Entry.Attrs, store.Attr{Key: "order", Value: "REQ-1"})
				if r.Entry.Action == ActionCanceled && !told {
					t.Errorf("the entry is %v", r.Entry.Attrs)
				}
				return nil
			})
		})
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
		elsewhere := code(3)
		elsewhere.Place = "Main Street"
		elsewhere = b.put(elsewhere)
		m := b.put(code(1))
		if job := b.must("a"); job.Message.ID != m.ID {
			t.Fatal("wrong message")
		}
		b.do(func(tx *store.Tx) error { return Rehearse(tx, b.src) })
		b.state(other.ID, Canceled)
		b.state(elsewhere.ID, Canceled)
	})
	t.Run("pilot clinic", func(t *testing.T) {
		b := newBox(t)
		b.mode(contact.Pilot)
		b.do(func(tx *store.Tx) error {
			site, err := contact.SiteOf(tx)
			if err != nil {
				return err
			}
			site.PilotPlaces = []string{"Elm Building"}
			return contact.SetSite(tx, site)
		})
		b.report(modem("a", "red"))
		m := code(1)
		m.Place = "Elm Building"
		m = b.put(m)
		if job := b.must("a"); job.Message.ID != m.ID {
			t.Fatal("wrong message")
		}
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
