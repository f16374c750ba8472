package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"
)

// attest makes what a TPM says: TPM2B_ATTEST of TPM_ST_ATTEST_NV, and TPMT_SIGNATURE. high asks for
// the greater of the two possible s.
func attest(t testing.TB, key *ecdsa.PrivateKey, a Anchor, high bool) []byte {
	t.Helper()
	u16, u32, u64 := binary.BigEndian.AppendUint16, binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	s := u16(u32(nil, tpmGenerated), tpmAttestNV)
	s = append(u16(s, 34), make([]byte, 34)...)
	s = append(u16(s, 32), a.NoteHash[:]...)
	s = u32(u32(u64(s, a.Clock), a.ResetCount), a.RestartCount)
	if a.Safe {
		s = append(s, 1)
	} else {
		s = append(s, 0)
	}
	s = u64(s, 7)
	s = append(u16(s, 34), a.Index[:]...)
	s = u64(u16(u16(s, 0), 8), a.Counter)
	sum := sha256.Sum256(s)
	der, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var sig ecdsaSignature
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	if (sig.S.Cmp(halfOrder) > 0) != high {
		sig.S.Sub(elliptic.P256().Params().N, sig.S)
	}
	out := append(u16(nil, uint16(len(s))), s...)
	out = u16(u16(out, tpmAlgECDSA), tpmAlgSHA256)
	for _, n := range []*big.Int{sig.R, sig.S} {
		out = append(u16(out, uint16(len(n.Bytes()))), n.Bytes()...)
	}
	return out
}

func canonical(t testing.TB, attestation []byte) []byte {
	t.Helper()
	c, err := CanonicalAnchor(attestation)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var anAnchor = Anchor{Counter: 1 << 40, NoteHash: [32]byte{1, 2}, Clock: 77, Safe: true, ResetCount: 3, RestartCount: 4, Index: [34]byte{0, 11, 5}}

func TestAnchorParses(t *testing.T) {
	l := newTestLog(t)
	for _, high := range []bool{false, true} {
		c := canonical(t, attest(t, l.key, anAnchor, high))
		got, err := ParseAnchor(&l.key.PublicKey, c)
		if err != nil || got != anAnchor {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := ParseAnchor(&l.key.PublicKey, attest(t, l.key, anAnchor, true)); !errors.Is(err, ErrEncoding) {
		t.Errorf("the other spelling of a signature: %v", err)
	}
	if _, err := ParseAnchor(newTestLog(t).signers[0], canonical(t, attest(t, l.key, anAnchor, false))); err == nil {
		t.Error("another signer's anchor passes")
	}
}

// TestAnyFlippedBitOfAnAnchorIsFound flips every bit, cuts at every place and adds a byte.
func TestAnyFlippedBitOfAnAnchorIsFound(t *testing.T) {
	l := newTestLog(t)
	good := canonical(t, attest(t, l.key, anAnchor, false))
	for bit := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseAnchor(&l.key.PublicKey, bad); err == nil {
			t.Errorf("bit %d flipped: it passes", bit)
		}
	}
	for n := range good {
		if _, err := ParseAnchor(&l.key.PublicKey, good[:n]); err == nil {
			t.Errorf("cut to %d bytes: it passes", n)
		}
	}
	if _, err := ParseAnchor(&l.key.PublicKey, append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte longer: it passes")
	}
}

// FuzzAnchor: whatever decodes has one spelling, which decodes to the same.
func FuzzAnchor(f *testing.F) {
	l := newTestLog(f)
	f.Add(attest(f, l.key, anAnchor, true))
	f.Add(canonical(f, attest(f, l.key, Anchor{}, false)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _, r, s, err := parseAnchor(b)
		if err != nil {
			return
		}
		c, err := CanonicalAnchor(b)
		if err != nil {
			t.Fatal(err)
		}
		again, _, r2, s2, err := parseAnchor(c)
		if err != nil || again != a || r.Cmp(r2) != 0 || lower(s).Cmp(s2) != 0 {
			t.Fatalf("%x is %+v, its canonical form %+v; %v", b, a, again, err)
		}
	})
}
