package modem

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pinward/modem/modemsim"
)

// inCall does f once the call has been answered for d.
func (w *world) inCall(d time.Duration, f func()) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for {
			if w.sim.InCall() >= d {
				f()
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return done
}

// A modem that restarts or is pulled in mid-call: the call is over with it, Dial says that what was heard is not known, and the modem
// comes back and calls again.
func TestModemLostInMidCall(t *testing.T) {
	for name, f := range map[string]modemsim.Faults{
		"reboot": {RebootInCall: modemsim.Duration(4 * time.Second)},
		"unplug": {UnplugInCall: modemsim.Duration(4 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			onCall(t, setup{}, func(w *world) {
				w.faults(f)
				w.phone(modemsim.HandsetChange{Answers: new(true)})
				start := time.Now()
				r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
				if err == nil || errors.Is(err, ErrNotCalled) || r.Outcome != CallAnswered || !r.Answered || r.Talk.Digits != 0 {
					w.t.Fatalf("%v, %v\n%s", r, err, w.tail())
				}
				if took := time.Since(start); took > 15*time.Second {
					w.t.Errorf("known after %v", took)
				}
				w.faults(modemsim.Faults{})
				time.Sleep(10 * time.Second)
				w.ready()
				w.phone(answersAndPresses("1"))
				w.dial(CallConfirmed)
			})
		})
	}
	// Pulled after the key was pressed: that it was confirmed stays known.
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}, faults: modemsim.Faults{UnplugInCall: modemsim.Duration(8 * time.Second)}}, func(w *world) {
		w.ready()
		w.phone(answersAndPresses("1"))
		r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
		if err == nil || r.Outcome != CallConfirmed || r.Talk.Heard() || r.Talk.Digits == 0 {
			w.t.Fatalf("%+v, %v", r, err)
		}
	})
}

// The caller's patience ends: at each state of the call it is hung up, and Dial says so.
func TestContextEndsACall(t *testing.T) {
	for name, c := range map[string]struct {
		after  time.Duration
		faults modemsim.Faults
		want   Outcome
	}{
		"while dialing":       {200 * time.Millisecond, modemsim.Faults{}, CallCanceled},
		"while it rings":      {time.Second, modemsim.Faults{}, CallCanceled},
		"while ATD waits":     {time.Second, modemsim.Faults{DialWaits: true}, CallCanceled},
		"in the prompt":       {11 * time.Second, modemsim.Faults{}, CallAnswered},
		"CHUP is passed over": {11 * time.Second, modemsim.Faults{CallStays: 2}, CallAnswered},
	} {
		t.Run(name, func(t *testing.T) {
			onCall(t, setup{}, func(w *world) {
				w.faults(c.faults)
				w.phone(modemsim.HandsetChange{Answers: new(true), AnswerAfter: new(modemsim.Duration(9 * time.Second))})
				ctx, cancel := context.WithTimeout(context.Background(), c.after)
				defer cancel()
				start := time.Now()
				r, err := w.m.Dial(ctx, Call{To: patient, Script: script()})
				if err != nil || r.Outcome != c.want || r.Talk.Done {
					w.t.Fatalf("%v, %v\n%s", r, err, w.tail())
				}
				if took := time.Since(start); took > c.after+6*time.Second {
					w.t.Errorf("took %v", took)
				}
				if w.sim.InCall() >= 0 {
					w.t.Error("the call goes on")
				}
				w.faults(modemsim.Faults{})
			})
		})
	}
}

// A module that does not let go of a call is restarted; Dial says that the end is not proved.
func TestHangUpIsProvedOrTheModuleRestarted(t *testing.T) {
	onCall(t, setup{}, func(w *world) {
		w.faults(modemsim.Faults{CallStays: -1})
		w.phone(answersAndPresses("1"))
		r, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
		if err == nil || r.Outcome != CallConfirmed {
			w.t.Fatalf("%v, %v", r, err)
		}
		w.until("restarting", time.Minute, func(s Status) bool { return !s.Ready })
		w.faults(modemsim.Faults{})
		if st := w.ready(); st.Resets != 1 || w.sim.InCall() >= 0 {
			w.t.Fatalf("%d resets", st.Resets)
		}
	})
}

// A process that died in mid-call left one: the next one ends it before anything else, and calls then.
func TestCallLeftByACrashIsEnded(t *testing.T) {
	for _, profile := range callProfiles {
		inWorld(t, setup{sim: modemsim.ModemOptions{Profile: profile, Name: "modem2"}}, func(w *world) {
			w.ready()
			w.phone(modemsim.HandsetChange{Answers: new(true)})
			ctx, crash := context.WithCancel(context.Background())
			go w.m.Dial(ctx, Call{To: patient, Script: script()})
			<-w.inCall(time.Second, func() {
				c, err := w.sim.Pipe() // another process takes the port: ours is closed, nothing is hung up
				if err != nil {
					w.t.Error(err)
					return
				}
				time.Sleep(10 * time.Millisecond)
				c.Close()
			})
			crash()
			w.until("back", time.Minute, func(s Status) bool { return s.Ready && !s.InCall })
			if w.sim.InCall() >= 0 {
				w.t.Fatalf("%s: the call goes on\n%s", profile, w.tail())
			}
			w.phone(answersAndPresses("1"))
			w.dial(CallConfirmed)
		})
	}
}

// One call a modem: a second one is refused at once, and the first goes on.
func TestSecondCallIsRefused(t *testing.T) {
	onCall(t, setup{}, func(w *world) {
		w.phone(answersAndPresses("1"))
		second := w.inCall(time.Second, func() {
			start := time.Now()
			if _, err := w.m.Dial(context.Background(), Call{To: other, Script: script()}); !errors.Is(err, ErrNotCalled) || time.Since(start) > 0 {
				w.t.Errorf("second call: %v after %v", err, time.Since(start))
			}
			if st := w.m.Status(); !st.InCall {
				w.t.Error("the status tells of no call")
			}
		})
		w.dial(CallConfirmed)
		<-second
		if len(w.net.Handset(other).Calls()) != 0 {
			w.t.Error("the second phone rang")
		}
	})
}

// Somebody calls us while we call: told once, turned down as busy, and our call goes on.
func TestIncomingCallDuringOurs(t *testing.T) {
	onCall(t, setup{faults: modemsim.Faults{CallWaiting: true}}, func(w *world) {
		w.phone(answersAndPresses("1"))
		rang := w.inCall(time.Second, func() {
			if err := w.net.Handset(other).Call(w.sim.Name()); err != nil {
				w.t.Error(err)
			}
		})
		w.dial(CallConfirmed)
		<-rang
		if _, said := w.lastCall(); said != confirmed(1) {
			w.t.Errorf("heard %q", said)
		}
		if e := w.event(time.Minute); e.Ring == nil || e.Ring.From != other {
			w.t.Errorf("event %+v", e)
		}
		if in := w.sim.IncomingCalls(); len(in) != 1 || in[0].End != modemsim.RingHungUp || in[0].Rings != 1 {
			w.t.Errorf("%+v", in)
		}
	})
	// One that rings when we want to call is ended first.
	onCall(t, setup{}, func(w *world) {
		w.phone(answersAndPresses("1"))
		if err := w.net.Handset(other).Call(w.sim.Name()); err != nil {
			w.t.Fatal(err)
		}
		w.dial(CallConfirmed)
		w.event(time.Minute)
	})
}

// A text while a call is up: beside it where the module can, behind it elsewhere; a module that cannot is never asked to.
func TestTextsDuringACall(t *testing.T) {
	for _, profile := range callProfiles {
		s := setup{sim: modemsim.ModemOptions{Profile: profile}}
		beside := profiles()[map[string]string{"ec25": "quectel-ec25", "sim7600": "simcom-sim7600", "e173": "huawei-e173"}[profile]].Voice.Texts
		s.faults.SMSBlockedInCall = !beside
		inWorld(t, s, func(w *world) {
			w.ready()
			w.phone(answersAndPresses("1"))
			var waited time.Duration
			texted := w.inCall(time.Second, func() {
				start := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				if _, err := w.m.Send(ctx, w.encodeTo(other, "impatient")); !beside && !errors.Is(err, ErrNotSent) || beside && err != nil {
					w.t.Errorf("%s: with a second's patience: %v", profile, err)
				}
				cancel()
				if _, err := w.m.Send(context.Background(), w.encodeTo(other, "hello")); err != nil {
					w.t.Errorf("%s: %v", profile, err)
				}
				waited = time.Since(start)
			})
			w.dial(CallConfirmed)
			<-texted
			if beside != (waited < 3*time.Second) {
				w.t.Errorf("%s: the text took %v", profile, waited)
			}
			if _, said := w.lastCall(); said != confirmed(1) {
				w.t.Errorf("%s: heard %q", profile, said)
			}
		})
	}
	// A hang-up waits for the text that is on air, and no longer than that is worth.
	inWorld(t, setup{sim: modemsim.ModemOptions{Profile: "ec25"}}, func(w *world) {
		w.ready()
		w.phone(modemsim.HandsetChange{Answers: new(true)})
		ctx, cancel := context.WithCancel(context.Background())
		texted := w.inCall(3*time.Second, func() {
			w.faults(modemsim.Faults{SwallowPDU: 1})
			time.AfterFunc(2*time.Second, cancel)
			_, err := w.m.Send(context.Background(), w.encodeTo(other, "swallowed"))
			w.want("swallowed", err, nil)
		})
		start := time.Now()
		r, _ := w.m.Dial(ctx, Call{To: patient, Script: script()})
		if took := time.Since(start); r.Outcome != CallAnswered || took < sendPatience || took > sendPatience+40*time.Second {
			w.t.Errorf("%v after %v", r, took)
		}
		<-texted
		w.until("back", 3*time.Minute, func(s Status) bool { return s.Ready })
		if w.sim.InCall() >= 0 {
			w.t.Error("the call goes on")
		}
	})
}

// A modem that cannot tell of its calls makes none that would go on unseen.
func TestModemWithoutCLCC(t *testing.T) {
	answers := map[string]string{"+CGMI": "Quectel|OK", "+CGMM": "EC25|OK", "+QWTTS=?": "OK", "D" + patient + ";": "OK", "+CHUP": "OK"}
	onFake(t, answers, Options{}, func(f *fake, w *world) {
		if st := w.ready(); st.Audio != "tts" || !st.CanCall() {
			w.t.Fatalf("%q", st.Audio)
		}
		_, err := w.m.Dial(context.Background(), Call{To: patient, Script: script()})
		if err == nil || errors.Is(err, ErrNotCalled) || strings.Contains(err.Error(), "5551234") {
			w.t.Fatalf("%v", err)
		}
		if f.count("+CHUP") == 0 {
			w.t.Error("it was not hung up")
		}
	})
}
