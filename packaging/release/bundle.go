package release

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// manifestName is the first entry of a bundle.
const manifestName = "manifest"

// maxManifest bounds what is read before anything is known to be signed.
const maxManifest = 64 << 10

// Write writes a bundle. open gives each package by the name of its file. The same packages and key make the same bytes.
func Write(w io.Writer, m Manifest, key note.Signer, open func(file string) (io.ReadCloser, error)) error {
	m.Format, m.Product, m.Made = formatVersion, Product, m.Made.UTC().Truncate(time.Second)
	text, err := m.encode()
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if key.Name() != KeyName {
		return fmt.Errorf("write bundle: the key is not named %s", KeyName)
	}
	signed, err := note.Sign(&note.Note{Text: text}, key)
	if err != nil {
		return fmt.Errorf("sign bundle: %w", err)
	}
	t := tar.NewWriter(w)
	if err := put(t, manifestName, int64(len(signed)), strings.NewReader(string(signed))); err != nil {
		return err
	}
	for _, p := range m.Packages {
		f, err := open(p.File)
		if err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if err := errors.Join(put(t, p.File, p.Size, f), f.Close()); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

func put(t *tar.Writer, name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := io.Copy(t, r); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Read judges a bundle whole: the list by its signature, each package by the list. What take returns for a package is
// given the package's bytes, nil leaves it out; what it was given counts for nothing unless Read returns no error.
// Nothing is taken before the signature was found to be good.
func Read(r io.Reader, keys note.Verifiers, take func(Manifest, Package) (io.Writer, error)) (Manifest, error) {
	t := tar.NewReader(r)
	m, err := readManifest(t, keys)
	if err != nil {
		return Manifest{}, fmt.Errorf("read bundle: %w", err)
	}
	for _, p := range m.Packages {
		if err := readPackage(t, m, p, take); err != nil {
			return Manifest{}, fmt.Errorf("read bundle: %s: %w", p.File, err)
		}
	}
	if h, err := t.Next(); err == nil {
		return Manifest{}, fmt.Errorf("read bundle: %q is in it and not on its list", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return Manifest{}, fmt.Errorf("read bundle: %w", cut(err))
	}
	return m, nil
}

func readManifest(t *tar.Reader, keys note.Verifiers) (m Manifest, err error) {
	h, err := t.Next()
	switch {
	case err != nil || h.Name != manifestName:
		return m, errors.New("this is no update bundle")
	case h.Size > maxManifest:
		return m, errors.New("its list is too long")
	}
	signed, err := io.ReadAll(t)
	if err != nil {
		return m, cut(err)
	}
	n, err := note.Open(signed, keys)
	if err != nil {
		return m, fmt.Errorf("no key that is pinned here has signed it: %w", err)
	}
	dec := json.NewDecoder(strings.NewReader(n.Text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, fmt.Errorf("its list: %w", err)
	}
	return m, m.check()
}

func readPackage(t *tar.Reader, m Manifest, p Package, take func(Manifest, Package) (io.Writer, error)) error {
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the bundle ends before it: it was cut off")
	case err != nil:
		return cut(err)
	case h.Name != p.File || h.Typeflag != tar.TypeReg || h.Size != p.Size:
		return errors.New("something else is in its place")
	}
	to := io.Discard
	if take != nil {
		if w, err := take(m, p); err != nil {
			return err
		} else if w != nil {
			to = w
		}
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(sum, to), t); err != nil {
		return cut(err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return errors.New("it is not the file that was signed")
	}
	return nil
}

func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the bundle was cut off")
	}
	return err
}
