package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// tampered are the bundles that the matrix is run over, with the files that each must hold.
func tampered(t *testing.T) (l *anchoredLog, bundles map[string]Source) {
	t.Helper()
	l = newAnchoredLog(t)
	for range 3 {
		l.hour()
	}
	l.newSigner()
	l.tell(ActionCounter, OK) // a new key has a new counter
	for range 4 {
		l.hour()
	}
	l.sign()
	return l, map[string]Source{"whole": l.source(), "part": l.part(2)}
}

// cutRecords splits a file of a bundle into its records.
func cutRecords(t *testing.T, name string, data []byte) (out [][]byte) {
	t.Helper()
	for rest := data; len(rest) > 0; {
		n := 0
		switch kind, _, _ := strings.Cut(name, "-"); kind {
		case "leaves":
			leaf, _, _, err := CutLeaf(rest)
			if err != nil {
				t.Fatal(err)
			}
			n = len(leaf)
		case "heads":
			n = 2 + int(binary.BigEndian.Uint16(rest))
		case "anchors":
			n = 10 + int(binary.BigEndian.Uint16(rest[8:]))
		case baseFile:
			n = tlog.HashSize
		case signersFile:
			const end = "-----END PUBLIC KEY-----\n"
			n = bytes.Index(rest, []byte(end)) + len(end)
		case checkpointFile:
			n = 1 + bytes.IndexByte(rest, '\n')
		default:
			t.Fatalf("a file %s", name)
		}
		out, rest = append(out, rest[:n:n]), rest[n:]
	}
	return out
}

// recordTampers are what can be done to the records of a file, each giving one altered file.
var recordTampers = map[string]func(r [][]byte, i int) [][]byte{
	"dropped": func(r [][]byte, i int) [][]byte { return slices.Delete(r, i, i+1) },
	"doubled": func(r [][]byte, i int) [][]byte { return slices.Insert(r, i, r[i]) },
	"exchanged": func(r [][]byte, i int) [][]byte {
		j := (i + 1) % len(r)
		r[i], r[j] = r[j], r[i]
		return r
	},
	"put first": func(r [][]byte, i int) [][]byte { return slices.Insert(slices.Delete(r, i, i+1), 0, r[i]) },
	"put in another's place": func(r [][]byte, i int) [][]byte {
		r[(i+1)%len(r)] = r[i]
		return r
	},
	"all from it on dropped": func(r [][]byte, i int) [][]byte { return r[:i] },
	"all before it dropped":  func(r [][]byte, i int) [][]byte { return r[i:] },
}

// TestTamperMatrix does to each file of a whole bundle and of a part whatever can be done to bytes, to
// records and to files. Each change is refused.
func TestTamperMatrix(t *testing.T) {
	l, bundles := tampered(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for kind, s := range bundles {
		dir := bundle(t, s)
		var files []string
		good := map[string][]byte{}
		for _, f := range mustReadDir(t, dir) {
			if name := f.Name(); !ignored(name) {
				files = append(files, name)
				good[name] = mustRead(t, filepath.Join(dir, name))
			}
		}
		want := "anchors-00000000.bin checkpoint.note heads-00000000.bin leaves-00000000.bin signers.pem"
		if kind == "part" {
			want = strings.Replace(want, "checkpoint", "base.bin checkpoint", 1)
		}
		if got := strings.Join(files, " "); got != want {
			t.Fatalf("%s: files %s, want %s", kind, got, want)
		}
		tries := 0
		refused := func(name, what string, data []byte) {
			t.Helper()
			tries++
			if bytes.Equal(data, good[name]) {
				return
			}
			write(t, filepath.Join(dir, name), data)
			mustRefuse(t, dir, l.fingerprint(), fmt.Sprintf("%s, %s: %s", kind, name, what))
			write(t, filepath.Join(dir, name), good[name])
		}
		for name, data := range good {
			step := 1 + len(data)/16
			for i := rnd.IntN(step); i < len(data); i += step {
				bad := bytes.Clone(data)
				bad[i] ^= 1 << rnd.IntN(8)
				refused(name, fmt.Sprintf("byte %d flipped", i), bad)
				refused(name, fmt.Sprintf("cut to %d", i), data[:i])
				refused(name, fmt.Sprintf("byte %d taken out", i), slices.Delete(bytes.Clone(data), i, i+1))
				refused(name, fmt.Sprintf("a byte put in at %d", i), slices.Insert(bytes.Clone(data), i, byte(rnd.Uint32())))
			}
			refused(name, "emptied", nil)
			refused(name, "a line feed after it", append(bytes.Clone(data), '\n'))
			refused(name, "twice", append(bytes.Clone(data), data...))
			records := cutRecords(t, name, data)
			for what, do := range recordTampers {
				for i := 0; i < len(records); i += 1 + len(records)/12 {
					refused(name, fmt.Sprintf("record %d %s", i, what), bytes.Join(do(slices.Clone(records), i), nil))
				}
			}
			for _, other := range files {
				refused(name, "it is "+other, good[other])
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			tries++
			mustRefuse(t, dir, l.fingerprint(), kind+": without "+name)
			write(t, filepath.Join(dir, name), data)
		}
		for _, name := range []string{
			"extra", "leaves-00000001.bin", "heads-00000001.bin", "anchors-00000001.bin", "anchors-00000002.bin", "base.bin", "base.bin~", "checkpoint.note.1", "signers.pem.bak",
		} {
			if _, there := good[name]; there {
				continue
			}
			for _, data := range append(slices.Collect(maps.Values(good)), nil) {
				tries++
				write(t, filepath.Join(dir, name), data)
				mustRefuse(t, dir, l.fingerprint(), kind+": with "+name)
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if tries < 500 {
			t.Errorf("%s: %d changes", kind, tries)
		}
		if r, err := verify(t, dir, l.fingerprint()); err != nil || r.Anchors == 0 {
			t.Errorf("%s: mended it gives %+v, %v", kind, r, err)
		}
	}
}

// TestFilesOfOtherBundles: a file of another true bundle of the same box, an older one, one of a part, or
// one of another box, is refused wherever it differs.
func TestFilesOfOtherBundles(t *testing.T) {
	l, bundles := tampered(t)
	older := l.source()
	older.Checkpoint, older.Heads, older.Anchors = l.notes[5], all(l.notes[:5]), all(l.anchors[:5])
	h, _, _, err := ParseNote(l.notes[5])
	if err != nil {
		t.Fatal(err)
	}
	older.Leaves = all(l.leaves[:h.Size])
	bundles["older"] = older
	_, other := tampered(t)
	bundles["another box's"] = other["whole"]
	dirs := map[string]string{}
	for kind, s := range bundles {
		dirs[kind] = bundle(t, s)
	}
	for into, dir := range dirs {
		if into == "another box's" {
			continue
		}
		for from, source := range dirs {
			for _, f := range mustReadDir(t, source) {
				path := filepath.Join(dir, f.Name())
				was, err := os.ReadFile(path)
				there := err == nil
				data := mustRead(t, filepath.Join(source, f.Name()))
				if ignored(f.Name()) || there && bytes.Equal(was, data) {
					continue
				}
				write(t, path, data)
				mustRefuse(t, dir, l.fingerprint(), fmt.Sprintf("the %s bundle with %s of the %s one", into, f.Name(), from))
				if there {
					write(t, path, was)
				} else if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestWholeMadeAPart: whoever takes the beginning away and gives its edge has made a true part, which
// says so: nothing of what it still holds can be altered.
func TestWholeMadeAPart(t *testing.T) {
	l, bundles := tampered(t)
	r, err := verify(t, bundle(t, bundles["part"]), l.fingerprint())
	if err != nil || r.From == 0 || r.From+r.Entries != uint64(len(l.leaves)) {
		t.Fatalf("%+v, %v", r, err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "This is a part: it begins with entry") {
		t.Errorf("%q; %v", text.String(), err)
	}
}

// TestTamperedFilesOfMany: of bundles with several files of a kind, no file can be dropped, doubled,
// exchanged with its neighbour or moved between the first and the last.
func TestTamperedFilesOfMany(t *testing.T) {
	l := newAnchoredLog(t)
	for i := range uint64(chunkLeaves - 30) {
		l.put(Header{Sequence: l.edge.Size(), Second: l.at.Unix()}, i)
	}
	for range chunkHeads + 3 { // minutes, each with a head; an anchor an hour is enough
		l.wait(time.Minute)
		l.add(1)
		if len(l.notes)%50 > 0 {
			l.sign()
			continue
		}
		l.chip.Counter++
		l.certify()
	}
	l.add(1)
	l.sign()
	if r, err := verify(t, bundle(t, l.part(30)), l.fingerprint()); err != nil || r.From < chunkLeaves-30 {
		t.Fatalf("a part from the end of a file on: %+v, %v", r, err)
	}
	dir := bundle(t, l.source())
	if r, err := verify(t, dir, l.fingerprint()); err != nil || r.Heads < chunkHeads || r.Anchors < 80 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, pattern := range []string{headsPattern, leavesPattern} {
		one, two := filepath.Join(dir, fmt.Sprintf(pattern, 0)), filepath.Join(dir, fmt.Sprintf(pattern, 1))
		a, b := mustRead(t, one), mustRead(t, two)
		for what, to := range map[string][2][]byte{
			"exchanged": {b, a}, "the first twice": {a, a}, "the second twice": {b, b}, "joined": {append(bytes.Clone(a), b...), nil},
		} {
			if pattern == leavesPattern && strings.HasSuffix(what, "twice") {
				continue // each costs the signatures of all heads
			}
			write(t, one, to[0])
			write(t, two, to[1])
			mustRefuse(t, dir, l.fingerprint(), pattern+": "+what)
		}
		write(t, one, a)
		if err := os.Remove(two); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, dir, l.fingerprint(), pattern+": the second is missing")
		write(t, two, b)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustReadDir(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
