package outbox

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
