package audit

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrBundle is wrapped by every error of [Verify] that means: this bundle is not what a box of ours
// wrote, or not all of it. Other errors mean that it could not be read.
var ErrBundle = errors.New("bundle does not verify")

// VerifyOptions say what to verify a bundle against.
type VerifyOptions struct {
	// Signer is the fingerprint from the commissioning sheet. Without it a bundle can only be
	// consistent with itself: anybody can make such a one with a key of his own.
	Signer string
	// Progress is told now and then how many entries are done; it may be nil. It is called from one
	// goroutine at a time.
	Progress func(done, total uint64)
	// Witness is what somebody else kept of the heads: lines in which each [HeadLine] stands, with
	// whatever a log server puts around it; nil if there is nothing to compare with.
	Witness io.Reader
}

// Verify checks a bundle in the folder dir: every file, every leaf, the tree, every signed head and
// the chain of heads, the anchors and the hours between them, that the sequence has no gap and time
// does not go back, and what a witness saw. It needs no key and no network. A nil error with an unpinned report means "consistent with this signer", which is not yet
// a proof: the caller compares the fingerprint, or exits 1.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	v := verifier{dir: dir, o: o}
	if err := v.readHeads(); err != nil {
		return Report{}, err
	}
	if o.Witness != nil {
		if err := v.compare(o.Witness); err != nil {
			return Report{}, err
		}
	}
	if err := v.readLeaves(ctx); err != nil {
		return Report{}, err
	}
	if err := v.checkAnchors(); err != nil {
		return Report{}, err
	}
	return v.report, nil
}

type verifier struct {
	dir     string
	o       VerifyOptions
	heads   []Head              // all of them, by size; the last is the checkpoint's
	hashes  [][sha256.Size]byte // of their notes
	keys    []*ecdsa.PublicKey
	base    Edge // of the tree before the first leaf
	marks   []mark
	anchors []attested
	report  Report

	mu   sync.Mutex // over done and the calls of Progress
	done uint64
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBundle, fmt.Sprintf(format, args...))
}

// read returns a file of the bundle. Only plain files are followed.
func (v *verifier) read(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(v.dir, name))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, refuse("%s is missing", name)
		}
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, refuse("%s is no file of a bundle", name)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return data, nil
}

// listing is how many files of each kind a bundle holds.
type listing struct {
	leaves, heads, anchors int
	base                   bool
}

// list checks that the folder holds the files of a bundle and no others, and counts them.
func (v *verifier) list() (n listing, err error) {
	files, err := os.ReadDir(v.dir)
	if err != nil {
		return n, fmt.Errorf("read bundle: %w", err)
	}
	sets := []struct {
		pattern string
		names   map[string]bool
		count   *int
	}{
		{leavesPattern, map[string]bool{}, &n.leaves},
		{headsPattern, map[string]bool{}, &n.heads},
		{anchorsPattern, map[string]bool{}, &n.anchors},
	}
	for _, f := range files {
		name := f.Name()
		if !f.Type().IsRegular() {
			return n, refuse("%q is not a plain file", name)
		}
		switch {
		case name == checkpointFile, name == signersFile, ignored(name):
		case name == baseFile:
			n.base = true
		case !bundleName(name):
			return n, refuse("%q does not belong to it", name)
		default:
			for _, set := range sets {
				if name[0] == set.pattern[0] {
					set.names[name] = true
				}
			}
		}
	}
	for _, set := range sets {
		*set.count = len(set.names)
		for i := range len(set.names) {
			if want := fmt.Sprintf(set.pattern, i); !set.names[want] {
				return n, refuse("%s is missing", want)
			}
		}
	}
	return n, nil
}

// readHeads checks signers and heads, and that each head names the one before it.
func (v *verifier) readHeads() error {
	files, err := v.list()
	if err != nil {
		return err
	}
	if v.keys, err = v.readSigners(); err != nil {
		return err
	}
	checkpoint, err := v.read(checkpointFile)
	if err != nil {
		return err
	}
	var notes [][]byte
	err = v.records(files.heads, headsPattern, 0, func(_, note []byte) error {
		notes = append(notes, note)
		return nil
	})
	if err != nil {
		return err
	}
	notes = append(notes, checkpoint)
	if err := v.checkHeads(notes, files.base); err != nil {
		return err
	}
	if err := v.readBase(files.base); err != nil {
		return err
	}
	size := v.heads[len(v.heads)-1].Size
	if want := (size+chunkLeaves-1)/chunkLeaves - v.base.size/chunkLeaves; uint64(files.leaves) != want {
		return refuse("it has %d files of entries, and its head covers %d", files.leaves, want)
	}
	v.report.From, v.report.Entries = v.base.size, size-v.base.size
	return v.readAnchors(files.anchors)
}

// records reads the numbered files of a kind: each record is prefix bytes, a length of two bytes, and
// so many bytes.
func (v *verifier) records(files int, pattern string, prefix int, fn func(prefix, record []byte) error) error {
	for i := range files {
		name := fmt.Sprintf(pattern, i)
		data, err := v.read(name)
		if err != nil {
			return err
		}
		n := 0
		for head := prefix + 2; len(data) >= head && len(data) >= head+int(binary.BigEndian.Uint16(data[prefix:])); n++ {
			end := head + int(binary.BigEndian.Uint16(data[prefix:]))
			if err := fn(data[:prefix], data[head:end]); err != nil {
				return err
			}
			data = data[end:]
		}
		if len(data) != 0 || n == 0 || n > chunkHeads || n < chunkHeads && i != files-1 {
			return refuse("%s is cut or does not hold the number of records it has to", name)
		}
	}
	return nil
}

// readBase reads what an export of a part stands on: it must be the tree of the first head.
func (v *verifier) readBase(there bool) error {
	if !there {
		return nil
	}
	data, err := v.read(baseFile)
	if err != nil {
		return err
	}
	var nodes []tlog.Hash
	for ; len(data) >= tlog.HashSize; data = data[tlog.HashSize:] {
		nodes = append(nodes, tlog.Hash(data[:tlog.HashSize]))
	}
	var ok bool
	if v.base, ok = NewEdge(v.heads[0].Size, nodes); !ok || len(data) != 0 || v.base.Root() != v.heads[0].Root {
		return refuse("%s is not the tree of the first head", baseFile)
	}
	if len(v.heads) < 2 {
		return refuse("it holds no entry")
	}
	return nil
}

func (v *verifier) readSigners() ([]*ecdsa.PublicKey, error) {
	data, err := v.read(signersFile)
	if err != nil {
		return nil, err
	}
	var signers []*ecdsa.PublicKey
	if len(data) <= maxSigners {
		for rest := data; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			key, err := ParseKey(block.Bytes)
			if err != nil {
				return nil, refuse("%s holds a key that is none", signersFile)
			}
			signers = append(signers, key)
		}
	}
	again, err := encodeSigners(signers)
	if err != nil || !bytes.Equal(again, data) {
		return nil, refuse("%s is not in its canonical form", signersFile)
	}
	return signers, nil
}

// checkHeads verifies all notes, in parallel since signatures are slow, then their chain. The heads of
// a part begin with the one that the part stands on.
func (v *verifier) checkHeads(notes [][]byte, part bool) error {
	signers := v.keys
	v.heads, v.hashes = make([]Head, len(notes)), make([][sha256.Size]byte, len(notes))
	by := make([]string, len(notes)) // fingerprint of who signed
	for _, k := range signers {
		v.report.Signers = append(v.report.Signers, Fingerprint(k))
	}
	err := parallel(len(notes), func(i int) error {
		for k, key := range signers {
			h, err := VerifyNote(notes[i], key)
			if errors.Is(err, ErrEncoding) {
				return refuse("head %d is not in its canonical form", i)
			}
			if err == nil {
				// The bytes of each head but the last are bound by the one after it.
				_, _, sig, _ := ParseNote(notes[i])
				if same, err := canonicalSignature(sig); i == len(notes)-1 && (err != nil || !bytes.Equal(same, sig)) {
					return refuse("the signature of the last head has another spelling")
				}
				v.heads[i], v.hashes[i], by[i] = h, NoteHash(notes[i]), v.report.Signers[k]
				return nil
			}
		}
		return refuse("head %d is not signed by a signer of this bundle", i)
	})
	if err != nil {
		return err
	}
	used := 0
	for i, h := range v.heads {
		switch {
		case h.Origin != v.heads[0].Origin:
			return refuse("head %d is of another log", i)
		case i == 0 && !part && h.Prev != ([sha256.Size]byte{}):
			return refuse("the heads before the first one given are missing")
		case i > 0 && h.Prev != v.hashes[i-1]:
			return refuse("head %d does not follow the one before it: a head is missing or added", i)
		case i > 0 && h.Size <= v.heads[i-1].Size:
			return refuse("head %d covers no more than the one before it", i)
		}
		// Signers stand in the order in which they came into use, each with at least one head.
		if i > 0 && by[i] != by[i-1] {
			used++
		}
		if used >= len(signers) || by[i] != v.report.Signers[used] {
			return refuse("head %d is signed out of the order of signers", i)
		}
	}
	if used != len(signers)-1 {
		return refuse("%s holds a key that signed nothing", signersFile)
	}
	v.report.Origin = v.heads[0].Origin
	v.report.Heads = len(notes)
	v.report.Signer = v.report.Signers[used]
	if v.o.Signer != "" {
		if v.o.Signer != v.report.Signer {
			return refuse("it is signed by %s, and not by the signer given", v.report.Signer)
		}
		v.report.Pinned = true
	}
	return nil
}

// parallel runs fn for 0 to n-1 on all processors and returns the error of the least i.
func parallel(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	workers := min(n, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				if errs[i] = fn(i); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
