package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"pinward/store/audit"
	"pinward/tpm"
)

// chipKeys are the keys of a real TPM in the store's words, as the daemon gives them.
type chipKeys struct{ *tpm.Keys }

func (k chipKeys) Counter(ctx context.Context) (uint64, error) {
	n, err := k.Keys.Counter(ctx)
	return n, storeWords(err)
}

func (k chipKeys) Anchor(ctx context.Context, hash [32]byte) ([]byte, error) {
	b, err := k.Keys.Anchor(ctx, hash)
	return b, storeWords(err)
}

func storeWords(err error) error {
	switch {
	case errors.Is(err, tpm.ErrCleared):
		return fmt.Errorf("%w: %w", ErrCounterGone, err)
	case errors.Is(err, tpm.ErrAnchorTooSoon):
		return fmt.Errorf("%w: %w", ErrAnchorSoon, err)
	}
	return err
}

// chipStore is a store over a TPM of its own.
type chipStore struct {
	*Store
	*bus
	dir   string
	state tpm.State
	keys  chipKeys
}

func newChipStore(t *testing.T) *chipStore {
	t.Helper()
	c := &chipStore{bus: newBus(t), dir: t.TempDir()}
	dev, err := tpm.OpenDevice(c.bus.path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	st, kit, keys, err := tpm.Commission(t.Context(), dev, tpm.CommissionOptions{Mode: tpm.ModeTPMPassphrase, Passphrase: "correct horse battery", BoxID: "clinic-7"})
	if err != nil {
		t.Fatal(err)
	}
	kit.Wipe()
	t.Cleanup(func() { keys.Close() })
	c.state, c.keys = st, chipKeys{keys}
	if c.Store, err = c.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Store.Close() })
	return c
}

func (c *chipStore) open() (*Store, error) {
	return Open(context.Background(), c.dir, Options{Keys: c.keys, Free: plenty, HeadEvery: time.Hour, Log: slog.New(slog.DiscardHandler)})
}

// TestAnchorsOfARealTPM: what swtpm certifies reads the same to the verifier's own parser and to the one
// of package tpm, which is made with go-tpm; and a log so anchored verifies.
func TestAnchorsOfARealTPM(t *testing.T) {
	c := newChipStore(t)
	ctx := context.Background()
	const n = 12
	for i := range n {
		mustSave(t, c.Store, i, "x")
		c.hour()
		if err := c.anchor(ctx); err != nil {
			t.Fatal(err)
		}
	}
	mustSave(t, c.Store, n, "x")
	if err := c.anchor(ctx); !errors.Is(err, ErrAnchorSoon) {
		t.Errorf("again within the hour: %v", err)
	}
	seen := 0
	for a, err := range c.attestations(ctx, 0, c.Stats().Entries) {
		if err != nil {
			t.Fatal(err)
		}
		ours, err1 := audit.ParseAnchor(c.keys.Signer(), a.Attestation)
		theirs, err2 := tpm.ParseAnchor(c.keys.Signer(), a.Attestation)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		as := audit.Anchor{
			Counter: theirs.Counter, NoteHash: theirs.NoteHash, Clock: theirs.Clock, Safe: theirs.Safe,
			ResetCount: theirs.ResetCount, RestartCount: theirs.RestartCount, Index: ours.Index,
		}
		if ours != as || !slices.Equal(ours.Index[:], theirs.IndexName) {
			t.Errorf("anchor %d: %+v, and by go-tpm %+v", seen, ours, theirs)
		}
		seen++
	}
	if r := export(t, c.Store, c.Fingerprint()); seen != n || r.Anchors != n || r.Counter != c.Anchors().Counter {
		t.Errorf("%d attestations, report %+v", seen, r)
	}
}

// TestAnchorHitsNVRate: a TPM that limits writes to its flash (TPM_RC_NV_RATE, Part 4, NvCheckState) holds
// up nothing; once it allows them, the log is anchored.
func TestAnchorHitsNVRate(t *testing.T) {
	c := newChipStore(t)
	c.hour()
	asked := 0
	c.meddling(func(cc tpm2.TPMCC) []byte {
		if cc != tpm2.TPMCCNVIncrement {
			return nil
		}
		asked++
		return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(tpm2.TPMRCNVRate))
	})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	failed := make(chan error)
	go func() { failed <- c.anchor(ctx) }()
	for i := range 20 {
		mustSave(t, c.Store, i, "x")
	}
	if err := <-failed; err == nil {
		t.Fatal("it was anchored")
	}
	// What was on its way as the time ran out would be done otherwise, and its answer lost.
	if _, err := c.keys.Counter(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.meddling(nil)
	if asked == 0 {
		t.Fatal("the TPM was not asked")
	}
	before := c.Anchors().Counter
	c.hour() // the hour is counted from before the try, so that no crash loop wears the counter
	if err := c.anchor(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := export(t, c.Store, c.Fingerprint()); r.Anchors != 1 || r.Counter != before+1 || len(r.Findings) != 0 {
		t.Errorf("report %+v", r)
	}
}

// TestAnchorOfASlowTPM: while the TPM thinks, transactions commit and heads are read; the anchor comes
// when it comes.
func TestAnchorOfASlowTPM(t *testing.T) {
	c := newChipStore(t)
	c.hour()
	reached, goOn := make(chan struct{}), make(chan struct{})
	held := false
	c.meddling(func(cc tpm2.TPMCC) []byte {
		if cc == tpm2.TPMCCNVCertify && !held {
			held = true
			close(reached)
			<-goOn
		}
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- c.anchor(context.Background()) }()
	<-reached
	for i := range 50 {
		mustSave(t, c.Store, i, "x")
	}
	select {
	case err := <-done:
		t.Fatalf("the anchor did not wait: %v", err)
	default:
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r := export(t, c.Store, c.Fingerprint()); r.Anchors != 1 {
		t.Errorf("report %+v", r)
	}
}

// TestCounterMadeAnewByTheOwner: the TPM's owner deletes the counter, and makes another in its place, of
// another Name or of the same. No anchor comes of it, nothing else is held up, and the store does not
// open again on it.
func TestCounterMadeAnewByTheOwner(t *testing.T) {
	c := newChipStore(t)
	index := tpm2.TPMHandle(c.state.Counter.Index)
	var public tpm2.TPMSNVPublic
	undefine := func(chip transport.TPM, owner tpm2.AuthHandle) error {
		rsp, err := tpm2.NVReadPublic{NVIndex: index}.Execute(chip)
		if err != nil {
			return err
		}
		p, err := rsp.NVPublic.Contents()
		if err != nil {
			return err
		}
		public = *p
		_, err = tpm2.NVUndefineSpace{AuthHandle: owner, NVIndex: tpm2.NamedHandle{Handle: index, Name: rsp.NVName}}.Execute(chip)
		return err
	}
	gone := func(what string) {
		t.Helper()
		c.hour()
		if err := c.anchor(context.Background()); !errors.Is(err, ErrCounterGone) {
			t.Errorf("%s: anchor: %v", what, err)
		}
		mustSave(t, c.Store, 1, what)
		if r := export(t, c.Store, c.Fingerprint()); r.Anchors != 1 {
			t.Errorf("%s: report %+v", what, r)
		}
		closeStore(t, c.Store)
		if s, err := c.open(); !errors.Is(err, ErrCounterGone) {
			t.Errorf("%s: the store opens: %v", what, err)
			if err == nil {
				closeStore(t, s)
			}
		}
	}
	c.hour()
	if err := c.anchor(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.owner(undefine)
	gone("deleted")
	for what, attributes := range map[string]func(*tpm2.TPMANV){
		"another Name":  func(a *tpm2.TPMANV) { a.OwnerWrite = true },
		"the same Name": func(*tpm2.TPMANV) {},
	} {
		c.owner(func(chip transport.TPM, owner tpm2.AuthHandle) error {
			p := public
			p.Attributes.Written = false
			attributes(&p.Attributes)
			_, err := tpm2.NVDefineSpace{AuthHandle: owner, Auth: tpm2.TPM2BAuth{Buffer: []byte("theirs")}, PublicInfo: tpm2.New2B(p)}.Execute(chip)
			return err
		})
		if s, err := c.open(); !errors.Is(err, ErrCounterGone) {
			t.Errorf("%s: the store opens: %v", what, err)
			if err == nil {
				closeStore(t, s)
			}
		}
		public.Attributes.OwnerWrite = false
		keep := public
		c.owner(undefine)
		public = keep
	}
}
