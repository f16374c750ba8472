package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

func TestAnchor(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	start, err := keys.Counter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var last Anchor
	for i := range 3 {
		advance(t, d, anchorEvery)
		hash := sha256.Sum256([]byte{byte(i)})
		attestation, err := keys.Anchor(ctx, hash)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseAnchor(keys.Signer(), attestation)
		if err != nil {
			t.Fatal(err)
		}
		if a.NoteHash != hash || a.Counter != start+uint64(i)+1 || a.Clock <= last.Clock {
			t.Fatalf("anchor %d: %+v after %+v, counter was %d", i, a, last, start)
		}
		// Under the owner hierarchy the TPM would obfuscate this: a number of nine digits (TPM 2.0 Part 1, section 36.7).
		if a.ResetCount != 1 {
			t.Fatalf("reset count %d, want the true one, 1", a.ResetCount)
		}
		if i > 0 && !bytes.Equal(a.IndexName, last.IndexName) {
			t.Fatal("another counter")
		}
		if n, err := keys.Counter(ctx); err != nil || n != a.Counter {
			t.Fatalf("counter %d, %v; attested %d", n, err, a.Counter)
		}
		last = a
	}
	d.Close()
	c.restart()
	d = c.open()
	if keys, err = unsealed(ctx, d, st, ""); err != nil {
		t.Fatal(err)
	}
	advance(t, d, 3*anchorEvery) // after a power cut the clock may have gone back
	attestation, err := keys.Anchor(ctx, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAnchor(keys.Signer(), attestation)
	if err != nil || a.Counter != last.Counter+1 || a.ResetCount != 2 {
		t.Fatalf("after a restart: %+v, %v", a, err)
	}
	wantEmpty(t, d)
}

func TestAnchorIsRateLimited(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	st, _, keys := commissioned(t, c.open(), CommissionOptions{})
	before, err := keys.Counter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	keys.dev.Close()
	// A crash loop: each start wants to anchor.
	for range 4 {
		c.restart()
		d := c.open()
		keys, err = unsealed(ctx, d, st, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Anchor(ctx, [32]byte{}); !errors.Is(err, ErrAnchorTooSoon) {
			t.Fatalf("got %v, want ErrAnchorTooSoon", err)
		}
		if n, err := keys.Counter(ctx); err != nil || n != before {
			t.Fatalf("counter %d, %v; was %d", n, err, before)
		}
		d.Close()
	}
	d := c.open()
	if keys, err = unsealed(ctx, d, st, ""); err != nil {
		t.Fatal(err)
	}
	advance(t, d, anchorEvery+time.Minute)
	if _, err := keys.Anchor(ctx, [32]byte{}); err != nil {
		t.Fatal(err)
	}
	advance(t, d, anchorEvery-time.Minute)
	if _, err := keys.Anchor(ctx, [32]byte{}); !errors.Is(err, ErrAnchorTooSoon) {
		t.Fatalf("59 minutes later: got %v, want ErrAnchorTooSoon", err)
	}
	advance(t, d, 2*time.Minute)
	if _, err := keys.Anchor(ctx, [32]byte{}); err != nil {
		t.Fatalf("61 minutes later: %v", err)
	}
}

// The owner may delete an index and define it again. It then has our form, even our Name, but not our authorisation value.
func TestCounterReplacedByTheOwner(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	undefine := func(index uint32) {
		run(t, d, func(s *sequence) (*tpm2.NVUndefineSpaceResponse, error) {
			x, _, err := s.index(index, tpm2.TPMNTCounter)
			if err != nil {
				return nil, err
			}
			return tpm2.NVUndefineSpace{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: emptyAuth}, NVIndex: x.named()}.Execute(s)
		})
	}
	undefine(st.Counter.Index)
	if _, err := keys.Counter(ctx); !errors.Is(err, ErrCleared) {
		t.Fatalf("deleted: got %v, want ErrCleared", err)
	}
	theirs := []byte("theirs")
	run(t, d, func(s *sequence) (struct{}, error) {
		var none struct{}
		srk, release, err := s.pinnedSRK(st.SRK)
		if err != nil {
			return none, err
		}
		defer release()
		if err := s.define(srk, st.Counter.Index, tpm2.TPMNTCounter, theirs); err != nil {
			return none, err
		}
		x, _, err := s.index(st.Counter.Index, tpm2.TPMNTCounter)
		if err != nil {
			return none, err
		}
		_, err = tpm2.NVIncrement{AuthHandle: x.auth(tpm2.PasswordAuth(theirs)), NVIndex: x.named()}.Execute(s)
		return none, err
	})
	if _, err := keys.Counter(ctx); !errors.Is(err, ErrCleared) {
		t.Fatalf("defined again: got %v, want ErrCleared", err)
	}
	advance(t, d, anchorEvery)
	if _, err := keys.Anchor(ctx, [32]byte{}); !errors.Is(err, ErrCleared) {
		t.Fatalf("Anchor: got %v, want ErrCleared", err)
	}
}

func TestParseAnchorRefusesWhatWasChanged(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	advance(t, d, anchorEvery)
	attestation, err := keys.Anchor(ctx, sha256.Sum256([]byte("note")))
	if err != nil {
		t.Fatal(err)
	}
	for i := range attestation {
		for bit := range 8 {
			changed := bytes.Clone(attestation)
			changed[i] ^= 1 << bit
			if _, err := ParseAnchor(keys.Signer(), changed); err == nil {
				t.Errorf("bit %d of byte %d flipped: accepted", bit, i)
			}
		}
		if _, err := ParseAnchor(keys.Signer(), attestation[:i]); err == nil {
			t.Errorf("cut to %d bytes: accepted", i)
		}
	}
	if _, err := ParseAnchor(keys.Signer(), append(bytes.Clone(attestation), 0)); err == nil {
		t.Error("a byte more: accepted")
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseAnchor(&other.PublicKey, attestation); err == nil {
		t.Error("signed by another key: accepted")
	}
}

// FuzzParseAnchor lets the fuzzer write both what was signed and the encoding around it.
func FuzzParseAnchor(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	counter := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestNV,
		ExtraData: tpm2.TPM2BData{Buffer: make([]byte, 32)},
		Attested:  tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{NVContents: tpm2.TPM2BData{Buffer: make([]byte, 8)}}),
	})
	f.Add(counter, true)
	f.Add(counter[:20], true)
	f.Add([]byte{}, true)
	f.Add([]byte("\x00\x02ab\x00\x18\x00\x0b\x00\x01r\x00\x01s"), false)
	f.Fuzz(func(t *testing.T, data []byte, sign bool) {
		attestation := data
		if sign {
			digest := sha256.Sum256(data)
			der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			var rs struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(der, &rs); err != nil {
				t.Fatal(err)
			}
			attestation = append(tpm2.Marshal(tpm2.TPM2BData{Buffer: data}), tpm2.Marshal(tpm2.TPMTSignature{
				SigAlg: tpm2.TPMAlgECDSA,
				Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
					Hash:       tpm2.TPMAlgSHA256,
					SignatureR: tpm2.TPM2BECCParameter{Buffer: rs.R.Bytes()},
					SignatureS: tpm2.TPM2BECCParameter{Buffer: rs.S.Bytes()},
				}),
			})...)
		}
		a, err := ParseAnchor(&key.PublicKey, attestation)
		switch {
		case err == nil && !sign:
			t.Fatal("accepted what nobody signed")
		case err != nil && bytes.Equal(data, counter) && sign:
			t.Fatalf("refused a good one: %v", err)
		case err == nil && len(a.IndexName) > len(data):
			t.Fatal("read more than there is")
		}
	})
}
