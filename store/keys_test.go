package store

import (
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
)

// testKeys is a root key and a signing key in memory.
type testKeys struct {
	mu     sync.Mutex
	aead   cipher.AEAD
	signer *ecdsa.PrivateKey
	signs  int
	err    error // of SignHead and Wrap, if set
}

func newTestKeys(t testing.TB) *testKeys {
	t.Helper()
	return keysFrom(t, randomKey())
}

// keysFrom makes the same keys from the same root, as a restarted process has them.
func keysFrom(t testing.TB, root []byte) *testKeys {
	t.Helper()
	block, err := aes.NewCipher(root)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(root)
	sum[0] = 0 // below the order of P-256
	signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return &testKeys{aead: aead, signer: signer}
}

func (k *testKeys) setErr(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *testKeys) Wrap(_ context.Context, secret []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.aead.Seal(nil, nil, secret, nil), k.err
}

func (k *testKeys) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, wrapped, nil)
}

func (k *testKeys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nil, k.err
	}
	k.signs++
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

func (k *testKeys) Signer() *ecdsa.PublicKey { return &k.signer.PublicKey }

func (k *testKeys) Counter(context.Context) (uint64, error) { return 0, errors.ErrUnsupported }

func (k *testKeys) Anchor(context.Context, [32]byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// format1 are the keys of testdata/format-1.db.gz.
func format1(t testing.TB) *testKeys {
	root := sha256.Sum256([]byte("format 1"))
	return keysFrom(t, root[:])
}

// gunzip unpacks a file of testdata.
func gunzip(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
