package store

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// countingKeys are testKeys with a counter in memory, as a TPM keeps it: it outlives the process.
type countingKeys struct {
	*testKeys
	chip *testChip
}

type testChip struct {
	mu      sync.Mutex
	counter uint64
	resets  uint32
	soon    bool
	before  error // of Anchor, before it does anything
	after   error // of Anchor, when all is done
	ask     error // of Counter
	began   time.Time
	anchors int
}

func newCountingKeys(t testing.TB) *countingKeys {
	return &countingKeys{newTestKeys(t), &testChip{counter: 100, resets: 1, began: time.Now()}}
}

func (k *countingKeys) Counter(context.Context) (uint64, error) {
	k.chip.mu.Lock()
	defer k.chip.mu.Unlock()
	return k.chip.counter, k.chip.ask
}

func (k *countingKeys) Anchor(_ context.Context, hash [32]byte) ([]byte, error) {
	c := k.chip
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.soon:
		return nil, ErrAnchorSoon
	case c.before != nil:
		return nil, c.before
	}
	c.counter++
	c.anchors++
	if c.after != nil {
		return nil, c.after
	}
	return attest(k.signer, c.counter, hash, uint64(time.Since(c.began).Milliseconds())+uint64(c.anchors), c.resets)
}

// attest makes what a TPM says: TPM2B_ATTEST of TPM_ST_ATTEST_NV, and TPMT_SIGNATURE.
func attest(key *ecdsa.PrivateKey, counter uint64, hash [32]byte, clock uint64, resets uint32) ([]byte, error) {
	u16, u32, u64 := binary.BigEndian.AppendUint16, binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	s := u16(u32(nil, 0xff544347), 0x8014)
	s = append(u16(s, 34), make([]byte, 34)...)
	s = append(u16(s, 32), hash[:]...)
	s = append(u32(u32(u64(s, clock), resets), 0), 1)
	s = u64(s, 7)
	s = append(u16(s, 34), bytes.Repeat([]byte{9}, 34)...)
	s = u64(u16(u16(s, 0), 8), counter)
	sum := sha256.Sum256(s)
	der, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	out := append(u16(nil, uint16(len(s))), s...)
	out = u16(u16(out, 0x18), 0x0b)
	for _, n := range []*big.Int{sig.R, sig.S} {
		out = append(u16(out, uint16(len(n.Bytes()))), n.Bytes()...)
	}
	return out, nil
}

func tryCounting(dir string, k *countingKeys, with ...func(*Options)) (*Store, error) {
	o := Options{Keys: k, Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.DiscardHandler)}
	for _, w := range with {
		w(&o)
	}
	return Open(context.Background(), dir, o)
}

func openCounting(t testing.TB, dir string, k *countingKeys, with ...func(*Options)) *Store {
	t.Helper()
	s, err := tryCounting(dir, k, with...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// actions lists the store's own entries about the counter.
func actions(t testing.TB, s *Store) (list []string) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.Entries(0, func(r Record) error {
			if a := string(r.Entry.Action); strings.HasPrefix(a, "store.anchor") || strings.HasPrefix(a, "store.counter") || strings.HasPrefix(a, "store.rollback") {
				list = append(list, r.Entry.String())
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
