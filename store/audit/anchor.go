package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Anchor is what a TPM stated about one head: with TPM2_NV_Certify it signs the value of a counter
// that nobody can set back, its own clock, and the hash of the head.
type Anchor struct {
	Counter  uint64            // one more than in the anchor before
	NoteHash [sha256.Size]byte // of the head's note
	// Clock is the TPM's, in milliseconds of power. Safe is false if it may have gone back by a power cut.
	Clock uint64
	Safe  bool
	// ResetCount grows with each power cycle of the machine, RestartCount with each wake-up.
	ResetCount, RestartCount uint32
	// Index is the TPM Name of the counter: its public area, hashed.
	Index [34]byte
}

// maxAttestation is above the size of any attestation of ours; one is about 230 bytes.
const maxAttestation = 512

// The constants of TPM 2.0 Part 2 that an attestation holds.
const (
	tpmGenerated   = 0xff544347 // TPM_GENERATED_VALUE, section 6.2
	tpmAttestNV    = 0x8014     // TPM_ST_ATTEST_NV, section 6.9
	tpmAlgSHA256   = 0x000b     // section 6.3
	tpmAlgECDSA    = 0x0018
	nvCounterBytes = 8
)

// ParseAnchor checks an attestation against the signer's key and reads it: a TPM2B_ATTEST followed by a
// TPMT_SIGNATURE (TPM 2.0 Part 2, sections 10.12.13 and 11.3.4). It takes the one spelling that
// [CanonicalAnchor] gives and no other.
func ParseAnchor(signer *ecdsa.PublicKey, attestation []byte) (Anchor, error) {
	a, signed, r, s, err := parseAnchor(attestation)
	if err != nil {
		return Anchor{}, err
	}
	if signer == nil || signer.Curve != elliptic.P256() {
		return Anchor{}, errors.New("verify anchor: the signer is not an ECDSA key on P-256")
	}
	if again, err := CanonicalAnchor(attestation); err != nil || !bytes.Equal(again, attestation) {
		return Anchor{}, fmt.Errorf("%w: anchor: it has another spelling", ErrEncoding)
	}
	sum := sha256.Sum256(signed)
	sig, err := asn1.Marshal(ecdsaSignature{r, s})
	if err != nil || !ecdsa.VerifyASN1(signer, sum[:], sig) {
		return Anchor{}, errors.New("verify anchor: not signed by this signer")
	}
	return a, nil
}

// CanonicalAnchor is an attestation as a TPM gives it, in the one spelling that is kept: of the two
// signatures (r, s) and (r, n-s), which say the same, that with the lower s.
func CanonicalAnchor(attestation []byte) ([]byte, error) {
	_, signed, r, s, err := parseAnchor(attestation)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(signed)))
	b = append(b, signed...)
	b = binary.BigEndian.AppendUint16(b, tpmAlgECDSA)
	b = binary.BigEndian.AppendUint16(b, tpmAlgSHA256)
	for _, n := range []*big.Int{r, lower(s)} {
		b = binary.BigEndian.AppendUint16(b, 32)
		b = append(b, n.FillBytes(make([]byte, 32))...)
	}
	return b, nil
}

// parseAnchor decodes without checking the signature. Numbers of a signature may have lost leading
// zeros: TPMs differ in that.
func parseAnchor(b []byte) (a Anchor, signed []byte, r, s *big.Int, err error) {
	bad := fmt.Errorf("%w: anchor", ErrEncoding)
	if len(b) > maxAttestation {
		return a, nil, nil, nil, bad
	}
	in := tpmReader{rest: b}
	signed = in.sized()
	sigAlg, hash := in.uint16(), in.uint16()
	rb, sb := in.sized(), in.sized()
	if !in.done() || sigAlg != tpmAlgECDSA || hash != tpmAlgSHA256 || len(rb) > 32 || len(sb) > 32 {
		return a, nil, nil, nil, bad
	}
	in = tpmReader{rest: signed}
	magic, kind := in.uint32(), in.uint16()
	in.sized() // qualified name of the signer: its key is what counts
	extra := in.sized()
	a.Clock = in.uint64()
	a.ResetCount, a.RestartCount = in.uint32(), in.uint32()
	safe := in.take(1)
	in.uint64() // firmware version
	index := in.sized()
	offset := in.uint16()
	value := in.sized()
	if !in.done() || magic != tpmGenerated || kind != tpmAttestNV || len(extra) != len(a.NoteHash) || safe[0] > 1 ||
		len(index) != len(a.Index) || offset != 0 || len(value) != nvCounterBytes {
		return a, nil, nil, nil, bad
	}
	a.Safe = safe[0] == 1
	a.NoteHash = [sha256.Size]byte(extra)
	a.Index = [34]byte(index)
	a.Counter = binary.BigEndian.Uint64(value)
	r, s = new(big.Int).SetBytes(rb), new(big.Int).SetBytes(sb)
	if n := elliptic.P256().Params().N; r.Cmp(n) >= 0 || s.Cmp(n) >= 0 {
		return a, nil, nil, nil, bad
	}
	return a, signed, r, s, nil
}

// tpmReader takes fields off a TPM structure, which is big endian. Once something is missing it gives
// zeros, and done says so at the end.
type tpmReader struct {
	rest []byte
	cut  bool
}

func (t *tpmReader) take(n int) []byte {
	if len(t.rest) < n {
		t.cut, t.rest = true, nil
		return make([]byte, n)
	}
	b := t.rest[:n]
	t.rest = t.rest[n:]
	return b
}

func (t *tpmReader) uint16() uint16 { return binary.BigEndian.Uint16(t.take(2)) }
func (t *tpmReader) uint32() uint32 { return binary.BigEndian.Uint32(t.take(4)) }
func (t *tpmReader) uint64() uint64 { return binary.BigEndian.Uint64(t.take(8)) }
func (t *tpmReader) sized() []byte  { return t.take(int(t.uint16())) }
func (t *tpmReader) done() bool     { return !t.cut && len(t.rest) == 0 }

// ecdsaSignature is Ecdsa-Sig-Value of RFC 3279, section 2.2.3.
type ecdsaSignature struct{ R, S *big.Int }

var halfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

func lower(s *big.Int) *big.Int {
	if s.Cmp(halfOrder) <= 0 {
		return s
	}
	return new(big.Int).Sub(elliptic.P256().Params().N, s)
}

// canonicalSignature is a signature with the lower s: the other one says the same in other bytes, and
// a file that somebody changed has to be told from one that nobody touched.
func canonicalSignature(asn1sig []byte) ([]byte, error) {
	var sig ecdsaSignature
	if rest, err := asn1.Unmarshal(asn1sig, &sig); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: signature", ErrEncoding)
	}
	sig.S = lower(sig.S)
	return asn1.Marshal(sig)
}
