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
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

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
}

// Verify checks a bundle in the folder dir: every file, every leaf, the tree, every signed head and
// the chain of heads, that the sequence has no gap and time does not go back. It needs no key and no
// network. A nil error with an unpinned report means "consistent with this signer", which is not yet
// a proof: the caller compares the fingerprint, or exits 1.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	v := verifier{dir: dir, o: o}
	if err := v.readHeads(); err != nil {
		return Report{}, err
	}
	if err := v.readLeaves(ctx); err != nil {
		return Report{}, err
	}
	return v.report, nil
}

type verifier struct {
	dir    string
	o      VerifyOptions
	heads  []Head // all of them, by size; the last is the checkpoint's
	report Report

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

// list checks that the folder holds the files of a bundle and no others, and counts those of leaves
// and of heads.
func (v *verifier) list() (leaves, heads int, err error) {
	files, err := os.ReadDir(v.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("read bundle: %w", err)
	}
	var l, h []string
	for _, f := range files {
		name := f.Name()
		if !f.Type().IsRegular() {
			return 0, 0, refuse("%q is not a plain file", name)
		}
		switch {
		case name == checkpointFile, name == signersFile, ignored(name):
		case bundleName(name) && name[0] == 'l':
			l = append(l, name)
		case bundleName(name):
			h = append(h, name)
		default:
			return 0, 0, refuse("%q does not belong to it", name)
		}
	}
	for _, set := range []struct {
		names   []string
		pattern string
	}{{l, leavesPattern}, {h, headsPattern}} {
		for i := range set.names {
			if want := fmt.Sprintf(set.pattern, i); !slices.Contains(set.names, want) {
				return 0, 0, refuse("%s is missing", want)
			}
		}
	}
	return len(l), len(h), nil
}

// readHeads checks signers and heads, and that each head names the one before it.
func (v *verifier) readHeads() error {
	leafFiles, headFiles, err := v.list()
	if err != nil {
		return err
	}
	signers, err := v.readSigners()
	if err != nil {
		return err
	}
	checkpoint, err := v.read(checkpointFile)
	if err != nil {
		return err
	}
	var notes [][]byte
	for i := range headFiles {
		name := fmt.Sprintf(headsPattern, i)
		data, err := v.read(name)
		if err != nil {
			return err
		}
		n := 0
		for ; len(data) >= 2 && len(data) >= 2+int(binary.BigEndian.Uint16(data)); n++ {
			end := 2 + int(binary.BigEndian.Uint16(data))
			notes = append(notes, data[2:end])
			data = data[end:]
		}
		if len(data) != 0 || n == 0 || n > chunkHeads || n < chunkHeads && i != headFiles-1 {
			return refuse("%s is cut or does not hold the number of heads it has to", name)
		}
	}
	notes = append(notes, checkpoint)
	if err := v.checkHeads(notes, signers); err != nil {
		return err
	}
	size := v.heads[len(v.heads)-1].Size
	if want := (size + chunkLeaves - 1) / chunkLeaves; uint64(leafFiles) != want {
		return refuse("it has %d files of entries, and its head covers %d", leafFiles, want)
	}
	v.report.Entries = size
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

// checkHeads verifies all notes, in parallel since signatures are slow, then their chain.
func (v *verifier) checkHeads(notes [][]byte, signers []*ecdsa.PublicKey) error {
	v.heads = make([]Head, len(notes))
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
				v.heads[i], by[i] = h, v.report.Signers[k]
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
		case i == 0 && h.Prev != ([sha256.Size]byte{}):
			return refuse("the heads before the first one given are missing")
		case i > 0 && h.Prev != NoteHash(notes[i-1]):
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

// piece is what one file of leaves comes to.
type piece struct {
	edge        Edge                 // of its leaves alone
	partial     map[uint64][]subtree // right edges inside it that heads ask for, by size of the whole log
	first, last int64
	counts      counts
}

// subtree is the root of 2^level leaves.
type subtree struct {
	level int
	hash  tlog.Hash
}

// readLeaves hashes all files of leaves, several at a time, and joins them to the tree.
func (v *verifier) readLeaves(ctx context.Context) error {
	size := v.report.Entries
	n := int((size + chunkLeaves - 1) / chunkLeaves)
	total := newCounts()
	var edge Edge
	var clock int64
	next := 0 // head to be checked
	if next < len(v.heads) && v.heads[next].Size == 0 {
		return refuse("a head covers nothing")
	}
	workers := runtime.GOMAXPROCS(0)
	for lo := 0; lo < n; lo += workers {
		pieces := make([]piece, min(workers, n-lo))
		err := parallel(len(pieces), func(i int) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return v.readPiece(lo+i, &pieces[i])
		})
		if err != nil {
			return err
		}
		for i := range pieces {
			p := &pieces[i]
			start := uint64(lo+i) * chunkLeaves
			if p.first < clock {
				return refuse("time goes back at entry %d", start)
			}
			if start == 0 {
				v.report.First = time.Unix(p.first, 0).UTC()
			}
			clock = p.last
			end := start + p.edge.Size()
			for ; next < len(v.heads) && v.heads[next].Size <= end; next++ {
				h := &v.heads[next]
				at := edge.Clone()
				for _, l := range p.partial[h.Size] {
					at.push(l.level, l.hash, nil)
				}
				if at.Size() != h.Size || at.Root() != h.Root {
					return refuse("the entries are not the ones that the head over %d entries signed", h.Size)
				}
			}
			for _, l := range p.edge.levels() {
				edge.push(l.level, l.hash, nil)
			}
			total.add(&p.counts)
		}
	}
	if edge.Size() != size || next != len(v.heads) {
		return refuse("it does not hold the entries that its head covers")
	}
	v.report.Last = time.Unix(clock, 0).UTC()
	v.report.Actions, v.report.Actors = total.byAction(), total.byActor()
	return nil
}

// readPiece reads one file of leaves.
func (v *verifier) readPiece(file int, p *piece) error {
	name := fmt.Sprintf(leavesPattern, file)
	data, err := v.read(name)
	if err != nil {
		return err
	}
	seq := uint64(file) * chunkLeaves
	end := min(seq+chunkLeaves, v.report.Entries)
	p.counts = newCounts()
	p.partial = map[uint64][]subtree{}
	head, _ := slices.BinarySearchFunc(v.heads, seq+1, func(h Head, s uint64) int {
		if h.Size < s {
			return -1
		}
		return 1
	})
	var h Header
	for ; seq < end; seq++ {
		leaf, action, rest, err := cutLeaf(data, &h)
		if err != nil {
			return refuse("%s is cut or altered at entry %d", name, seq)
		}
		if h.Sequence != seq {
			return refuse("%s has entry %d where %d must be", name, h.Sequence, seq)
		}
		if p.edge.Size() == 0 {
			p.first, p.last = h.Second, h.Second
		}
		if h.Second < p.last {
			return refuse("time goes back at entry %d", seq)
		}
		p.last = h.Second
		p.counts.count(action, &h)
		p.edge.Append(leaf.Hash(), nil)
		if head < len(v.heads) && v.heads[head].Size == seq+1 {
			p.partial[seq+1] = p.edge.levels()
			head++
		}
		data = rest
	}
	if len(data) != 0 {
		return refuse("%s goes on after its last entry", name)
	}
	v.progress(p.edge.Size())
	return nil
}

// levels are the edge's perfect subtrees with their levels, largest first.
func (e *Edge) levels() []subtree {
	out := make([]subtree, 0, len(e.nodes))
	rest := e.size
	for _, h := range e.nodes {
		l := bits.Len64(rest) - 1
		rest &^= 1 << l
		out = append(out, subtree{l, h})
	}
	return out
}

func (v *verifier) progress(n uint64) {
	if v.o.Progress == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done += n
	v.o.Progress(v.done, v.report.Entries)
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
