package daemon

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/store"
	"pinward/store/storetest"
)

// sameKeys are the same in each process of a test.
type sameKeys struct {
	aead   cipher.AEAD
	signer *ecdsa.PrivateKey
}

func newSameKeys(t *testing.T) *sameKeys {
	t.Helper()
	seed := sha256.Sum256([]byte("a key of a test"))
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return &sameKeys{aead, signer}
}

func (k *sameKeys) Wrap(_ context.Context, secret []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, secret, nil), nil
}

func (k *sameKeys) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, wrapped, nil)
}

func (k *sameKeys) SignHead(_ context.Context, note []byte) ([]byte, error) {
	sum := sha256.Sum256(note)
	return ecdsa.SignASN1(rand.Reader, k.signer, sum[:])
}

func (k *sameKeys) Signer() *ecdsa.PublicKey                { return &k.signer.PublicKey }
func (k *sameKeys) Counter(context.Context) (uint64, error) { return 0, errors.ErrUnsupported }
func (k *sameKeys) Anchor(context.Context, [32]byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// retainEnv makes this test binary the box that is killed while it deletes.
const retainEnv = "PINWARD_DAEMON_TEST_RETAIN"

// inNoTime are the kinds with an age at which all that is over is old.
func inNoTime() []agingKind {
	kinds := append([]agingKind(nil), agingKinds...)
	for i := range kinds {
		kinds[i].days = func(retention) int { return -1000 }
	}
	return kinds
}

// retainAll deletes step by step, without a pause, and tells of each.
func retainAll(h *house) error {
	for _, k := range inNoTime() {
		var at []byte
		for {
			next, n, err := h.retainStep(context.Background(), k, at)
			if err != nil {
				return err
			}
			if n > 0 {
				fmt.Println("deleted", n)
			}
			if at = next; next == nil {
				break
			}
		}
	}
	return nil
}

// TestRetentionIsKilled kills the box, with SIGKILL, between and within its steps, over and over: what the audit says was deleted is what
// is gone, what waits is there, and a start goes on with the rest.
func TestRetentionIsKilled(t *testing.T) {
	keys := newSameKeys(t)
	if dir := os.Getenv(retainEnv); dir != "" {
		s, err := store.Open(context.Background(), dir, storetest.Options(keys))
		if err == nil {
			err = retainAll(&house{store: s, log: slog.New(slog.DiscardHandler)})
		}
		fmt.Println("end", err)
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	const many = 3000
	dir := filepath.Join(t.TempDir(), "store")
	s := func() *store.Store {
		s, err := store.Open(t.Context(), dir, storetest.Options(keys))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	b := newOldBox(t, s())
	b.put(0, 40, time.Hour, true)
	for i := 0; i < many; i += 500 {
		b.put(100+i, 500, time.Hour, false)
	}
	b.book(0, 400, -time.Hour)
	rnd := mrand.New(mrand.NewPCG(7, 7))
	killed := 0
	for ended := false; !ended; killed++ {
		if err := b.store.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestRetentionIsKilled$")
		cmd.Env = append(os.Environ(), retainEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		steps := 1 + rnd.IntN(4)
		for lines := bufio.NewScanner(out); steps > 0 && lines.Scan(); steps-- {
			if lines.Text() == "end <nil>" {
				ended = true
				break
			}
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond) // into the next step
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		b.store = s()
		m, a, purged := b.count(400)
		if m+purged[outbox.ActionPurge] != many+40 || a+purged[contact.ActionPurge] != 400 || m < 40 {
			t.Fatalf("%d messages and %d appointments are there, deleted %v", m, a, purged)
		}
		if ended && (m != 40 || a != 0) {
			t.Errorf("in the end %d messages and %d appointments are there", m, a)
		}
		if killed > 100 {
			t.Fatal("it comes to no end")
		}
	}
	if killed < 3 {
		t.Errorf("killed %d times only", killed)
	}
	if err := errors.Join(b.store.Check(t.Context()), b.store.Close()); err != nil {
		t.Error(err)
	}
}
