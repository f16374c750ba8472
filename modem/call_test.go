package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// A whole call on each kind of modem: prompt, key, the code twice, hang-up; and what arrived is, sample by sample, what was said.
func TestCallConfirmed(t *testing.T) {
	onCall(t, setup{}, func(w *world) {
		w.phone(answersAndPresses("1"))
		var progress []string
		r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script(), Progress: func(p Progress) { progress = append(progress, string(p)) }})
		if err != nil || r.Outcome != CallConfirmed || !r.Talk.Heard() || r.Talk.Rounds != 2 || !r.Talk.Done || r.Way != wayPCM {
			w.t.Fatalf("%+v, %v\n%s", r, err, w.tail())
		}
		call, said := w.lastCall()
		if said != confirmed(1) || !call.Answered {
			w.t.Fatalf("heard %q", said)
		}
		if got := strings.Join(progress, " "); got != "dialing alerting answered pressed ended" {
			w.t.Errorf("progress %s", got)
		}
		if p := w.sim.Pacing(); p.Frames < 500 || p.P99 > modemsim.Duration(time.Millisecond) || p.Starved != 0 || r.Audio.Underruns != 0 {
			w.t.Errorf("%d frames, p99 %v, starved %v; %+v", p.Frames, time.Duration(p.P99), time.Duration(p.Starved), r.Audio)
		}
		if r.AnsweredAfter <= r.RangAfter || r.Took <= r.AnsweredAfter || r.ICCID != w.sim.ICCID() {
			w.t.Errorf("rang after %v, answered after %v, took %v", r.RangAfter, r.AnsweredAfter, r.Took)
		}
	})
}

// Each end that a call can have, by what the network and the phone do.
func TestOutcomeOfEachEnd(t *testing.T) {
	for name, c := range map[string]struct {
		phone  modemsim.HandsetChange
		faults modemsim.Faults
		want   Outcome
		heard  string
	}{
		"press 9":             {answersAndPresses("9"), modemsim.Faults{}, CallDeclined, "prompt notme"},
		"other keys":          {answersAndPresses("5#1"), modemsim.Faults{}, CallConfirmed, confirmed(1)},
		"no key":              {modemsim.HandsetChange{Answers: new(true)}, modemsim.Faults{}, CallAnswered, "prompt prompt prompt nokey"},
		"hangs up":            {modemsim.HandsetChange{Answers: new(true), HangsUp: new(modemsim.Duration(4 * time.Second))}, modemsim.Faults{}, CallAnswered, "prompt"},
		"voicemail":           {modemsim.HandsetChange{Voicemail: new(true)}, modemsim.Faults{}, CallAnswered, "prompt prompt prompt nokey"},
		"off":                 {modemsim.HandsetChange{On: new(false)}, modemsim.Faults{}, CallUnreachable, ""},
		"off, voicemail":      {modemsim.HandsetChange{On: new(false), Voicemail: new(true)}, modemsim.Faults{}, CallAnswered, "prompt prompt prompt nokey"},
		"busy":                {modemsim.HandsetChange{Busy: new(true)}, modemsim.Faults{}, CallBusy, ""},
		"rejected":            {modemsim.HandsetChange{Rejects: new(true)}, modemsim.Faults{}, CallRejected, ""},
		"no answer":           {modemsim.HandsetChange{}, modemsim.Faults{}, CallNoAnswer, ""},
		"no answer, no cause": {modemsim.HandsetChange{}, modemsim.Faults{NoCause: true, NoCallURC: true}, CallNoAnswer, ""},
		"congestion":          {modemsim.HandsetChange{On: new(false)}, modemsim.Faults{Cause: 42, NoCallURC: true}, "", ""},
		"no such number":      {modemsim.HandsetChange{On: new(false)}, modemsim.Faults{Cause: 1, NoCallURC: true}, CallUnreachable, ""},
		"no IMS":              {modemsim.HandsetChange{}, modemsim.Faults{DialErrors: []string{"ERROR"}}, CallFailed, ""},
		"NO CARRIER at once":  {modemsim.HandsetChange{}, modemsim.Faults{DialErrors: []string{"NO CARRIER"}}, CallFailed, ""},
		"dropped":             {answersAndPresses(""), modemsim.Faults{DropAfter: modemsim.Duration(5 * time.Second)}, CallAnswered, "prompt"},
	} {
		t.Run(name, func(t *testing.T) {
			onCall(t, setup{faults: c.faults}, func(w *world) {
				w.phone(c.phone)
				want := c.want
				if name == "congestion" { // an E173 tells its own cause as well, in ^CEND; without codes there is +CEER alone
					want = CallFailed
				}
				start := time.Now()
				w.dial(want)
				if took := time.Since(start); took > 2*time.Minute+10*time.Second {
					w.t.Errorf("took %v", took)
				}
				if c.heard != "" {
					if _, said := w.lastCall(); said != c.heard {
						w.t.Errorf("heard %q, want %q", said, c.heard)
					}
				}
				w.faults(modemsim.Faults{})
			})
		})
	}
}

// Nothing personal before a key: whatever answers without pressing one hears the same words, and no digit (reference 6.1).
func TestFalseAnswer(t *testing.T) {
	onCall(t, setup{}, func(w *world) {
		w.phone(modemsim.HandsetChange{FalseAnswer: new(true)}) // and nobody ever lifts
		r := w.dial(CallAnswered)
		call, said := w.lastCall()
		if call.Answered || strings.ContainsAny(said, "0123456789") || r.Talk.Digits != 0 {
			w.t.Fatalf("a ringing phone heard %q", said)
		}
		// Somebody lifts after a while, and hears a prompt that is repeated.
		w.phone(modemsim.HandsetChange{FalseAnswer: new(true), Answers: new(true), AnswerAfter: new(modemsim.Duration(8 * time.Second)), Presses: new("1")})
		w.dial(CallConfirmed)
		if call, said = w.lastCall(); !call.Answered || said != confirmed(2) {
			w.t.Fatalf("heard %q", said)
		}
	})
}

// +CLCC is the truth: without any code, with a data context that is always there, with one that lingers, with ATD that answers late.
func TestCallsByCLCCAlone(t *testing.T) {
	for name, f := range map[string]modemsim.Faults{
		"no codes":                   {NoCallURC: true},
		"data context":               {DataContext: true},
		"lingers":                    {CallLingers: true, NoCallURC: true},
		"dial waits":                 {DialWaits: true},
		"ATH ignored":                {IgnoreATH: true},
		"slow network":               {CallDelay: modemsim.Duration(20 * time.Second)},
		"CHUP ignored":               {CallStays: 3},
		"echo, codes inside answers": {EchoAlways: true, URCInside: true, URCEvery: modemsim.Duration(100 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			onCall(t, setup{}, func(w *world) {
				w.faults(f)
				w.phone(answersAndPresses("1"))
				w.dial(CallConfirmed)
				if _, said := w.lastCall(); said != confirmed(1) {
					w.t.Errorf("heard %q", said)
				}
				w.phone(modemsim.HandsetChange{Busy: new(true)})
				w.dial(CallBusy)
				w.faults(modemsim.Faults{})
			})
		})
	}
}

// A late answer of the network, a phone that rings for ever, and a callee who never stops: each has its time.
func TestTimesOfACall(t *testing.T) {
	onCall(t, setup{}, func(w *world) {
		w.faults(modemsim.Faults{CallDelay: modemsim.Duration(time.Hour)})
		start := time.Now()
		w.dial(CallUnreachable)
		if took := time.Since(start); took < 30*time.Second || took > 36*time.Second {
			w.t.Errorf("set-up: %v", took)
		}
		w.faults(modemsim.Faults{})
		w.phone(modemsim.HandsetChange{Answers: new(true), AnswerAfter: new(modemsim.Duration(time.Hour))})
		start = time.Now()
		w.dial(CallNoAnswer)
		if took := time.Since(start); took < 45*time.Second || took > 51*time.Second {
			w.t.Errorf("ring: %v", took)
		}
		w.phone(modemsim.HandsetChange{AnswerAfter: new(modemsim.Duration(time.Second)), Presses: new("")})
		s := script()
		s.Repeats = 20
		start = time.Now()
		if r, err := w.m.Dial(context.Background(), Call{To: patient, Script: s}); err != nil || r.Outcome != CallAnswered || r.Talk.Done {
			w.t.Fatalf("%v, %v", r, err)
		}
		if took := time.Since(start); took < 4*time.Minute || took > 4*time.Minute+8*time.Second {
			w.t.Errorf("talk: %v", took)
		}
	})
}

// Three prompts with 20 s for a key behind each, what a voicemail is told, and the code after a key at the last moment are said to
// their end however long it rang: a relay operator needs the one, and a voicemail, which answers late, has to hear the other.
func TestALateAnswerIsToldAll(t *testing.T) {
	c := clips(1)
	c["prompt"], c["nokey"], c["closing"] = clip("prompt", 10*time.Second), clip("nokey", 30*time.Second), clip("closing", 25*time.Second)
	onCall(t, setup{}, func(w *world) {
		last := func() string {
			w.t.Helper()
			calls := w.net.Handset(patient).Calls()
			return heard(w.t, w.net.Recording(calls[len(calls)-1].WAV), c)
		}
		w.phone(modemsim.HandsetChange{Answers: new(true), AnswerAfter: new(modemsim.Duration(40 * time.Second))})
		r, err := w.m.Dial(context.Background(), Call{To: patient, Script: scriptOf(c)})
		if err != nil || r.Outcome != CallAnswered || !r.Talk.Done {
			w.t.Errorf("nobody: %v, %v, %+v", r, err, r.Talk)
		}
		if said := last(); said != "prompt prompt prompt nokey" {
			w.t.Errorf("nobody heard %q", said)
		}
		w.phone(modemsim.HandsetChange{Presses: new("1"), PressAfter: new(modemsim.Duration(89 * time.Second))})
		if r, err = w.m.Dial(context.Background(), Call{To: patient, Script: scriptOf(c)}); err != nil || r.Outcome != CallConfirmed || !r.Talk.Done {
			w.t.Errorf("late key: %v, %v, %+v", r, err, r.Talk)
		}
		if said := last(); said != confirmed(3) {
			w.t.Errorf("late key: heard %q", said)
		}
	})
}

// What is no number, or has nothing to say, or meets a modem that cannot, calls nobody.
func TestNotCalled(t *testing.T) {
	ctx := context.Background()
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		if _, err := w.m.Dial(ctx, Call{To: patient, Script: script()}); !errors.Is(err, ErrNotCalled) {
			w.t.Errorf("before it is up: %v", err)
		}
		w.ready()
		for _, to := range []string{"", "911", "+161755", "*21*16175551234#", "6175551234;+CMGD=1", "+1617555123456789", "617-555-1234", "6175551234I"} {
			if _, err := w.m.Dial(ctx, Call{To: to, Script: script()}); !errors.Is(err, ErrNotCalled) || to != "" && strings.Contains(err.Error(), to) {
				w.t.Errorf("%q: %v", to, err)
			}
		}
		if _, err := w.m.Dial(ctx, Call{To: patient}); !errors.Is(err, ErrNotCalled) {
			w.t.Errorf("nothing to say: %v", err)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := w.m.Dial(over, Call{To: patient, Script: script()}); !errors.Is(err, ErrNotCalled) {
			w.t.Errorf("ctx is over: %v", err)
		}
		w.faults(modemsim.Faults{Registration: 6})
		w.until("SMS only", 3*time.Minute, func(s Status) bool { return s.Registration == RegSMSHome })
		if _, err := w.m.Dial(ctx, Call{To: patient, Script: script()}); !errors.Is(err, ErrNotCalled) {
			w.t.Errorf("SMS only: %v", err)
		}
		if w.traced("ATD") != 0 {
			w.t.Error("the network was asked for a call")
		}
	})
	for _, profile := range []string{"generic", "le910"} {
		inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile}}, func(w *world) {
			if st := w.ready(); st.Voice != VoiceNone || st.CanCall() {
				w.t.Errorf("%s: %q %q", profile, st.Voice, st.Audio)
			}
			if _, err := w.m.Dial(ctx, Call{To: patient, Script: script()}); !errors.Is(err, ErrNotCalled) || w.traced("ATD") != 0 {
				w.t.Errorf("%s: %v", profile, err)
			}
		})
	}
}

// Neither a call nor a result shows who was called, or what was said, in any way of printing it.
func TestCallsShowNoNumberAndNoCode(t *testing.T) {
	c := Call{To: patient, Script: script()}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), c.LogValue().String(), fmt.Sprint(c.Script), fmt.Sprintf("%#v", c.Script.Digits)} {
		if strings.Contains(s, "5551234") || strings.Contains(s, "the 4") {
			t.Errorf("shows %q", s)
		}
	}
	onCall(t, setup{}, func(w *world) {
		w.phone(answersAndPresses("1"))
		r := w.dial(CallConfirmed)
		for _, s := range []string{w.tail(), fmt.Sprintf("%+v %#v %v", r, r, r.LogValue()), w.log.String()} {
			if strings.Contains(s, "5551234") || strings.Contains(s, w.sim.ICCID()) {
				w.t.Errorf("shows %q", s)
			}
		}
	})
}
