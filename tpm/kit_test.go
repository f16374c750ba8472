package tpm

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// kitAlone makes a kit and the part of a State that goes with it, without a TPM.
func kitAlone(t testing.TB, boxID string) (State, Kit, []byte) {
	t.Helper()
	root := make([]byte, rootSize)
	rand.Read(root)
	kit, st, err := newKit(boxID, root, [kitShares]string{})
	if err != nil {
		t.Fatal(err)
	}
	return State{BoxID: boxID, Kit: st}, kit, root
}

func TestAnyTwoSharesOpen(t *testing.T) {
	st, kit, root := kitAlone(t, "clinic-7")
	for _, numbers := range [][]int{{1, 2}, {2, 1}, {1, 3}, {3, 1}, {2, 3}, {3, 2}, {1, 2, 3}, {3, 1, 2}} {
		var shares []string
		for _, n := range numbers {
			shares = append(shares, kit.Share(n))
		}
		got, _, err := openKit(st, shares)
		if err != nil || !bytes.Equal(got, root) {
			t.Errorf("shares %v: %v", numbers, err)
		}
	}
}

func TestWrongSharesAreClearErrors(t *testing.T) {
	st, kit, _ := kitAlone(t, "clinic-7")
	_, older, _ := kitAlone(t, "clinic-7")
	_, neighbour, _ := kitAlone(t, "clinic-8")
	mistyped := []byte(kit.Share(2))
	mistyped[len(mistyped)-20] = map[bool]byte{true: 'A', false: 'B'}[mistyped[len(mistyped)-20] != 'A']
	for _, tc := range []struct {
		name   string
		shares []string
		says   string
	}{
		{"none", nil, "two different shares are needed, 0 given"},
		{"one", []string{kit.Share(1)}, "two different shares are needed, 1 given"},
		{"one twice", []string{kit.Share(1), kit.Share(1)}, "entered as number 2: share 1 was entered twice"},
		{"another box", []string{kit.Share(1), neighbour.Share(2)}, "entered as number 2: it belongs to another box"},
		{"another kit", []string{older.Share(1), kit.Share(2)}, "entered as number 1: it belongs to another kit"},
		{"mistyped", []string{kit.Share(1), string(mistyped)}, "entered as number 2: its checksum does not match"},
		{"number changed", []string{kit.Share(1), strings.Replace(kit.Share(2), " 2/3 ", " 3/3 ", 1)}, "checksum does not match"},
		{"cut", []string{kit.Share(1), kit.Share(2)[:40]}, "entered as number 2: it is too short"},
		{"no share", []string{kit.Share(1), "hello"}, `it does not start with "PW1"`},
		{"fourth", []string{kit.Share(1), strings.Replace(kit.Share(2), " 2/3 ", " 4/3 ", 1)}, "its number is not 1/3 to 3/3"},
		{"alien letters", []string{kit.Share(1), kit.Share(2) + "!"}, "a character that no share has"},
		{"third is bad", []string{kit.Share(1), kit.Share(2), neighbour.Share(3)}, "entered as number 3: it belongs to another box"},
	} {
		_, _, err := openKit(st, tc.shares)
		if !errors.Is(err, ErrShare) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want ErrShare saying %q", tc.name, err, tc.says)
			continue
		}
		for _, s := range tc.shares {
			for _, group := range strings.Fields(s) {
				if len(group) == 4 && strings.Contains(err.Error(), group) {
					t.Errorf("%s: the error shows a part of the share", tc.name)
				}
			}
		}
	}
	// Intact shares, but the state does not belong to them.
	damaged := st
	damaged.Kit.Pairs = slices.Clone(st.Kit.Pairs)
	damaged.Kit.Pairs[0].WrappedRoot = st.Kit.Pairs[1].WrappedRoot
	if _, _, err := openKit(damaged, []string{kit.Share(1), kit.Share(2)}); !errors.Is(err, ErrShare) || !strings.Contains(err.Error(), "do not open") {
		t.Errorf("wrapped keys exchanged: got %v", err)
	}
}

func TestShareAsTyped(t *testing.T) {
	st, kit, root := kitAlone(t, "clinic-7")
	other := kit.Share(3)
	one := kit.Share(1)
	groups := strings.Fields(one)
	for name, typed := range map[string]string{
		"lower case": "pw1 clinic-7 1/3 " + strings.ToLower(strings.Join(groups[3:], " ")),
		"hyphens":    "PW1 clinic-7 1/3 " + strings.Join(groups[3:], "-"),
		"one word":   "PW1 clinic-7 1/3 " + strings.Join(groups[3:], ""),
		"lines":      "  PW1\nclinic-7\t1/3\r\n" + strings.Join(groups[3:], "\n") + "\n",
		"misread":    "PW1 clinic-7 1/3 " + strings.NewReplacer("O", "0", "I", "1", "B", "8").Replace(strings.Join(groups[3:], " ")),
		"as printed": one,
	} {
		got, _, err := openKit(st, []string{typed, other})
		if err != nil || !bytes.Equal(got, root) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each single mistyped character is found.
func TestShareChecksum(t *testing.T) {
	_, kit, _ := kitAlone(t, "clinic-7")
	text := kit.Share(2)
	want, err := parseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	start := strings.Index(text, "2/3 ") + 4
	for i := start; i < len(text); i++ {
		if text[i] == ' ' {
			continue
		}
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" {
			if byte(c) == text[i] {
				continue
			}
			got, err := parseShare(text[:i] + string(c) + text[i+1:])
			// The last character carries bits beyond the last byte: it may read as the same share.
			if err == nil && !(bytes.Equal(got.secret, want.secret) && bytes.Equal(got.kitID, want.kitID)) {
				t.Fatalf("character %d mistyped: accepted", i)
			}
		}
	}
}

func TestKitAndKeysRedactThemselves(t *testing.T) {
	_, _, keys := commissioned(t, newChip(t).open(), CommissionOptions{})
	_, kit, _ := kitAlone(t, "clinic-7")
	parsed, err := parseShare(kit.Share(1))
	if err != nil {
		t.Fatal(err)
	}
	const passphrase = "three blind mice 9"
	commission, reseal := CommissionOptions{Passphrase: passphrase, OwnerAuth: passphrase}, ResealOptions{Passphrase: passphrase}
	others := []any{SuspendOptions{Passphrase: passphrase}, RotateOptions{Passphrase: passphrase}, PassphraseChange{Old: passphrase, New: passphrase, Shares: []string{kit.Share(1)}}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, strings.Repeat(verb, 7)+"\n", kit, &kit, parsed, keys, commission, []any{reseal}, others)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "kit", kit, "keys", keys, "share", parsed, "commission", commission, "reseal", reseal)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "kit", kit, "keys", keys, "share", parsed, "commission", commission, "reseal", reseal)
	for _, o := range others {
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "options", o)
	}
	for _, v := range []any{kit, keys} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	if !strings.Contains(out.String(), "withheld") {
		t.Fatal("nothing was written")
	}
	for name, secret := range map[string][]byte{"share": kit.shares[0], "root key": keys.root, "authorisation": keys.auths.ak, "passphrase": []byte(passphrase)} {
		for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%d", secret), strings.Trim(fmt.Sprintf("%d", secret), "[]"), strings.Fields(kit.Share(1))[5]} {
			if strings.Contains(out.String(), form) {
				t.Errorf("%s is shown: %s", name, out.String())
			}
		}
	}
}

func TestRecoverOntoAnotherTPM(t *testing.T) {
	ctx := testContext(t)
	st, kit, keys := commissioned(t, newChip(t).open(), CommissionOptions{})
	wrapped, err := keys.Wrap(ctx, []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}

	recovered, err := Recover(ctx, st, []string{kit.Share(3), kit.Share(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Close()
	if got, err := recovered.Unwrap(ctx, wrapped); err != nil || string(got) != "keyring" {
		t.Fatalf("Unwrap: %q, %v", got, err)
	}
	if !recovered.Same(keys) || !recovered.Signer().Equal(keys.Signer()) {
		t.Fatal("another root key or signer")
	}
	if _, err := recovered.SignHead(ctx, []byte("note")); !errors.Is(err, ErrNoTPM) {
		t.Fatalf("SignHead: got %v, want ErrNoTPM", err)
	}
	if _, err := recovered.Counter(ctx); !errors.Is(err, ErrNoTPM) {
		t.Fatalf("Counter: got %v, want ErrNoTPM", err)
	}
	if _, err := recovered.Anchor(ctx, [32]byte{}); !errors.Is(err, ErrNoTPM) {
		t.Fatalf("Anchor: got %v, want ErrNoTPM", err)
	}

	c := newChip(t)
	d := c.open()
	if _, _, err := Reseal(ctx, d, recovered, st, ResealOptions{Mode: ModeTPM}); !errors.Is(err, ErrCleared) {
		t.Fatalf("onto another TPM without anybody having said so: got %v, want ErrCleared", err)
	}
	moved, again, err := Reseal(ctx, d, recovered, st, ResealOptions{Mode: ModeTPM, NewTPM: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Signer().Equal(keys.Signer()) {
		t.Fatal("the signing key of the lost TPM")
	}
	if _, err := again.SignHead(ctx, []byte("note")); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Counter(ctx); err != nil {
		t.Fatal(err)
	}
	d.Close()
	c.restart()
	if again, err = unsealed(ctx, c.open(), moved, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unwrap(ctx, wrapped); err != nil || string(got) != "keyring" {
		t.Fatalf("Unwrap: %q, %v", got, err)
	}
	// The kit is still the kit.
	if r, err := Recover(ctx, moved, []string{kit.Share(1), kit.Share(2)}); err != nil || !r.Same(keys) {
		t.Fatalf("kit after resealing: %v", err)
	}
}

// After a firmware update signing key and counter are still there, and stay.
func TestResealOnTheSameTPM(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, kit, keys := commissioned(t, d, CommissionOptions{PCRs: []int{4, 7}})
	counter, err := keys.Counter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	extend(t, d, 7)
	recovered, err := Recover(ctx, st, []string{kit.Share(2), kit.Share(3)})
	if err != nil {
		t.Fatal(err)
	}
	const passphrase = "three blind mice 9"
	moved, _, err := Reseal(ctx, d, recovered, st, ResealOptions{Mode: ModeTPMPassphrase, Passphrase: passphrase, iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	again, err := unsealed(ctx, d, moved, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Same(keys) || !again.Signer().Equal(keys.Signer()) {
		t.Fatal("another root key or signing key")
	}
	if n, err := again.Counter(ctx); err != nil || n != counter {
		t.Fatalf("counter %d, %v; was %d", n, err, counter)
	}
	if len(moved.Seal.PCRs) != 1 || moved.Seal.PCRs[0].Index != 7 {
		t.Fatalf("sealed to %d registers", len(moved.Seal.PCRs))
	}
	// Until the new state is saved, the old one must still be what it was.
	if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrPCRChanged) {
		t.Fatalf("old state: got %v, want ErrPCRChanged", err)
	}
	wantEmpty(t, d)
}

func TestResealAfterClear(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, kit, keys := commissioned(t, d, CommissionOptions{})
	clearTPM(t, d)
	recovered, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(2)})
	if err != nil {
		t.Fatal(err)
	}
	moved, again, err := Reseal(ctx, d, recovered, st, ResealOptions{Mode: ModeTPM, NewTPM: true})
	if err != nil {
		t.Fatal(err)
	}
	if again.Signer().Equal(keys.Signer()) || moved.Counter == st.Counter {
		t.Fatal("what the TPM has forgotten is still in use")
	}
	if _, err := again.SignHead(ctx, []byte("note")); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, d)
}

func FuzzParseShare(f *testing.F) {
	_, kit, _ := kitAlone(f, "clinic-7")
	f.Add(kit.Share(1))
	f.Add("PW1 clinic-7 1/3")
	f.Add("PW1 x 3/3 ====")
	f.Add("pw1 - 2/3 AAAA-AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseShare(text)
		if err != nil {
			return
		}
		again, err := parseShare(s.text())
		if err != nil || again.boxID != s.boxID || again.number != s.number || !bytes.Equal(again.secret, s.secret) {
			t.Fatalf("a share that was read does not read again: %v", err)
		}
	})
}
