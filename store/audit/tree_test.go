package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// TestTreeAgainstOthers: our edge, x/mod's tlog and transparency-dev's merkle agree on roots,
// inclusion and consistency.
func TestTreeAgainstOthers(t *testing.T) {
	const n = 300
	l := newTestLog(t)
	roots := []tlog.Hash{l.edge.Root()}
	for range n {
		l.add(1)
		root, err := tlog.TreeHash(int64(l.edge.Size()), l)
		if err != nil {
			t.Fatal(err)
		}
		if root != l.edge.Root() {
			t.Fatalf("the roots of %d entries differ", l.edge.Size())
		}
		if last := l.leaves[len(l.leaves)-1]; last.Hash() != tlog.RecordHash(last) {
			t.Fatal("the leaf hashes differ")
		}
		roots = append(roots, root)
	}
	flat := func(p []tlog.Hash) (out [][]byte) {
		for _, h := range p {
			out = append(out, h[:])
		}
		return out
	}
	for i := range l.leaves {
		p, err := tlog.ProveRecord(n, int64(i), l)
		if err != nil {
			t.Fatal(err)
		}
		leaf := l.leaves[i].Hash()
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), n, leaf[:], flat(p), roots[n][:]); err != nil {
			t.Fatalf("inclusion of %d: %v", i, err)
		}
		leaf[0] ^= 1
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), n, leaf[:], flat(p), roots[n][:]); err == nil {
			t.Fatalf("a flipped leaf %d is included", i)
		}
	}
	for m := 1; m < n; m += 7 {
		p, err := tlog.ProveTree(n, int64(m), l)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(m), n, flat(p), roots[m][:], roots[n][:]); err != nil {
			t.Fatalf("consistency of %d: %v", m, err)
		}
	}
}

// TestHeadAgainstFormats: a head is a checkpoint that transparency-dev's formats opens with the
// signer's verifier key (c2sp.org/signed-note, type 0x02).
func TestHeadAgainstFormats(t *testing.T) {
	l := newTestLog(t)
	for range 2 { // the first head has no prev line, the second has
		l.add(10)
		signed := l.sign()
		spki, err := MarshalKey(&l.key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := keyID(&l.key.PublicKey)
		vkey := fmt.Sprintf("pinward/test+%08x+%s", binary.BigEndian.Uint32(id[:]),
			base64.StdEncoding.EncodeToString(append([]byte{noteECDSA}, spki...)))
		verifier, err := fnote.NewECDSAVerifier(vkey)
		if err != nil {
			t.Fatal(err)
		}
		cp, _, _, err := flog.ParseCheckpoint(signed, "pinward/test", verifier)
		if err != nil {
			t.Fatal(err)
		}
		root := l.edge.Root()
		if cp.Size != l.edge.Size() || !bytes.Equal(cp.Hash, root[:]) {
			t.Errorf("formats reads size %d, root %x", cp.Size, cp.Hash)
		}
		if _, err := note.Open(bytes.Replace(signed, []byte("\n10\n"), []byte("\n11\n"), 1), note.VerifierList(verifier)); l.edge.Size() == 10 && err == nil {
			t.Error("formats opens a head with another size")
		}
		if h, err := VerifyNote(signed, &l.key.PublicKey); err != nil || h.Root != root {
			t.Errorf("we read %v, %v", h, err)
		}
	}
}

// TestHeadHasOneSpelling: no byte of a note can be changed, added or taken away.
func TestHeadHasOneSpelling(t *testing.T) {
	l := newTestLog(t)
	l.add(1)
	l.sign()
	l.add(1)
	signed := l.sign()
	for i := range signed {
		for bit := range 8 {
			b := bytes.Clone(signed)
			b[i] ^= 1 << bit
			if _, err := VerifyNote(b, &l.key.PublicKey); err == nil {
				t.Errorf("bit %d of byte %d may be flipped", bit, i)
			}
		}
		if _, err := VerifyNote(signed[:i], &l.key.PublicKey); err == nil {
			t.Errorf("it may be cut to %d bytes", i)
		}
	}
	for _, add := range []string{"\n", " ", "\u2014 pinward/test AAAAAAA=\n"} {
		if _, err := VerifyNote(append(bytes.Clone(signed), add...), &l.key.PublicKey); err == nil {
			t.Errorf("%q may be added", add)
		}
	}
	other := newTestLog(t)
	if _, err := VerifyNote(signed, &other.key.PublicKey); err == nil {
		t.Error("another signer's key verifies it")
	}
}

// TestOpeningProvesOneEntry: what is revealed of one entry verifies, and nothing else does.
func TestOpeningProvesOneEntry(t *testing.T) {
	l := newTestLog(t)
	l.add(100)
	signed := l.sign()
	p, err := tlog.ProveRecord(100, 42, l)
	if err != nil {
		t.Fatal(err)
	}
	good := Opening{Leaf: l.leaves[42], Blind: l.blinds[42][:], Body: l.bodies[42], Proof: p, Note: signed}
	r, err := VerifyOpening(&good, &l.key.PublicKey)
	if err != nil || r.Entry.Object != "VE42" {
		t.Fatalf("opened %v, %v", r, err)
	}
	for name, change := range map[string]func(o *Opening){
		"another entry": func(o *Opening) { o.Leaf, o.Blind, o.Body = l.leaves[41], l.blinds[41][:], l.bodies[41] },
		"another body":  func(o *Opening) { o.Body = l.bodies[41] },
		"a cut proof":   func(o *Opening) { o.Proof = p[1:] },
		"a cut blind":   func(o *Opening) { o.Blind = o.Blind[1:] },
		"a cut head":    func(o *Opening) { o.Note = o.Note[1:] },
		"no proof":      func(o *Opening) { o.Proof = nil },
	} {
		o := good
		change(&o)
		if _, err := VerifyOpening(&o, &l.key.PublicKey); err == nil {
			t.Errorf("it verifies with %s", name)
		}
	}
}
