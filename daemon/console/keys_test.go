package console

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// testKeys are the store's keys in memory.
type testKeys struct {
	aead   cipher.AEAD
	signer *ecdsa.PrivateKey
}

func newTestKeys(t testing.TB) testKeys {
	t.Helper()
	root := make([]byte, 32)
	rand.Read(root)
	block, err := aes.NewCipher(root)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testKeys{aead: aead, signer: signer}
}

func (k testKeys) Wrap(_ context.Context, secret []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, secret, nil), nil
}

func (k testKeys) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, wrapped, nil)
}

func (k testKeys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

func (k testKeys) Signer() *ecdsa.PublicKey                         { return &k.signer.PublicKey }
func (k testKeys) Counter(context.Context) (uint64, error)          { return 0, nil }
func (k testKeys) Anchor(context.Context, [32]byte) ([]byte, error) { return nil, nil }
