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
	"slices"
	"sync"
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
