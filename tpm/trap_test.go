package tpm

import (
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// One test for each trap of go-tpm v0.9.8 and of TPMs that we know of. Where a trap is go-tpm's own, a control shows that it
// is still there: when the control fails, the way around it can go.

// withAuth seals data under auth and unseals it again in an HMAC session.
func withAuth(s *sequence, auth []byte) (struct{}, error) {
	var none struct{}
	srk, _, release, err := s.findSRK()
	if err != nil {
		return none, err
	}
	defer release()
	sess, end, err := s.session(srk, encryptInOut, nil)
	if err != nil {
		return none, err
	}
	defer end()
	made, err := tpm2.Create{
		ParentHandle: srk.auth(sess),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: []byte("data")}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true, UserWithAuth: true},
		}),
	}.Execute(s)
	if err != nil {
		return none, err
	}
	object, drop, err := s.load(srk, sess, made.OutPrivate.Buffer, made.OutPublic.Bytes())
	if err != nil {
		return none, err
	}
	defer drop()
	use, endUse, err := s.session(srk, encryptNone, auth)
	if err != nil {
		return none, err
	}
	defer endUse()
	_, err = tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: object.Handle, Name: object.Name, Auth: use}}.Execute(s)
	return none, err
}

func TestTrapAuthValueIsCutAtZeroByte(t *testing.T) {
	d := newChip(t).open()
	raw := []byte("abc\x00def")
	_, err := do(testContext(t), d, func(s *sequence) (struct{}, error) { return withAuth(s, raw) })
	if !errors.Is(err, tpm2.TPMRCBadAuth) {
		t.Errorf("control: go-tpm handles a zero byte in an authorisation value now: %v", err)
	}
	run(t, d, func(s *sequence) (struct{}, error) { return withAuth(s, authValue(raw)) })
	secret := make([]byte, authSize)
	for range 64 {
		rand.Read(secret)
		if v := authValue(secret); len(v) != 2*authSize || strings.Trim(string(v), "0123456789abcdef") != "" {
			t.Fatalf("authorisation value of %d bytes is not hexadecimal", len(v))
		}
	}
	wantEmpty(t, d)
}

func TestTrapFailedPolicyLeaksSession(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	extend(t, d, 7)
	for range 100 { // a chip has three slots
		if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrPCRChanged) {
			t.Fatalf("got %v, want ErrPCRChanged", err)
		}
	}
	wantEmpty(t, d)

	stop := errors.New("stop")
	left := run(t, d, func(s *sequence) ([]tpm2.TPMHandle, error) {
		policy := tpm2.Policy(tpm2.TPMAlgSHA256, nonceSize, func(transport.TPM, tpm2.TPMISHPolicy, tpm2.TPM2BNonce) error { return stop })
		_, err := tpm2.Unseal{
			ItemHandle: tpm2.AuthHandle{Handle: srkHandle, Auth: policy, Name: tpm2.TPM2BName{Buffer: st.SRK.Name}},
		}.Execute(s)
		if !errors.Is(err, stop) {
			return nil, fmt.Errorf("policy callback: %w", err)
		}
		return s.handles(loadedSessionFirst)
	})
	if len(left) != 1 {
		t.Errorf("control: go-tpm's just-in-time policy session leaks no more: %x", left)
	}
}

func TestTrapPCRMismatchHasManyCodes(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	extend(t, d, 7)
	// TPM2_PolicyPCR answers VALUE.
	_, err := unsealed(ctx, d, st, "")
	if !errors.Is(err, ErrPCRChanged) {
		t.Fatalf("got %v, want ErrPCRChanged", err)
	}
	// With the present values in a forged state it agrees, and TPM2_Unseal answers POLICY_FAIL.
	st.Seal.PCRs = run(t, d, func(s *sequence) ([]PCRState, error) {
		srk, release, err := s.pinnedSRK(st.SRK)
		if err != nil {
			return nil, err
		}
		defer release()
		return s.readPCRs(srk, defaultPCRs)
	})
	_, err = unsealed(ctx, d, st, "")
	var changed *PCRChangedError
	if !errors.As(err, &changed) || len(changed.PCRs) != 0 {
		t.Fatalf("got %v, want ErrPCRChanged without a register", err)
	}
	wantEmpty(t, d)
}

func TestTrapFIPSOnlyPanicsOnCFB(t *testing.T) {
	t.Parallel()
	const child = "PINWARD_TEST_FIPS_ONLY"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTrapFIPSOnlyPanicsOnCFB$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestTrapFIPSOnlyPanicsOnCFB") {
			t.Fatalf("with GODEBUG=fips140=only: %v\n%s", err, out)
		}
		return
	}
	if !fips140.Enforced() {
		t.Fatal("FIPS 140-3 is not enforced")
	}
	ctx := testContext(t)
	d := newChip(t).open()
	st, kit, keys := commissioned(t, d, CommissionOptions{Mode: ModeTPMPassphrase, Passphrase: "three blind mice 9", iterations: 1000})
	if _, err := unsealed(ctx, d, st, "three blind mice 9"); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatal(err)
	}
	advance(t, d, anchorEvery)
	if _, err := keys.Anchor(ctx, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	owns(t, keys)
	if err := keys.ResetLockout(ctx); err != nil {
		t.Fatal(err)
	}
	suspended(t, keys, st, SuspendOptions{Passphrase: "three blind mice 9"})
	_, _, rotated, err := RotateRoot(ctx, d, keys, st, RotateOptions{Passphrase: "three blind mice 9", iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer rotated.Close()
	recovered, err := Recover(ctx, st, []string{kit.Share(1), kit.Share(3)})
	if err != nil {
		t.Fatal(err)
	}
	if !recovered.Same(keys) {
		t.Fatal("another root key")
	}
	wrapped, err := keys.Wrap(ctx, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := recovered.Unwrap(ctx, wrapped); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, d)
}

func TestTrapNVNameChangesOnFirstWrite(t *testing.T) {
	d := newChip(t).open()
	run(t, d, func(s *sequence) (struct{}, error) {
		var none struct{}
		srk, _, release, err := s.findSRK()
		if err != nil {
			return none, err
		}
		defer release()
		const index = nvFirst
		auth := authValue([]byte("0123456789abcdef"))
		if err := s.define(srk, index, tpm2.TPMNTCounter, auth); err != nil {
			return none, err
		}
		before, written, err := s.index(index, tpm2.TPMNTCounter)
		if err != nil || written {
			return none, fmt.Errorf("new index: written %v, %w", written, err)
		}
		if _, err := s.read(srk, index, tpm2.TPMNTCounter, auth); !errors.Is(err, ErrCleared) {
			return none, fmt.Errorf("read of an index never written: %w", err)
		}
		sess, end, err := s.session(srk, encryptNone, auth)
		if err != nil {
			return none, err
		}
		defer end()
		if _, err := (tpm2.NVIncrement{AuthHandle: before.auth(sess), NVIndex: before.named()}).Execute(s); err != nil {
			return none, err
		}
		after, written, err := s.index(index, tpm2.TPMNTCounter)
		if err != nil || !written || string(after.name.Buffer) == string(before.name.Buffer) {
			return none, fmt.Errorf("written index: written %v, same name %v, %w", written, string(after.name.Buffer) == string(before.name.Buffer), err)
		}
		if _, err := (tpm2.NVIncrement{AuthHandle: before.auth(sess), NVIndex: before.named()}).Execute(s); err == nil {
			return none, errors.New("the old name still serves")
		}
		_, err = s.read(srk, index, tpm2.TPMNTCounter, auth)
		return none, err
	})
	wantEmpty(t, d)
}

func TestTrapBusyTPMIsAskedAgain(t *testing.T) {
	t.Parallel()
	c := newChip(t)
	b := newBus(t, c)
	_, _, keys := commissioned(t, openAt(t, b.path), CommissionOptions{})
	for name, tc := range map[string]struct {
		rc    tpm2.TPMRC
		times int32
	}{
		"retry more often than go-tpm would": {tpm2.TPMRCRetry, 13},
		"yielded":                            {tpm2.TPMRCYielded, 2},
		"testing":                            {tpm2.TPMRCTesting, 2},
		"nv rate":                            {tpm2.TPMRCNVRate, 2},
		"nv unavailable":                     {tpm2.TPMRCNVUnavailable, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var refused atomic.Int32
			b.intercept(func(command []byte) []byte {
				if code(command) != tpm2.TPMCCSign || refused.Load() == tc.times {
					return nil
				}
				refused.Add(1)
				return refuse(tc.rc)
			}, nil)
			if _, err := keys.SignHead(testContext(t), []byte("note")); err != nil {
				t.Fatal(err)
			}
			if refused.Load() != tc.times {
				t.Fatalf("%d refusals of %d were seen", refused.Load(), tc.times)
			}
		})
	}
	wantEmpty(t, keys.dev)
}

func TestTrapCallersAtOnce(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for i := range 8 {
		wg.Go(func() {
			if _, err := keys.SignHead(ctx, fmt.Appendf(nil, "note %d", i)); err != nil {
				errs <- err
			}
			if _, err := keys.Counter(ctx); err != nil {
				errs <- err
			}
			again, err := unsealed(ctx, d, st, "")
			if err != nil {
				errs <- err
				return
			}
			again.Close()
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	wantEmpty(t, d)
}

func TestTrapPersistentParentNeedsASlot(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	// swtpm has three slots for objects, as many chips have. Somebody else's object takes one.
	theirs := run(t, d, func(s *sequence) (parent, error) {
		p, _, err := s.makePrimary(tpm2.TPMRHNull)
		return p, err
	})
	st, _, keys := commissioned(t, d, CommissionOptions{})
	advance(t, d, anchorEvery)
	for range 3 {
		if _, err := unsealed(ctx, d, st, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keys.Anchor(ctx, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	left := run(t, d, func(s *sequence) ([]tpm2.TPMHandle, error) { return s.handles(transientFirst) })
	if len(left) != 1 || left[0] != theirs.handle {
		t.Fatalf("the TPM holds %x, want only %x, which is another's", left, theirs.handle)
	}
}
