// Package storetest opens real stores for the tests of the rooms, with keys in memory.
//
// It stands beside store as net/http/httptest stands beside net/http. Only tests may import it: the
// table of rooms lets no production package do so, and nothing of it is linked into a program.
package storetest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"pinward/store"
)

// Keys does in memory what a TPM does for the store. It counts no anchors.
type Keys struct {
	aead   cipher.AEAD
	signer *ecdsa.PrivateKey
}

// NewKeys makes a root key and a signer that end with the test.
func NewKeys(t testing.TB) *Keys {
	t.Helper()
	var seed [32]byte
	rand.Read(seed[:])
	return keysOf(t, seed)
}

// SameKeys are the same in each process, for a test that kills the one that made the store.
func SameKeys(t testing.TB) *Keys {
	t.Helper()
	return keysOf(t, sha256.Sum256([]byte("a key of a test")))
}

func keysOf(t testing.TB, seed [32]byte) *Keys {
	t.Helper()
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	scalar := sha256.Sum256(seed[:])
	scalar[0] = 0 // below the order of P-256
	signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		t.Fatal(err)
	}
	return &Keys{aead, signer}
}

// Wrap implements store.Keys.
func (k *Keys) Wrap(_ context.Context, secret []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, secret, nil), nil
}

// Unwrap implements store.Keys.
func (k *Keys) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, wrapped, nil)
}

// SignHead implements store.Keys.
func (k *Keys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

// Signer implements store.Keys.
func (k *Keys) Signer() *ecdsa.PublicKey { return &k.signer.PublicKey }

// Counter implements store.Keys: there is none.
func (k *Keys) Counter(context.Context) (uint64, error) { return 0, errors.ErrUnsupported }

// Anchor implements store.Keys: there is no counter.
func (k *Keys) Anchor(context.Context, [32]byte) ([]byte, error) { return nil, errors.ErrUnsupported }

// Options are those of a store for a test: plenty of space, no log, and no heads but at Close, so
// that a test may count entries.
func Options(k store.Keys) store.Options {
	return store.Options{
		Origin: "pinward/test", Keys: k, Log: slog.New(slog.DiscardHandler), HeadEvery: 24 * time.Hour,
		Free: func(string) (free, total uint64, err error) { return 1 << 40, 1 << 41, nil },
	}
}

// Open gives a store that is closed when the test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenIn(t, filepath.Join(t.TempDir(), "store"), Options(NewKeys(t)))
}

// OpenIn opens the store in a folder, which may hold one already. But in benchmarks it is strict. The test may
// have closed it before its end.
func OpenIn(t testing.TB, dir string, o store.Options) *store.Store {
	t.Helper()
	o.Strict = Strict(t)
	s, err := store.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// Strict says whether a store is to be strict: in tests, so that each of them proves that the tables it
// fills declare their blinded values, and not in benchmarks, since that takes time.
func Strict(t testing.TB) bool {
	_, bench := t.(*testing.B)
	return !bench
}

// Tester is the actor of Update.
var Tester = store.Actor{Kind: "user", ID: "tester"}

// Update runs fn in a transaction that has to succeed.
func Update(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), Tester, fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

// View runs fn in a snapshot.
func View(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// Entries lists the entries of Tester: those of the rooms, not of the store itself.
func Entries(t testing.TB, s *store.Store) []store.Entry {
	t.Helper()
	var list []store.Entry
	View(t, s, func(tx *store.Tx) error {
		return tx.Entries(0, func(r store.Record) error {
			if r.Actor == Tester {
				list = append(list, r.Entry)
			}
			return nil
		})
	})
	return list
}
