package audit

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// smallBundle writes a bundle of some entries, heads and two signers.
func smallBundle(t testing.TB) (*testLog, string) {
	t.Helper()
	l := newTestLog(t)
	for _, n := range []int{1, 7, 64, 30} {
		l.add(n)
		l.sign()
	}
	l.newSigner()
	l.add(5)
	l.sign()
	l.add(20)
	l.sign()
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := WriteBundle(dir, l.source()); err != nil {
		t.Fatal(err)
	}
	return l, dir
}

func verify(t testing.TB, dir, signer string) (Report, error) {
	t.Helper()
	return Verify(context.Background(), dir, VerifyOptions{Signer: signer})
}

// mustRefuse asserts that a bundle fails, and as a bundle: not by an error of reading it.
func mustRefuse(t *testing.T, dir, signer, what string) {
	t.Helper()
	if _, err := verify(t, dir, signer); !errors.Is(err, ErrBundle) {
		t.Errorf("%s: %v, want a refusal", what, err)
	}
}

func TestBundleVerifies(t *testing.T) {
	l, dir := smallBundle(t)
	var last uint64
	r, err := Verify(context.Background(), dir, VerifyOptions{Signer: l.fingerprint(), Progress: func(done, total uint64) {
		if done <= last || total != 127 {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last != 127 || r.Entries != 127 || r.Heads != 6 || !r.Pinned || r.Origin != "pinward/test" || len(r.Signers) != 2 {
		t.Errorf("report %+v, progress to %d", r, last)
	}
	if !r.First.Equal(time.Unix(headerOf(t, l, 0).Second, 0)) || !r.Last.Equal(time.Unix(headerOf(t, l, 126).Second, 0)) {
		t.Errorf("first %v, last %v", r.First, r.Last)
	}
	if len(r.Actions) != 1 || r.Actions[0] != (ActionCount{"test.done", 102, 25, 0}) {
		t.Errorf("actions %v", r.Actions)
	}
	if len(r.Actors) != 3 || r.Actors[0].Entries+r.Actors[1].Entries+r.Actors[2].Entries != 127 {
		t.Errorf("actors %v", r.Actors)
	}
}

func headerOf(t *testing.T, l *testLog, i int) Header {
	t.Helper()
	_, h, _, err := CutLeaf(l.leaves[i])
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestWithoutSignerNothingIsProved: the report says so, and a bundle of another signer is refused.
func TestWithoutSignerNothingIsProved(t *testing.T) {
	l, dir := smallBundle(t)
	r, err := verify(t, dir, "")
	if err != nil || r.Pinned {
		t.Fatalf("report %v, %v", r.Pinned, err)
	}
	var text, pinned bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), "CONSISTENT WITH SIGNER "+l.fingerprint()+": compare with your sheet") {
		t.Errorf("the verdict reads %q", text.String()[:80])
	}
	r, err = verify(t, dir, l.fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteText(&pinned); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(pinned.String(), "VERIFIED: 127 entries of pinward/test") {
		t.Errorf("the verdict reads %q", pinned.String()[:80])
	}
	other := newTestLog(t)
	mustRefuse(t, dir, other.fingerprint(), "another signer")
	mustRefuse(t, dir, Fingerprint(l.signers[0]), "the earlier signer")
}

// TestAnyFlippedBitIsFound flips bits of every file.
func TestAnyFlippedBitIsFound(t *testing.T) {
	l, dir := smallBundle(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bits := rnd.Perm(len(good) * 8)
		for _, bit := range bits[:min(len(bits), 120)] {
			bad := bytes.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			write(t, path, bad)
			mustRefuse(t, dir, l.fingerprint(), name+" with a flipped bit")
		}
		write(t, path, good)
	}
	if _, err := verify(t, dir, l.fingerprint()); err != nil {
		t.Fatalf("mended it fails: %v", err)
	}
}

// names lists the files of a bundle that count.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !ignored(f.Name()) {
			out = append(out, f.Name())
		}
	}
	if len(out) != 4 {
		t.Fatalf("files %v", out)
	}
	return out
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestAnyCutAddedOrMissingFileIsFound.
func TestAnyCutAddedOrMissingFileIsFound(t *testing.T) {
	l, dir := smallBundle(t)
	fp := l.fingerprint()
	for _, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for cut := range len(good) {
			if cut%(1+len(good)/40) == 0 || cut > len(good)-10 {
				write(t, path, good[:cut])
				mustRefuse(t, dir, fp, name+" cut")
			}
		}
		write(t, path, append(bytes.Clone(good), '\n'))
		mustRefuse(t, dir, fp, name+" longer")
		write(t, path, append(bytes.Clone(good), good...))
		mustRefuse(t, dir, fp, name+" twice")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, dir, fp, name+" missing")
		if err := os.Symlink("elsewhere", path); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, dir, fp, name+" as a link")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write(t, path, good)
	}
	for _, name := range []string{"extra", "leaves-00000001.bin", "heads-00000001.bin", "leaves-1.bin", "checkpoint.note~"} {
		path := filepath.Join(dir, name)
		write(t, path, nil)
		mustRefuse(t, dir, fp, name+" added")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "README"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, dir, fp, "a folder")
	if err := os.Remove(filepath.Join(dir, "README")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "notes.md", "case-17.txt", "README"} {
		write(t, filepath.Join(dir, name), []byte("of no matter"))
	}
	if _, err := verify(t, dir, fp); err != nil {
		t.Errorf("with notes beside it: %v", err)
	}
}

// TestForgeries: bundles that the real signer's key signed, but that no honest box writes.
func TestForgeries(t *testing.T) {
	for name, forge := range map[string]func(l *testLog){
		"a gap in the sequence": func(l *testLog) {
			l.add(3)
			l.put(Header{Sequence: 4, Second: l.at.Unix()}, 4)
			l.sign()
		},
		"time going back": func(l *testLog) {
			l.add(3)
			l.put(Header{Sequence: 3, Second: l.at.Unix() - 60}, 3)
			l.sign()
		},
		"a head over fewer entries than the one before": func(l *testLog) {
			l.add(3)
			l.sign()
			l.signHead(Head{Origin: "pinward/test", Size: 2, Root: l.edge.Root(), Prev: NoteHash(l.notes[0])})
		},
		"a head of another root": func(l *testLog) {
			l.add(3)
			l.signHead(Head{Origin: "pinward/test", Size: 2, Root: l.edge.Root()})
			l.sign()
		},
		"a head of another log": func(l *testLog) {
			l.add(3)
			l.signHead(Head{Origin: "pinward/other", Size: 3, Root: l.edge.Root()})
			l.add(1)
			l.sign()
		},
		"a head left out": func(l *testLog) {
			for range 3 {
				l.add(2)
				l.sign()
			}
			l.notes = slices.Delete(l.notes, 1, 2)
		},
		"the first head left out": func(l *testLog) {
			for range 3 {
				l.add(2)
				l.sign()
			}
			l.notes = l.notes[1:]
		},
		"two heads over the same entries": func(l *testLog) {
			l.add(2)
			l.sign()
			l.sign()
		},
		"a head over nothing": func(l *testLog) {
			l.sign()
			l.add(2)
			l.sign()
		},
		"a signer that signed nothing": func(l *testLog) {
			l.add(2)
			l.sign()
			key := l.key
			l.newSigner()
			l.key = key
		},
		"entries after the head": func(l *testLog) {
			l.add(2)
			l.sign()
			l.add(1)
		},
		"an entry of the middle taken out": func(l *testLog) {
			l.add(5)
			l.sign()
			l.leaves = slices.Delete(l.leaves, 2, 3)
		},
		"two entries exchanged": func(l *testLog) {
			l.add(5)
			l.sign()
			l.leaves[2], l.leaves[3] = l.leaves[3], l.leaves[2]
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLog(t)
			forge(l)
			dir := t.TempDir()
			if err := WriteBundle(dir, l.source()); err != nil {
				t.Fatal(err)
			}
			mustRefuse(t, dir, l.fingerprint(), name)
		})
	}
}

// TestBundleOfSeveralFiles: more entries than one file holds, with heads on and beside its end.
func TestBundleOfSeveralFiles(t *testing.T) {
	l := newTestLog(t)
	for _, n := range []int{chunkLeaves - 1, 1, 1, chunkLeaves, 1000} {
		l.add(n)
		l.sign()
	}
	var stream bytes.Buffer
	if err := WriteTar(&stream, l.source()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := Unpack(&stream, dir); err != nil {
		t.Fatal(err)
	}
	r, err := verify(t, dir, l.fingerprint())
	if err != nil || r.Entries != 2*chunkLeaves+1001 {
		t.Fatalf("report %+v, %v", r, err)
	}
	// The clock may not go back between files either.
	first, err := os.ReadFile(filepath.Join(dir, "leaves-00000000.bin"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "leaves-00000001.bin"), first)
	mustRefuse(t, dir, l.fingerprint(), "the first file again as the second")
}
