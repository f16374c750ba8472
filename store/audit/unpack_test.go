package audit

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestUnpackWritesNowhereElse plays the path tricks of tar streams.
func TestUnpackWritesNowhereElse(t *testing.T) {
	for name, hdr := range map[string]*tar.Header{
		"parent":        {Name: "../checkpoint.note", Typeflag: tar.TypeReg},
		"absolute":      {Name: "/tmp/checkpoint.note", Typeflag: tar.TypeReg},
		"folder":        {Name: "a/checkpoint.note", Typeflag: tar.TypeReg},
		"symbolic link": {Name: "checkpoint.note", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"hard link":     {Name: "checkpoint.note", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
		"device":        {Name: "checkpoint.note", Typeflag: tar.TypeChar},
		"foreign name":  {Name: "authorized_keys", Typeflag: tar.TypeReg},
		"odd number":    {Name: "leaves-+0000001.bin", Typeflag: tar.TypeReg},
		"dir":           {Name: "leaves-00000000.bin", Typeflag: tar.TypeDir},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			if err := w.WriteHeader(hdr); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			dir := filepath.Join(parent, "out")
			if err := Unpack(&b, dir); err == nil {
				t.Error("it is taken")
			}
			for d, want := range map[string]int{parent: 1, dir: 0} {
				if files, _ := os.ReadDir(d); len(files) != want {
					t.Errorf("%d files in %s", len(files), filepath.Base(d))
				}
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for range 2 {
			if err := w.WriteHeader(&tar.Header{Name: "checkpoint.note", Typeflag: tar.TypeReg}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Unpack(&b, filepath.Join(t.TempDir(), "out")); err == nil {
			t.Error("a file is taken twice")
		}
	})
	t.Run("full folder", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "x"), nil)
		if err := Unpack(&bytes.Buffer{}, dir); err == nil {
			t.Error("it unpacks into a folder that is not empty")
		}
	})
}

// TestVerifyStops: a verification ends when its context does.
func TestVerifyStops(t *testing.T) {
	l, dir := smallBundle(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, dir, VerifyOptions{Signer: l.fingerprint()}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// BenchmarkVerify measures the verification of a bundle of half a million entries.
func BenchmarkVerify(b *testing.B) {
	l := newTestLog(b)
	const n = 500_000
	l.add(n)
	l.sign()
	dir := filepath.Join(b.TempDir(), "bundle")
	if err := WriteBundle(dir, l.source()); err != nil {
		b.Fatal(err)
	}
	fp := l.fingerprint()
	l.leaves, l.bodies, l.blinds, l.hashes = nil, nil, nil, nil
	for b.Loop() {
		if _, err := verify(b, dir, fp); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "entries/s")
}
