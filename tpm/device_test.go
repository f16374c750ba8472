package tpm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

func TestOpenDeviceKinds(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing"), file, dir} {
		if _, err := OpenDevice(path, "/sys"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v, want ErrUnreachable", err)
		}
	}
}

// A character device is opened as /dev/tpmrm0 would be. This one answers nothing.
func TestCharacterDeviceThatIsNoTPM(t *testing.T) {
	st, _, _ := commissioned(t, newChip(t).open(), CommissionOptions{})
	d := openAt(t, "/dev/null")
	if _, err := unsealed(testContext(t), d, st, ""); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
}

func TestTPMHangs(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	_, _, keys := commissioned(t, d, CommissionOptions{})

	c.signal(syscall.SIGSTOP)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := keys.SignHead(short, []byte("note"))
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want ErrUnreachable and the deadline", err)
	}
	if took := time.Since(start); took > 5*time.Second { // the watchdog alone would take 30 s
		t.Fatalf("the deadline was overrun by %v", took)
	}
	// Another caller waits behind the command in progress, as long as it likes.
	short, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := keys.Counter(short); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	if _, err := keys.Wrap(ctx, []byte("secret")); err != nil {
		t.Fatalf("Wrap needs no TPM: %v", err)
	}

	c.signal(syscall.SIGCONT)
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatalf("after it woke up: %v", err)
	}
	wantEmpty(t, d)
}

func TestCallCanceledMidway(t *testing.T) {
	c := newChip(t)
	b := newBus(t, c)
	d := openAt(t, b.path)
	_, _, keys := commissioned(t, d, CommissionOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The command in progress ends, what is loaded is flushed, nothing else is begun.
	var after atomic.Int32
	b.intercept(func(command []byte) []byte {
		if ctx.Err() != nil && code(command) != tpm2.TPMCCFlushContext {
			after.Add(1)
		}
		return nil
	}, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCLoad {
			cancel()
			time.Sleep(20 * time.Millisecond) // time enough to look at ctx too early
		}
		return response
	})
	if _, err := keys.SignHead(ctx, []byte("note")); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want ErrUnreachable and the cancellation", err)
	}
	run(t, d, func(*sequence) (struct{}, error) { return struct{}{}, nil }) // behind what was called off
	if n := after.Load(); n != 0 {
		t.Errorf("%d commands were begun after the call was called off", n)
	}
	b.intercept(nil, nil)
	wantEmpty(t, d)
}

func TestWatchdog(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	d.watchdog = 200 * time.Millisecond
	c.signal(syscall.SIGSTOP)
	start := time.Now()
	_, err := keys.SignHead(ctx, []byte("note"))
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, errWatchdog) {
		t.Fatalf("got %v, want ErrUnreachable by the watchdog", err)
	}
	if took := time.Since(start); took < d.watchdog || took > 10*time.Second {
		t.Fatalf("the watchdog of %v barked after %v", d.watchdog, took)
	}
	c.signal(syscall.SIGCONT)
	d.watchdog = watchdog
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatalf("after it woke up: %v", err)
	}
	wantEmpty(t, d)
}

func TestCloseWhileTPMHangs(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	c.signal(syscall.SIGSTOP)
	result := make(chan error, 1)
	go func() {
		_, err := keys.SignHead(ctx, []byte("note"))
		result <- err
	}()
	time.Sleep(50 * time.Millisecond) // let it reach the TPM; if it does not, it is refused at once, with the same error
	start := time.Now()
	d.Close()
	if took := time.Since(start); took > closeGrace+5*time.Second {
		t.Fatalf("Close took %v", took)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	select {
	case <-d.gone:
	default:
		t.Fatal("Close did not wait for the actor")
	}
	d.Close()
}

func TestTPMGoneAndBack(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	_, _, keys := commissioned(t, d, CommissionOptions{})
	c.kill()
	if _, err := keys.SignHead(ctx, []byte("note")); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	c.start()
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatalf("after it came back: %v", err)
	}
	wantEmpty(t, d)
}

// A daemon that dies in the middle leaves its sessions in a TPM without resource manager. The next one clears them away.
func TestLeftoversOfADeadProcess(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	d := c.open()
	st, _, _ := commissioned(t, d, CommissionOptions{})
	for range 3 {
		run(t, d, func(s *sequence) (struct{}, error) {
			srk, release, err := s.pinnedSRK(st.SRK)
			if err != nil {
				return struct{}{}, err
			}
			defer release()
			_, _, err = s.session(srk, encryptNone, nil) // and never its end
			return struct{}{}, err
		})
	}
	d.Close()
	d = c.open()
	if _, err := unsealed(ctx, d, st, ""); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, d)
}

// Slots that somebody has used up, or that we have lost, are cleared when they are needed.
func TestNoRoomInTheTPM(t *testing.T) {
	ctx := testContext(t)
	d := newChip(t).open()
	st, _, keys := commissioned(t, d, CommissionOptions{})
	run(t, d, func(s *sequence) (struct{}, error) {
		var none struct{}
		srk, release, err := s.pinnedSRK(st.SRK)
		if err != nil {
			return none, err
		}
		defer release()
		for range 3 {
			if _, _, err := s.session(srk, encryptNone, nil); err != nil {
				return none, err
			}
		}
		if _, _, err := s.session(srk, encryptNone, nil); !full(err) {
			return none, errors.New("there is room for a fourth session")
		}
		return none, nil
	})
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatalf("no session left: %v", err)
	}
	run(t, d, func(s *sequence) (struct{}, error) {
		for range 3 {
			if _, _, err := s.makePrimary(tpm2.TPMRHNull); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if _, err := unsealed(ctx, d, st, ""); err != nil {
		t.Fatalf("no object slot left: %v", err)
	}
	wantEmpty(t, d)
}

// Each cause says what to do, and none shows what it must not.
func TestErrorsTellTheNextStep(t *testing.T) {
	for err, step := range map[error]string{
		ErrPCRChanged:  "two shares of the recovery kit",
		ErrCleared:     "two shares of the recovery kit",
		ErrLockout:     "wait for its recovery time",
		ErrPassphrase:  "enter it again",
		ErrUnreachable: "check that it is enabled",
	} {
		if !strings.Contains(err.Error(), step) {
			t.Errorf("%v: does not say %q", err, step)
		}
	}
}
