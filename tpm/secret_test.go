package tpm

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// Everything that handles a secret is done over a tapped bus, then the tape is searched for it.
func TestNothingSecretOnTheBus(t *testing.T) {
	const passphrase, later = "three blind mice 9", "see how they run 10"
	ctx := testContext(t)
	c := newChip(t)
	b := newBus(t, c)
	d := openAt(t, b.path)
	// A session that is not salted encrypts under a key that any listener can reckon.
	var sessions, unsalted atomic.Int32
	b.intercept(func(command []byte) []byte {
		if code(command) == tpm2.TPMCCStartAuthSession {
			sessions.Add(1)
			if binary.BigEndian.Uint32(command[headerSize:]) != uint32(srkHandle) { // tpmKey
				unsalted.Add(1)
			}
		}
		return nil
	}, nil)
	st, kit, keys := commissioned(t, d, CommissionOptions{Mode: ModeTPMPassphrase, Passphrase: passphrase, iterations: 1000})
	owns(t, keys)
	after, again, err := Unseal(ctx, d, st, passphrase)
	if err != nil || !after.Equal(st) {
		t.Fatal(err)
	}
	if _, err := again.SignHead(ctx, []byte("note")); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Counter(ctx); err != nil {
		t.Fatal(err)
	}
	if err := again.ResetLockout(ctx); err != nil {
		t.Fatal(err)
	}
	changed, err := ChangePassphrase(ctx, d, st, PassphraseChange{Old: passphrase, New: later, iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	byKit, err := ChangePassphrase(ctx, d, st, PassphraseChange{Shares: []string{kit.Share(1), kit.Share(2)}, New: later, iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	sus := suspended(t, again, changed, SuspendOptions{Passphrase: later})
	d.Close()
	c.restart()
	d = openAt(t, b.path)
	extend(t, d, 7)
	resumed, resumedKeys, err := Unseal(ctx, d, sus, later)
	if err != nil {
		t.Fatal(err)
	}
	rotated, _, rotatedKeys, err := RotateRoot(ctx, d, resumedKeys, resumed, RotateOptions{Passphrase: later, iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	resealed, last, err := Reseal(ctx, d, rotatedKeys, rotated, ResealOptions{Mode: ModeOperator, Passphrase: passphrase, iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Release(ctx); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"root key":                         keys.root,
		"new root key":                     rotatedKeys.root,
		"passphrase":                       []byte(passphrase),
		"new passphrase":                   []byte(later),
		"authorisation of the signing key": keys.auths.ak,
		"authorisation of the counter":     keys.auths.nv,
		"authorisation of the owner":       keys.auths.owner,
		"lockout authorisation":            keys.auths.lockout,
		"half of the root key":             keys.root[:16],
		"half the owner's authorisation":   keys.auths.owner[:16],
	}
	for name, seal := range map[string]SealState{"commissioning": st.Seal, "change": changed.Seal, "change by kit": byKit.Seal,
		"suspension": resumed.Seal, "rotation": rotated.Seal, "resealing": resealed.Seal} {
		for _, p := range []string{passphrase, later} {
			if secrets["authorisation at "+name+", "+p], err = stretch(p, seal.Salt, seal.Iterations); err != nil {
				t.Fatal(err)
			}
		}
	}
	if sessions.Load() == 0 || unsalted.Load() != 0 {
		t.Errorf("%d of %d sessions are not salted to the storage root key", unsalted.Load(), sessions.Load())
	}
	heard := b.heard()
	for name, secret := range secrets {
		if len(secret) < 16 || bytes.Contains(heard, secret) {
			t.Errorf("%s crosses the bus in clear", name)
		}
	}

	// The control: the tap hears what is not encrypted.
	secret := []byte("this is sealed without encryption")
	run(t, d, func(s *sequence) (*tpm2.CreateResponse, error) {
		srk, release, err := s.pinnedSRK(st.SRK)
		if err != nil {
			return nil, err
		}
		defer release()
		return tpm2.Create{
			ParentHandle: srk.auth(emptyAuth),
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
			}},
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
				ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true, UserWithAuth: true},
			}),
		}.Execute(s)
	})
	if !bytes.Contains(b.heard(), secret) {
		t.Error("control: the tap does not hear what crosses in clear")
	}
}
