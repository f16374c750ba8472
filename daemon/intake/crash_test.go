package intake

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox/outboxtest"
	"pinward/hl7"
	"pinward/hl7/mllp"
	"pinward/store/storetest"
)

// TestDurableBeforeAnswer takes an image of the disk at the moment of the answer, as kill -9 leaves it:
// the contact, the reminders and the answer itself are in it.
func TestDurableBeforeAnswer(t *testing.T) {
	keys := storetest.NewKeys(t)
	b := &box{Box: outboxtest.New(t, outboxtest.Setup{Actor: operator, Sources: sources, Site: riverside(), Keys: keys})}
	b.listen(Listener{Name: "adt", Mode: contact.Live})
	m := b.message(siu("S12", time.Now().Add(50*time.Hour), ""))
	first := b.raw(m)
	image := filepath.Join(b.Dir, "image")
	if err := os.CopyFS(image, os.DirFS(filepath.Join(b.Dir, "store"))); err != nil {
		t.Fatal(err)
	}

	b.Store = storetest.OpenIn(t, image, storetest.Options(keys))
	b.listen(Listener{Name: "adt", Mode: contact.Live})
	if got := b.whats(); got != "24h 2h" {
		t.Errorf("texts are %q", got)
	}
	if got := b.raw(m); got != first {
		t.Errorf("a repeat is answered %q, first %q", got, first)
	}
}

// TestOverMLLP runs the day of one patient over a real connection.
func TestOverMLLP(t *testing.T) {
	b := newBox(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &mllp.Server{Name: "adt", Handler: b.in.Handle, Log: slog.New(slog.DiscardHandler)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), ln) }()
	c := &mllp.Client{Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	}}
	for _, m := range []string{"ADT^A04\n" + jane, siu("S12", time.Now().Add(50*time.Hour), ""), "ADT^A08\n" + jane + "\nZNT|1|OTP^login|R1"} {
		reply, err := c.Send(context.Background(), []byte(b.message(m)))
		if err != nil {
			t.Fatal(err)
		}
		if code, _, _ := reply.Acknowledgment(); code != hl7.AA {
			t.Errorf("answered %s", code)
		}
	}
	if got := b.whats(); got != "portal-login 24h 2h" {
		t.Errorf("texts are %q", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// FuzzRead reads hostile bytes as a message and answers them: it must not panic, and must answer all
// but acknowledgments and MSH-15 = NE.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "\r", "MSH", "MSH|^~\\&|", siu("S12", time.Unix(1<<31, 0), ""), "ADT^A40\nPID|\nMRG|", "ADT^A08\n" + jane + "\nZNT|1|OTP^login|R1|SMS|en|20260101|1",
		"ORU^R01\nPID|1||1\nOBR|||||||||||||||||||||||||F\nOBX|||||||||||F", "RDS^O13\nPID|1||1\nRXD|1", "SIU^S14\nSCH||A|||||||30|H|^^^2\nPID|1||1\nAIL|1||A^^^B",
	} {
		b := &box{}
		f.Add([]byte(b.message(s)))
	}
	files, _ := filepath.Glob(filepath.Join(corpus, "*.hl7"))
	for _, name := range files {
		frame, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	in := New(Options{Listener: Listener{Name: "adt", Mode: contact.Live}})
	g := &ground{zone: time.UTC, site: contact.Site{Authority: "RIV", Brand: "B"}, policy: Policy{Releasable: []string{"*"}, Places: map[string]string{"A": "B"}}, rules: newRules(Shipped()), mode: contact.Live}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, wrong := hl7.Parse(frame)
		if m.IsAck() {
			return
		}
		w := &work{reading: in.read(g, &sender{Peer: Peer{Name: "adt"}}, m, frame, wrong)}
		out := outcome{Ack: hl7.AA, Wrong: w.wrong, AckID: newAckID()}
		if w.wrong != nil {
			out.Ack = w.wrong.AckCode()
			if out.Ack.Accepted() {
				t.Error("what is wrong is accepted")
			}
		}
		if reply := in.reply(w.reading, out); len(reply) == 0 && m.MSH(15).String() != "NE" {
			t.Error("no answer")
		}
		for _, half := range []string{w.person.id.MRN, w.person.id.Authority, w.visit.appointment.ID.Number} {
			if w.wrong == nil && len(half) > maxID {
				t.Error("an identifier is longer than the rooms below take")
			}
		}
	})
}
