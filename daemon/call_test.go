package daemon

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/modem"
	"pinward/modem/modemsim"
	"pinward/modem/voice"
	"pinward/modem/voice/voicetest"
	"pinward/store"
)

// calling is one modem that can call.
func calling() []flowModem { return []flowModem{{sim: modemsim.ModemOptions{Profile: "ec25"}}} }

// withSpeech gives the box the recordings of the demo's hospital.
func (f *flow) withSpeech() {
	f.t.Helper()
	packs, err := voice.Packs(os.DirFS("../cmd/demo/speech"))
	f.must(err)
	f.box.speech.Store(&recordings{packs: packs})
	f.until("calls are taken", time.Minute, func() bool { return f.standing(0).Voice })
}

func (f *flow) standing(i int) (s outbox.Standing) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) error {
		all, err := outbox.Senders(tx)
		if i < len(all) {
			s = all[i]
		}
		return err
	}))
	return s
}

func (f *flow) phone(c modemsim.HandsetChange) {
	f.t.Helper()
	f.must(f.network.Handset(patient).Set(c))
}

// call starts a verification by a call, for a service of so many digits.
func (f *flow) call(service string) (v otp.Verification) {
	f.t.Helper()
	f.must(f.store.Accept(f.t.Context(), store.Actor{Kind: "client", ID: "AC"}, func(tx *store.Tx) (err error) {
		to, err := contact.ParsePhone(patient, contact.Plan{})
		if err != nil {
			return err
		}
		v, err = otp.Start(tx, otp.StartRequest{Service: service, To: to, Channel: otp.ChannelCall, Client: "AC", Mode: contact.Live})
		return err
	}))
	return v
}

// heard is what the last call said, in words.
func (f *flow) heard() string {
	f.t.Helper()
	calls := f.network.Handset(patient).Calls()
	if len(calls) == 0 {
		f.t.Fatal("nobody was called")
	}
	wav := f.network.Recording(calls[len(calls)-1].WAV)
	if len(wav) < 44 {
		return ""
	}
	ear, err := voicetest.NewEar(f.box.speech.Load().packs["en"])
	f.must(err)
	return voicetest.Said(ear.Hear(wav[44:]))
}

func (f *flow) verification(id string) (v otp.Verification) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) (err error) { v, err = otp.Get(tx, id); return err }))
	return v
}

// A call says who calls, waits for the key, and then says the code that a check takes, also after its window would have been over
// had it begun with the dialing.
func TestFlowCallSaysTheCode(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("1"), PressAfter: new(modemsim.Duration(30 * time.Second))})
		v := f.call("portal-login")
		f.state(v, outbox.Delivered, 3*time.Minute)
		words := strings.Fields(f.heard())
		if len(words) < 8 || strings.Join(words[:3], " ") != "brand press-1 press-9" {
			t.Fatalf("heard %q", words)
		}
		if rest := strings.Join(words[len(words)-8:], " "); !strings.HasPrefix(rest, "code ") || !strings.HasSuffix(rest, " private call-us 6175551000 goodbye") {
			t.Fatalf("heard %q", words)
		}
		said := words[len(words)-7]
		if len(said) != 6 || words[len(words)-5] != said {
			t.Errorf("the code was said as %q", words)
		}
		if !f.check(v.ID, said) {
			t.Error("what was said is not the code")
		}
		if n := len(f.network.Handset(patient).Messages()); n != 0 {
			t.Errorf("%d texts beside the call", n)
		}
	})
}

// What nobody took says no digit, and says why; the number can be called again.
func TestFlowCallThatNobodyTakes(t *testing.T) {
	for cause, phone := range map[string]modemsim.HandsetChange{
		"busy":                  {Busy: new(true)},
		"no answer":             {},
		"rejected":              {Rejects: new(true)},
		"unreachable":           {On: new(false)},
		"answered, unconfirmed": {Voicemail: new(true)},
	} {
		t.Run(cause, func(t *testing.T) {
			inFlowOf(t, calling(), func(f *flow) {
				f.withSpeech()
				f.phone(phone)
				v := f.call("patient-signup")
				m := f.state(v, outbox.Undelivered, 4*time.Minute)
				if m.Cause != cause || len(m.Attempts) != 1 {
					t.Errorf("%d attempts, cause %q", len(m.Attempts), m.Cause)
				}
				if f.verification(v.ID).State != otp.Pending {
					t.Error("the verification is over: nobody can ask for another call")
				}
				if cause == "answered, unconfirmed" {
					// The hospital's number is all of digits that it hears; in the last words its time may be over.
					said, _, _ := strings.Cut(f.heard(), " no-key")
					rest := strings.NewReplacer("press-1", "", "press-9", "", "6175551000", "").Replace(said)
					if strings.ContainsAny(rest, "0123456789") || !strings.HasSuffix(said, " brand call-us 6175551000") {
						t.Errorf("a voicemail heard %q", said)
					}
				}
			})
		})
	}
}

// What is said to who presses no key is said to its end, also where it rang for long before.
func TestFlowCallIsToldToItsEnd(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Answers: new(true), AnswerAfter: new(modemsim.Duration(40 * time.Second))})
		f.state(f.call("patient-signup"), outbox.Undelivered, 4*time.Minute)
		if said := f.heard(); !strings.HasSuffix(said, " press-9 brand call-us 6175551000 no-key goodbye") {
			t.Errorf("heard %q", said)
		}
	})
}

// A key 9 ends the verification and is a sign of fraud: an entry, and a warning in health.
func TestFlowCallDeclined(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("9")})
		v := f.call("patient-signup")
		if m := f.state(v, outbox.Undelivered, 2*time.Minute); m.Cause != "declined" {
			t.Errorf("cause %q", m.Cause)
		}
		if got := f.verification(v.ID).State; got != otp.Canceled {
			t.Errorf("the verification is %s", got)
		}
		if said := f.heard(); !strings.HasSuffix(said, "stopped call-us 6175551000 goodbye") || strings.Contains(said, "code") {
			t.Errorf("heard %q", said)
		}
		var names []string
		for _, c := range f.checkCalls().Children {
			names = append(names, c.Name)
		}
		if strings.Join(names, " ") != "denied" {
			t.Errorf("health tells of %q", names)
		}
	})
}

// A text that nobody's receipt confirms becomes a call at half of the code's life at the latest, with the same code.
func TestFlowTextThenCall(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{NoReceipts: new(true), Answers: new(true), Presses: new("1")})
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 5*time.Second)[0]
		time.Sleep(2 * time.Minute)
		if n := len(f.network.Handset(patient).Calls()); n != 0 {
			t.Fatalf("%d calls before half of the life", n)
		}
		f.state(v, outbox.Delivered, 2*time.Minute)
		if said := f.heard(); !strings.Contains(said, "code "+code(got)+" again "+code(got)) {
			t.Errorf("heard %q", said)
		}
	})
}

// Twice a text is refused and the call after it is heard: the number is taken for a landline, and the next code goes by voice at once.
func TestFlowNumberThatTakesNoTexts(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("1")})
		f.must(f.modems[0].SetFaults(modemsim.Faults{SendErrors: []string{"+CMS ERROR: 28", "+CMS ERROR: 28"}}))
		for range 2 {
			v, err := f.start()
			f.must(err)
			m := f.state(v, outbox.Delivered, 5*time.Minute)
			if len(m.Attempts) != 2 || m.Attempts[0].Outcome != outbox.Refused {
				t.Fatalf("attempts %v", m.Attempts)
			}
			f.must(f.store.Update(t.Context(), self, func(tx *store.Tx) error { _, err := otp.Cancel(tx, v.ID); return err }))
		}
		v, err := f.start()
		f.must(err)
		if m := f.state(v, outbox.Delivered, 5*time.Minute); len(m.Attempts) != 1 || len(m.Route) != 1 || m.Route[0].Channel != outbox.Call {
			t.Errorf("attempts %v by %v", m.Attempts, m.Route)
		}
	})
}

// A landline is told of a notice by a call that names nothing of it; key 9 in it is a word about such calls, on record as consent.
func TestFlowNoticeByVoice(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		to, err := contact.ParsePhone(patient, contact.Plan{})
		f.must(err)
		tell := func() (n notice.Notice) {
			f.must(f.store.Update(t.Context(), store.Actor{Kind: "client", ID: "AC"}, func(tx *store.Tx) error {
				if err := contact.Flag(tx, to, contact.Flags{Type: new(contact.LineLandline)}, "desk"); err != nil {
					return err
				}
				site, err := contact.SiteOf(tx)
				if err != nil {
					return err
				}
				site.CallFrom, site.CallTo = "00:00", "23:59" // the bubble begins in the evening
				if err := contact.SetSite(tx, site); err != nil {
					return err
				}
				slots := text.Values{}
				slots.SetInstant("start", tx.Now().Add(48*time.Hour))
				n, _, err = notice.Send(tx, notice.Request{Template: "appointment.cancelled", To: to, Slots: slots, Mode: contact.Live})
				return err
			}))
			return n
		}
		fate := func(n notice.Notice) (s outbox.State) {
			f.must(f.store.View(t.Context(), func(tx *store.Tx) (err error) { _, s, err = notice.Get(tx, n.ID); return err }))
			return s
		}
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("1")})
		n := tell()
		f.until("it was heard", 5*time.Minute, func() bool { return fate(n) == outbox.Delivered })
		if said := f.heard(); said != "brand notice call-us 6175551000 press-1-again press-9-calls notice call-us 6175551000 goodbye" {
			t.Errorf("heard %q", said)
		}
		f.phone(modemsim.HandsetChange{Presses: new("9")})
		n = tell()
		f.until("it was refused", 5*time.Minute, func() bool { return fate(n) == outbox.Undelivered })
		if said := f.heard(); !strings.HasSuffix(said, "no-more-calls call-us 6175551000 goodbye") {
			t.Errorf("heard %q", said)
		}
		f.must(f.store.View(t.Context(), func(tx *store.Tx) error {
			c, err := consent.Of(tx, to)
			if c.Voice != consent.Out {
				t.Errorf("voice %q", c.Voice)
			}
			return err
		}))
		if n := len(f.network.Handset(patient).Messages()); n != 0 {
			t.Errorf("%d texts to a landline", n)
		}
	})
}

// Who has typed the code of the text is not rung any more.
func TestFlowCallEndsWithTheCheck(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		f.phone(modemsim.HandsetChange{NoReceipts: new(true), Answers: new(true), AnswerAfter: new(modemsim.Duration(40 * time.Second)), Presses: new("1")})
		f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
			s, err := otp.FindService(tx, "portal-login")
			if err != nil {
				return err
			}
			s.Window = 0
			_, err = otp.SaveService(tx, s)
			return err
		}))
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 5*time.Second)[0]
		f.until("it rings", 3*time.Minute, func() bool { return f.senders[0].modem.Status().InCall })
		time.Sleep(10 * time.Second)
		if !f.check(v.ID, code(got)) {
			t.Fatal("the code was not taken")
		}
		f.until("it rings no more", 10*time.Second, func() bool { return !f.senders[0].modem.Status().InCall })
		if calls := f.network.Handset(patient).Calls(); len(calls) != 1 || calls[0].Answered {
			t.Errorf("%d calls, or one that was answered", len(calls))
		}
	})
}

// The daemon stops while it rings: the call ends with it, and the code is said after the next start.
func TestFlowStopInMidCall(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		f.withSpeech()
		v := f.call("patient-signup")
		f.until("it rings", time.Minute, func() bool { return f.senders[0].modem.Status().InCall })
		time.Sleep(5 * time.Second)
		f.close()
		f.phone(modemsim.HandsetChange{Answers: new(true), Presses: new("1")})
		f.open()
		f.waitReady()
		m := f.state(v, outbox.Delivered, 3*time.Minute)
		if len(m.Attempts) != 2 || m.Attempts[0].Outcome != outbox.NotSent {
			t.Errorf("attempts %v", m.Attempts)
		}
	})
}

// A box without the hospital's name in any language takes no call, and says so before a patient waits.
func TestFlowNoRecordingsNoCall(t *testing.T) {
	inFlowOf(t, calling(), func(f *flow) {
		packs, err := voice.Packs(nil)
		f.must(err)
		f.box.speech.Store(&recordings{packs: packs})
		time.Sleep(10 * time.Second)
		if f.standing(0).Voice {
			t.Error("a sender takes calls")
		}
		found := f.checkCalls().Children
		if len(found) != 1 || found[0].Name != "languages" {
			t.Fatalf("health tells of %v", found)
		}
		if _, cause := found[0].Ask(); !strings.Contains(cause, "no call is made in en") || !strings.Contains(cause, "pinward speech build") {
			t.Errorf("health says %q", cause)
		}
	})
}

// The outcome of a call decides what follows for its message; an error beside it never hides what the person pressed.
func TestCallResult(t *testing.T) {
	lost := errors.New("lost")
	heard := voice.Talk{Key: '1', Rounds: 1}
	for name, c := range map[string]struct {
		r    modem.CallResult
		err  error
		want outbox.State
	}{
		"heard":                {modem.CallResult{Outcome: modem.CallConfirmed, Talk: heard}, nil, outbox.Delivered},
		"heard, then lost":     {modem.CallResult{Outcome: modem.CallConfirmed, Talk: heard}, lost, outbox.Delivered},
		"pressed, then lost":   {modem.CallResult{Outcome: modem.CallConfirmed}, lost, outbox.Unknown},
		"pressed and hung up":  {modem.CallResult{Outcome: modem.CallConfirmed}, nil, outbox.Undelivered},
		"declined, then lost":  {modem.CallResult{Outcome: modem.CallDeclined}, lost, outbox.Undelivered},
		"lost":                 {modem.CallResult{}, lost, outbox.Unknown},
		"never called":         {modem.CallResult{}, modem.ErrNotCalled, outbox.NotSent},
		"the network failed":   {modem.CallResult{Outcome: modem.CallFailed}, nil, outbox.NotSent},
		"ended while it rang":  {modem.CallResult{Outcome: modem.CallCanceled}, nil, outbox.NotSent},
		"answered without key": {modem.CallResult{Outcome: modem.CallAnswered}, nil, outbox.Undelivered},
		"rang in vain":         {modem.CallResult{Outcome: modem.CallNoAnswer}, nil, outbox.Undelivered},
		"switched off":         {modem.CallResult{Outcome: modem.CallUnreachable}, nil, outbox.Undelivered},
		"turned down":          {modem.CallResult{Outcome: modem.CallRejected}, nil, outbox.Undelivered},
		"busy, then lost":      {modem.CallResult{Outcome: modem.CallBusy}, lost, outbox.Unknown},
		"busy":                 {modem.CallResult{Outcome: modem.CallBusy}, nil, outbox.Undelivered},
	} {
		if got := callResult(c.r, c.err).Unheard; got != (name == "busy" || name == "rang in vain" || name == "switched off") {
			t.Errorf("%s: called once more: %t", name, got)
		}
		if got := callResult(c.r, c.err); got.Outcome != c.want || got.Cause == "" && got.Outcome != outbox.Delivered {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}
