package release

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func newKey(t testing.TB, name string) (note.Signer, string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

func pinned(t testing.TB, vkeys ...string) note.Verifiers {
	t.Helper()
	keys, err := ParseKeys("# keys\n" + strings.Join(vkeys, "\n") + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// files are two packages and their list.
func files() (Manifest, map[string]string) {
	content := map[string]string{"pinward_1.2.0_amd64.deb": strings.Repeat("deb ", 3000), "pinward-1.2.0-1.x86_64.rpm": strings.Repeat("rpm ", 999)}
	m := Manifest{Version: "1.2.0", Made: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	for _, f := range []string{"pinward_1.2.0_amd64.deb", "pinward-1.2.0-1.x86_64.rpm"} {
		sum := sha256.Sum256([]byte(content[f]))
		m.Packages = append(m.Packages, Package{Name: Product, Arch: "amd64", Format: f[len(f)-3:], File: f, Size: int64(len(content[f])), SHA256: hex.EncodeToString(sum[:])})
	}
	return m, content
}

func opener(content map[string]string) func(string) (io.ReadCloser, error) {
	return func(f string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content[f])), nil }
}

func bundle(t testing.TB, key note.Signer) []byte {
	t.Helper()
	m, content := files()
	var b bytes.Buffer
	if err := Write(&b, m, key, opener(content)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBundle: what is written is read back, of two pinned keys either may have signed, and the same packages make the
// same bytes.
func TestBundle(t *testing.T) {
	key, vkey := newKey(t, KeyName)
	_, next := newKey(t, KeyName)
	b := bundle(t, key)
	if !bytes.Equal(b, bundle(t, key)) {
		t.Error("the same packages made another bundle")
	}
	var deb bytes.Buffer
	m, err := Read(bytes.NewReader(b), pinned(t, next, vkey), func(m Manifest, p Package) (io.Writer, error) {
		if p.Format == Deb && m.Version == "1.2.0" {
			return &deb, nil
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, content := files()
	if p, ok := m.Find("pinward", "amd64", Deb); !ok || deb.String() != content[p.File] {
		t.Error("the package came out another")
	}
	if _, ok := m.Find("pinward-fips", "amd64", Deb); ok {
		t.Error("a package was found that is not in it")
	}
}

// rewrite makes a bundle of other entries than were signed.
func rewrite(t *testing.T, b []byte, change func(i int, h *tar.Header, body []byte) (*tar.Header, []byte)) []byte {
	t.Helper()
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(b)), tar.NewWriter(&out)
	for i := 0; ; i++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h, body = change(i, h, body); h == nil {
			continue
		}
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestBundleRefused: forged, cut and swapped bundles are refused, and of a forged one nothing is taken.
func TestBundleRefused(t *testing.T) {
	key, vkey := newKey(t, KeyName)
	forger, _ := newKey(t, KeyName)
	good := bundle(t, key)
	same := func(_ int, h *tar.Header, b []byte) (*tar.Header, []byte) { return h, b }
	if _, err := Read(bytes.NewReader(rewrite(t, good, same)), pinned(t, vkey), nil); err != nil {
		t.Fatalf("control: %v", err)
	}
	on := func(at int, do func(*tar.Header, []byte) (*tar.Header, []byte)) []byte {
		return rewrite(t, good, func(i int, h *tar.Header, b []byte) (*tar.Header, []byte) {
			if i == at {
				return do(h, b)
			}
			return h, b
		})
	}
	drop := func(*tar.Header, []byte) (*tar.Header, []byte) { return nil, nil }
	var names [3]string
	rewrite(t, good, func(i int, h *tar.Header, b []byte) (*tar.Header, []byte) { names[i] = h.Name; return h, b })
	extra := bytes.NewBuffer(bytes.TrimRight(bytes.Clone(good), "\x00"))
	extra.Write(make([]byte, 512-extra.Len()%512))
	w := tar.NewWriter(extra)
	_, werr := w.Write(nil)
	if err := errors.Join(werr, w.WriteHeader(&tar.Header{Name: "more.deb", Typeflag: tar.TypeReg}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"another signer": {bundle(t, forger), "no key that is pinned"},
		"no signature":   {on(0, func(h *tar.Header, b []byte) (*tar.Header, []byte) { return h, b[:bytes.Index(b, []byte("\n\n"))+1] }), "no key that is pinned"},
		"version changed": {on(0, func(h *tar.Header, b []byte) (*tar.Header, []byte) {
			return h, bytes.Replace(b, []byte("1.2.0"), []byte("1.3.0"), 1)
		}), "no key that is pinned"},
		"list missing":       {on(0, drop), "no update bundle"},
		"list endless":       {on(0, func(h *tar.Header, b []byte) (*tar.Header, []byte) { return h, append(b, make([]byte, maxManifest)...) }), "too long"},
		"byte of a package":  {on(2, func(h *tar.Header, b []byte) (*tar.Header, []byte) { b[7] ^= 1; return h, b }), "not the file that was signed"},
		"package longer":     {on(1, func(h *tar.Header, b []byte) (*tar.Header, []byte) { return h, append(b, 0) }), "something else is in its place"},
		"packages swapped":   {on(1, func(h *tar.Header, b []byte) (*tar.Header, []byte) { h.Name = names[2]; return h, b }), "something else is in its place"},
		"package missing":    {on(2, drop), "cut off"},
		"cut in a package":   {good[:len(good)/2], "cut off"},
		"cut in the list":    {good[:700], "cut off"},
		"more than the list": {extra.Bytes(), "not on its list"},
		"nothing":            {nil, "no update bundle"},
		"no archive":         {[]byte("pinward"), "no update bundle"},
	} {
		var taken bytes.Buffer
		_, err := Read(bytes.NewReader(c.b), pinned(t, vkey), func(Manifest, Package) (io.Writer, error) { return &taken, nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if strings.HasPrefix(c.want, "no key") && taken.Len() > 0 {
			t.Errorf("%s: %d bytes were taken of a bundle that nobody signed", name, taken.Len())
		}
	}
}

// TestSignedListIsHeldToItsForm: a signature does not make a path of ours out of a name.
func TestSignedListIsHeldToItsForm(t *testing.T) {
	key, _ := newKey(t, KeyName)
	for name, change := range map[string]func(*Manifest){
		"path":         func(m *Manifest) { m.Packages[0].File = "../../etc/passwd" },
		"option":       func(m *Manifest) { m.Packages[0].File = "-rf" },
		"version":      func(m *Manifest) { m.Version = "1.2.0; reboot" },
		"twice":        func(m *Manifest) { m.Packages[1] = m.Packages[0] },
		"none":         func(m *Manifest) { m.Packages = nil },
		"other name":   func(m *Manifest) { m.Packages[0].Name = "openssl" },
		"other format": func(m *Manifest) { m.Packages[0].Format = "sh" },
		"short sum":    func(m *Manifest) { m.Packages[0].SHA256 = "00" },
	} {
		m, content := files()
		change(&m)
		if err := Write(io.Discard, m, key, opener(content)); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	m, content := files()
	other, _ := newKey(t, "pinward-audit")
	if err := Write(io.Discard, m, other, opener(content)); err == nil {
		t.Error("signed by a key of another purpose")
	}
	_, vkey := newKey(t, "pinward-audit")
	if _, err := ParseKeys(vkey); err == nil {
		t.Error("a key of another purpose was pinned")
	}
	if _, err := ParseKeys("# none\n\n"); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"1.2.0", "1.2.0", 0}, {"1.2", "1.2.0", 0}, {"1.10.0", "1.9.0", 1}, {"0.9.9", "1.0", -1}, {"1.2.0.1", "1.2.0", 1}} {
		if got, err := Compare(c.a, c.b); err != nil || got != c.want {
			t.Errorf("Compare(%s, %s) = %d, %v, want %d", c.a, c.b, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "1", "1.x", "1.2.0-1", "(devel)", "99999999999999999999.0"} {
		if _, err := Compare("1.2.0", bad); err == nil {
			t.Errorf("%q was compared", bad)
		}
	}
}

// FuzzRead: no bytes make it panic, and none that were not signed are taken.
func FuzzRead(f *testing.F) {
	key, vkey := newKey(f, KeyName)
	good := bundle(f, key)
	f.Add(good)
	f.Add(good[:len(good)-1500])
	keys := pinned(f, vkey)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Read(bytes.NewReader(b), keys, nil); err == nil && !bytes.HasPrefix(b, good[:1024]) {
			t.Error("another bundle was taken for a signed one")
		}
	})
}
