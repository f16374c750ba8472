package audit

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Source is what a bundle is made from: the log up to one signed head. It is read once, in order,
// and never held in memory whole.
type Source struct {
	// Checkpoint is the signed head over all entries of the bundle.
	Checkpoint []byte
	// Signers are the public keys that signed the heads, in the order in which they came into use.
	// The last one signed Checkpoint.
	Signers []*ecdsa.PublicKey
	// Heads yields the notes of all earlier heads, oldest first. Where Base is not empty the first of
	// them is the head over exactly the entries of Base.
	Heads iter.Seq2[[]byte, error]
	// Leaves yields the leaves after Base in order. A leaf need only be valid until the next one is
	// asked for.
	Leaves iter.Seq2[Leaf, error]
	// Anchors yields the attestations of those anchors whose entries are among Leaves, in order.
	Anchors iter.Seq2[AnchorEntry, error]
	// Base is the edge of the tree before the first leaf: empty for a whole log, else what a range of
	// it stands on.
	Base Edge
}

// AnchorEntry is an attestation in its canonical spelling, and the sequence of the entry that tells
// of it.
type AnchorEntry struct {
	Seq         uint64
	Attestation []byte
}

// The files of a bundle. Leaves and heads are cut into files of a fixed number, so that a bundle
// streams without its length being known, and is verified in parallel within bounded memory.
const (
	checkpointFile = "checkpoint.note"
	signersFile    = "signers.pem"
	readmeFile     = "README.txt"
	baseFile       = "base.bin"
	leavesPattern  = "leaves-%08d.bin"
	headsPattern   = "heads-%08d.bin"
	anchorsPattern = "anchors-%08d.bin"

	chunkLevel  = 16
	chunkLeaves = 1 << chunkLevel
	chunkHeads  = 1 << 12 // of anchors too

	maxSigners = 64 << 10 // bytes of signers.pem
	maxReadme  = 64 << 10
)

// maxFile is the size above which a file of a bundle is not looked at.
const maxFile = chunkLeaves * MaxLeaf

const readme = `Pinward audit bundle

This folder holds the audit log of one box up to one signed head:

  checkpoint.note    the signed head (C2SP checkpoint, ECDSA P-256 with SHA-256)
  heads-*.bin        all earlier signed heads, each preceded by its length (2 bytes, big endian);
                     each head names the hash of the one before it
  leaves-*.bin       the entries: a header in clear (version, sequence, epoch, second, actor's
                     pseudonym, outcome, action) and SHA-256(blind || body) of the sealed rest
  anchors-*.bin      hourly statements of the box's TPM, if there are any: sequence of the entry
                     (8 bytes), length (2 bytes), TPM2B_ATTEST, TPMT_SIGNATURE. Each binds a head to
                     a counter that nobody can set back, and to the TPM's own clock
  base.bin           only in an export of a part: the tree before its first entry, as hashes
  signers.pem        the public keys that signed

Verify it on any machine, without keys and without a network:

  pinward audit verify --signer FINGERPRINT FOLDER

FINGERPRINT is on the sheet that was printed when the box was commissioned. Files named README*,
*.md and *.txt are not part of what is verified; every other file is.
`

// WriteTar writes the bundle as a tar stream. Memory stays bounded by one file, about 9 MB.
func WriteTar(w io.Writer, s Source) error {
	tw := tar.NewWriter(w)
	err := s.files(func(name string, data []byte) error {
		hdr := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
		if err := tw.WriteHeader(hdr); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if _, err := tw.Write(data); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// WriteBundle writes the bundle into the folder dir, which must be empty or not there yet.
func WriteBundle(dir string, s Source) error {
	if err := emptyDir(dir); err != nil {
		return err
	}
	return s.files(func(name string, data []byte) error {
		return writeFile(filepath.Join(dir, name), bytes.NewReader(data), int64(len(data)))
	})
}

// Unpack writes a bundle that came as a tar stream into the folder dir, which must be empty or not
// there yet. Only plain files with a bundle's own names are taken: the stream cannot write anywhere
// else. What it wrote before an error stays, and does not verify.
func Unpack(r io.Reader, dir string) error {
	if err := emptyDir(dir); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for {
		hdr, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack bundle: %w", err)
		}
		if hdr.Typeflag != tar.TypeReg || !bundleName(hdr.Name) || hdr.Size > maxFile {
			return errors.New("unpack bundle: the stream holds something that is no part of a bundle")
		}
		if err := writeFile(filepath.Join(dir, hdr.Name), tr, hdr.Size); err != nil {
			return err
		}
	}
}

// bundleName reports whether name is one that WriteTar gives to a file.
func bundleName(name string) bool {
	if name == checkpointFile || name == signersFile || name == readmeFile || name == baseFile {
		return true
	}
	var n int
	for _, pattern := range []string{leavesPattern, headsPattern, anchorsPattern} {
		if _, err := fmt.Sscanf(name, pattern, &n); err == nil && n >= 0 && fmt.Sprintf(pattern, n) == name {
			return true
		}
	}
	return false
}

func emptyDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make bundle folder: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("make bundle folder: %w", err)
	}
	if len(names) > 0 {
		return errors.New("make bundle folder: it is not empty")
	}
	return nil
}

func writeFile(path string, r io.Reader, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	_, err = io.CopyN(f, r, size)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// files emits the bundle file by file. data is valid only during the call.
func (s Source) files(emit func(name string, data []byte) error) error {
	pemData, err := encodeSigners(s.Signers)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{readmeFile, []byte(readme)}, {signersFile, pemData}, {checkpointFile, s.Checkpoint}} {
		if err := emit(f.name, f.data); err != nil {
			return err
		}
	}
	if s.Base.size > 0 {
		var nodes []byte
		for _, h := range s.Base.nodes {
			nodes = append(nodes, h[:]...)
		}
		if err := emit(baseFile, nodes); err != nil {
			return err
		}
	}
	framed := func(b, note []byte) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(note))), note...)
	}
	if err := chunks(s.Heads, 0, chunkHeads, headsPattern, framed, emit); err != nil {
		return err
	}
	attested := func(b []byte, a AnchorEntry) []byte {
		return framed(binary.BigEndian.AppendUint64(b, a.Seq), a.Attestation)
	}
	if err := chunks(s.Anchors, 0, chunkHeads, anchorsPattern, attested, emit); err != nil {
		return err
	}
	plain := func(b []byte, l Leaf) []byte { return append(b, l...) }
	return chunks(s.Leaves, int(s.Base.size%chunkLeaves), chunkLeaves, leavesPattern, plain, emit)
}

// chunks emits all items, per of them to a file; the first file is as much shorter as skip says, so
// that files of leaves end where a subtree does.
func chunks[T any](items iter.Seq2[T, error], skip, per int, pattern string, add func([]byte, T) []byte, emit func(string, []byte) error) error {
	if items == nil {
		return nil
	}
	var buf []byte
	n := skip
	for item, err := range items {
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		buf = add(buf, item)
		if n++; n%per == 0 {
			if err := emit(fmt.Sprintf(pattern, n/per-1), buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	if len(buf) == 0 {
		return nil
	}
	return emit(fmt.Sprintf(pattern, n/per), buf)
}

func encodeSigners(keys []*ecdsa.PublicKey) ([]byte, error) {
	if len(keys) == 0 {
		return nil, errors.New("write bundle: no signer")
	}
	var b bytes.Buffer
	for _, k := range keys {
		spki, err := MarshalKey(k)
		if err != nil {
			return nil, err
		}
		if err := pem.Encode(&b, &pem.Block{Type: "PUBLIC KEY", Bytes: spki}); err != nil {
			return nil, fmt.Errorf("write bundle: %w", err)
		}
	}
	return b.Bytes(), nil
}

// ignored reports whether a file of that name is outside of what is verified.
func ignored(name string) bool {
	return strings.HasPrefix(name, "README") || strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".txt")
}
