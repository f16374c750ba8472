package tpm

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// srkHandle is where the TCG reserves a place for the storage root key (TPM 2.0 Provisioning Guidance, section 7.5.1).
// Some programs put an RSA key there, some an ECC key; both will do.
const srkHandle tpm2.TPMHandle = 0x81000001

// srkSpare is the first of the handles where an own storage key goes when the reserved place holds one that is no use.
const srkSpare tpm2.TPMHandle = 0x81008000

const (
	templateFound = "found"
	templateLECC  = "l-ecc"
)

// nonceSize is the length of a session nonce: half the session hash.
const nonceSize = 16

// parent is a storage key loaded or persistent in the TPM, with its public area as we know it.
type parent struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

// auth refers to p as the parent in a command that s authorises.
func (p parent) auth(s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: p.handle, Name: p.name, Auth: s}
}

// direction of parameter encryption: which first parameter crosses encrypted.
type direction int

const (
	encryptNone direction = iota
	encryptIn
	encryptOut
	encryptInOut
)

// options makes a session that is salted to the SRK: its HMACs and encryption stand on a secret that only the holder
// of the SRK's private half can know. The salt goes to the public area that was pinned, never to one read just now.
func (p parent) options(dir direction, auth []byte) []tpm2.AuthOption {
	o := []tpm2.AuthOption{tpm2.Salted(p.handle, p.public)}
	switch dir {
	case encryptIn:
		o = append(o, tpm2.AESEncryption(128, tpm2.EncryptIn))
	case encryptOut:
		o = append(o, tpm2.AESEncryption(128, tpm2.EncryptOut))
	case encryptInOut:
		o = append(o, tpm2.AESEncryption(128, tpm2.EncryptInOut))
	}
	if len(auth) > 0 {
		o = append(o, tpm2.Auth(auth))
	}
	return o
}

// session starts an HMAC session salted to srk, for entities whose authorisation value is auth. The caller runs end.
//
// Sessions are always explicit: go-tpm's just-in-time ones stay in the TPM when something between their start and
// their command fails, and three of them fill a chip.
func (s *sequence) session(srk parent, dir direction, auth []byte, more ...tpm2.AuthOption) (_ tpm2.Session, end func(), err error) {
	sess, _, err := tpm2.HMACSession(s, tpm2.TPMAlgSHA256, nonceSize, append(srk.options(dir, auth), more...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("start salted session: %w", err)
	}
	return sess, func() { s.flush(sess.Handle()) }, nil
}

// policySession starts a salted policy session. The caller runs end.
func (s *sequence) policySession(srk parent, dir direction, auth []byte) (_ tpm2.Session, end func(), err error) {
	sess, _, err := tpm2.PolicySession(s, tpm2.TPMAlgSHA256, nonceSize, srk.options(dir, auth)...)
	if err != nil {
		return nil, nil, fmt.Errorf("start salted policy session: %w", err)
	}
	return sess, func() { s.flush(sess.Handle()) }, nil
}

// findSRK looks for a storage root key at its reserved handle and makes one if there is none. One that cannot salt
// a session (known of some made by Windows) is left alone, and an own key is kept elsewhere. Nobody's key is evicted.
// What it returns is trusted from now on; only at commissioning is that right. The caller runs release.
func (s *sequence) findSRK() (srk parent, st SRKState, release func(), err error) {
	keep := func() {}
	rsp, err := tpm2.ReadPublic{ObjectHandle: srkHandle}.Execute(s)
	switch {
	case err == nil:
		srk, err = newParent(srkHandle, rsp.OutPublic)
		if err != nil {
			return parent{}, SRKState{}, nil, err
		}
		usable, err := s.salts(srk)
		if err != nil {
			return parent{}, SRKState{}, nil, err
		}
		if usable {
			return srk, srk.state(templateFound), keep, nil
		}
	case !errors.Is(err, tpm2.TPMRCHandle):
		return parent{}, SRKState{}, nil, fmt.Errorf("read storage root key: %w", err)
	}
	made, release, err := s.makePrimary(tpm2.TPMRHOwner)
	if err != nil {
		return parent{}, SRKState{}, nil, fmt.Errorf("make storage root key: %w", err)
	}
	defer release()
	if made, err = s.keep(made, srk.handle == 0); err != nil {
		return parent{}, SRKState{}, nil, fmt.Errorf("keep storage root key: %w", err)
	}
	return made, made.state(templateLECC), keep, nil
}

// keep makes a storage key persistent, at the reserved handle if that is free, else at a random one of the range for
// storage keys (TCG Registry of Reserved TPM 2.0 Handles): once the owner has a value, nobody could make it anew for each use.
func (s *sequence) keep(p parent, reserved bool) (parent, error) {
	handle := srkHandle
	for range nvTries {
		if !reserved {
			var r [2]byte
			rand.Read(r[:])
			handle = srkSpare + tpm2.TPMHandle(binary.BigEndian.Uint16(r[:])&0x7fff)
		}
		err := s.persist(p, handle)
		if err == nil {
			p.handle = handle
			return p, nil
		}
		if reserved || !errors.Is(err, tpm2.TPMRCNVDefined) {
			return parent{}, err
		}
	}
	return parent{}, errors.New("found no free persistent handle")
}

func (s *sequence) persist(p parent, handle tpm2.TPMHandle) error {
	auth := tpm2.PasswordAuth(nil)
	if len(s.owner) > 0 {
		sess, end, err := s.session(p, encryptNone, s.owner)
		if err != nil {
			return err
		}
		defer end()
		auth = sess
	}
	_, err := tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: auth},
		ObjectHandle:     tpm2.NamedHandle{Handle: p.handle, Name: p.name},
		PersistentHandle: tpm2.TPMIDHPersistent(handle),
	}.Execute(s)
	return owned(err)
}

// salts tells whether a session can be salted to srk. A warning of the TPM, or its silence, says nothing about the key.
func (s *sequence) salts(srk parent) (bool, error) {
	_, end, err := s.session(srk, encryptNone, nil)
	var rc tpm2.TPMRC
	switch {
	case err == nil:
		end()
		return true, nil
	case errors.As(err, &rc) && rc.IsWarning(), errors.Is(err, errLink), known(err):
		return false, err
	}
	return false, nil
}

// pinnedSRK returns the storage root key of st after comparing what the TPM has with the pinned Name. The caller runs release.
func (s *sequence) pinnedSRK(st SRKState) (srk parent, release func(), err error) {
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](st.Public)
	if err != nil {
		return parent{}, nil, errors.New("pinned storage key in the tpm state is damaged")
	}
	pinned, err := nameOf(public)
	if err != nil || !bytes.Equal(pinned.Buffer, st.Name) {
		return parent{}, nil, errors.New("pinned storage key in the tpm state does not have its pinned name")
	}
	var there tpm2.TPM2BName
	handle := tpm2.TPMHandle(st.Handle)
	release = func() {}
	rsp, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(s)
	if err == nil {
		found, err := newParent(handle, rsp.OutPublic)
		if err != nil {
			return parent{}, nil, fmt.Errorf("%w (%w)", ErrCleared, err)
		}
		there = found.name
	}
	// Evicted by somebody: the same seed gives the same key again, and another seed another Name. That takes the owner's
	// authorisation, which is under the root key where it is set.
	if errors.Is(err, tpm2.TPMRCHandle) && st.Template == templateLECC {
		var made parent
		if made, release, err = s.makePrimary(tpm2.TPMRHOwner); err == nil {
			there, handle = made.name, made.handle
		}
	}
	switch {
	case errors.Is(err, tpm2.TPMRCHandle), errors.Is(err, ErrOwned):
		return parent{}, nil, fmt.Errorf("%w (storage root key is gone)", ErrCleared)
	case err != nil:
		return parent{}, nil, fmt.Errorf("find storage root key: %w", err)
	case !bytes.Equal(there.Buffer, st.Name):
		release()
		return parent{}, nil, fmt.Errorf("%w (storage root key is not the pinned one)", ErrCleared)
	}
	return parent{handle: handle, name: *pinned, public: *public}, release, nil
}

// makePrimary makes the P-256 storage key that this TPM's hierarchy has under go-tpm's template. The caller runs release.
func (s *sequence) makePrimary(hierarchy tpm2.TPMHandle) (p parent, release func(), err error) {
	auth := tpm2.PasswordAuth(nil)
	if hierarchy == tpm2.TPMRHOwner && len(s.owner) > 0 {
		// There is no storage key yet to salt to. One of the null hierarchy, which lives until the next reset, will do.
		salt, drop, err := s.makePrimary(tpm2.TPMRHNull)
		if err != nil {
			return parent{}, nil, fmt.Errorf("make key to salt to: %w", err)
		}
		defer drop()
		sess, end, err := s.session(salt, encryptNone, s.owner)
		if err != nil {
			return parent{}, nil, err
		}
		defer end()
		auth = sess
	}
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: auth},
		InPublic:      tpm2.New2B(tpm2.ECCSRKTemplate),
	}.Execute(s)
	if err != nil {
		return parent{}, nil, owned(err)
	}
	p, err = newParent(rsp.ObjectHandle, rsp.OutPublic)
	if err != nil {
		s.flush(rsp.ObjectHandle)
		return parent{}, nil, err
	}
	return p, func() { s.flush(p.handle) }, nil
}

// newParent reckons the Name itself: the one that a TPM states could be anybody's.
func newParent(handle tpm2.TPMHandle, public tpm2.TPM2BPublic) (parent, error) {
	contents, err := public.Contents()
	if err != nil {
		return parent{}, fmt.Errorf("read public area: %w", err)
	}
	name, err := nameOf(contents)
	if err != nil {
		return parent{}, err
	}
	return parent{handle: handle, name: *name, public: *contents}, nil
}

func nameOf(public *tpm2.TPMTPublic) (*tpm2.TPM2BName, error) {
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return nil, fmt.Errorf("reckon name: %w", err)
	}
	return name, nil
}

func (p parent) state(template string) SRKState {
	return SRKState{
		Handle:   uint32(p.handle),
		Template: template,
		Name:     p.name.Buffer,
		Public:   tpm2.Marshal(p.public),
	}
}
