package tpm

import (
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// persist puts a primary key of the given template at the SRK's handle.
func persist(t *testing.T, d *Device, template tpm2.TPMTPublic) {
	t.Helper()
	run(t, d, func(s *sequence) (struct{}, error) {
		made, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: emptyAuth}, InPublic: tpm2.New2B(template),
		}.Execute(s)
		if err != nil {
			return struct{}{}, err
		}
		defer s.flush(made.ObjectHandle)
		return struct{}{}, evict(s, made.ObjectHandle, made.Name)
	})
}

// evict makes an object persistent at the SRK's handle, or removes the one there.
func evict(s *sequence, object tpm2.TPMHandle, name tpm2.TPM2BName) error {
	_, err := tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: emptyAuth},
		ObjectHandle:     tpm2.NamedHandle{Handle: object, Name: name},
		PersistentHandle: tpm2.TPMIDHPersistent(srkHandle),
	}.Execute(s)
	return err
}

func h2Template() tpm2.TPMTPublic {
	h2 := tpm2.ECCSRKTemplate
	h2.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return h2
}

func TestTrapTwoECCTemplatesGiveTwoKeys(t *testing.T) {
	ctx := testContext(t)
	for name, tc := range map[string]struct {
		template  *tpm2.TPMTPublic // what another program has put there
		replaced  tpm2.TPMTPublic
		wantKind  string
		afterGone error
	}{
		"ours":       {nil, h2Template(), templateLECC, nil},
		"H-2, found": {new(h2Template()), tpm2.ECCSRKTemplate, templateFound, ErrCleared},
		"RSA, found": {new(tpm2.RSASRKTemplate), tpm2.ECCSRKTemplate, templateFound, ErrCleared},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChip(t)
			d := c.open()
			if tc.template != nil {
				persist(t, d, *tc.template)
			}
			st, _, _ := commissioned(t, d, CommissionOptions{})
			if st.SRK.Template != tc.wantKind || st.SRK.Handle != uint32(srkHandle) {
				t.Fatalf("pinned %q at %#x", st.SRK.Template, st.SRK.Handle)
			}
			c.restart()
			if _, err := unsealed(ctx, d, st, ""); err != nil {
				t.Fatal(err)
			}
			// Somebody removes it: ours can be made again and has the same Name, what we did not make we do not guess.
			run(t, d, func(s *sequence) (struct{}, error) {
				return struct{}{}, evict(s, srkHandle, tpm2.TPM2BName{Buffer: st.SRK.Name})
			})
			if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, tc.afterGone) {
				t.Fatalf("storage key gone: got %v, want %v", err, tc.afterGone)
			}
			// Somebody puts the other kind there.
			persist(t, d, tc.replaced)
			if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
				t.Fatalf("storage key replaced: got %v, want ErrCleared", err)
			}
			wantEmpty(t, d)
		})
	}
}

func TestTrapStorageKeyThatCannotSalt(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	persist(t, d, akTemplate()) // a signing key in the storage key's place
	st, _, keys := commissioned(t, d, CommissionOptions{})
	if st.SRK.Handle < uint32(srkSpare) || st.SRK.Template != templateLECC {
		t.Fatalf("pinned %q at %#x, want one of our own elsewhere", st.SRK.Template, st.SRK.Handle)
	}
	c.restart()
	if _, err := unsealed(ctx, d, st, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatal(err)
	}
	there := run(t, d, func(s *sequence) (*tpm2.ReadPublicResponse, error) {
		return tpm2.ReadPublic{ObjectHandle: srkHandle}.Execute(s)
	})
	if public, err := there.OutPublic.Contents(); err != nil || !public.ObjectAttributes.SignEncrypt {
		t.Fatal("another program's key was evicted")
	}
	wantEmpty(t, d)
}

func TestTrapLockoutDoesNotStopUs(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	lockOut(t, d, nil)
	if _, err := unsealed(ctx, d, st, ""); err != nil {
		t.Fatalf("unseal in lockout: %v", err)
	}
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatalf("sign in lockout: %v", err)
	}
	if _, err := keys.Counter(ctx); err != nil {
		t.Fatalf("counter in lockout: %v", err)
	}
}

// lockOut brings the TPM into dictionary-attack lockout: another program's NV index that counts, and somebody who guesses at it.
func lockOut(t testing.TB, d *Device, owner []byte) {
	t.Helper()
	const index = 0x01c7ffff - 0x00400000
	public := nvPublic(index, tpm2.TPMNTOrdinary, false)
	public.Attributes.NoDA = false
	run(t, d, func(s *sequence) (*tpm2.NVDefineSpaceResponse, error) {
		return tpm2.NVDefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(owner)},
			Auth:       tpm2.TPM2BAuth{Buffer: []byte("right")},
			PublicInfo: tpm2.New2B(public),
		}.Execute(s)
	})
	name, err := tpm2.NVName(&public)
	if err != nil {
		t.Fatal(err)
	}
	x := nvIndex{handle: index, name: *name}
	for range 40 {
		_, err := do(testContext(t), d, func(s *sequence) (*tpm2.NVWriteResponse, error) {
			return tpm2.NVWrite{AuthHandle: x.auth(tpm2.PasswordAuth([]byte("wrong"))), NVIndex: x.named(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)}}.Execute(s)
		})
		if errors.Is(err, ErrLockout) {
			return
		}
	}
	t.Fatal("the TPM did not go into lockout")
}

func TestTrapRestrictedKeyRefusesForeignDigest(t *testing.T) {
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	_, err := withSRK(testContext(t), d, st.SRK, func(s *sequence, srk parent) (*tpm2.SignResponse, error) {
		ak, release, err := s.loadAK(srk, st.AK)
		if err != nil {
			return nil, err
		}
		defer release()
		sess, end, err := s.session(srk, encryptNone, keys.auths.ak)
		if err != nil {
			return nil, err
		}
		defer end()
		return tpm2.Sign{
			KeyHandle:  tpm2.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: sess},
			Digest:     tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
		}.Execute(s)
	})
	if !errors.Is(err, tpm2.TPMRCTicket) {
		t.Fatalf("got %v, want TPM_RC_TICKET", err)
	}
}

// Whoever may open the device, but has not the root key, signs nothing in our name.
func TestSigningKeyNeedsTheRootKey(t *testing.T) {
	d := newChip(t).open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	for name, auth := range map[string][]byte{"empty": nil, "guessed": authValue(make([]byte, authSize))} {
		_, err := withSRK(testContext(t), d, st.SRK, func(s *sequence, srk parent) (*tpm2.TPMTSignature, error) {
			return s.sign(srk, st.AK, auth, []byte("note"))
		})
		if !errors.Is(err, tpm2.TPMRCBadAuth) && !errors.Is(err, tpm2.TPMRCAuthFail) {
			t.Errorf("%s authorisation: got %v", name, err)
		}
	}
}

// The sealed root key opens under its policy alone: an empty password, which suits every object that has userWithAuth, is refused.
func TestSealOpensUnderItsPolicyOnly(t *testing.T) {
	d := newChip(t).open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	extend(t, d, 7)
	for name, auth := range map[string]tpm2.Session{"password": emptyAuth, "session": nil} {
		_, err := withSRK(testContext(t), d, st.SRK, func(s *sequence, srk parent) (*tpm2.UnsealResponse, error) {
			object, release, err := s.loadSealed(srk, st.Seal.Private, st.Seal.Public)
			if err != nil {
				return nil, err
			}
			defer release()
			if auth == nil {
				sess, end, err := s.session(srk, encryptOut, nil)
				if err != nil {
					return nil, err
				}
				defer end()
				auth = sess
			}
			return tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: object.Handle, Name: object.Name, Auth: auth}}.Execute(s)
		})
		if !errors.Is(err, tpm2.TPMRCAuthUnavailable) {
			t.Errorf("%s: got %v, want TPM_RC_AUTH_UNAVAILABLE", name, err)
		}
	}
	wantEmpty(t, d)
}
