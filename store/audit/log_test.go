package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// testLog is a log in memory, as a box would have made it.
type testLog struct {
	t       testing.TB
	key     *ecdsa.PrivateKey
	signers []*ecdsa.PublicKey
	edge    Edge
	leaves  []Leaf
	blinds  [][BlindSize]byte
	bodies  [][]byte
	notes   [][]byte
	hashes  []tlog.Hash // in tlog's storage order
	at      time.Time
}

func newTestLog(t testing.TB) *testLog {
	l := &testLog{t: t, at: time.Date(2026, 11, 1, 8, 0, 0, 123, time.UTC)}
	l.newSigner()
	return l
}

func (l *testLog) newSigner() {
	l.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	l.key = key
	l.signers = append(l.signers, &key.PublicKey)
}

// add appends n entries, three a second.
func (l *testLog) add(n int) {
	for range n {
		seq := l.edge.Size()
		l.at = l.at.Add(time.Second / 3)
		l.put(Header{Sequence: seq, Second: l.at.Unix()}, seq)
	}
}

// put appends an entry with the header given, which may be a wrong one.
func (l *testLog) put(h Header, i uint64) {
	e := Entry{Action: "test.done", Outcome: OK, Object: fmt.Sprintf("VE%d", i), Subject: "site|4711", Attrs: []Attr{{"n", fmt.Sprint(i)}}}
	if i%5 == 4 {
		e.Outcome = Refused
	}
	l.record(h, i, e)
}

func (l *testLog) record(h Header, i uint64, e Entry) {
	a := Actor{Kind: KindClient, ID: fmt.Sprintf("AC%02d", i%3)}
	h.Epoch, h.Action, h.Outcome = 1, e.Action, e.Outcome
	h.Actor = Pseudonym{15: byte(i % 3)}
	body := AppendBody(nil, l.at, &a, &e)
	blind := sha256.Sum256(fmt.Appendf(nil, "blind %d", i))
	leaf := AppendLeaf(nil, &h, &blind, body)
	l.leaves, l.blinds, l.bodies = append(l.leaves, leaf), append(l.blinds, blind), append(l.bodies, body)
	l.edge.Append(leaf.Hash(), func(_ int, _ uint64, h tlog.Hash) { l.hashes = append(l.hashes, h) })
}

// sign signs a head over what is there.
func (l *testLog) sign() []byte {
	l.t.Helper()
	h := Head{Origin: "pinward/test", Size: l.edge.Size(), Root: l.edge.Root()}
	if len(l.notes) > 0 {
		h.Prev = NoteHash(l.notes[len(l.notes)-1])
	}
	return l.signHead(h)
}

func (l *testLog) signHead(h Head) []byte {
	l.t.Helper()
	sum := sha256.Sum256(h.Text())
	sig, err := ecdsa.SignASN1(rand.Reader, l.key, sum[:])
	if err != nil {
		l.t.Fatal(err)
	}
	note, err := h.Note(&l.key.PublicKey, sig)
	if err != nil {
		l.t.Fatal(err)
	}
	l.notes = append(l.notes, note)
	return note
}

func (l *testLog) source() Source {
	last := len(l.notes) - 1
	return Source{Checkpoint: l.notes[last], Signers: l.signers, Heads: all(l.notes[:last]), Leaves: all(l.leaves)}
}

func all[T any](s []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v := range slices.Values(s) {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (l *testLog) fingerprint() string { return Fingerprint(&l.key.PublicKey) }

// ReadHashes makes testLog a tlog.HashReader.
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = l.hashes[x]
	}
	return out, nil
}

// TestEntryOpens: an entry opens from leaf, blind and body, and from no others.
func TestEntryOpens(t *testing.T) {
	l := newTestLog(t)
	l.add(2)
	r, err := Open(l.leaves[1], &l.blinds[1], l.bodies[1])
	if err != nil {
		t.Fatal(err)
	}
	if r.Seq != 1 || r.Actor.ID != "AC01" || r.Entry.Object != "VE1" || r.Entry.Subject != "site|4711" ||
		!slices.Equal(r.Entry.Attrs, []Attr{{"n", "1"}}) || !r.Time.Equal(l.at) || r.Header.Second != l.at.Unix() {
		t.Errorf("opened %#v of %#v at %v", r.Entry, r.Actor, r.Time)
	}
	for name, try := range map[string]func() (Record, error){
		"another blind": func() (Record, error) { return Open(l.leaves[1], &l.blinds[0], l.bodies[1]) },
		"another body":  func() (Record, error) { return Open(l.leaves[1], &l.blinds[1], l.bodies[0]) },
		"another leaf":  func() (Record, error) { return Open(l.leaves[0], &l.blinds[1], l.bodies[1]) },
		"a longer leaf": func() (Record, error) {
			return Open(append(bytes.Clone(l.leaves[1]), 0), &l.blinds[1], l.bodies[1])
		},
	} {
		if _, err := try(); err == nil {
			t.Errorf("it opens with %s", name)
		}
	}
}

// TestEntryIsRefused: what cannot be encoded is refused before it gets anywhere.
func TestEntryIsRefused(t *testing.T) {
	good := Entry{Action: "a.b", Outcome: OK}
	by := Actor{Kind: KindUser, ID: "u"}
	if err := good.Validate(by); err != nil {
		t.Fatal(err)
	}
	long := string(make([]byte, maxString+1))
	for name, c := range map[string]struct {
		e Entry
		a Actor
	}{
		"no outcome":        {Entry{Action: "a.b"}, by},
		"strange outcome":   {Entry{Action: "a.b", Outcome: 9}, by},
		"no action":         {Entry{Outcome: OK}, by},
		"capital action":    {Entry{Action: "A.b", Outcome: OK}, by},
		"long action":       {Entry{Action: Action(bytes.Repeat([]byte("a"), 65)), Outcome: OK}, by},
		"no actor":          {good, Actor{Kind: KindUser}},
		"no kind":           {good, Actor{ID: "u"}},
		"long object":       {Entry{Action: "a.b", Outcome: OK, Object: long}, by},
		"long attribute":    {Entry{Action: "a.b", Outcome: OK, Attrs: []Attr{{"k", long}}}, by},
		"many attributes":   {Entry{Action: "a.b", Outcome: OK, Attrs: make([]Attr, MaxAttrs+1)}, by},
		"long on behalf of": {good, Actor{Kind: KindUser, ID: "u", OnBehalfOf: long}},
	} {
		if err := c.e.Validate(c.a); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestRedaction: printed by any verb, an entry and its actor show no value.
func TestRedaction(t *testing.T) {
	const secret = "Miller-4711"
	r := Record{Actor: Actor{Kind: KindUser, ID: secret, OnBehalfOf: secret}, Entry: Entry{Action: "a.b", Outcome: OK, Object: secret, Subject: secret, Attrs: []Attr{{secret, secret}}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{r, r.Actor, r.Entry, &r, struct{ R Record }{r}} {
			if out := fmt.Sprintf(verb, v); bytes.Contains([]byte(out), []byte(secret)) {
				t.Errorf("%s of %T shows the secret", verb, v)
			}
		}
	}
}

// FuzzLeaf: whatever decodes encodes back to the same bytes, so each leaf has one spelling.
func FuzzLeaf(f *testing.F) {
	l := newTestLog(f)
	l.add(3)
	for _, leaf := range l.leaves {
		f.Add([]byte(leaf))
		f.Add([]byte(leaf[:len(leaf)-1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		leaf, h, rest, err := CutLeaf(b)
		if err != nil {
			return
		}
		var blind [BlindSize]byte
		again := AppendLeaf(nil, &h, &blind, nil)
		if n := len(again) - commitmentSize; !bytes.Equal(again[:n], leaf[:n]) || len(again) != len(leaf) {
			t.Fatalf("decoded %x, encoded %x", leaf, again)
		}
		if len(leaf)+len(rest) != len(b) {
			t.Fatal("bytes were lost")
		}
	})
}

// FuzzBody: whatever body opens encodes back to the same bytes.
func FuzzBody(f *testing.F) {
	l := newTestLog(f)
	l.add(3)
	for _, b := range l.bodies {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Record{}
		r.Entry.Action, r.Entry.Outcome = "a", OK
		if decodeBody(b, &r) != nil {
			return
		}
		if again := AppendBody(nil, r.Time, &r.Actor, &r.Entry); !bytes.Equal(again, b) {
			t.Fatalf("decoded %x, encoded %x", b, again)
		}
	})
}

// FuzzNote: whatever note parses is spelled as Head would spell it.
func FuzzNote(f *testing.F) {
	l := newTestLog(f)
	l.add(3)
	f.Add(l.sign())
	l.add(1)
	f.Add(l.sign())
	f.Add([]byte("o\n0\n\n\n\u2014 o AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, _, err := ParseNote(b)
		if err == nil && !bytes.HasPrefix(b, append(h.Text(), '\n')) {
			t.Fatalf("parsed %q as %q", b, h.Text())
		}
	})
}
