package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestUnsealAfterRestart(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	wrapped, err := keys.Wrap(ctx, []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := keys.Counter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	path := c.dir + "/state.json"
	if err := SaveState(path, st); err != nil {
		t.Fatal(err)
	}
	d.Close()
	c.restart()

	st, err = LoadState(path)
	if err != nil {
		t.Fatal(err)
	}
	d = c.open()
	again, err := unsealed(ctx, d, st, "")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.Unwrap(ctx, wrapped); err != nil || string(got) != "keyring" {
		t.Fatalf("Unwrap: %q, %v", got, err)
	}
	if !again.Same(keys) || !again.Signer().Equal(keys.Signer()) {
		t.Fatal("another root key or signer after a restart")
	}
	if after, err := again.Counter(ctx); err != nil || after != before {
		t.Fatalf("counter %d, %v; was %d", after, err, before)
	}
	note := []byte("pinward/clinic-7\n1\nhash\n")
	sig, err := again.SignHead(ctx, note)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(note)
	if !ecdsa.VerifyASN1(keys.Signer(), digest[:], sig) {
		t.Fatal("signature does not verify with crypto/ecdsa")
	}
	wantEmpty(t, d)
}

func TestPCRChangedNamesTheRegister(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, _, _ := commissioned(t, d, CommissionOptions{PCRs: []int{4, 7, 11}})
	extend(t, d, 11)
	extend(t, d, 8) // not bound to
	_, err := unsealed(ctx, d, st, "")
	var changed *PCRChangedError
	if !errors.Is(err, ErrPCRChanged) || !errors.As(err, &changed) {
		t.Fatalf("got %v, want ErrPCRChanged", err)
	}
	if fmt.Sprint(changed.PCRs) != "[11]" || !strings.Contains(err.Error(), "PCR 11:") {
		t.Fatalf("changed %v: %v", changed.PCRs, err)
	}
	wantEmpty(t, d)

	c.restart() // boots as before
	if _, err := unsealed(ctx, d, st, ""); err != nil {
		t.Fatalf("after a boot as before: %v", err)
	}
}

func TestClearedTPM(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	clearTPM(t, d)
	if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
		t.Fatalf("Unseal: got %v, want ErrCleared", err)
	}
	if _, err := keys.Counter(ctx); !errors.Is(err, ErrCleared) {
		t.Fatalf("Counter: got %v, want ErrCleared", err)
	}
	if _, err := keys.SignHead(ctx, []byte("note")); !errors.Is(err, ErrCleared) {
		t.Fatalf("SignHead: got %v, want ErrCleared", err)
	}
	wantEmpty(t, d)
}

func TestOtherTPM(t *testing.T) {
	ctx := testContext(t)
	st, _, _ := commissioned(t, newChip(t).open(), CommissionOptions{})
	d := newChip(t).open()
	if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
		t.Fatalf("empty TPM: got %v, want ErrCleared", err)
	}
	commissioned(t, d, CommissionOptions{})
	if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
		t.Fatalf("TPM of another box: got %v, want ErrCleared", err)
	}
}

// A blob of another TPM under a storage key of the right Name cannot be had from a healthy TPM; its load must still not
// look like anything else.
func TestForeignBlobIsCleared(t *testing.T) {
	st, _, _ := commissioned(t, newChip(t).open(), CommissionOptions{})
	d := newChip(t).open()
	here, _, _ := commissioned(t, d, CommissionOptions{})
	here.Seal = st.Seal
	if _, err := unsealed(testContext(t), d, here, ""); !errors.Is(err, ErrCleared) {
		t.Fatalf("got %v, want ErrCleared", err)
	}
}

func TestPassphrase(t *testing.T) {
	const passphrase = "three blind mice 9"
	for _, mode := range []Mode{ModeTPMPassphrase, ModeOperator} {
		t.Run(string(mode), func(t *testing.T) {
			ctx := testContext(t)
			c := newChip(t)
			d := c.open()
			st, _, keys := commissioned(t, d, CommissionOptions{Mode: mode, Passphrase: passphrase, iterations: 1000})
			for _, wrong := range []string{"", "three blind mice 8", passphrase + " "} {
				if _, err := unsealed(ctx, d, st, wrong); !errors.Is(err, ErrPassphrase) {
					t.Fatalf("wrong passphrase: got %v, want ErrPassphrase", err)
				}
			}
			// swtpm goes into lockout after three that count: none of these did.
			for range 2 {
				if _, err := unsealed(ctx, d, st, "wrong"); !errors.Is(err, ErrPassphrase) {
					t.Fatalf("wrong passphrase: got %v, want ErrPassphrase", err)
				}
			}
			again, err := unsealed(ctx, d, st, passphrase)
			if err != nil {
				t.Fatal(err)
			}
			if !again.Same(keys) {
				t.Fatal("another root key")
			}
			wantEmpty(t, d)

			extend(t, d, 7)
			_, err = unsealed(ctx, d, st, passphrase)
			if mode == ModeOperator && err != nil {
				t.Fatalf("operator mode is bound to PCR: %v", err)
			}
			if mode == ModeTPMPassphrase && !errors.Is(err, ErrPCRChanged) {
				t.Fatalf("got %v, want ErrPCRChanged", err)
			}
		})
	}
}

// What ships is not what the other tests take.
func TestPassphraseIsStretched(t *testing.T) {
	t.Parallel()
	st, auth, err := newSealState(ModeOperator, "three blind mice 9", 0)
	if err != nil || st.Iterations != passphraseIterations || len(st.Salt) != 16 || len(auth) != 2*authSize {
		t.Fatalf("%d iterations, %d bytes of salt, %d of authorisation, %v", st.Iterations, len(st.Salt), len(auth), err)
	}
	other, _, err := newSealState(ModeOperator, "three blind mice 9", 1)
	if err != nil || bytes.Equal(other.Salt, st.Salt) {
		t.Fatalf("salt is not random: %v", err)
	}
}

func TestCommissionRefuses(t *testing.T) {
	d := newChip(t).open()
	for name, o := range map[string]CommissionOptions{
		"no mode":              {BoxID: "a"},
		"unknown mode":         {BoxID: "a", Mode: "none"},
		"no box":               {Mode: ModeTPM},
		"box of two words":     {Mode: ModeTPM, BoxID: "a b"},
		"short passphrase":     {Mode: ModeOperator, BoxID: "a", Passphrase: "elevenchars"},
		"useless passphrase":   {Mode: ModeTPM, BoxID: "a", Passphrase: "three blind mice 9"},
		"PCR out of range":     {Mode: ModeTPM, BoxID: "a", PCRs: []int{24}},
		"PCR twice":            {Mode: ModeTPM, BoxID: "a", PCRs: []int{7, 7}},
		"PCR not in ascending": {Mode: ModeTPM, BoxID: "a", PCRs: []int{7, 4}},
	} {
		if _, _, _, err := Commission(testContext(t), d, o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if o.Passphrase != "" && strings.Contains(err.Error(), o.Passphrase) {
			t.Errorf("%s: the error tells the passphrase", name)
		}
	}
	wantEmpty(t, d)
}

func TestWrap(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	secret := bytes.Repeat([]byte("k"), 32)
	a, err := keys.Wrap(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	b, err := keys.Wrap(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) || bytes.Contains(a, secret) || len(a) != len(secret)+29 {
		t.Fatalf("wrapped to %d and %d bytes", len(a), len(b))
	}
	for i := range a {
		flipped := bytes.Clone(a)
		flipped[i] ^= 1
		if _, err := keys.Unwrap(ctx, flipped); !errors.Is(err, ErrUnwrap) {
			t.Fatalf("flipped bit in byte %d: got %v, want ErrUnwrap", i, err)
		}
	}
	for n := range len(a) {
		if _, err := keys.Unwrap(ctx, a[:n]); !errors.Is(err, ErrUnwrap) {
			t.Fatalf("cut to %d bytes: got %v, want ErrUnwrap", n, err)
		}
	}
	_, _, other := commissioned(t, d, CommissionOptions{})
	if _, err := other.Unwrap(ctx, a); !errors.Is(err, ErrUnwrap) {
		t.Fatalf("another root key: got %v, want ErrUnwrap", err)
	}
}

func TestSignHeadBounds(t *testing.T) {
	ctx := testContext(t)
	_, _, keys := commissioned(t, newChip(t).open(), CommissionOptions{})
	for _, n := range []int{0, maxNote + 1} {
		if _, err := keys.SignHead(ctx, make([]byte, n)); err == nil {
			t.Errorf("a note of %d bytes was signed", n)
		}
	}
	for _, n := range []int{1, maxNote} {
		note := bytes.Repeat([]byte("n"), n)
		sig, err := keys.SignHead(ctx, note)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if digest := sha256.Sum256(note); !ecdsa.VerifyASN1(keys.Signer(), digest[:], sig) {
			t.Fatalf("%d bytes: signature does not verify", n)
		}
	}
}

func TestKeysAfterClose(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	wrapped, err := keys.Wrap(ctx, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	root := keys.root
	keys.Close()
	keys.Close()
	verbs := map[string]func() error{
		"Wrap":     func() error { _, err := keys.Wrap(ctx, []byte("secret")); return err },
		"Unwrap":   func() error { _, err := keys.Unwrap(ctx, wrapped); return err },
		"SignHead": func() error { _, err := keys.SignHead(ctx, []byte("note")); return err },
		"Counter":  func() error { _, err := keys.Counter(ctx); return err },
		"Anchor":   func() error { _, err := keys.Anchor(ctx, [32]byte{}); return err },
		"Reseal":   func() error { _, _, err := Reseal(ctx, d, keys, st, ResealOptions{Mode: ModeTPM}); return err },
	}
	for name, verb := range verbs {
		if err := verb(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	if keys.Same(keys) {
		t.Error("closed keys still compare")
	}
	if !bytes.Equal(root, make([]byte, rootSize)) {
		t.Error("Close left the root key in memory")
	}
}

func TestKeysAfterDeviceClose(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	d.Close()
	if _, err := keys.SignHead(ctx, []byte("note")); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	if _, err := keys.Wrap(ctx, []byte("secret")); err != nil {
		t.Fatalf("Wrap needs no device: %v", err)
	}
}

// keysContract is what the store asks of its keys; it must be met without the rooms knowing each other.
type keysContract interface {
	Wrap(ctx context.Context, secret []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
	SignHead(ctx context.Context, note []byte) (asn1sig []byte, err error)
	Signer() *ecdsa.PublicKey
	Counter(ctx context.Context) (uint64, error)
	Anchor(ctx context.Context, noteHash [32]byte) (attestation []byte, err error)
}

var _ keysContract = (*Keys)(nil)
