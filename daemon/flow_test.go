package daemon

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/daemon/outbox"
	"pinward/modem/modemsim"
)

func TestFlowCodeArrivesAndIsChecked(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 5*time.Second)[0]
		if !strings.HasPrefix(got.Text, "Test") || code(got) == "" {
			t.Fatal("the text does not begin with the brand, or holds no code")
		}
		if got.Validity != modemsim.Duration(5*time.Minute) {
			t.Errorf("TP-VP is %v s, want the life of the code", got.Validity)
		}
		f.state(v, outbox.Delivered, 10*time.Second)
		if f.check(v.ID, code(got)) != true {
			t.Error("the code of the text was not accepted")
		}
	})
}

// A status report that overtakes +CMGS belongs to the message all the same.
func TestFlowReportBeforeCMGS(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{ReportEarly: true}))
		v, err := f.start()
		f.must(err)
		f.state(v, outbox.Delivered, 10*time.Second)
	})
}

// A modem that takes the PDU and then says nothing leaves the outcome unknown: the same code goes out
// by the other one.
func TestFlowSilentModemSameCodeByAnother(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		for _, m := range f.modems {
			f.must(m.SetFaults(modemsim.Faults{RebootAt: modemsim.AtPDU}))
		}
		_, err := f.start()
		f.must(err)
		all := f.texts(1, 4*time.Minute)
		if code(all[len(all)-1]) == "" {
			t.Fatal("no code arrived")
		}
		if len(all) > 1 && code(all[0]) != code(all[1]) {
			t.Error("two different codes went out for one start")
		}
	})
}

// A modem that vanishes in the middle of a PDU comes back and is used again.
func TestFlowUnplugMidPDU(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{UnplugAt: modemsim.AtPDU, UnplugFor: modemsim.Duration(3 * time.Second)}))
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 4*time.Minute)
		if !f.check(v.ID, code(got[len(got)-1])) {
			t.Error("the code that arrived in the end was not accepted")
		}
	})
}

// Without a modem that could send, nothing is accepted.
func TestFlowNoModemNoStart(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{Unplugged: true}))
		for range 100 {
			if !f.senders[0].modem.Status().Ready {
				break
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		_, err := f.start()
		busy, ok := errors.AsType[*outbox.Busy](err)
		if !ok {
			t.Fatalf("start without a modem: %v, want Busy", err)
		}
		if busy.RetryAfter < time.Second {
			t.Errorf("retry after %v", busy.RetryAfter)
		}
	})
}

// What was on air when the daemon stopped is unknown, and a code is sent again after the next start:
// the same code.
func TestFlowStopWhileOnAir(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		v, err := f.start()
		f.must(err)
		f.state(v, outbox.Sending, 10*time.Second)
		time.Sleep(time.Second)
		began := time.Now()
		f.close()
		if took := time.Since(began); took > stopLimit {
			t.Errorf("the stop took %v", took)
		}
		f.modems[0].Reboot()
		f.open()
		f.waitReady()
		got := f.texts(1, 2*time.Minute)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code that was sent again is another")
		}
	})
}

// A long STOP in several parts, of which one never comes, is read after a while all the same.
func TestFlowLongTextWithMissingPart(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		in := inbox{store: f.store, log: f.log, own: f.own}
		f.must(in.text(t.Context(), "sim", modemText(patient, "STOP texting me", 7, 1, 2)))
		time.Sleep(partWait + 2*time.Minute)
		if n := len(f.texts(1, time.Minute)); n != 1 {
			t.Fatalf("%d answers", n)
		}
	})
}

// A text that a modem gives twice is read once.
func TestFlowSameTextTwice(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.network.Handset(patient).Reply("HELP", f.modems[0].Name()))
		f.texts(1, 2*time.Minute)
		in := inbox{store: f.store, log: f.log, own: f.own}
		m := modemText(patient, "HELP", 0, 1, 1)
		for range 2 {
			f.must(in.text(t.Context(), "sim", m))
		}
		time.Sleep(2 * time.Minute)
		if n := len(f.network.Handset(patient).Messages()); n > 2 {
			t.Errorf("%d answers to two texts", n)
		}
	})
}

// A modem that swallows a PDU and says nothing may hold its line for five minutes, but not the code:
// the other modem sends it within seconds.
func TestFlowSwallowedCodeGoesByAnother(t *testing.T) {
	inFlow(t, 2, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		f.must(f.modems[1].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		v, err := f.start()
		f.must(err)
		f.state(v, outbox.Sending, 10*time.Second)
		// The modem that was idle takes it without fault.
		for _, m := range f.modems {
			if m.Faults().SwallowPDU > 0 {
				f.must(m.SetFaults(modemsim.Faults{}))
			}
		}
		got := f.texts(1, codePatience+5*time.Second)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code that arrived was not accepted")
		}
	})
}

// With one modem alone the line is given up after a while, and the same code goes out after all.
func TestFlowSwallowedCodeOneModem(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		f.must(f.modems[0].SetFaults(modemsim.Faults{SwallowPDU: 1}))
		v, err := f.start()
		f.must(err)
		got := f.texts(1, onAirPatience+60*time.Second)
		if !f.check(v.ID, code(got[0])) {
			t.Error("the code that arrived was not accepted")
		}
	})
}
