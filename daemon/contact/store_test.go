package contact

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"pinward/store"
	"pinward/store/audit"
)

// softKeys does in software what a TPM does for the store.
type softKeys struct {
	signer *ecdsa.PrivateKey
	seal   cipher.AEAD
}

func newSoftKeys(t testing.TB) *softKeys {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := make([]byte, 32)
	rand.Read(root)
	block, err := aes.NewCipher(root)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return &softKeys{signer, seal}
}

func (k *softKeys) Wrap(_ context.Context, secret []byte) ([]byte, error) {
	return k.seal.Seal(nil, nil, secret, nil), nil
}

func (k *softKeys) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return k.seal.Open(nil, nil, wrapped, nil)
}

func (k *softKeys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

func (k *softKeys) Signer() *ecdsa.PublicKey { return &k.signer.PublicKey }

func (k *softKeys) Counter(context.Context) (uint64, error) { return 0, nil }

func (k *softKeys) Anchor(context.Context, [32]byte) ([]byte, error) { return nil, nil }

// openStore gives a real store that ends with the test.
func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir(), store.Options{Origin: "pinward/test", Keys: newSoftKeys(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

var tester = store.Actor{Kind: audit.KindUser, ID: "tester"}

// update runs fn in a transaction that has to succeed.
func update(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), tester, fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

// view runs fn in a snapshot.
func view(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// entriesOf lists the entries of the test's actor: those of the rooms, not of the store itself.
func entriesOf(t testing.TB, s *store.Store) []store.Entry {
	t.Helper()
	var list []store.Entry
	view(t, s, func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Actor == tester {
				list = append(list, r.Entry)
			}
			return nil
		})
	})
	return list
}
