package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pinward/store"
)

// TestClaimFormat: a store that a newer program wrote is refused, and its file stays as it is.
func TestClaimFormat(t *testing.T) {
	own := fmt.Sprintln(store.Version())
	if store.Version() < 1 {
		t.Fatalf("the version is %d", store.Version())
	}
	for _, c := range []struct {
		name, was, is string
		err           error
	}{
		{"first", "", own, nil},
		{"older", "0\n", own, nil},
		{"same", own, own, nil},
		{"newer", "999\n", "999\n", store.ErrNewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), formatFile)
			if c.was != "" {
				if err := os.WriteFile(path, []byte(c.was), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := claimFormat(filepath.Dir(path)); !errors.Is(err, c.err) {
				t.Errorf("claim: %v, want %v", err, c.err)
			}
			if is, err := os.ReadFile(path); err != nil || string(is) != c.is {
				t.Errorf("the file says %q, %v", is, err)
			}
		})
	}
	dir := t.TempDir()
	path := filepath.Join(dir, formatFile)
	if err := os.WriteFile(path, []byte("what"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claimFormat(dir); err == nil {
		t.Error("a damaged file was taken for none")
	}
	// Not done: the folder refuses. Done, but what was begun by a crash before lies in its place: it is written over.
	if err := claimFormat(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there took it")
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path+".new", []byte("cut o"), 0o600), claimFormat(dir)); err != nil {
		t.Error(err)
	}
	if is, err := os.ReadFile(path); err != nil || string(is) != own {
		t.Errorf("after a cut write it says %q, %v", is, err)
	}
}
