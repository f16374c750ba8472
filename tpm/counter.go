package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
)

const (
	// anchorEvery keeps the counter's flash cell alive: 24 writes a day are 88,000 in ten years, of about 100,000.
	anchorEvery = time.Hour
	// NV indices of the owner's range that the TCG leaves free (Registry of Reserved TPM 2.0 Handles): we take two
	// neighbours at a random place.
	nvFirst = 0x01810000
	nvSpan  = 0x00010000
	nvTries = 32
	nvSize  = 8
)

// nvPublic is the public area an index of ours has, once written: its first write changes its Name. An index that
// somebody deleted and defined again has this public area too, but not the authorisation value.
func nvPublic(index uint32, kind tpm2.TPMNT, written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMIRHNVIndex(index),
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			AuthRead: true, AuthWrite: true, OwnerRead: true, NoDA: true,
			NT: kind, Written: written,
		},
		DataSize: nvSize,
	}
}

// nvIndex is an NV index with the Name it has now.
type nvIndex struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
}

func (x nvIndex) named() tpm2.NamedHandle { return tpm2.NamedHandle{Handle: x.handle, Name: x.name} }

func (x nvIndex) auth(sess tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: x.handle, Name: x.name, Auth: sess}
}

// index reads what the index is now, and refuses what is not as we defined it.
func (s *sequence) index(index uint32, kind tpm2.TPMNT) (x nvIndex, written bool, err error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(s)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nvIndex{}, false, fmt.Errorf("%w (counter is gone)", ErrCleared)
	}
	if err != nil {
		return nvIndex{}, false, fmt.Errorf("read counter's public area: %w", err)
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nvIndex{}, false, fmt.Errorf("read counter's public area: %w", err)
	}
	written = public.Attributes.Written
	want := nvPublic(index, kind, written)
	if !bytes.Equal(tpm2.Marshal(public), tpm2.Marshal(want)) {
		return nvIndex{}, false, fmt.Errorf("%w (counter is not the one we defined)", ErrCleared)
	}
	name, err := tpm2.NVName(&want)
	if err != nil {
		return nvIndex{}, false, fmt.Errorf("reckon counter's name: %w", err)
	}
	return nvIndex{handle: tpm2.TPMHandle(index), name: *name}, written, nil
}

// defineCounter makes the two indices and writes both, so that they can be read.
//
// If we crash between here and SaveState two indices of 8 bytes stay behind, which harms nobody.
func (s *sequence) defineCounter(srk parent, auth []byte) (CounterState, error) {
	for range nvTries {
		var r [4]byte
		rand.Read(r[:])
		first := nvFirst + binary.BigEndian.Uint32(r[:])%(nvSpan/2)*2
		st := CounterState{Index: first, Clock: first + 1}
		err := s.define(srk, st.Index, tpm2.TPMNTCounter, auth)
		if errors.Is(err, tpm2.TPMRCNVDefined) {
			continue
		}
		if err == nil {
			err = s.define(srk, st.Clock, tpm2.TPMNTOrdinary, auth)
		}
		if err == nil {
			err = s.raise(srk, st, auth)
		}
		if err != nil {
			return CounterState{}, fmt.Errorf("make counter: %w", err)
		}
		return st, nil
	}
	return CounterState{}, errors.New("make counter: found no free NV index")
}

func (s *sequence) define(srk parent, index uint32, kind tpm2.TPMNT, auth []byte) error {
	sess, end, err := s.session(srk, encryptIn, s.owner)
	if err != nil {
		return err
	}
	defer end()
	s.mark()
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: sess},
		Auth:       tpm2.TPM2BAuth{Buffer: auth},
		PublicInfo: tpm2.New2B(nvPublic(index, kind, false)),
	}.Execute(s)
	return owned(err)
}

// raise notes the TPM's clock and increments the counter.
//
// If we crash between the two, an hour passes without increment. The other order could wear the cell out in a crash loop.
func (s *sequence) raise(srk parent, st CounterState, auth []byte) error {
	sess, end, err := s.session(srk, encryptIn, auth)
	if err != nil {
		return err
	}
	defer end()
	now, err := s.clock()
	if err != nil {
		return err
	}
	clock, _, err := s.index(st.Clock, tpm2.TPMNTOrdinary)
	if err != nil {
		return err
	}
	s.mark()
	_, err = tpm2.NVWrite{
		AuthHandle: clock.auth(sess),
		NVIndex:    clock.named(),
		Data:       tpm2.TPM2BMaxNVBuffer{Buffer: binary.BigEndian.AppendUint64(nil, uint64(now.Milliseconds()))},
	}.Execute(s)
	if err != nil {
		return fmt.Errorf("note time of increment: %w", foreignIndex(err))
	}
	plain, endPlain, err := s.session(srk, encryptNone, auth)
	if err != nil {
		return err
	}
	defer endPlain()
	counter, _, err := s.index(st.Index, tpm2.TPMNTCounter)
	if err != nil {
		return err
	}
	if _, err := (tpm2.NVIncrement{AuthHandle: counter.auth(plain), NVIndex: counter.named()}).Execute(s); err != nil {
		return fmt.Errorf("increment counter: %w", foreignIndex(err))
	}
	return nil
}

// clock is the TPM's own: it counts while there is power, and after a power cut may go back by up to 70 minutes.
func (s *sequence) clock() (time.Duration, error) {
	now, err := s.timeInfo()
	return time.Duration(now.Clock) * time.Millisecond, err
}

// read reads one of our indices.
func (s *sequence) read(srk parent, index uint32, kind tpm2.TPMNT, auth []byte) (uint64, error) {
	x, written, err := s.index(index, kind)
	if err != nil {
		return 0, err
	}
	if !written {
		return 0, fmt.Errorf("%w (counter was never written)", ErrCleared)
	}
	sess, end, err := s.session(srk, encryptOut, auth)
	if err != nil {
		return 0, err
	}
	defer end()
	rsp, err := tpm2.NVRead{AuthHandle: x.auth(sess), NVIndex: x.named(), Size: nvSize}.Execute(s)
	if err != nil {
		return 0, fmt.Errorf("read counter: %w", foreignIndex(err))
	}
	if len(rsp.Data.Buffer) != nvSize {
		return 0, fmt.Errorf("read counter: %d bytes, want %d", len(rsp.Data.Buffer), nvSize)
	}
	return binary.BigEndian.Uint64(rsp.Data.Buffer), nil
}

// foreignIndex explains a refused authorisation: the index has our form, but another's authorisation value.
func foreignIndex(err error) error {
	if errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) {
		return fmt.Errorf("%w (counter was defined by somebody else: %w)", ErrCleared, err)
	}
	return err
}

// anchor raises the counter and has the signing key certify its new value together with noteHash.
func (s *sequence) anchor(srk parent, st State, auths authorities, noteHash [32]byte) ([]byte, error) {
	last, err := s.read(srk, st.Counter.Clock, tpm2.TPMNTOrdinary, auths.nv)
	if err != nil {
		return nil, err
	}
	now, err := s.clock()
	if err != nil {
		return nil, err
	}
	if due := time.Duration(last)*time.Millisecond + anchorEvery; now < due {
		return nil, fmt.Errorf("%w (%v to go)", ErrAnchorTooSoon, (due - now).Round(time.Second))
	}
	if err := s.raise(srk, st.Counter, auths.nv); err != nil {
		return nil, err
	}
	ak, release, err := s.loadAK(srk, st.AK)
	if err != nil {
		return nil, err
	}
	defer release()
	counter, _, err := s.index(st.Counter.Index, tpm2.TPMNTCounter)
	if err != nil {
		return nil, err
	}
	akSess, endAK, err := s.session(srk, encryptNone, auths.ak)
	if err != nil {
		return nil, err
	}
	defer endAK()
	nvSess, endNV, err := s.session(srk, encryptNone, auths.nv)
	if err != nil {
		return nil, err
	}
	defer endNV()
	rsp, err := tpm2.NVCertify{
		SignHandle:     tpm2.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: akSess},
		AuthHandle:     counter.auth(nvSess),
		NVIndex:        counter.named(),
		QualifyingData: tpm2.TPM2BData{Buffer: noteHash[:]},
		Size:           nvSize,
	}.Execute(s)
	if err != nil {
		return nil, fmt.Errorf("certify counter: %w", foreignIndex(err))
	}
	return append(tpm2.Marshal(rsp.CertifyInfo), tpm2.Marshal(rsp.Signature)...), nil
}

// Anchor is what the TPM stated about one audit head.
type Anchor struct {
	// Counter is the value after the increment. The next anchor of this box has one more.
	Counter uint64
	// NoteHash is the SHA-256 of the head.
	NoteHash [32]byte
	// Clock is the TPM's clock in milliseconds of power. Safe is false if it may have gone back after a power cut.
	Clock uint64
	Safe  bool
	// ResetCount and RestartCount grow with each power cycle and each wake-up.
	ResetCount, RestartCount uint32
	// IndexName is the TPM Name of the counter's NV index; another name is another counter.
	IndexName []byte
}

// maxAttestation bounds what ParseAnchor looks at. An anchor is about 230 bytes.
const maxAttestation = 1024

// ParseAnchor checks an attestation that Keys.Anchor returned against the signer's public key and reads it. It needs no
// TPM. The bytes are a TPM2B_ATTEST followed by a TPMT_SIGNATURE (TPM 2.0 Part 2, sections 10.12.13 and 11.3.4).
func ParseAnchor(signer *ecdsa.PublicKey, attestation []byte) (Anchor, error) {
	if len(attestation) < 2 || len(attestation) > maxAttestation {
		return Anchor{}, errors.New("parse anchor: wrong length")
	}
	size := int(binary.BigEndian.Uint16(attestation))
	if len(attestation)-2 < size {
		return Anchor{}, errors.New("parse anchor: cut short")
	}
	signed, rest := attestation[2:2+size], attestation[2+size:]
	sig, err := tpm2.Unmarshal[tpm2.TPMTSignature](rest)
	if err != nil || !bytes.Equal(tpm2.Marshal(sig), rest) {
		return Anchor{}, errors.New("parse anchor: malformed signature")
	}
	if _, err := encodeSignature(signer, signed, sig); err != nil {
		return Anchor{}, fmt.Errorf("parse anchor: %w", err)
	}
	attest, err := tpm2.Unmarshal[tpm2.TPMSAttest](signed)
	if err != nil || !bytes.Equal(tpm2.Marshal(attest), signed) {
		return Anchor{}, errors.New("parse anchor: malformed statement")
	}
	info, err := attest.Attested.NV()
	if err != nil || attest.Type != tpm2.TPMSTAttestNV {
		return Anchor{}, errors.New("parse anchor: the TPM signed a statement of another kind")
	}
	if len(info.NVContents.Buffer) != nvSize || info.Offset != 0 || len(attest.ExtraData.Buffer) != sha256.Size {
		return Anchor{}, errors.New("parse anchor: not a counter bound to a note hash")
	}
	a := Anchor{
		Counter:      binary.BigEndian.Uint64(info.NVContents.Buffer),
		Clock:        attest.ClockInfo.Clock,
		Safe:         bool(attest.ClockInfo.Safe),
		ResetCount:   attest.ClockInfo.ResetCount,
		RestartCount: attest.ClockInfo.RestartCount,
		IndexName:    info.IndexName.Buffer,
	}
	copy(a.NoteHash[:], attest.ExtraData.Buffer)
	return a, nil
}
