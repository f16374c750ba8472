package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pinward/hl7"
	"pinward/store"
)

// receiver is an engine that answers as it is told to, message by message, and then with AA.
type receiver struct {
	mu      sync.Mutex
	answers []func(*hl7.Message) ([]byte, error)
	got     [][]byte
}

func (r *receiver) send(_ context.Context, message []byte) (*hl7.Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := hl7.Parse(message)
	if err != nil {
		return nil, err
	}
	r.got = append(r.got, bytes.Clone(message))
	answer := taken
	if len(r.answers) > 0 {
		answer, r.answers = r.answers[0], r.answers[1:]
	}
	reply, err := answer(m)
	if err != nil {
		return nil, err
	}
	return hl7.Parse(reply)
}

func taken(m *hl7.Message) ([]byte, error) { return hl7.Ack(m, hl7.AckOptions{}), nil }

func refused(code hl7.AckCode, reason hl7.Code) func(*hl7.Message) ([]byte, error) {
	return func(m *hl7.Message) ([]byte, error) {
		return hl7.Ack(m, hl7.AckOptions{Code: code, Err: &hl7.Error{Code: reason}}), nil
	}
}

func cut(*hl7.Message) ([]byte, error) { return nil, io.ErrUnexpectedEOF }

// statuses are "request delivery" of what came, in order, without repeats.
func (r *receiver) statuses() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, raw := range r.got {
		if i > 0 && bytes.Equal(raw, r.got[i-1]) {
			continue
		}
		m, _ := hl7.Parse(raw)
		list = append(list, m.Get("OBR-2.1")+" "+m.Get("OBX-5.1"))
	}
	return list
}

func orderOf(peer, placer string) store.Attr {
	o := hl7.Order{Peer: peer, App: "EPIC", Facility: "RIV", OurApp: "PINWARD", OurFacility: "BOX", Processing: "P", Placer: placer, Patient: hl7.CX{ID: "42", Type: "MR"}}
	return a("order", o.Encode())
}

// tells runs an engine over what the log has until it has told all, and returns how it stands.
func (b *box) tells(r *receiver, wants []string, entries ...store.Entry) (st EngineStatus) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{
		Peer: "engine", Store: b.store, By: portal, Send: r.send, Log: slog.New(slog.DiscardHandler),
		Wants: func(*store.Tx) ([]string, error) { return wants, nil },
	}
	b.update(func(tx *store.Tx) error { return Begin(tx, EnginePrefix+"engine") })
	b.add(portal, entries...)
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	time.Sleep(20 * time.Minute)
	cancel()
	<-done
	if err := b.store.View(context.Background(), func(tx *store.Tx) (err error) {
		st, err = StatusOfEngine(tx, "engine")
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return st
}

var allStates = []string{"queued", "sent", "delivered", "failed"}

func TestEngineIsToldOfItsOwnRequestsInOrder(t *testing.T) {
	inBubble(t, func(b *box) {
		own := func(n int) store.Attr { return orderOf("engine", fmt.Sprint("R", n)) }
		ref := a("ref", "SM1")
		entries := []store.Entry{
			{Action: "notice.send", Object: "SM1", Attrs: []store.Attr{own(1)}},
			{Action: "notice.send", Object: "SM2"}, // nobody's
			{Action: "notice.send", Object: "SM3", Attrs: []store.Attr{orderOf("another", "R9")}},
			{Action: "message.sending", Object: "M1", Attrs: []store.Attr{ref, own(1)}},
			{Action: "message.undelivered", Outcome: store.Failed, Object: "M1", Attrs: []store.Attr{ref, own(1), a("final", "false")}},
			{Action: "message.sent", Object: "M1", Attrs: []store.Attr{ref, own(1)}},
			{Action: "message.delivered", Object: "M1", Attrs: []store.Attr{ref, own(1)}},
			{Action: "notice.send", Outcome: store.Refused, Attrs: []store.Attr{own(2), a("cause", "opted out")}},
			{Action: "message.expired", Outcome: store.Failed, Object: "M3", Attrs: []store.Attr{own(3), a("cause", "late")}},
			{Action: "message.unknown", Outcome: store.Failed, Object: "M4", Attrs: []store.Attr{own(4), a("final", "true")}},
			{Action: "notice.cancel", Object: "SM5", Attrs: []store.Attr{own(5)}},
			{Action: "message.undelivered", Outcome: store.Failed, Object: "M6", Attrs: []store.Attr{own(6), a("final", "true")}},
			{Action: "verification.start", Object: "VE1", Attrs: []store.Attr{own(7)}},
			{Action: "message.canceled", Object: "M7", Attrs: []store.Attr{own(7)}}, // overtaken by another
			{Action: "message.sent", Object: "M8", Attrs: []store.Attr{a("order", "no order")}},
			{Action: "message.canceled", Object: "M9", Attrs: []store.Attr{own(9), a("cause", "shadow mode"), a("rehearsed", "true")}},
		}
		r := &receiver{}
		st := b.tells(r, allStates, entries...)
		want := []string{"R1 QUEUED", "R1 SENT", "R1 DELIVERED", "R2 REFUSED", "R3 EXPIRED", "R4 UNKNOWN", "R5 CANCELED", "R6 FAILED", "R7 QUEUED", "R9 CANCELED"}
		if got := r.statuses(); !slices.Equal(got, want) {
			t.Errorf("it is told %q", got)
		}
		if st.Sent != 10 || st.Refused != 0 || st.Backlog != 0 || st.Last.IsZero() {
			t.Errorf("%+v", st)
		}
		m, _ := hl7.Parse(r.got[2])
		if m.Get("OBR-3") != "SM1" || m.Get("PID-3.1") != "42" || m.Get("MSH-5") != "EPIC" || m.ControlID() == "" {
			t.Error("the status does not name the request")
		}
		r = &receiver{}
		b.tells(r, []string{"failed"}, entries...)
		if got := r.statuses(); !slices.Equal(got, []string{"R2 REFUSED", "R3 EXPIRED", "R4 UNKNOWN", "R5 CANCELED", "R6 FAILED", "R9 CANCELED"}) {
			t.Errorf("of failures alone it is told %q", got)
		}
		r = &receiver{}
		if st := b.tells(r, nil, entries...); len(r.got) != 0 || st.Backlog != 0 {
			t.Errorf("who asks for nothing is told %d, %+v", len(r.got), st)
		}
	})
}

// A wish goes to the peer of its entry that asks for wishes, among the statuses and in their order; one
// whose answer was lost comes again under its MSH-10.
func TestEngineIsToldOfWishes(t *testing.T) {
	inBubble(t, func(b *box) {
		wish := func(peer, wish string) store.Entry {
			return store.Entry{Action: "hl7.wish", Attrs: []store.Attr{a("wish", wish), orderOf(peer, "")}}
		}
		entries := []store.Entry{
			{Action: "message.sent", Attrs: []store.Attr{a("ref", "SM1"), orderOf("engine", "R1")}},
			wish("engine", "OUT"), wish("another", "OUT"), wish("engine", "IN"),
		}
		r := &receiver{answers: []func(*hl7.Message) ([]byte, error){cut}}
		st := b.tells(r, []string{"optout"}, entries...)
		if got := r.statuses(); !slices.Equal(got, []string{" OUT", " IN"}) || len(r.got) != 3 || !bytes.Equal(r.got[0], r.got[1]) || st.Sent != 2 {
			t.Errorf("it is told %q in %d messages, %+v", got, len(r.got), st)
		}
		m, _ := hl7.Parse(r.got[2])
		if m.Get("OBX-3.1") != "OPTOUT" || m.Get("PID-3.1") != "42" || m.Get("OBR-25") != "F" {
			t.Error("the wish is not told as one")
		}
		r = &receiver{}
		b.tells(r, allStates, entries...)
		if got := r.statuses(); !slices.Equal(got, []string{"R1 SENT"}) {
			t.Errorf("who asks for no wishes is told %q", got)
		}
	})
}

// The matrix of one status: not sent; sent, and nobody knows (the same bytes go again); refused for good;
// refused for now, then taken; refused for now for ever.
func TestEngineTroubles(t *testing.T) {
	down := func(*hl7.Message) ([]byte, error) { return nil, errors.New("dial engine: refused") }
	for _, c := range []struct {
		name    string
		answers []func(*hl7.Message) ([]byte, error)
		came    int // messages, both statuses
		refused uint64
		by      string
	}{
		{"down, then up", []func(*hl7.Message) ([]byte, error){down, down}, 4, 0, ""},
		{"cut before the answer", []func(*hl7.Message) ([]byte, error){cut}, 3, 0, ""},
		{"AE is about the content", []func(*hl7.Message) ([]byte, error){refused(hl7.AE, hl7.CodeRequiredFieldMissing)}, 2, 1, "AE 101"},
		{"CE too", []func(*hl7.Message) ([]byte, error){refused(hl7.CE, hl7.CodeTableValue)}, 2, 1, "CE 103"},
		{"AR of a type that it never takes", []func(*hl7.Message) ([]byte, error){refused(hl7.AR, hl7.CodeMessageType)}, 2, 1, "AR 200"},
		{"AR of the moment", []func(*hl7.Message) ([]byte, error){refused(hl7.AR, hl7.CodeInternal), refused(hl7.CR, hl7.CodeInternal)}, 4, 0, ""},
		{"AR for ever", slices.Repeat([]func(*hl7.Message) ([]byte, error){refused(hl7.AR, hl7.CodeInternal)}, maxRefusals), maxRefusals + 1, 1, "AR 207"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(b *box) {
				r := &receiver{answers: c.answers}
				st := b.tells(r, allStates,
					store.Entry{Action: "message.sent", Attrs: []store.Attr{a("ref", "SM1"), orderOf("engine", "R1")}},
					store.Entry{Action: "message.delivered", Attrs: []store.Attr{a("ref", "SM1"), orderOf("engine", "R1")}})
				if got := r.statuses(); !slices.Equal(got, []string{"R1 SENT", "R1 DELIVERED"}) {
					t.Errorf("it is told %q", got)
				}
				if len(r.got) != c.came || st.Refused != c.refused || st.RefusedBy != c.by || st.Sent != 2-c.refused || st.Trouble != "" || st.Backlog > c.refused {
					t.Errorf("%d messages, %+v", len(r.got), st)
				}
				for _, raw := range r.got[:len(r.got)-1] {
					if !bytes.Equal(raw, r.got[0]) {
						t.Error("a repeat is another message")
					}
				}
				found := b.search(Query{Action: string(ActionBackRefused)}).Records
				if uint64(len(found)) != c.refused {
					t.Fatalf("%d entries of refusals", len(found))
				}
				for _, e := range found {
					if Attr(e.Entry, "answer") != c.by || e.Entry.Object != "SM1" || strings.Contains(fmt.Sprint(e.Entry.Attrs), "42") {
						t.Errorf("%+v", e.Entry)
					}
				}
			})
		})
	}
}

// While an engine takes nothing its backlog shows, and since when.
func TestEngineThatTakesNothingShows(t *testing.T) {
	inBubble(t, func(b *box) {
		r := &receiver{answers: slices.Repeat([]func(*hl7.Message) ([]byte, error){cut}, 1000)}
		st := b.tells(r, allStates, store.Entry{Action: "message.sent", Attrs: []store.Attr{orderOf("engine", "R1")}}, store.Entry{Action: "tick"})
		if st.Backlog != 2 || st.Trouble == "" || st.Since.IsZero() || st.Oldest.IsZero() || st.Sent != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestControlIDsOfStatusesAreApartAndShort(t *testing.T) {
	at := time.Date(2032, 12, 31, 0, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	for _, seq := range []uint64{0, 1, 35, 36, 1 << 40} {
		for _, d := range []time.Duration{0, time.Second} {
			id := controlID(store.Record{Seq: seq, Time: at.Add(d)})
			if seen[id] || len(id) > 20 || strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				t.Errorf("entry %d has %q", seq, id)
			}
			seen[id] = true
		}
	}
}
