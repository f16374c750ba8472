package outbox

import (
	"errors"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// prompt is a sender that watches Claims.
func prompt(name, carrier string) Sender {
	s := modem(name, carrier)
	s.Claims = true
	return s
}

// claimed is what a sender finds in a View.
func (b *box) claimed(name string) (job Job, ok bool, err error) {
	b.t.Helper()
	b.view(func(tx *store.Tx) error { job, ok, err = Claimed(tx, name, b.src); return nil })
	return job, ok, err
}

func TestStartClaimsIdleSender(t *testing.T) {
	b := newBox(t)
	b.report(prompt("a", "red"), prompt("b", "blue"))
	claims, stop := b.store.Watch(Claims)
	defer stop()
	m := b.put(code(1))
	select {
	case <-claims:
	default:
		t.Error("nobody was woken")
	}
	b.state(m.ID, Sending)
	b.recorded(m.ID, ActionSending)
	b.coherent()
	if _, ok, err := b.claimed("b"); ok || err != nil {
		t.Errorf("another sender's claim: %t, %v", ok, err)
	}
	job, ok, err := b.claimed("a")
	if !ok || err != nil || job.Message.ID != m.ID || job.Rendered.Text == "" || job.Rendered.Validity <= 0 || job.ConcatRef == 0 {
		t.Fatalf("claimed: %t, %v", ok, err)
	}
	b.settle(job, sentAs(4))
	b.receive(job, 4, 0)
	b.state(m.ID, Delivered)
	if _, ok, _ := b.claimed("a"); ok {
		t.Error("the claim outlives its settlement")
	}
	b.put(code(2)) // the one that has rested longer
	if _, ok, err := b.claimed("b"); !ok {
		t.Errorf("the second code: %v", err)
	}
	b.coherent()
}

// A claim counts against the SIM's budget, as any hand-over does.
func TestClaimIsCharged(t *testing.T) {
	b := newBox(t)
	b.caps("a", 2, -1)
	b.report(prompt("a", "red"))
	for i := range 2 {
		b.put(code(i))
		job, ok, err := b.claimed("a")
		if !ok {
			t.Fatalf("no claim: %v", err)
		}
		b.settle(job, sentAs(byte(i)))
	}
	m := b.put(code(3))
	b.state(m.ID, Queued)
}

// What keeps a code from being claimed.
func TestNoClaim(t *testing.T) {
	for name, c := range map[string]func(b *box, m *Message){
		"a notice":              func(_ *box, m *Message) { *m = notice(1) },
		"not due":               func(_ *box, m *Message) { m.Due = time.Now().Add(time.Minute) },
		"shadow":                func(_ *box, m *Message) { m.Mode = contact.Shadow },
		"held lane":             func(b *box, _ *Message) { b.do(func(tx *store.Tx) error { return Pause(tx, OTP) }) },
		"nobody watches":        func(b *box, _ *Message) { b.report(modem("a", "red")) },
		"another SIM":           func(_ *box, m *Message) { m.SIM = "sim-x" },
		"not ready":             func(b *box, _ *Message) { s := prompt("a", "red"); s.Ready = false; b.report(s) },
		"after a start":         func(b *box, _ *Message) { b.do(ResetSenders) },
		"lane not carried":      func(b *box, _ *Message) { s := free("sim-a"); s.Lanes = []Lane{Notice}; b.sim(s) },
		"a call it cannot make": func(_ *box, m *Message) { m.Route = []Step{{Channel: Call}} },
		"somebody waits": func(b *box, _ *Message) {
			b.put(code(50)) // in its hand
			b.put(code(51))
			job, _, _ := b.claimed("a")
			b.settle(job, sentAs(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.report(prompt("a", "red"))
			m := code(1)
			c(b, &m)
			b.state(b.put(m).ID, Queued)
			b.coherent()
		})
	}
}

func TestClaimPrefersTheKnownSIM(t *testing.T) {
	b := newBox(t)
	b.report(prompt("a", "red"), prompt("b", "blue"))
	for range 4 {
		b.put(code(1))
		job, ok, _ := b.claimed("a")
		if !ok {
			t.Fatal("another sender wrote to a patient who knows the number of a")
		}
		b.settle(job, sentAs(1))
	}
}

// A claim whose sender is not able after all is settled as not sent, and goes on at once.
func TestClaimOfASenderThatCannot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *box, m Message)
		want   State
	}{
		"not ready":   {func(b *box, _ Message) { s := prompt("a", "red"); s.Ready = false; b.report(s) }, Queued},
		"another SIM": {func(b *box, _ Message) { s := prompt("a", "red"); s.SIM = "sim-x"; b.report(s) }, Queued},
		"canceled":    {func(b *box, m Message) { b.do(func(tx *store.Tx) error { return Cancel(tx, m.ID) }) }, Canceled},
		"too late":    {func(*box, Message) { time.Sleep(time.Hour) }, Expired},
		"gone": {func(b *box, _ Message) {
			b.src["code"] = func(*store.Tx, Message) (Rendered, error) { return Rendered{}, ErrGone }
		}, Canceled},
		"not rendered": {func(b *box, _ Message) { delete(b.src, "code") }, Queued},
		"mode":         {func(b *box, _ Message) { b.mode(contact.Shadow) }, Queued},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBox(t)
				b.report(prompt("a", "red"), modem("b", "blue"))
				m := b.put(code(1))
				c.change(b, m)
				if _, ok, err := b.claimed("a"); ok || !errors.Is(err, ErrAskNext) {
					t.Errorf("in a View: %t, %v", ok, err)
				}
				b.none("a")
				b.state(m.ID, c.want)
				b.coherent()
				if got := b.get(m.ID).Attempts; len(got) != 1 || got[0].Outcome != NotSent {
					t.Errorf("attempts %+v", got)
				}
				if name == "not ready" || name == "another SIM" {
					b.settle(b.must("b"), sentAs(1))
				}
			})
		})
	}
}

// A Source that has to write is rendered by Next, as is a text that a claim did not reckon with.
func TestClaimPickedUpByNext(t *testing.T) {
	for name, c := range map[string]struct {
		text  Rendered
		write bool
	}{
		"writes":     {Rendered{Text: "x", Report: true}, true},
		"two parts":  {Rendered{Text: "x", Parts: 2, Report: true}, false},
		"no receipt": {Rendered{Text: "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.report(prompt("a", "red"))
			b.src["code"] = func(tx *store.Tx, m Message) (Rendered, error) {
				if c.write {
					return c.text, contact.Used(tx, m.To, "sim-a")
				}
				return c.text, nil
			}
			m := b.put(code(1))
			if _, ok, err := b.claimed("a"); ok || !errors.Is(err, ErrAskNext) {
				t.Fatalf("in a View: %t, %v", ok, err)
			}
			job := b.must("a")
			if a := b.get(m.ID).Attempts[0]; job.Message.ID != m.ID || a.Planned != max(1, c.text.Parts) || a.Report != c.text.Report {
				t.Errorf("attempt %+v", a)
			}
			b.settle(job, sentAs(1))
			b.state(m.ID, Sent)
			b.coherent()
		})
	}
}

// A crash after the claim and before the sender found it: nobody can know, so the code goes again.
func TestCrashAfterClaim(t *testing.T) {
	b := newBox(t)
	b.report(prompt("a", "red"))
	m := b.put(code(1))
	c := b.image()
	if n := c.recover(); n != 1 {
		t.Errorf("recovered %d, want 1", n)
	}
	c.recorded(m.ID, ActionSending, ActionUnknown)
	c.state(m.ID, Queued)
	if _, ok, _ := c.claimed("a"); ok {
		t.Error("the claim outlives the crash")
	}
	c.coherent()
}
