package tpm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// maxNote is what TPM2_Hash takes in one command (MAX_DIGEST_BUFFER). A head is about 130 bytes.
const maxNote = 1024

// akTemplate is a restricted signing key: it signs what the TPM itself has hashed or made, hence never a digest that
// somebody prepared to look like an attestation.
func akTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM:            true,
			FixedParent:         true,
			SensitiveDataOrigin: true,
			UserWithAuth:        true,
			NoDA:                true,
			Restricted:          true,
			SignEncrypt:         true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
	}
}

// createAK makes the signing key under a storage key of the endorsement hierarchy. auth, derived from the root key, keeps
// other programs that may open the device from signing heads in our name.
func (s *sequence) createAK(srk parent, auth []byte) (AKState, error) {
	sess, end, err := s.session(srk, encryptIn, nil)
	if err != nil {
		return AKState{}, err
	}
	defer end()
	above, release, err := s.makePrimary(tpm2.TPMRHEndorsement)
	if err != nil {
		return AKState{}, fmt.Errorf("make endorsement storage key: %w", err)
	}
	defer release()
	rsp, err := tpm2.Create{
		ParentHandle: above.auth(sess),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{}),
		}},
		InPublic: tpm2.New2B(akTemplate()),
	}.Execute(s)
	if err != nil {
		return AKState{}, fmt.Errorf("make signing key: %w", err)
	}
	return AKState{Private: rsp.OutPrivate.Buffer, Public: rsp.OutPublic.Bytes()}, nil
}

// loadAK loads the signing key for one use. The caller runs release.
func (s *sequence) loadAK(srk parent, st AKState) (ak tpm2.NamedHandle, release func(), err error) {
	sess, end, err := s.session(srk, encryptIn, nil)
	if err != nil {
		return tpm2.NamedHandle{}, nil, err
	}
	defer end()
	above, drop, err := s.makePrimary(tpm2.TPMRHEndorsement)
	if err != nil {
		return tpm2.NamedHandle{}, nil, fmt.Errorf("make endorsement storage key: %w", err)
	}
	defer drop()
	ak, release, err = s.load(above, sess, st.Private, st.Public)
	if err != nil {
		return tpm2.NamedHandle{}, nil, fmt.Errorf("load signing key: %w", err)
	}
	return ak, release, nil
}

// sign lets the TPM hash note and sign the digest.
func (s *sequence) sign(srk parent, st AKState, auth, note []byte) (*tpm2.TPMTSignature, error) {
	ak, release, err := s.loadAK(srk, st)
	if err != nil {
		return nil, err
	}
	defer release()
	hashed, err := tpm2.Hash{
		Data:      tpm2.TPM2BMaxBuffer{Buffer: note},
		HashAlg:   tpm2.TPMAlgSHA256,
		Hierarchy: tpm2.TPMRHEndorsement,
	}.Execute(s)
	if err != nil {
		return nil, fmt.Errorf("hash note: %w", err)
	}
	sess, end, err := s.session(srk, encryptNone, auth)
	if err != nil {
		return nil, err
	}
	defer end()
	rsp, err := tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: sess},
		Digest:     hashed.OutHash,
		Validation: hashed.Validation,
	}.Execute(s)
	if err != nil {
		return nil, fmt.Errorf("sign note: %w", err)
	}
	return &rsp.Signature, nil
}

// encodeSignature checks an ECDSA signature over message and writes it in ASN.1 DER. Checking costs 0.1 ms, and neither a
// fault in the chip nor somebody on its wires can then make us keep a bad one.
func encodeSignature(signer *ecdsa.PublicKey, message []byte, sig *tpm2.TPMTSignature) ([]byte, error) {
	ecdsaSig, err := sig.Signature.ECDSA()
	if err != nil || sig.SigAlg != tpm2.TPMAlgECDSA || ecdsaSig.Hash != tpm2.TPMAlgSHA256 {
		return nil, errors.New("signature of the TPM is not ECDSA with SHA-256")
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(ecdsaSig.SignatureR.Buffer),
		new(big.Int).SetBytes(ecdsaSig.SignatureS.Buffer),
	})
	if err != nil {
		return nil, fmt.Errorf("encode signature: %w", err)
	}
	digest := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(signer, digest[:], der) {
		return nil, errors.New("signature of the TPM does not verify")
	}
	return der, nil
}

// signer is the public half of the signing key.
func (st State) signer() (*ecdsa.PublicKey, error) {
	damaged := errors.New("signing key in the tpm state is damaged")
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](st.AK.Public)
	if err != nil {
		return nil, damaged
	}
	parms, err := public.Parameters.ECCDetail()
	if err != nil || parms.CurveID != tpm2.TPMECCNistP256 {
		return nil, damaged
	}
	point, err := public.Unique.ECC()
	if err != nil || len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return nil, damaged
	}
	encoded := make([]byte, 65)
	encoded[0] = 4 // uncompressed (SEC 1, section 2.3.3); the TPM may leave leading zeros out
	copy(encoded[33-len(point.X.Buffer):], point.X.Buffer)
	copy(encoded[65-len(point.Y.Buffer):], point.Y.Buffer)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), encoded)
	if err != nil {
		return nil, damaged
	}
	return key, nil
}

// signerState is the entry for a key that was in use until at. The fingerprint is the one that set-up prints: SHA-256 of
// the key as PKIX.
func signerState(key *ecdsa.PublicKey, at time.Time) (SignerState, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return SignerState{}, fmt.Errorf("encode signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	return SignerState{PublicKey: der, Fingerprint: sum[:], ReplacedAt: at.UTC().Truncate(time.Second)}, nil
}
