package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKitIsNeverOverwritten: an older kit in the folder may be the only one of another box.
func TestKitIsNeverOverwritten(t *testing.T) {
	k := kit{Box: "b", Signer: "s", Holders: []string{"A", "B", "C"}, Shares: []string{"PW1 b 1/3 AAAA", "PW1 b 2/3 BBBB", "PW1 b 3/3 CCCC"}, Page: "<p>page"}
	dir := t.TempDir()
	if err := k.write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kit.html", "share-1.txt", "share-3.txt"} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s is readable by others: %v", name, fi.Mode())
		}
	}
	if err := k.write(dir); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Fatalf("a second kit in the same folder: %v", err)
	}
	if shares, err := readShares(dir, 1, 3); err != nil || shares[1] != k.Shares[2] {
		t.Fatalf("shares read back: %v", err)
	}
}
