package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pinward/daemon/record"
	"pinward/modem"
	"pinward/modem/modemsim"
	"pinward/store"
)

// credentialPIN makes systemd's credential "sim1" hold a PIN, and returns how to change it.
func credentialPIN(t *testing.T, pin string) (change func(string)) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	change = func(pin string) {
		if err := os.WriteFile(filepath.Join(dir, "sim1"), []byte(pin+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change(pin)
	return change
}

// lockedModem wants a PIN and does not tell the tries left; its credential is "sim1".
func lockedModem() flowModem {
	return flowModem{
		sim: modemsim.ModemOptions{PIN: "4711"}, port: ModemPort{PIN: "sim1"}, faults: modemsim.Faults{HidesTries: true}, locked: true,
	}
}

func (f *flow) untilBlocked() {
	f.t.Helper()
	f.until("it waits for a person", time.Minute, func() bool { return f.status().Phase == modem.PhaseBlocked })
}

// triesLeft gives a further wrong PIN, which is how a SIM tells what is left.
func (f *flow) triesLeft() int {
	f.t.Helper()
	f.must(f.modems[0].SetFaults(modemsim.Faults{}))
	var e *modem.PINError
	if err := f.senders[0].modem.EnterPIN(f.t.Context(), "9999"); !errors.As(err, &e) {
		f.t.Fatalf("a further PIN: %v", err)
	}
	if e.Refused {
		return e.Left + 1
	}
	return e.Left
}

// A wrong PIN in the credential is given once in its life, however often the program starts: on a module
// that does not tell the tries left nothing else keeps a crash loop from the PUK.
func TestFlowWrongPINAndRestarts(t *testing.T) {
	credentialPIN(t, "0000")
	inFlowOf(t, []flowModem{lockedModem()}, func(f *flow) {
		f.untilBlocked()
		for range 4 {
			f.close()
			f.open()
			f.untilBlocked()
			time.Sleep(10 * time.Minute)
		}
		if got := f.troubles(); !slices.Equal(got, []string{"pin"}) {
			t.Errorf("health names %v", got)
		}
		e := f.entries(actPINRefused)
		if len(e) != 1 || e[0].Entry.Object != "modem:m1" || record.Attr(e[0].Entry, "sim") != f.modems[0].ICCID() {
			t.Errorf("%d entries of one refusal, or of another SIM", len(e))
		}
		if left := f.triesLeft(); left != 2 {
			t.Errorf("%d tries are left, want 2", left)
		}
	})
}

// A credential that was changed is tried, and so is what an operator types.
func TestFlowPINChanged(t *testing.T) {
	change := credentialPIN(t, "0000")
	inFlowOf(t, []flowModem{lockedModem()}, func(f *flow) {
		f.untilBlocked()
		f.close()
		change("4711")
		f.open()
		f.waitReady()
		f.modems[0].Reboot() // the right one is no credential that wears out
		f.until("it restarts", 3*time.Minute, func() bool { return f.status().Reboots == 1 })
		f.waitReady()

		change("0000") // that one was refused before
		f.close()
		f.modems[0].Reboot()
		f.open()
		f.untilBlocked()
		f.must(f.senders[0].modem.EnterPIN(f.t.Context(), "4711"))
		f.waitReady()
	})
}

// Two wrong credentials are all that a SIM is given where nobody knows the tries left: the third try
// belongs to a person, also if the third credential is right.
func TestFlowTwoWrongPINs(t *testing.T) {
	change := credentialPIN(t, "0000")
	inFlowOf(t, []flowModem{lockedModem()}, func(f *flow) {
		for _, pin := range []string{"0000", "1111", "4711"} {
			f.close()
			change(pin)
			f.open()
			f.untilBlocked()
		}
		if left := f.triesLeft(); left != 1 {
			t.Errorf("%d tries are left, want 1", left)
		}
	})
}

// A crash between giving a PIN and its answer: nobody knows whether the try is used up. It counts, so that
// a loop of such crashes ends with a try left.
func TestPINCutOffByACrash(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		begin := func(left int) (may bool) {
			f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) (err error) {
				may, err = beginPIN(tx, "sim", "4711", left)
				return err
			}))
			return may
		}
		for range 2 {
			if !begin(-1) {
				t.Fatal("a PIN that may be right is not given")
			}
		}
		if begin(-1) {
			t.Fatal("a third one in a row is given without an answer")
		}
		if !begin(3) { // the module tells that the SIM has all its tries
			t.Fatal("it is not given although tries are left")
		}
		f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error { return endPIN(tx, "m1", "sim", "4711", true) }))
		if !begin(-1) {
			t.Fatal("the SIM took it, and it counts as a failure")
		}
	})
}
