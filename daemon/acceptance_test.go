package daemon

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/daemon/admin"
	"pinward/daemon/contact"
	"pinward/modem/modemsim"
	"pinward/store"
)

// acceptanceFlow is a flow whose patient's handset is the test phone of one carrier.
type acceptanceFlow struct{ *flow }

func (f acceptanceFlow) change(do func(*store.Tx) error) error {
	return f.store.Update(f.t.Context(), store.Actor{Kind: "user", ID: "ann"}, do)
}

func (f acceptanceFlow) phones(carriers ...string) {
	f.t.Helper()
	f.must(f.change(func(tx *store.Tx) error {
		p, err := acceptancePolicyOf(tx)
		if err != nil {
			return err
		}
		for _, c := range carriers {
			n, err := contact.ParsePhone("+1617555127"+string(rune('0'+len(p.Phones))), contact.Plan{}) // the first is the patient's
			if err != nil {
				return err
			}
			p.Phones = append(p.Phones, testPhone{Carrier: c, Number: n})
		}
		return setAcceptancePolicy(tx, p)
	}))
}

func (f acceptanceFlow) do(what func(*house, *store.Tx, stepOrder) (acceptLine, error), o stepOrder) error {
	f.t.Helper()
	o.Modem, o.Carrier = "m1", "North"
	return f.change(func(tx *store.Tx) error { _, err := what(f.house, tx, o); return err })
}

// line is m1 with North.
func (f acceptanceFlow) line() (l acceptLine) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) (err error) {
		l, err = lineOf(tx, f.senders[0].modem.Status().ICCID, "North")
		return err
	}))
	return l
}

func (f acceptanceFlow) want(step, state, cause string) {
	f.t.Helper()
	if s := f.line().Steps[step]; s.State != state || !strings.Contains(s.Cause, cause) {
		f.t.Errorf("%s is %q: %q; want %q with %q", step, s.State, s.Cause, state, cause)
	}
}

func (f acceptanceFlow) mayGoLive() (words string) {
	f.t.Helper()
	err := f.store.View(f.t.Context(), f.box.mayGoLive)
	if err != nil && !errors.Is(err, admin.ErrState) {
		f.t.Fatal(err)
	}
	if err != nil {
		words = err.Error()
	}
	return words
}

// token is the end of the last test text, as a person reads it on the handset.
func (f acceptanceFlow) token() string {
	f.t.Helper()
	all := f.network.Handset(patient).Messages()
	return all[len(all)-1].Text[len(all[len(all)-1].Text)-4:]
}

// pass has m1 pass with North.
func (f acceptanceFlow) pass() {
	f.t.Helper()
	f.must(f.do((*house).beginStep, stepOrder{Step: stepText}))
	f.until("the receipt is there", time.Minute, func() bool { return f.line().Steps[stepDelay].State == stepPassed })
	f.must(f.do((*house).beginStep, stepOrder{Step: stepStop}))
	f.reply("STOP")
	f.until("STOP was taken", time.Minute, func() bool { return f.line().Steps[stepStop].Cause != "" })
	f.reply("START")
	f.until("START was taken", time.Minute, func() bool { return f.line().Steps[stepStop].State == stepPassed })
	f.must(f.do((*house).beginStep, stepOrder{Step: stepCall})) // it cannot
	f.must(f.do((*house).beginStep, stepOrder{Step: stepInbound}))
	f.must(f.network.Handset(patient).Call("m1"))
	f.until("the call was noticed", time.Minute, func() bool { return f.line().passed() })
}

func (f acceptanceFlow) reply(words string) {
	f.t.Helper()
	f.must(f.network.Handset(patient).Reply(words, "m1"))
}

func (f acceptanceFlow) finish() {
	f.t.Helper()
	f.must(f.change(func(tx *store.Tx) error {
		r, err := f.box.acceptance(tx, f.house, "ann")
		if err == nil {
			err = f.box.keepAcceptance(tx, f.house, r, strings.Repeat("0", 64))
		}
		return err
	}))
}

// TestFlowAcceptance: what failed says why and can be waived with a reason; what passed lets the site go live, for as long
// as policy says, with the carriers of policy, and with the SIMs that are in the modems. A restart forgets none of it.
func TestFlowAcceptance(t *testing.T) {
	inFlowOf(t, make([]flowModem, 1), func(flow *flow) {
		f := acceptanceFlow{flow}
		if w := f.mayGoLive(); !strings.Contains(w, "no test phones are known") {
			t.Errorf("without phones: %q", w)
		}
		f.phones("North")
		if w := f.mayGoLive(); !strings.Contains(w, "m1 has not passed") {
			t.Errorf("before: %q", w)
		}
		f.pass()
		f.want(stepCall, stepNone, "cannot call")
		f.finish()
		if w := f.mayGoLive(); w != "" {
			t.Errorf("passed: %q", w)
		}
		f.phones("South")
		if w := f.mayGoLive(); !strings.Contains(w, "m1 was not accepted with South") {
			t.Errorf("a new carrier: %q", w)
		}
		f.must(f.change(func(tx *store.Tx) error {
			p, err := acceptancePolicyOf(tx)
			if err == nil {
				p.Phones, p.MaxAgeDays = p.Phones[:1], 2
				err = setAcceptancePolicy(tx, p)
			}
			return err
		}))
		off := func(d time.Duration) { // switched off, the box spends its hours at once
			f.close()
			time.Sleep(d)
			f.open()
			f.waitReady()
		}
		off(47 * time.Hour)
		if w := f.mayGoLive(); w != "" {
			t.Errorf("a day before it is too old: %q", w)
		}
		off(2 * time.Hour)
		if w := f.mayGoLive(); !strings.Contains(w, "older than 2 days") {
			t.Errorf("too old: %q", w)
		}
	})
}

// TestFlowAcceptanceFails: each step that fails does so by itself, with its reason.
func TestFlowAcceptanceFails(t *testing.T) {
	inFlowOf(t, make([]flowModem, 1), func(flow *flow) {
		f := acceptanceFlow{flow}
		f.phones("North")
		f.must(f.network.Handset(patient).Set(modemsim.HandsetChange{NoReceipts: new(true)}))
		f.must(f.do((*house).beginStep, stepOrder{Step: stepText}))
		f.texts(1, time.Minute)
		if err := f.do((*house).arrivedText, stepOrder{Code: "zzzz"}); err == nil {
			t.Error("a text was taken for read that was not")
		}
		f.must(f.do((*house).arrivedText, stepOrder{Code: f.token()}))
		f.want(stepText, stepPassed, "read on the handset")
		if err := f.do((*house).waiveStep, stepOrder{Step: stepReceipt, Reason: "this carrier gives none"}); err == nil {
			t.Error("a step was waived that goes on")
		}
		f.until("no receipt came", 5*time.Minute, func() bool { return f.line().Steps[stepReceipt].State == stepFailed })
		f.want(stepReceipt, stepFailed, "no receipt")
		f.want(stepText, stepPassed, "")
		// Without a word of the operator the text itself has failed.
		f.must(f.do((*house).beginStep, stepOrder{Step: stepText}))
		f.until("no receipt came", 5*time.Minute, func() bool { return f.line().Steps[stepReceipt].State == stepFailed })
		f.want(stepText, stepFailed, "no receipt")
		if err := f.do((*house).waiveStep, stepOrder{Step: stepText, Reason: "short"}); err == nil {
			t.Error("waived without a reason")
		}
		f.must(f.do((*house).waiveStep, stepOrder{Step: stepReceipt, Reason: "this carrier gives none"}))
		if s := f.line().Steps[stepReceipt]; s.State != stepWaived || s.By != "ann" || !s.done() {
			t.Errorf("waived: %+v", s)
		}
		// A person who does not come, a STOP whose START does not, and a call of somebody else.
		f.must(f.do((*house).beginStep, stepOrder{Step: stepInbound}))
		f.must(f.do((*house).beginStep, stepOrder{Step: stepStop}))
		f.must(f.network.Handset("+16175551299").Call("m1"))
		f.reply("STOP")
		f.until("they are waited for no longer", 15*time.Minute, func() bool {
			return f.line().Steps[stepStop].State == stepFailed && f.line().Steps[stepInbound].State == stepFailed
		})
		f.want(stepStop, stepFailed, "START was not")
		f.want(stepInbound, stepFailed, "nothing came from the handset")
		f.finish()
		if w := f.mayGoLive(); !strings.Contains(w, "has not passed") {
			t.Errorf("it failed: %q", w)
		}
	})
}
