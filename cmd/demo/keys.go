package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// demoKeys stand in for the TPM: the root key and the signer lie in a file beside the data that
// they protect. That is no protection, and it is why this type lives in the demo alone.
type demoKeys struct {
	path   string
	aead   cipher.AEAD
	signer *ecdsa.PrivateKey
	file   keyFile
}

// keyFile is DIR/demo-key.
type keyFile struct {
	Root   []byte // 32 bytes
	Signer []byte // PKCS #8
}

func loadDemoKeys(path string) (*demoKeys, error) {
	k := &demoKeys{path: path}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if k.file, err = newKeyFile(); err != nil {
			return nil, err
		}
		if err := writeJSON(path, k.file); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("read demo key: %w", err)
	default:
		if err := json.Unmarshal(b, &k.file); err != nil {
			return nil, fmt.Errorf("read demo key: %w", err)
		}
	}
	block, err := aes.NewCipher(k.file.Root)
	if err != nil {
		return nil, fmt.Errorf("read demo key: %w", err)
	}
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("read demo key: %w", err)
	}
	signer, err := x509.ParsePKCS8PrivateKey(k.file.Signer)
	if err != nil {
		return nil, fmt.Errorf("read demo key: %w", err)
	}
	var ok bool
	if k.signer, ok = signer.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New("read demo key: the signer is no ECDSA key")
	}
	return k, nil
}

func newKeyFile() (keyFile, error) {
	f := keyFile{Root: make([]byte, 32)}
	rand.Read(f.Root)
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return f, fmt.Errorf("make signer: %w", err)
	}
	f.Signer, err = x509.MarshalPKCS8PrivateKey(signer)
	return f, err
}

// Wrap seals a small secret under the root key.
func (k *demoKeys) Wrap(_ context.Context, secret []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, secret, []byte("demo/wrap/v1")), nil
}

// Unwrap opens what Wrap sealed.
func (k *demoKeys) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	secret, err := k.aead.Open(nil, nil, wrapped, []byte("demo/wrap/v1"))
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	return secret, nil
}

// SignHead signs the text of a checkpoint: ECDSA P-256 over its SHA-256, ASN.1.
func (k *demoKeys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

// Signer is the public half of the key that signs heads.
func (k *demoKeys) Signer() *ecdsa.PublicKey { return &k.signer.PublicKey }

// Counter is the value of the counter that stands in for the TPM's. The demo has none: whoever can set
// its folder back can set the key file back too.
func (k *demoKeys) Counter(context.Context) (uint64, error) { return 0, errors.ErrUnsupported }

// Anchor has nothing to count with.
func (k *demoKeys) Anchor(context.Context, [32]byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
