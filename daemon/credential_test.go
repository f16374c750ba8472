package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCredential: a long password comes whole, and one that is too long is not taken for its beginning.
func TestCredential(t *testing.T) {
	if _, err := credential("mail")(t.Context()); err == nil {
		t.Error("there is a credential without a folder for it")
	}
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if _, err := credential("mail")(t.Context()); err == nil {
		t.Error("there is a credential that nobody gave")
	}
	for length, fits := range map[int]bool{4: true, 40: true, maxCredential - 1: true, maxCredential: false, 1 << 20: false} {
		secret := strings.Repeat("x", length)
		if err := os.WriteFile(filepath.Join(dir, "mail"), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := credential("mail")(t.Context())
		switch {
		case fits && (err != nil || got != secret):
			t.Errorf("of %d bytes came %d, %v", length, len(got), err)
		case !fits && (err == nil || strings.Contains(err.Error(), secret)):
			t.Errorf("of %d bytes came %d, %v", length, len(got), err)
		}
	}
	if credential("") != nil {
		t.Error("a setting that names no credential has one")
	}
}
