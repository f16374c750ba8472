package tpm

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestStateFile(t *testing.T) {
	st, _, keys := commissioned(t, newChip(t).open(), CommissionOptions{Mode: ModeTPMPassphrase, Passphrase: "three blind mice 9", iterations: 1000})
	dir := t.TempDir()
	path := filepath.Join(dir, "tpm.json")
	if _, err := LoadState(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want os.ErrNotExist", err)
	}
	for range 2 { // the second one replaces the first
		if err := SaveState(path, st); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	got, err := LoadState(path)
	if err != nil || !reflect.DeepEqual(got, st) {
		t.Fatalf("read another state than was saved: %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{"root key": keys.root, "signing authorisation": keys.auths.ak, "counter authorisation": keys.auths.nv} {
		encoded, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, secret) || bytes.Contains(data, bytes.Trim(encoded, `"`)) {
			t.Errorf("%s is in the state file", name)
		}
	}
	if err := SaveState(filepath.Join(dir, "missing", "tpm.json"), st); err == nil {
		t.Error("saved into a folder that does not exist")
	}

	large := st
	large.AK.Private = make([]byte, maxState)
	if err := SaveState(path, large); err == nil {
		t.Error("saved a state that nobody can read again")
	}
	if again, err := LoadState(path); err != nil || !again.Equal(st) {
		t.Errorf("afterwards: %v", err)
	}
	for name, change := range map[string]func(string) string{
		"cut":            func(s string) string { return s[:len(s)/2] },
		"empty":          func(string) string { return "" },
		"newer":          func(s string) string { return strings.Replace(s, `"version": 2`, `"version": 3, "new": true`, 1) },
		"unknown key":    func(s string) string { return strings.Replace(s, `"box_id"`, `"box": 1, "box_id"`, 1) },
		"unknown mode":   func(s string) string { return strings.Replace(s, `"tpm+passphrase"`, `"none"`, 1) },
		"more behind it": func(s string) string { return s + "{}" },
		"too large":      func(s string) string { return s + strings.Repeat(" ", maxState) },
		"no iterations":  func(s string) string { return strings.Replace(s, `"iterations": 1000`, `"iterations": 0`, 1) },
		"endless": func(s string) string {
			return strings.Replace(s, `"iterations": 1000`, `"iterations": 1000000000`, 1)
		},
		"no hexadecimal": func(s string) string { return strings.Replace(s, `"name": "`, `"name": "zz`, 1) },
	} {
		changed := change(string(data))
		if changed == string(data) {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := parseState([]byte(changed)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A state with a storage key exchanged by somebody who can write the file, but did not fit the rest, is found out here already.
func TestStateWithDamagedBlobs(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	for name, change := range map[string]func(*State){
		"name":           func(s *State) { s.SRK.Name = bytes.Repeat([]byte{1}, 34) },
		"public":         func(s *State) { s.SRK.Public = s.SRK.Public[:10] },
		"sealed private": func(s *State) { s.Seal.Private = nil },
		"sealed public":  func(s *State) { s.Seal.Public = []byte{1} },
		"signing key":    func(s *State) { s.AK.Public = nil },
		"PCR":            func(s *State) { s.Seal.PCRs = nil },
		"kit":            func(s *State) { s.Kit.Pairs = nil },
	} {
		changed := st
		change(&changed)
		if _, err := unsealed(ctx, d, changed, ""); err == nil {
			t.Errorf("%s: unsealed", name)
		}
	}
	wantEmpty(t, d)
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version":2,"mode":"tpm","box_id":"a"}`))
	f.Add([]byte(`{"version":2,"mode":"tpm","box_id":"a","seal":{"pcrs":[{"index":7,"value":"00"}]},"kit":{"pairs":[{"shares":[1,2]},{"shares":[1,3]},{"shares":[2,3]}]},"ak":{"public":"ACMACwA="}}`))
	f.Add([]byte(`{"version":3}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := parseState(data)
		if err != nil {
			return
		}
		if _, err := st.signer(); err != nil {
			t.Fatal("accepted a state without signing key")
		}
	})
}
