package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"pinward/store/audit"
)

// secondReader reads a bundle as somebody would who has its README and the libraries of
// transparency-dev, and none of our code.
type secondReader struct {
	origin   string
	verifier note.Verifier
	notes    [][]byte
	heads    []*flog.Checkpoint
	leaves   [][]byte // their hashes
}

func newSecondReader(t *testing.T, dir, origin string, spki []byte) *secondReader {
	t.Helper()
	id := sha256.New()
	id.Write(spki)
	verifier, err := fnote.NewECDSAVerifier(fmt.Sprintf("%s+%08x+%s", origin, binary.BigEndian.Uint32(id.Sum(nil)),
		base64.StdEncoding.EncodeToString(append([]byte{2}, spki...))))
	if err != nil {
		t.Fatal(err)
	}
	r := &secondReader{origin: origin, verifier: verifier}
	for _, path := range glob(t, dir, "heads-*.bin") {
		for data := mustReadFile(t, path); len(data) > 0; {
			n := 2 + int(binary.BigEndian.Uint16(data))
			r.notes, data = append(r.notes, data[2:n]), data[n:]
		}
	}
	r.notes = append(r.notes, mustReadFile(t, filepath.Join(dir, "checkpoint.note")))
	for _, n := range r.notes {
		cp, _, _, err := flog.ParseCheckpoint(n, origin, verifier)
		if err != nil {
			t.Fatalf("a head is no checkpoint of this signer: %v", err)
		}
		r.heads = append(r.heads, cp)
	}
	for _, path := range glob(t, dir, "leaves-*.bin") {
		for data := mustReadFile(t, path); len(data) > 0; {
			n := 39 + int(data[38]) + 32 // header with its action, then the commitment
			if seq := binary.BigEndian.Uint64(data[1:]); seq != uint64(len(r.leaves)) {
				t.Fatalf("entry %d stands at %d", seq, len(r.leaves))
			}
			r.leaves, data = append(r.leaves, rfc6962.DefaultHasher.HashLeaf(data[:n])), data[n:]
		}
	}
	return r
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return paths
}

func mustReadFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flat(p []tlog.Hash) (out [][]byte) {
	for _, h := range p {
		out = append(out, h[:])
	}
	return out
}

// checkRoots grows a compact range over the leaves and compares it with each head.
func (r *secondReader) checkRoots(t *testing.T) {
	t.Helper()
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	next := 0
	for _, leaf := range r.leaves {
		if err := tree.Append(leaf, nil); err != nil {
			t.Fatal(err)
		}
		if h := r.heads[next]; h.Size == tree.End() {
			root, err := tree.GetRootHash(nil)
			if err != nil || !bytes.Equal(root, h.Hash) {
				t.Errorf("the root over %d entries is %x, the head says %x; %v", h.Size, root, h.Hash, err)
			}
			next++
		}
	}
	if next != len(r.heads) {
		t.Errorf("%d heads of %d fit", next, len(r.heads))
	}
}

// TestBundleAgainstMerkle: a real bundle of a store that was rolled twice, with its consistency proofs
// and the openings of its entries, verified by the libraries of transparency-dev alone.
func TestBundleAgainstMerkle(t *testing.T) {
	s := openCounting(t, t.TempDir(), newCountingKeys(t))
	defer closeStore(t, s)
	ctx := context.Background()
	for n := range 24 {
		for i := range 1 + n*13%40 {
			mustSave(t, s, i, "x")
		}
		if err := s.signHead(ctx); err != nil {
			t.Fatal(err)
		}
		if n == 8 || n == 16 {
			if err := s.Roll(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if err := s.Export(ctx, &b); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := audit.Unpack(&b, dir); err != nil {
		t.Fatal(err)
	}
	spki, err := s.Signer()
	if err != nil {
		t.Fatal(err)
	}
	r := newSecondReader(t, dir, s.Origin(), spki)
	if len(r.heads) < 24 || len(r.leaves) < 400 || r.heads[len(r.heads)-1].Size != uint64(len(r.leaves)) {
		t.Fatalf("%d heads, %d leaves", len(r.heads), len(r.leaves))
	}
	r.checkRoots(t)
	last := r.heads[len(r.heads)-1]
	err = s.View(ctx, func(tx *Tx) error {
		for _, h := range r.heads[:len(r.heads)-1] {
			at, p, err := tx.HeadSince(h.Size)
			if err != nil || !bytes.Equal(at, r.notes[len(r.notes)-1]) {
				t.Fatalf("the head since %d entries is %q; %v", h.Size, at, err)
			}
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, h.Size, last.Size, flat(p), h.Hash, last.Hash); err != nil {
				t.Errorf("from %d entries to %d: %v", h.Size, last.Size, err)
			}
		}
		for seq := 0; seq < len(r.leaves); seq += 1 + seq/9 {
			o, err := tx.Reveal(uint64(seq))
			if err != nil {
				return err
			}
			r.checkOpening(t, o, uint64(seq))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// checkOpening reads an opening's file as any c2sp.org/tlog-proof, and checks the inclusion of its leaf.
func (r *secondReader) checkOpening(t *testing.T, o audit.Opening, seq uint64) {
	t.Helper()
	text, err := o.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var p fproof.TLogProof
	if err := p.Unmarshal(text); err != nil {
		t.Fatalf("entry %d: no tlog-proof: %v", seq, err)
	}
	cp, _, _, err := flog.ParseCheckpoint(p.Checkpoint, r.origin, r.verifier)
	if err != nil || p.Index != seq {
		t.Fatalf("entry %d: index %d; %v", seq, p.Index, err)
	}
	var hashes [][]byte
	for _, h := range p.Hashes {
		hashes = append(hashes, h[:])
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(p.ExtraData[4:][:binary.BigEndian.Uint32(p.ExtraData)])
	if !bytes.Equal(leaf, r.leaves[seq]) {
		t.Errorf("entry %d: its leaf is not that of the bundle", seq)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, seq, cp.Size, leaf, hashes, cp.Hash); err != nil {
		t.Errorf("entry %d: %v", seq, err)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, seq+1, cp.Size, leaf, hashes, cp.Hash); err == nil {
		t.Errorf("entry %d: it is included elsewhere too", seq)
	}
	if again := p.Marshal(); !bytes.Equal(again, text) {
		t.Errorf("entry %d: formats spells it otherwise:\n%s\n%s", seq, again, text)
	}
}
