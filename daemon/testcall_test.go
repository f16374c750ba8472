package daemon

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/daemon/record"
	"pinward/modem/modemsim"
	"pinward/store"
)

// testCall rings the operator's phone from m1 and tells how that ended.
func (f *flow) testCall() (t admin.SelfTest, err error) {
	f.t.Helper()
	err = f.store.Update(f.t.Context(), self, func(tx *store.Tx) (err error) {
		to, err := contact.ParsePhone(patient, contact.Plan{})
		if err == nil {
			t, err = f.startTest(tx, "m1", to, true)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	f.until("the test call is over", 5*time.Minute, func() bool {
		f.must(f.store.View(f.t.Context(), func(tx *store.Tx) (err error) { t, _, err = findTest(tx, t.ID); return err }))
		return !t.Ended.IsZero()
	})
	return t, nil
}

// shown is m1 as the operator's list shows it.
func (f *flow) shown() (m admin.Modem) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) error {
		all, err := f.fleet(tx)
		if err == nil {
			m = all[0]
		}
		return err
	}))
	return m
}

// A test call asks for a key and says no code; pressed, the modem with this SIM is proven, which outlives the process, counts for 90
// days, and is told to whoever chooses a modem for a call. Not pressed, nothing is proven. Both are on record.
func TestFlowTestCall(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Voicemail: new(true)})
		got, err := f.testCall()
		f.must(err)
		if got.OK || got.Result != "not proven: answered, unconfirmed" || !f.shown().Proven.IsZero() || f.standing(0).Proven {
			t.Fatalf("nobody pressed a key: %+v", got)
		}
		f.phone(modemsim.HandsetChange{Voicemail: new(false), Answers: new(true), Presses: new("1")})
		got, err = f.testCall()
		f.must(err)
		if !got.OK || !strings.HasPrefix(got.Result, "heard, and the key was pressed, after ") || got.Receipt == 0 || !got.Call {
			t.Fatalf("the key was pressed: %+v", got)
		}
		if said := f.heard(); said != "brand test call-us 6175551000 goodbye" {
			t.Errorf("heard %q", said)
		}
		if m := f.shown(); m.Proven.IsZero() || m.ProvenWay != "file" || m.Test != nil && m.Test.Call {
			t.Errorf("the list shows %v %q, last test %+v", m.Proven, m.ProvenWay, m.Test)
		}
		f.until("it is taken for calls first", time.Minute, func() bool { return f.standing(0).Proven })
		f.close()
		f.open()
		f.waitReady()
		f.until("also after a start", time.Minute, func() bool { return f.standing(0).Proven })
		ends := f.entries(actTestEnd) // the last one first
		if len(ends) != 2 || ends[0].Entry.Outcome != store.OK || ends[1].Entry.Outcome != store.Failed || record.Attr(ends[1].Entry, "result") == "" {
			t.Errorf("entries of the ends: %v", ends)
		}
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			st := f.senders[0].modem.Status()
			return proofs.Put(tx, proofKey(tx, st.IMEI, st.ICCID), proof{At: tx.Now().Add(-proofFor), Way: "pcm"})
		}))
		if !f.shown().Proven.IsZero() {
			t.Error("it is proven for ever")
		}
	})
}

// A call with a code that was heard proves as much as a test.
func TestFlowCodeProvesTheModem(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("1")})
		v := f.call("patient-signup")
		f.until("it is proven", 3*time.Minute, func() bool { return !f.shown().Proven.IsZero() })
		f.until("the code was heard", time.Minute, func() bool { return f.verification(v.ID).Sends != nil })
	})
}

// Whom nobody may call is not called for a test either, and a box that cannot call says what it lacks.
func TestFlowTestCallRefused(t *testing.T) {
	inFlowOf(t, []flowModem{{sim: modemsim.ModemOptions{Profile: "ec25"}}}, func(f *flow) {
		refused := func(want string) {
			t.Helper()
			if _, err := f.testCall(); !errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		refused("pinward speech build")
		f.withSpeech()
		f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error {
			site, err := contact.SiteOf(tx)
			if err != nil {
				return err
			}
			site.NoCalls = []string{patient[:9]}
			return contact.SetSite(tx, site)
		}))
		refused("no_calls")
	})
	inFlowOf(t, []flowModem{{}}, func(f *flow) {
		if _, err := f.testCall(); !errors.Is(err, admin.ErrState) || !strings.Contains(err.Error(), "cannot call") {
			t.Errorf("a modem without voice: %v", err)
		}
	})
}
