package tpm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDrill(t *testing.T) {
	d := newChip(t).open()
	st, kit, _ := commissioned(t, d, CommissionOptions{Holders: [3]string{"Ann Lee", "Bo Ray", "Cy Fox"}})
	d.Close() // a drill asks no TPM
	at := time.Date(2026, 11, 22, 3, 4, 5, 678, time.FixedZone("", -5*3600))
	after, err := Drill(st, []string{kit.Share(3), kit.Share(1)}, at)
	if err != nil {
		t.Fatal(err)
	}
	if !after.LastDrill.At.Equal(at.Truncate(time.Second)) || fmt.Sprint(after.LastDrill.Shares) != "[1 3]" || st.LastDrill != nil {
		t.Fatalf("%+v", after.LastDrill)
	}
	path := filepath.Join(t.TempDir(), "tpm.json")
	if err := SaveState(path, after); err != nil {
		t.Fatal(err)
	}
	if again, err := LoadState(path); err != nil || !again.Equal(after) {
		t.Fatalf("another state after saving: %v", err)
	}
	if _, err := Drill(st, []string{kit.Share(1)}, at); !errors.Is(err, ErrShare) {
		t.Fatalf("one share: got %v, want ErrShare", err)
	}
	// What a recovery would need besides the key is tried as well.
	for name, change := range map[string]func(*State){
		"commitment":     func(s *State) { s.Commitment = make(Hex, commitmentSize) },
		"authorisations": func(s *State) { s.Auths = []byte("damaged") },
		"former root":    func(s *State) { s.OldRoot = []byte("damaged") },
	} {
		changed := st
		change(&changed)
		if _, err := Drill(changed, []string{kit.Share(1), kit.Share(2)}, at); err == nil {
			t.Errorf("damaged %s: the drill passed", name)
		}
	}
}

func TestHolders(t *testing.T) {
	root := make([]byte, rootSize)
	kit, _, err := newKit("clinic-7", root, [3]string{"Ann Lee", "Bo Ray", "Cy Fox"})
	if err != nil || kit.Holder(1) != "Ann Lee" || kit.Holder(3) != "Cy Fox" {
		t.Fatalf("%q, %v", kit.Holder(1), err)
	}
	if strings.Contains(kit.Share(1), "Ann") {
		t.Error("the name is in what has to be typed")
	}
	for name, holders := range map[string][3]string{
		"two":       {"Ann Lee", "Bo Ray", ""},
		"one twice": {"Ann Lee", "Bo Ray", " ann  LEE"},
		"control":   {"Ann\x1b[2J", "Bo Ray", "Cy Fox"},
		"endless":   {strings.Repeat("n", 65), "Bo Ray", "Cy Fox"},
	} {
		if _, _, err := newKit("clinic-7", root, holders); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "Bo Ray") || strings.Contains(err.Error(), "Ann") {
			t.Errorf("%s: the error names a person", name)
		}
	}
	kit.Wipe()
	if share, err := parseShare(kit.Share(1)); err != nil || string(share.secret) != string(make([]byte, shareSecret)) {
		t.Error("Wipe left a share")
	}
}

// Single mistakes are named by their group; the paper says the rest.
func TestMistypedShareNamesTheGroup(t *testing.T) {
	t.Parallel()
	_, kit, _ := kitAlone(t, "clinic-7")
	fields := strings.Fields(kit.Share(2))
	head, body := strings.Join(fields[:3], " "), strings.Join(fields[3:], "")
	other := func(i int) string { // another character in place i
		return string(base32Alphabet[(strings.IndexByte(base32Alphabet, body[i])+1)%32])
	}
	for i := 0; i < len(body)-1; i++ {
		group := fmt.Sprintf("group %d", i/groupSize+1)
		for mistake, text := range map[string]string{
			"is wrong":       body[:i] + other(i) + body[i+1:],
			"too many":       body[:i] + other(i) + body[i:],
			"is missing":     body[:i] + body[i+1:],
			"changed places": body[:i] + body[i+1:i+2] + body[i:i+1] + body[i+2:],
		} {
			_, err := parseShare(head + " " + text)
			if mistake == "changed places" && body[i] == body[i+1] && err == nil {
				continue
			}
			if err == nil || !strings.Contains(err.Error(), mistake) && mistake == "is wrong" {
				t.Fatalf("character %d %s: %v", i, mistake, err)
			}
			// A character more or less within a run of equal ones may stand in the group before or after.
			if mistake == "is wrong" && !strings.Contains(err.Error(), group) || !strings.Contains(err.Error(), "group ") {
				t.Errorf("character %d %s: %v", i, mistake, err)
			}
			if strings.Contains(err.Error(), body[:4]) {
				t.Fatalf("the error shows the share: %v", err)
			}
		}
	}
	if _, err := parseShare("PW1 clinic-7 3/3 " + body); err == nil || !strings.Contains(err.Error(), "it is not 3/3") {
		t.Errorf("number mistyped: %v", err)
	}
	if _, err := parseShare(head + " " + other(0) + body[1:9] + other(9) + body[10:]); err == nil || !strings.Contains(err.Error(), "more than one character") {
		t.Errorf("two mistakes: %v", err)
	}
	if s, err := parseShare(strings.ToUpper(kit.Share(2))); err != nil || s.boxID != "clinic-7" {
		t.Errorf("in capitals: %v", err)
	}
}

// The TPM is gone with the board. The box says so, the kit opens without it, and a new board takes over; the State tells
// which signing keys came before.
func TestLostTPM(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, kit, keys := commissioned(t, d, CommissionOptions{})
	owns(t, keys)
	wrapped, err := keys.Wrap(ctx, []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	c.kill()
	if _, _, err := Unseal(ctx, d, st, ""); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "two shares of the recovery kit") {
		t.Fatalf("got %v, want ErrUnreachable with the next step", err)
	}
	if _, err := OpenDevice(filepath.Join(t.TempDir(), "tpmrm0"), "/sys"); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("no device: got %v, want ErrUnreachable", err)
	}
	recovered, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(2)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := recovered.Unwrap(ctx, wrapped); err != nil || string(got) != "keyring" {
		t.Fatal(err)
	}
	signers := []*Keys{keys}
	for range 2 { // two boards, one after the other
		var next *Keys
		if st, next, err = Reseal(ctx, newChip(t).open(), recovered, st, ResealOptions{Mode: ModeTPM, NewTPM: true}); err != nil {
			t.Fatal(err)
		}
		owns(t, next)
		if _, err := next.SignHead(ctx, []byte("note")); err != nil {
			t.Fatal(err)
		}
		signers = append(signers, next)
	}
	if len(st.Signers) != 2 {
		t.Fatalf("%d former signers, want 2", len(st.Signers))
	}
	for i, was := range st.Signers {
		want, err := signerState(signers[i].Signer(), was.ReplacedAt)
		if err != nil || string(want.Fingerprint) != string(was.Fingerprint) || string(want.PublicKey) != string(was.PublicKey) {
			t.Errorf("former signer %d is another, %v", i, err)
		}
		if age := time.Since(was.ReplacedAt); age < 0 || age > time.Hour {
			t.Errorf("former signer %d was replaced %v ago", i, age)
		}
	}
}

func TestChangePassphrase(t *testing.T) {
	const before, after = "three blind mice 9", "see how they run 10"
	for _, mode := range []Mode{ModeTPMPassphrase, ModeOperator} {
		t.Run(string(mode), func(t *testing.T) {
			ctx := testContext(t)
			d := newChip(t).open()
			st, kit, keys := commissioned(t, d, CommissionOptions{Mode: mode, Passphrase: before, iterations: 1000})
			owns(t, keys)
			for name, c := range map[string]PassphraseChange{
				"wrong old":  {Old: "three blind mice 8", New: after},
				"no old":     {New: after},
				"short new":  {Old: before, New: "elevenchars"},
				"one share":  {Shares: []string{kit.Share(1)}, New: after},
				"bad shares": {Shares: []string{kit.Share(1), "x"}, New: after},
			} {
				_, err := ChangePassphrase(ctx, d, st, c)
				if err == nil || c.Old == "three blind mice 8" && !errors.Is(err, ErrPassphrase) || len(c.Shares) > 0 && !errors.Is(err, ErrShare) {
					t.Errorf("%s: got %v", name, err)
				}
				if err != nil && (strings.Contains(err.Error(), before) || strings.Contains(err.Error(), after)) {
					t.Errorf("%s: the error tells a passphrase", name)
				}
			}
			first, err := ChangePassphrase(ctx, d, st, PassphraseChange{Old: before, New: after, iterations: 1000})
			if err != nil {
				t.Fatal(err)
			}
			second, err := ChangePassphrase(ctx, d, first, PassphraseChange{Shares: []string{kit.Share(2), kit.Share(3)}, New: before + before, iterations: 1000})
			if err != nil {
				t.Fatal(err)
			}
			for _, tc := range []struct {
				st    State
				right string
			}{{st, before}, {first, after}, {second, before + before}} { // a crash before saving leaves the old one in force
				for _, passphrase := range []string{before, after, before + before} {
					again, err := unsealed(ctx, d, tc.st, passphrase)
					if passphrase != tc.right && !errors.Is(err, ErrPassphrase) || passphrase == tc.right && (err != nil || !again.Same(keys)) {
						t.Fatalf("right %v: %v", passphrase == tc.right, err)
					}
				}
			}
			if info, err := d.Info(ctx); err != nil || info.LockoutCounter != 0 {
				t.Fatalf("wrong passphrases counted: %+v, %v", info, err)
			}
			wantEmpty(t, d)
		})
	}
	d := newChip(t).open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	if _, err := ChangePassphrase(testContext(t), d, st, PassphraseChange{Old: before, New: after}); err == nil {
		t.Error("mode tpm has no passphrase to change")
	}
}

// Nothing on the way of a code asks the TPM: with one that hangs for ever, keys are wrapped and unwrapped as ever.
func TestCodesNeverWaitForTheTPM(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	st, _, keys := commissioned(t, d, CommissionOptions{})
	hang, asked := make(chan struct{}), make(chan struct{})
	b.intercept(func(command []byte) []byte {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-hang
		return nil
	}, nil)
	done := make(chan error, 1)
	go func() {
		_, err := keys.SignHead(ctx, []byte("note"))
		done <- err
	}()
	<-asked // the actor is in the TPM, and stays there
	for range 1000 {
		wrapped, err := keys.Wrap(ctx, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Unwrap(ctx, wrapped); err != nil {
			t.Fatal(err)
		}
	}
	if keys.Signer() == nil || !keys.Same(keys) || st.Rotating() {
		t.Fatal("other verbs in memory")
	}
	select {
	case err := <-done:
		t.Fatalf("the TPM did not hang: %v", err)
	default:
	}
	close(hang)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
