package intake

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/hl7"
	"pinward/store"
)

// box is a store with a live site, one modem that is ready, and the intake of one live listener.
type box struct {
	*outboxtest.Box
	in   *Intake
	next int
}

var sources = outbox.Sources{notice.Kind: notice.Render, otp.Kind: otp.Render}

var operator = store.Actor{Kind: "user", ID: "test"}

func newBox(t testing.TB) *box {
	t.Helper()
	return newBoxIn(t, Listener{Name: "adt", Mode: contact.Live})
}

func newBoxIn(t testing.TB, l Listener) *box {
	t.Helper()
	b := &box{Box: outboxtest.New(t, outboxtest.Setup{Actor: operator, Sources: sources, Site: riverside(), PartTime: time.Second})}
	b.listen(l)
	b.policy(Policy{})
	return b
}

// listen puts another intake before the same store, as after a restart.
func (b *box) listen(l Listener) {
	b.in = New(Options{Store: b.Store, Log: slog.New(slog.DiscardHandler), Listener: l})
}

func riverside() contact.Site {
	s := outboxtest.Riverside()
	s.Area, s.Authority, s.LinkHosts = "617", "RIV", []string{"portal.example.org"}
	return s
}

// site changes the site; an intake made before may see it a second later only.
func (b *box) site(change func(*contact.Site)) {
	b.T.Helper()
	s := riverside()
	change(&s)
	b.Do(func(tx *store.Tx) error { return contact.SetSite(tx, s) })
}

func (b *box) policy(p Policy) {
	b.T.Helper()
	if p.Gather == 0 {
		p.Gather = 1 // nobody waits in a test
	}
	b.Do(func(tx *store.Tx) error { return SetPolicy(tx, p) })
	b.in.ground.Store(nil)
}

// send gives a message to the intake, and its answer taken apart. {at} and {now} in it are replaced by
// MSH-7 and MSH-10; a message without MSH gets one of its first word.
func (b *box) send(message string) ack {
	b.T.Helper()
	reply, err := b.in.Handle(context.Background(), hl7.Peer{}, []byte(b.message(message)))
	if err != nil {
		b.T.Fatal(err)
	}
	return b.parse(reply)
}

// message writes "ADT^A04|PID|..." with "|" and line breaks as a whole message of this moment.
func (b *box) message(s string) string {
	b.next++
	kind, rest, _ := strings.Cut(s, "\n")
	if !strings.HasPrefix(kind, "MSH") {
		kind = header(kind, fmt.Sprintf("C%04d", b.next), time.Now())
	}
	return strings.ReplaceAll(strings.TrimSpace(kind+"\n"+rest), "\n", "\r") + "\r"
}

func header(kind, control string, at time.Time) string {
	return fmt.Sprintf("MSH|^~\\&|EPIC|RIVERSIDE|PINWARD|BOX|%s||%s|%s|P|2.5.1", at.Format("20060102150405-0700"), kind, control)
}

type ack struct {
	raw     string
	code    hl7.AckCode
	control string // MSA-2
	text    string // MSA-3
}

func (b *box) parse(reply []byte) ack {
	b.T.Helper()
	if reply == nil {
		return ack{}
	}
	m, err := hl7.Parse(reply)
	if err != nil {
		b.T.Fatalf("the acknowledgment is no message: %v", err)
	}
	code, control, ok := m.Acknowledgment()
	if !ok {
		b.T.Fatal("the reply is no acknowledgment")
	}
	return ack{raw: string(reply), code: code, control: control, text: m.Get("MSA-3")}
}

// last explains the message that was sent last.
func (b *box) last() Explanation {
	b.T.Helper()
	list := b.explain(fmt.Sprintf("C%04d", b.next))
	if len(list) == 0 {
		b.T.Fatal("the last message is not explained")
	}
	return list[len(list)-1]
}

func (b *box) explain(control string) (list []Explanation) {
	b.T.Helper()
	b.View(func(tx *store.Tx) (err error) {
		list, err = Explain(tx, b.in.listener.Name, control)
		return err
	})
	return list
}

func (b *box) subject(mrn string) (s contact.Subject, known bool) {
	b.T.Helper()
	b.View(func(tx *store.Tx) (err error) {
		s, known, err = contact.Find(tx, contact.SubjectID{Authority: "RIV", MRN: mrn})
		return err
	})
	return s, known
}

func (b *box) numbers(mrn string) (list []string) {
	b.T.Helper()
	s, _ := b.subject(mrn)
	for _, n := range s.Phones {
		list = append(list, n.Phone.E164())
	}
	return list
}

// texts lists what waits in the outbox: notices by template and key order, codes by service.
func (b *box) texts() (list []queued) {
	b.T.Helper()
	b.View(func(tx *store.Tx) error {
		page, _, err := outbox.List(tx, outbox.Filter{Limit: 1000}, "")
		if err != nil {
			return err
		}
		for _, m := range page {
			if m.State != outbox.Queued {
				continue
			}
			t := queued{to: m.To.E164(), due: m.Due, mode: m.Mode}
			switch m.Kind {
			case notice.Kind:
				n, _, err := notice.Get(tx, m.Ref)
				if err != nil {
					return err
				}
				t.what, t.key, t.lang = n.Template, n.Key, n.Lang
			case otp.Kind:
				v, err := otp.Get(tx, m.Ref)
				if err != nil {
					return err
				}
				t.what, t.key, t.lang = v.Service, v.Reference, v.Locale
			}
			list = append(list, t)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b queued) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return strings.Compare(a.what, b.what)
	})
	return list
}

type queued struct {
	what, key, lang, to string
	due                 time.Time
	mode                contact.Mode
}

// whats names the texts that wait, in the order in which they are due.
func (b *box) whats() string {
	b.T.Helper()
	var names []string
	for _, t := range b.texts() {
		name := t.what
		if t.what == "appointment.reminder" {
			name = t.key
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (b *box) count(action store.Action) int { return len(b.Entries(action)) }

// ts writes an instant as HL7 does.
func ts(at time.Time) string { return at.UTC().Format("20060102150405") + "+0000" }
