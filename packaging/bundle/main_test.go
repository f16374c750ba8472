package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinward/packaging/release"
)

// TestBundle: a key is made once and never written over, and what it signs opens under the line that was printed.
func TestBundle(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "1793491200")
	key := filepath.Join(dir, "key")
	var public bytes.Buffer
	if err := makeKey(key, &public); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(key); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the secret half: %v, %v", fi.Mode(), err)
	}
	if err := makeKey(key, &public); err == nil {
		t.Error("a key was written over")
	}
	var paths []string
	for _, name := range []string{"pinward_1.2.0_amd64.deb", "pinward-fips_1.2.0_arm64.deb", "pinward-1.2.0-1.x86_64.rpm", "pinward-fips-1.2.0-1.aarch64.rpm"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	out := filepath.Join(dir, "pinward-1.2.0.bundle")
	if err := write(out, key, paths); err != nil {
		t.Fatal(err)
	}
	if err := write(out, key, paths); err == nil {
		t.Error("a bundle was written over")
	}
	keys, err := release.ParseKeys(public.String())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := release.Read(f, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]string{{"pinward", "amd64", release.Deb}, {"pinward-fips", "arm64", release.Deb}, {"pinward", "amd64", release.RPM}, {"pinward-fips", "arm64", release.RPM}} {
		if _, ok := m.Find(want[0], want[1], want[2]); !ok {
			t.Errorf("%v is not in it", want)
		}
	}
	if m.Version != "1.2.0" || m.Made.Unix() != 1793491200 {
		t.Errorf("version %s of %v", m.Version, m.Made)
	}
	// Control: two versions are no release.
	other := filepath.Join(dir, "pinward_1.3.0_arm64.deb")
	if err := os.WriteFile(other, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(dir, "mixed"), key, append(paths, other)); err == nil || !strings.Contains(err.Error(), "1.3.0") {
		t.Errorf("two versions: %v", err)
	}
}
