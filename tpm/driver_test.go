package tpm

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

// driver is the kernel's character device before a chip, with a driver's habits: each write is a whole command, each read a
// whole response, and what fails fails at the read.
type driver struct {
	chip     net.Conn
	response []byte
	failed   error
	faults   *faults
}

// faults are what the next commands of one kind meet.
type faults struct {
	cc     tpm2.TPMCC
	errno  syscall.Errno
	times  atomic.Int32
	after  bool // the chip has carried the command out
	met    atomic.Int32
	opened atomic.Int32
}

func (d *driver) Write(b []byte) (int, error) {
	d.response, d.failed = nil, nil
	fault := code(b) == d.faults.cc && d.faults.times.Add(-1) >= 0
	if fault {
		d.faults.met.Add(1)
		d.failed = d.faults.errno
	}
	if !fault || d.faults.after {
		if _, err := d.chip.Write(b); err != nil {
			return 0, err
		}
		response, err := readMessage(d.chip)
		if err != nil {
			return 0, err
		}
		if !fault {
			d.response = response
		}
	}
	return len(b), nil
}

func (d *driver) Read(b []byte) (int, error) {
	if d.failed != nil {
		return 0, d.failed
	}
	return copy(b, d.response), nil
}

func (d *driver) Close() error             { return d.chip.Close() }
func (d *driver) wait(int16) (bool, error) { return true, nil }

func openDriver(t *testing.T, c *chip) (*Device, *faults) {
	t.Helper()
	f := &faults{}
	d, err := openDevice(sysfs(t, 1), func() (*link, error) {
		f.opened.Add(1)
		conn, err := net.DialTimeout("unix", c.sock, 5*time.Second)
		if err != nil {
			return nil, err
		}
		return &link{wire: &driver{chip: conn, faults: f}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, f
}

// Infineon's ETIME and its like: the kernel does not try again, we do, and open the device anew when that does not help.
func TestDriverFailsForOnce(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	d, f := openDriver(t, newChip(t))
	_, _, keys := commissioned(t, d, CommissionOptions{})
	for _, errno := range []syscall.Errno{unix.ETIME, unix.EBUSY, unix.EIO} {
		for _, cc := range []tpm2.TPMCC{tpm2.TPMCCStartAuthSession, tpm2.TPMCCLoad, tpm2.TPMCCSign, tpm2.TPMCCFlushContext, tpm2.TPMCCReadPublic} {
			for _, after := range []bool{false, true} {
				for _, times := range []int32{1, driverTries + 1} {
					f.cc, f.errno, f.after = cc, errno, after
					f.met.Store(0)
					f.times.Store(times)
					if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
						t.Fatalf("%v of %v, %d times, carried out %v: %v", errno, cc, times, after, err)
					}
					if f.met.Load() == 0 {
						t.Fatalf("%v: no fault was met", cc)
					}
					f.times.Store(0)
					wantEmpty(t, d)
				}
			}
		}
	}
	if f.opened.Load() < 2 {
		t.Error("the device was never opened anew")
	}
}

// A driver that never recovers is an error in the end, not a loop.
func TestDriverFailsForGood(t *testing.T) {
	d, f := openDriver(t, newChip(t))
	_, _, keys := commissioned(t, d, CommissionOptions{})
	f.cc, f.errno = tpm2.TPMCCSign, unix.ETIME
	f.times.Store(1000)
	if _, err := keys.SignHead(testContext(t), []byte("note")); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	if met := f.met.Load(); met != driverTries*sequenceTries {
		t.Fatalf("%d tries, want %d", met, driverTries*sequenceTries)
	}
	f.times.Store(0)
	wantEmpty(t, d)
}

// The driver loses the answer to an increment that was carried out: the counter is raised once, and nobody is told that it is
// another's.
func TestDriverLosesTheAnswerToAnIncrement(t *testing.T) {
	ctx := testContext(t)
	for name, after := range map[string]bool{"not done": false, "done but reported failed": true} {
		t.Run(name, func(t *testing.T) {
			d, f := openDriver(t, newChip(t))
			_, _, keys := commissioned(t, d, CommissionOptions{})
			before, err := keys.Counter(ctx)
			if err != nil {
				t.Fatal(err)
			}
			advance(t, d, anchorEvery)
			f.cc, f.errno, f.after = tpm2.TPMCCNVIncrement, unix.ETIME, after
			f.times.Store(1)
			_, err = keys.Anchor(ctx, [32]byte{1})
			if errors.Is(err, ErrCleared) || errors.Is(err, ErrAnchorTooSoon) || (err != nil) != after {
				t.Fatalf("Anchor: %v", err)
			}
			if n, err := keys.Counter(ctx); err != nil || n != before+1 {
				t.Fatalf("counter %d, %v; was %d", n, err, before)
			}
			wantEmpty(t, d)
		})
	}
}

// The lockout authorisation is given once: a second try that comes late would count as a wrong one.
func TestDriverNeverRepeatsTheLockoutAuth(t *testing.T) {
	ctx := testContext(t)
	d, f := openDriver(t, newChip(t))
	_, _, keys := commissioned(t, d, CommissionOptions{})
	owns(t, keys)
	f.cc, f.errno, f.after = tpm2.TPMCCDictionaryAttackLockReset, unix.ETIME, true
	f.times.Store(1)
	if err := keys.ResetLockout(ctx); err != nil { // begun again, in a new session
		t.Fatal(err)
	}
	if f.met.Load() != 1 {
		t.Fatalf("%d faults", f.met.Load())
	}
	if err := keys.Release(ctx); err != nil { // needs the lockout authorisation, which is not blocked
		t.Fatal(err)
	}
}
